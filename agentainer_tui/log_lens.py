"""Which lines of a log are on show, by their place from the top: all, or those a filter lets through."""

from __future__ import annotations

from collections.abc import Sequence

from agentainer_tui.log_query import Search
from agentainer_tui.log_source import Extent


class Lens:
    """Places (0 is the first line on show) and numbers of lines; both the extent and the filter may grow."""

    def __init__(self, extent: Extent, search: Search | None = None) -> None:
        self.extent = extent
        self.search = search

    def __len__(self) -> int:
        if self.search is None:
            return self.extent.last - self.extent.first
        return self._stop - self._start

    @property
    def _start(self) -> int:
        return self.search.shown.before(self.extent.first) if self.search is not None else 0

    @property
    def _stop(self) -> int:
        return self.search.shown.before(self.extent.last) if self.search is not None else 0

    def number(self, place: int) -> int:
        """The number of the line at a place that there is."""
        if self.search is None:
            return self.extent.first + place
        return self.search.shown[self._start + place]

    def place(self, number: int) -> int:
        """The place of a line, or of the next one that is on show; there may be none there."""
        if self.search is None:
            return min(max(0, number - self.extent.first), len(self))
        return min(max(0, self.search.shown.before(number) - self._start), len(self))

    def numbers(self, start: int, stop: int) -> Sequence[int]:
        """The numbers of the lines from one place to before another, as far as there are any."""
        start, stop = max(0, start), min(stop, len(self))
        if self.search is None:
            return range(self.extent.first + start, self.extent.first + stop)
        return [self.number(place) for place in range(start, stop)]
