"""Logs of several attempts as one, in the order of time."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from agentainer_tui.log_source import Extent, LogLine, LogSource, Stretch, neighbours

# Lines that are put in order, of all logs together: the last ones of each.
MOST_LINES = 200_000
_LEAST_EACH = 500
_STRETCH = 1_000
_PACE = 0.1

_Entry = tuple[str, int, int]  # time, which log, number there


class MergedLog:
    """Orders the lines by their time; of each log no more than its share of `MOST_LINES`."""

    def __init__(self, parts: Sequence[LogSource]) -> None:
        self._parts = parts
        self._share = max(_LEAST_EACH, MOST_LINES // max(1, len(parts)))
        self._order: list[_Entry] = []
        self._known: dict[int, Extent] = {}
        self._taken: dict[int, int] = {}
        self._seen: dict[int, int] = {}  # generations
        self._cut = False
        self._generation = 0

    async def watch(self) -> AsyncIterator[Extent]:
        """What is known, whenever it changed."""
        news = asyncio.Event()

        async def pump(origin: int) -> None:
            async for extent in self._parts[origin].watch():
                self._known[origin] = extent
                news.set()

        tasks = [asyncio.create_task(pump(origin)) for origin in range(len(self._parts))]
        for task in tasks:
            task.add_done_callback(lambda _: news.set())
        try:
            while True:
                news.clear()
                over = all(task.done() for task in tasks)
                for task in tasks:
                    if task.done():
                        task.result()  # what ended it, if it is an error
                stirred = await self._take()
                yield Extent(0, len(self._order), 0, 1.0, self._generation, over, self._cut, stirred)
                if over:
                    return
                await news.wait()
                await asyncio.sleep(_PACE)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> int | None:
        """Put what came into its places; returns the first place that holds another line now."""
        fresh: list[_Entry] = []
        for origin, extent in list(self._known.items()):
            if self._seen.get(origin, extent.generation) != extent.generation:
                self._begin_anew()
                return await self._take()
            self._seen[origin] = extent.generation
            fresh += await self._fresh(origin, extent)
        if not fresh:
            return None
        fresh.sort()
        place = bisect_right(self._order, fresh[0])
        stirred = place if place < len(self._order) else None
        self._order[place:] = sorted(self._order[place:] + fresh)
        return stirred

    def _begin_anew(self) -> None:
        self._order, self._taken, self._seen, self._cut = [], {}, {}, False
        self._generation += 1

    async def _fresh(self, origin: int, extent: Extent) -> list[_Entry]:
        start = self._taken.get(origin)
        if start is None:
            start = max(extent.first, extent.end - self._share)
            if extent.counted < 1 and start == extent.first:
                return []  # its lines before are being counted
            self._cut = self._cut or start > extent.first or extent.cut
        found: list[_Entry] = []
        stamp = ""
        while start < extent.end:
            stretch = await self._parts[origin].stretch(start, None)
            if stretch is None:
                break
            for number in range(start, stretch.end):
                stamp = stretch.lines[number - stretch.first].time or stamp
                found.append((stamp, origin, number))
            start = stretch.end
        self._taken[origin] = start
        return found

    async def lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        """Lines by their place in the order."""
        wanted: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for first, count in neighbours(numbers):
            for place in range(max(0, first), min(first + count, len(self._order))):
                _, origin, number = self._order[place]
                wanted[origin][number] = place
        found: dict[int, LogLine] = {}
        for origin, places in wanted.items():
            lines = await self._parts[origin].lines(sorted(places))
            found |= {places[number]: line._replace(origin=origin) for number, line in lines.items()}
        return dict(sorted(found.items()))

    async def stretch(self, number: int, needle: re.Pattern[bytes] | None) -> Stretch | None:
        """A thousand lines around one."""
        if not 0 <= number < len(self._order):
            return None
        first = number // _STRETCH * _STRETCH
        end = min(first + _STRETCH, len(self._order))
        lines = await self.lines(range(first, end))
        gap = LogLine("", "stdout", "")
        return Stretch(first, end, [lines.get(place, gap) for place in range(first, end)])

    async def close(self) -> None:
        """Let go of all of them."""
        for part in self._parts:
            await part.close()
