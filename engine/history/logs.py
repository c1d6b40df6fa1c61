"""The output of attempts on its way into log files (format: `log_format`), bounded, off the hot path."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from engine.clock import isoformat
from engine.errors import HistoryError
from engine.history.log_budget import LogBudget
from engine.history.log_format import Splitter, record

# Output waits at most this many seconds, or until there are this many bytes, before it is in the file.
_FLUSH_INTERVAL = 0.1
_FLUSH_BYTES = 64 * 1024

# An unended line (a prompt, dots of progress) is written as a partial record after this many seconds.
_STALE = 1.0

# What is kept of the end of an output that exceeds the limit, in bytes, and room for our own records.
_TAIL_LIMIT = 64 * 1024
_NOTE_LIMIT = 512

# What a writer takes of its run's budget at a time, and what it adds at each end when that is used up.
_SHARE = 16 * 1024
_SMALL = 4 * 1024

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


def log_file(root: Path, relative: str) -> Path:
    """The path of the log `relative` (`run/name.log`, or only `run`) below the log directory `root`.

    Raises:
        HistoryError: it would not be below `root`.
    """
    parts = relative.split("/")
    if len(parts) > 2 or not all(_SAFE_NAME.fullmatch(part) for part in parts):
        raise HistoryError(f"{relative!r} is no name for a log file")
    path = Path(root, *parts)
    # Not pathlib's, which takes three times as long: this is asked for every attempt.
    if len(parts) == 2 and os.path.islink(f"{root}/{parts[0]}"):  # noqa: PTH114
        raise HistoryError(f"the log file {path} is outside {root}: its directory is a link")
    return path


class LogWriter:
    """A `LogSink` for the log file `relative` below `root`; goes on where one exists already.

    At most about `limit` bytes are kept: of a longer output its beginning and its end (64 KiB, at most a
    quarter of the limit), with a note between them. When the `budget` of its run is used up, no more than
    4 KiB of each are added. Where the disk takes nothing, output is dropped and
    counted (`lost`, `failure`); nothing here raises. It may be called from any thread; make and close it on
    the event loop, whose timers write out what waits.
    """

    def __init__(self, root: Path, relative: str, *, limit: int, budget: LogBudget | None = None) -> None:
        self._file = _BoundedFile(log_file(root, relative), limit, budget)
        self._lock = threading.Lock()
        self._splitters = {"stdout": Splitter("stdout"), "stderr": Splitter("stderr")}
        self._closed = False
        self._armed = False
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = 0  # flushes since something was written
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    @property
    def path(self) -> Path:
        """Where the file is, or will be with the first output."""
        return self._file.path

    @property
    def lost(self) -> int:
        """Bytes of the file that could not be written."""
        return self._file.lost

    @property
    def failure(self) -> str | None:
        """Why output was lost, the last time; None if nothing was."""
        return self._file.failure

    def write(self, stream: Literal["stdout", "stderr"], data: bytes, time: datetime | None = None) -> None:
        """Take some bytes of one stream; `time` is when they were written, None for now."""
        with self._lock:
            if self._closed:
                return
            self._file.append(self._splitters[stream].feed(data, isoformat(time or datetime.now(UTC))))
            self._quiet = 0
            if self._loop is None or self._loop.is_closed():
                self._file.flush()
            elif not self._armed:
                self._armed = True
                self._loop.call_soon_threadsafe(self._arm)

    def restart(self) -> None:
        """Forget what was written: the output comes again from its start. Readers see a new file."""
        with self._lock:
            self._splitters = {name: Splitter(name) for name in self._splitters}
            self._file.restart()

    def close(self) -> None:
        """Write out everything and close the file. Repeatable."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            for splitter in self._splitters.values():
                self._file.append(splitter.drain(partial=False))
            self._file.close()

    def _arm(self) -> None:
        if self._loop is not None and not self._closed:
            self._timer = self._loop.call_later(_FLUSH_INTERVAL, self._tick)

    def _tick(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._quiet += 1
            if self._quiet * _FLUSH_INTERVAL >= _STALE:
                for splitter in self._splitters.values():
                    self._file.append(splitter.drain(partial=True))
            self._file.flush()
            # The timer rests while there is nothing to write out.
            self._armed = any(splitter.holds for splitter in self._splitters.values())
            if self._armed:
                self._arm()


class _BoundedFile:
    """Appends records to a file, up to a limit; what comes after it waits in a bounded tail until the end."""

    def __init__(self, path: Path, limit: int, budget: LogBudget | None) -> None:
        self.path = path
        self.lost = 0
        self.failure: str | None = None
        self._limit = limit
        self._tail_limit = min(_TAIL_LIMIT, limit // 4)
        self._head_limit = limit - self._tail_limit - 2 * _NOTE_LIMIT
        self._descriptor: int | None = None
        self._budget = budget
        self._taken = 0  # of the budget, by this writer
        self._added = 0
        self._used = False  # many attempts write nothing, and then nothing is asked of the disk
        self._size = self._existing = 0
        self._clear()

    def _begin(self) -> None:
        """Before anything is done with the file: learn how much is there already."""
        self._used = True
        with contextlib.suppress(OSError):
            self._size = self._existing = self.path.stat().st_size

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._left_out = 0
        self._over = False

    def append(self, records: Iterable[bytes]) -> None:
        """Take records; they are in the file after the next `flush`."""
        for line in records:
            if not self._used:
                self._begin()
            if not self._over and (limit := self._limit_reached(len(line))):
                self._over = True
                self._note(f"the log limit of {limit} is reached; only the end will be added")
            if self._over:
                self._keep_in_tail(line)
            else:
                self._buffer += line
                self._added += len(line)
            if len(self._buffer) >= _FLUSH_BYTES:
                self.flush()

    def _limit_reached(self, more: int) -> str:
        """Which limit `more` bytes would exceed, its own or that of its run; "" for none."""
        if self._size + len(self._buffer) + more > self._head_limit:
            return f"{self._limit} bytes"
        if self._budget is None or self._added + more <= self._taken:
            return ""
        share = max(_SHARE, more)
        if self._budget.take(share):
            self._taken += share
            return ""
        if self._size + len(self._buffer) + more <= _SMALL:
            return ""
        self._tail_limit = min(self._tail_limit, _SMALL)
        return f"{self._budget.limit} bytes for all of its run"

    def flush(self) -> None:
        """Write out what waits. What the disk does not take is dropped and counted."""
        if not self._buffer:
            return
        data, self._buffer = self._buffer, bytearray()
        try:
            descriptor = self._open()
            written = 0
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
            self._size += written
        except OSError as error:
            self.lost += len(data)
            self.failure = error.strerror or str(error)
            self._cut_back()

    def restart(self) -> None:
        """Begin a new file; who has the old one open can tell by its having no name any more."""
        if not self._used:
            self._begin()
        self._release()
        self._clear()
        self._settle(self._existing + self._taken)
        self._size = self._existing = 0
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self.failure = error.strerror or str(error)

    def close(self) -> None:
        """Write out everything, the end of an overlong output too."""
        if not self._used:
            return
        if self._left_out:
            self._note(f"{self._left_out} bytes are left out here")
        self._buffer += b"".join(self._tail)
        self._settle(self._taken - self._added - self._tail_size)
        if self.lost:
            self._note(f"{self.lost} bytes of output could not be written: {self.failure}")
        self.flush()
        self._clear()
        self._release()

    def _settle(self, unused: int) -> None:
        """Give back what was taken of the run's budget and not used."""
        if self._budget is not None:
            self._budget.give_back(unused)
        self._taken = self._added = 0

    def _open(self) -> int:
        if self._descriptor is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o600)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                # A writer died in the middle of a record.
                self._size += os.write(self._descriptor, b"\n")
        return self._descriptor

    def _cut_back(self) -> None:
        """Remove half a record that a full disk left."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _note(self, text: str) -> None:
        self._buffer += record(isoformat(datetime.now(UTC)), "stderr", f"agentainer: {text}".encode())

    def _keep_in_tail(self, line: bytes) -> None:
        self._tail.append(line)
        self._tail_size += len(line)
        while self._tail_size > self._tail_limit:
            out = len(self._tail.popleft())
            self._tail_size -= out
            self._left_out += out
