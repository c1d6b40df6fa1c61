"""An attempt's output on its way to the log file, with what the engine itself needs of it set aside."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Protocol

from engine.agents.backend import Stream
from engine.orchestrator.masking import MaskedStream, Masker

_STDERR_TAIL = 4096


class Log(Protocol):
    """The log file of an attempt (`history.logs.LogWriter`)."""

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """Append some bytes of one stream."""
        ...

    def restart(self) -> None:
        """Begin again from nothing."""
        ...

    def close(self) -> None:
        """Write out everything. Repeatable."""
        ...


class OutputCapture:
    """A LogSink that passes all on and keeps the first `limit` bytes of stdout and the last of stderr.

    Secrets reach neither the log nor `stderr_tail`. What stdout has of them stays in `stdout`, so that a
    JSON value can be read before it is masked.
    """

    def __init__(self, log: Log, limit: int, masker: Masker) -> None:
        self._log = log
        self._limit = limit
        self._masker = masker
        self._lock = threading.Lock()
        self.truncated = False
        self._pieces = 0
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._reset()

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """Take some bytes of one stream."""
        with self._lock:
            self._pieces += 1
            if stream == "stdout":
                room = self._limit - len(self._stdout)
                self.truncated = self.truncated or len(data) > room
                self._stdout += data[:room]
            self._show(stream, self._streams[stream].feed(data) if self._masker else data, time)

    def restart(self) -> None:
        """The backend delivers the output again from its start."""
        with self._lock:
            self._log.restart()
            self._reset()

    def finish(self) -> None:
        """The output is over: show what may have been the beginning of a secret. Repeatable."""
        if not self._masker:
            return
        with self._lock:
            for name, stream in self._streams.items():
                self._show(name, stream.flush(), None)

    def close(self) -> None:
        """Finish, and close the log."""
        self.finish()
        self._log.close()

    def count(self) -> int:
        """How many pieces of output have come so far: it grows whenever the agent writes."""
        return self._pieces

    @property
    def stdout(self) -> str:
        """Standard output so far, bounded, secrets included; undecodable bytes replaced."""
        data = bytes(self._stdout)
        if self.truncated:  # half a secret could not be masked any more
            data = data[: self._masker.beginning(data)]
        return data.decode("utf-8", errors="replace")

    @property
    def stderr_tail(self) -> str:
        """The last of standard error, masked."""
        return self._stderr.decode("utf-8", errors="replace")

    def _reset(self) -> None:
        self._streams: dict[Stream, MaskedStream] = (
            {"stdout": self._masker.stream(), "stderr": self._masker.stream()} if self._masker else {}
        )
        self._stdout.clear()
        self._stderr.clear()
        self.truncated = False

    def _show(self, stream: Stream, data: bytes, time: datetime | None) -> None:
        if not data:
            return
        self._log.write(stream, data, time)
        if stream == "stderr":
            self._stderr += data
            del self._stderr[:-_STDERR_TAIL]
