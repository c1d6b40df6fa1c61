"""Reading the log files of attempts: from an offset, from the end, and while they grow."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from engine.history.log_format import RECORD_LIMIT, LogLine, parse

# Bytes read at a time, forwards and backwards.
_BLOCK = 256 * 1024

# The end of a record with which a line is complete.
_WHOLE = re.compile(rb"^\S* (?:stdout|stderr) F [^\n]*\n", re.MULTILINE)

# A line is put together from its pieces up to this many characters; longer ones come as several lines.
_JOIN_LIMIT = 1 << 20

# How far `tail` looks back for the beginnings of lines, in bytes.
_TAIL_LIMIT = 16 << 20

# Pause between two looks at a file that did not grow, in seconds. Only while someone follows it.
_POLL = 0.1


class LogReader:
    """Reads one log file; a file that is not there (yet) has no lines. Memory stays bounded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self, offset: int = 0, *, join: bool = True) -> Iterator[LogLine]:
        """The lines from `offset` (0 or some line's `end`) on; with `join`, pieces are put together."""
        return _joined(self._pieces(offset)) if join else self._pieces(offset)

    def tail(self, count: int) -> list[LogLine]:
        """The last `count` lines, found from the file's end; fewer if they are extremely long."""
        if count <= 0:
            return []
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            offset = _offset_of_last(file, count)
            file.seek(offset)
            return list(_joined(_read_records(file)))[-count:]
        return []

    async def follow(self, ended: asyncio.Event, offset: int = 0) -> AsyncIterator[LogLine]:
        """The lines from `offset` on, and further ones as they come, until `ended` is set and all are read.

        Pieces are not put together: a `partial` one goes on in the next of its stream. If the output is
        delivered again from its start (the writer's `restart`), what was read already is left out.
        """
        follower = _Follower(self._path, offset)
        try:
            while True:
                over = ended.is_set()  # before reading: what was written until then is found
                found = await asyncio.to_thread(follower.read)
                for line in found:
                    yield line
                if not found:
                    if over:
                        return
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), _POLL)
        finally:
            follower.close()

    def _pieces(self, offset: int) -> Iterator[LogLine]:
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(offset)
            yield from _read_records(file)


def _read_records(file: BinaryIO, limit: int | None = None) -> Iterator[LogLine]:
    """The complete records from where the file stands, about `limit` bytes of them; stops after the last."""
    position = start = file.tell()
    while limit is None or position - start < limit:
        line = file.readline(RECORD_LIMIT)
        if not line.endswith(b"\n") and len(line) < RECORD_LIMIT:
            break  # the file's end, or a record that is being written
        position += len(line)
        yield parse(line, position)
    file.seek(position)


def _joined(pieces: Iterable[LogLine]) -> Iterator[LogLine]:
    """Whole lines from pieces; those that are still open at the end come last, marked partial."""
    open_lines: dict[str, LogLine] = {}
    for piece in pieces:
        begun = open_lines.pop(piece.stream, None)
        line = replace(piece, time=begun.time, text=begun.text + piece.text) if begun else piece
        if line.partial and len(line.text) < _JOIN_LIMIT:
            open_lines[piece.stream] = line
        else:
            yield line
    yield from open_lines.values()


def _offset_of_last(file: BinaryIO, count: int) -> int:
    """Where to read from to get the last `count` whole lines, looking back no further than needed."""
    end = file.seek(0, os.SEEK_END)
    size = _BLOCK
    while True:
        start = max(0, end - size)
        file.seek(start)
        data = file.read(end - start)
        # Unless at the file's start, what stands before the first newline is half a record.
        first = data.find(b"\n") + 1 if start else 0
        whole = [match.end() for match in _WHOLE.finditer(data, first)]
        if len(whole) > count:
            return start + whole[-count - 1]
        if start == 0 or size >= _TAIL_LIMIT:
            return start + first
        size *= 2


class _Follower:
    """A place in a file that grows, and that may be replaced by a new one. Blocking; used from a thread."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._offset = offset
        self._file: BinaryIO | None = None
        self._known: Counter[str] = Counter()  # whole lines per stream that a new file repeats

    def read(self) -> list[LogLine]:
        """The next lines, about one block of them; none if there are none now."""
        while True:
            file = self._file or self._open()
            if file is None:
                return []
            lines = list(_read_records(file, _BLOCK))
            if lines:
                fresh = self._fresh(lines)
                if fresh:
                    return fresh
            elif not self._replaced(file):
                return []

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return None
        self._file.seek(self._offset)
        return self._file

    def _replaced(self, file: BinaryIO) -> bool:
        """Whether the path leads to another file now; then that one is next, from its start."""
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return False  # a new one will come with the next output
        if os.path.samestat(current, os.fstat(file.fileno())):
            return False
        end = file.tell()
        file.seek(0)
        self._known = Counter(
            line.stream for line in _read_records(file) if line.end <= end and not line.partial
        )
        self.close()
        self._offset = 0
        return True

    def _fresh(self, lines: list[LogLine]) -> list[LogLine]:
        fresh = []
        for line in lines:
            if self._known[line.stream] > 0:
                self._known[line.stream] -= not line.partial
            else:
                fresh.append(line)
        return fresh
