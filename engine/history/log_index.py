"""Random access to the lines of a log file of any size, without reading all of it first.

Only how many lines end in each block of the file is remembered (64 KiB a block: 128 KiB of memory for a file
of 1 GB). Counting goes from the end backwards, since the end is what is looked at; so lines are numbered from
the last block on when the file was opened: those in it from 0 on, those before it -1, -2, …
"""

from __future__ import annotations

import os
import re
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from engine.history.log_format import CHUNK, RECORD_LIMIT, parse

_BLOCK = 64 * 1024
# Blocks whose lines are kept, and bytes counted at a time.
_KEPT = 24
_BITE = 4 << 20
# A piece at least this long was cut for its length; it is a line of its own, so that lines stay bounded.
_CUT_AT = CHUNK - 3
# A line of short pieces (a prompt, dots of progress) is put together up to this many characters.
_JOIN_LIMIT = 64 * 1024
_PIECE = re.compile(rb" std(?:out|err) P ")
_PIECE_RECORD = re.compile(rb"\S+ std(?:out|err) P ")


class IndexedLine(NamedTuple):
    """One line, as `log_format.LogLine`.

    `partial`: its end is still to come, or it is so long that it goes on in the next one of its stream.
    """

    time: str
    stream: str
    text: str
    partial: bool


class Extent(NamedTuple):
    """What is known of a log.

    Attributes:
        first, end: numbers of the lines that can be asked for; `first` falls while counting goes on.
        open: lines after `end` whose end is still to come.
        counted: part of the file's bytes that was counted, from 0 to 1.
        generation: another one means that another file took the place of this one; numbers begin anew.
    """

    first: int
    end: int
    open: int
    counted: float
    generation: int


