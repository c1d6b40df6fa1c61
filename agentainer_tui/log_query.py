"""What is looked for in a log, and where it was found: one search, for finding and for filtering."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from agentainer_tui.ansi import without_colours
from agentainer_tui.log_source import Extent, LogSource, Stretch
from agentainer_tui.text import clean
from engine.errors import UsageError

# Lines that are remembered as found; 8 bytes each.
MOST_HITS = 2_000_000


@dataclass(frozen=True)
class Query:
    """What to look for.

    Attributes:
        text: a piece of text, or with `regex` an expression (RE2: its time is bounded, whatever it is).
        case: whether capitals matter.
        invert: look for lines without it.
        context: lines before and after that are shown too, where only what was found is shown.
    """

    text: str
    regex: bool = False
    case: bool = False
    invert: bool = False
    context: int = 0

    @cached_property
    def _expression(self) -> Any:
        import re2  # only who looks for something pays for it

        options = re2.Options()
        options.case_sensitive = self.case
        options.literal = not self.regex
        options.log_errors = False
        try:
            return re2.compile(self.text, options)
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
            raise UsageError(f"{clean(self.text, limit=80)!r} is no regular expression: {reason}") from error

    def check(self) -> None:
        """See whether it can be looked for at all.

        Raises:
            UsageError: it is no regular expression.
        """
        _ = self._expression

    def matches(self, line: str) -> bool:
        """Whether a line (with its colours) is one that is looked for."""
        return (self._expression.search(without_colours(line)) is None) == self.invert

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a text without colours; nothing if lines without it are looked for."""
        if self.invert:
            return
        for match in self._expression.finditer(text):
            start, end = match.span()
            if end > start:
                yield start, end

    @property
    def needle(self) -> re.Pattern[bytes] | None:
        """Bytes without which no line of plain text can match, if there are such."""
        if self.regex or self.invert or not self.text.isascii() or not self.text.isprintable():
            return None
        return re.compile(re.escape(self.text.encode()), 0 if self.case else re.IGNORECASE)


class Numbers:
    """A rising list of numbers that grows at both ends, seldom in between."""

    def __init__(self, middle: int = 0) -> None:
        self._middle = middle
        self._low = array("q")  # those below the middle, negated: rising too
        self._high = array("q")

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def __getitem__(self, place: int) -> int:
        if place < 0:
            place += len(self)
        below = len(self._low)
        return -self._low[below - 1 - place] if place < below else self._high[place - below]

    def add(self, number: int) -> None:
        """Take a number in, once."""
        part, value = (self._high, number) if number >= self._middle else (self._low, -number)
        if not part or value > part[-1]:
            part.append(value)
        elif (place := bisect_left(part, value)) == len(part) or part[place] != value:
            insort(part, value)

    def before(self, number: int) -> int:
        """How many are less than `number`: the place where it is, or would be."""
        if number < self._middle:
            return len(self._low) - bisect_right(self._low, -number)
        return len(self._low) + bisect_left(self._high, number)


class Search:
    """Looks through a log from its end backwards, and through what is added."""

    def __init__(self, query: Query, source: LogSource, extent: Extent) -> None:
        query.check()
        self.query = query
        self.generation = extent.generation
        self.hits = Numbers(extent.end)
        self.shown = Numbers(extent.end)  # the hits with their context
        self._source = source
        self._low = self._high = extent.end
        self._needle = query.needle

    @property
    def full(self) -> bool:
        """Whether there are too many to look for more."""
        return len(self.hits) >= MOST_HITS

    def behind(self, extent: Extent) -> bool:
        """Whether there are lines that were not looked at."""
        return not self.full and (self._high < extent.end or self._low > extent.first)

    def progress(self, extent: Extent) -> float:
        """Which part of the log was looked at, from 0 to 1."""
        total = extent.end - extent.first
        return (self._high - self._low) / total if total > 0 else 1.0

    async def step(self, extent: Extent) -> bool:
        """Look at some more lines, new ones first; returns whether there was anything to look at."""
        if not self.behind(extent):
            return False
        adding = self._high < extent.end
        stretch = await self._source.stretch(self._high if adding else self._low - 1, self._needle)
        if stretch is None:
            return False
        self._take(stretch, self._low, self._high)
        if adding:
            self._high = max(self._high, stretch.end)
        else:
            self._low = min(self._low, stretch.first)
        return True

    def _take(self, stretch: Stretch, low: int, high: int) -> None:
        around = self.query.context
        found = [
            stretch.first + place
            for place, line in enumerate(stretch.lines)
            if not low <= stretch.first + place < high and self.query.matches(line.text)
        ]
        for number in reversed(found) if stretch.first < low else found:
            self.hits.add(number)
            self.shown.add(number)
            for other in range(1, around + 1):
                self.shown.add(number + other)
                self.shown.add(number - other)
