"""What a log is to the app: lines by number, of a file that may be huge and may grow. Part of the port."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple, Protocol


class LogLine(NamedTuple):
    """One line of an attempt's output, as the program wrote it (not yet safe to show).

    Attributes:
        time: ISO 8601 UTC, empty if not known.
        stream: `stdout` or `stderr`.
        text: without its end.
        partial: its end is still to come, or it is so long that it goes on in the next line of its stream.
        origin: in merged logs, which of them it is from.
    """

    time: str
    stream: str
    text: str
    partial: bool = False
    origin: int = 0


class Extent(NamedTuple):
    """What is known of a log.

    Attributes:
        first, end: numbers of its lines; `first` falls while a large file is still being counted.
        open: lines after `end` whose end is still to come.
        counted: part of the log that was counted, from 0 to 1.
        generation: another one means that numbers begin anew, with other lines.
        over: nothing more will come.
        cut: there are earlier lines that cannot be asked for here.
        stirred: lines from this number on are not those that they were in the extent before; None for none.
    """

    first: int = 0
    end: int = 0
    open: int = 0
    counted: float = 1.0
    generation: int = 0
    over: bool = False
    cut: bool = False
    stirred: int | None = None

    @property
    def last(self) -> int:
        """The number after that of the last line, those without an end included."""
        return self.end + self.open


class Stretch(NamedTuple):
    """Lines that are read together: all from `first` to `end`, or none if none can have the needle."""

    first: int
    end: int
    lines: Sequence[LogLine]


class LogSource(Protocol):
    """One log, or several as one. Nothing here blocks the loop."""

    def watch(self) -> AsyncIterator[Extent]:
        """What is known, again at most ten times a second whenever it changed, until all of it is."""
        ...

    async def lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        """Lines by number (in rising order), those without an end included; only those that there are."""
        ...

    async def stretch(self, number: int, needle: re.Pattern[bytes] | None) -> Stretch | None:
        """The lines around one, as many as are read at a time; None if there is no such line."""
        ...

    async def close(self) -> None:
        """Let go of files. Repeatable."""
        ...


def neighbours(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Rising numbers as runs without a gap: first one and how many."""
    if isinstance(numbers, range) and numbers.step == 1:
        if numbers:
            yield numbers[0], len(numbers)
        return
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count