class LogIndex:
    """Lines of one log file by number. Blocking, for threads; a file that is not there has no lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._generation = 0
        self._closed = False
        self._clear()

    def _clear(self) -> None:
        self._base = 0  # number of the block in which counting began
        self._size = 0  # bytes counted, at the end
        self._front = array("q")  # lines that end in block `base` to `base + k`, together
        self._back = array("q")  # lines that end in block `base - 1` down to `base - 1 - k`, together
        self._cache: OrderedDict[int, tuple[int, list[IndexedLine], list[IndexedLine]]] = OrderedDict()

    def close(self) -> None:
        """Close the file: no lines any more. Repeatable."""
        with self._lock:
            self._closed = True
            self._clear()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    @property
    def extent(self) -> Extent:
        """What is known by now."""
        with self._lock:
            first, end = self._bounds()
            counted = self._size - (self._base - len(self._back)) * _BLOCK
            opened = len(self._block(self._base + len(self._front) - 1)[2]) if self._front else 0
            return Extent(first, end, opened, counted / self._size if self._size else 1.0, self._generation)

    def _bounds(self) -> tuple[int, int]:
        return -(self._back[-1] if self._back else 0), self._front[-1] if self._front else 0

    # -- counting -------------------------------------------------------------------------------------

    def advance(self) -> bool:
        """Count one bite of what was added, else of what is before; returns whether there may be more.

        Raises:
            OSError: the file cannot be read.
        """
        with self._lock:
            size = self._look()
            if self._descriptor is None:
                return False
            if size > self._size:
                self._count_added(size)
                return True
            reached = self._base - len(self._back)
            if reached > 0:
                self._count_before(reached)
            return reached > 0 and self._base - len(self._back) > 0

    def _look(self) -> int:
        """The file's size now; begins anew if another file has the name."""
        if self._descriptor is not None and self._replaced(self._descriptor):
            os.close(self._descriptor)
            self._descriptor = None
            self._generation += 1
            self._clear()
        if self._descriptor is None:
            if self._closed:
                return 0
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return 0
            size = os.fstat(self._descriptor).st_size
            self._base = max(0, size - 1) // _BLOCK
            self._size = self._base * _BLOCK
            return size
        return os.fstat(self._descriptor).st_size

    def _replaced(self, descriptor: int) -> bool:
        mine = os.fstat(descriptor)
        if mine.st_size < self._size:
            return True
        try:
            return not os.path.samestat(self.path.stat(), mine)
        except FileNotFoundError:
            return False  # a new one comes with the next output; until then what is open can be read

    def _count_added(self, size: int) -> None:
        start = self._size // _BLOCK * _BLOCK
        end = min(size, start + _BITE)
        for number, lines in enumerate(self._counts(start, end), start // _BLOCK - self._base):
            before = self._front[number - 1] if number else 0
            if number < len(self._front):
                self._front[number] = before + lines
            else:
                self._front.append(before + lines)
        self._size = end

    def _count_before(self, reached: int) -> None:
        end = reached * _BLOCK
        for lines in reversed(self._counts(max(0, end - _BITE), end)):
            self._back.append((self._back[-1] if self._back else 0) + lines)

    def _counts(self, start: int, end: int) -> list[int]:
        """How many lines end in each block of a stretch of the file that begins with a block."""
        look = min(start, RECORD_LIMIT)
        data = self._read(start - look, end)
        found = []
        for begin in range(look, len(data), _BLOCK):
            stop = min(begin + _BLOCK, len(data))
            lines = data.count(b"\n", begin, stop)
            if lines and _PIECE.search(data, max(0, begin - RECORD_LIMIT), stop):
                head = data.rfind(b"\n", max(0, begin - RECORD_LIMIT), begin) + 1
                records = data[head if head else max(0, begin - RECORD_LIMIT) : stop].split(b"\n")[:-1]
                lines -= sum(map(_is_short_piece, records))
            found.append(lines)
        return found

    def _read(self, start: int, end: int) -> bytes:
        assert self._descriptor is not None
        parts = []
        while start < end and (part := os.pread(self._descriptor, end - start, start)):
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # -- lines ----------------------------------------------------------------------------------------

    def lines(self, first: int, count: int) -> list[IndexedLine]:
        """Lines by number, those that are still open (from `end` on) too; fewer where there are no more."""
        found: list[IndexedLine] = []
        with self._lock:
            lowest, end = self._bounds()
            first, last = max(first, lowest), first + count
            while first < min(last, end):
                block, start = self._place(first)
                lines = self._block(block)[1]
                part = lines[first - start : last - start]
                if not part:
                    break
                found += part
                first += len(part)
            if self._front and first >= end and last > end:
                found += self._block(self._base + len(self._front) - 1)[2][first - end : last - end]
        return found

    def stretch(
        self, number: int, needle: re.Pattern[bytes] | None = None
    ) -> tuple[int, int, list[IndexedLine]]:
        """All lines of the block that line `number` ends in: first number, end, lines.

        No lines come if none can have the `needle`, which is looked for in bytes of plain output only.

        Raises:
            IndexError: there is no such line.
        """
        with self._lock:
            lowest, end = self._bounds()
            if not lowest <= number < end:
                raise IndexError(number)
            block, start = self._place(number)
            data, skipped = self._region(block)
            stop = start + self._count_of(block)
            plain = b"\x1b" not in data and not _PIECE.search(data)
            if needle is not None and plain and not needle.search(data):
                return start, stop, []
            lines, _ = _decode(data, skipped)
            return start, stop, lines

    def _count_of(self, block: int) -> int:
        sums, place = (
            (self._front, block - self._base) if block >= self._base else (self._back, self._base - 1 - block)
        )
        return sums[place] - (sums[place - 1] if place else 0)

    def _place(self, number: int) -> tuple[int, int]:
        """The block in which a line ends, and the number of the first line that ends there."""
        if number >= 0:
            place = bisect_right(self._front, number)
            return self._base + place, self._front[place - 1] if place else 0
        place = bisect_left(self._back, -number)
        return self._base - 1 - place, -self._back[place]

    def _region(self, block: int) -> tuple[bytes, int]:
        """A block with the one before it, and how many of the bytes are before it."""
        start = block * _BLOCK
        begin = max(0, start - _BLOCK)
        return self._read(begin, min(self._size, start + _BLOCK)), start - begin

    def _block(self, block: int) -> tuple[int, list[IndexedLine], list[IndexedLine]]:
        """How far the block reached when it was read, its lines, and those that are open after it."""
        reach = min(self._size, (block + 1) * _BLOCK)
        known = self._cache.get(block)
        if known is None or known[0] != reach:
            known = (reach, *_decode(*self._region(block)))
            self._cache[block] = known
            while len(self._cache) > _KEPT:
                self._cache.popitem(last=False)
        self._cache.move_to_end(block)
        return known


def _is_short_piece(line: bytes) -> bool:
    match = _PIECE_RECORD.match(line)
    return match is not None and len(line) - match.end() < _CUT_AT


def _decode(data: bytes, skipped: int) -> tuple[list[IndexedLine], list[IndexedLine]]:
    """The lines that end in `data` after the first `skipped` bytes, and those that are open at its end."""
    lines: list[IndexedLine] = []
    begun: dict[str, IndexedLine] = {}
    place = data.find(b"\n", 0, skipped) + 1
    if skipped - place > RECORD_LIMIT:  # no record: damage
        place = skipped - RECORD_LIMIT
    while (stop := data.find(b"\n", place)) >= 0:
        line = parse(data[place:stop], 0)
        before = begun.pop(line.stream, None)
        text = line.text if before is None else before.text + line.text
        whole = IndexedLine(line.time if before is None else before.time, line.stream, text, line.partial)
        if line.partial and _is_short_piece(data[place:stop]):
            begun[line.stream] = whole if len(text) <= _JOIN_LIMIT else before or whole
        elif stop >= skipped:
            lines.append(whole)
        place = stop + 1
    return lines, list(begun.values())
