"""A log as it was at a moment: only the lines that had been written by then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from agentainer_tui.log_source import Extent, LogLine, LogSource, Stretch
from engine.clock import isoformat

# Damaged records have no time; so many lines before one are looked at to find one that has.
_NEARBY = 50


class LogUntil:
    """Wraps a log whose lines are in the order of time; the moment can be moved while someone watches."""

    def __init__(self, source: LogSource, moment: float) -> None:
        self._source = source
        self._until = _stamp(moment)
        self._cut = 0
        self._news = asyncio.Event()

    def move(self, moment: float) -> None:
        """Show it as of another moment."""
        self._until = _stamp(moment)
        self._news.set()

    async def watch(self) -> AsyncIterator[Extent]:
        """What there was, whenever it is known better or the moment is another one; never over."""
        known: Extent | None = None

        async def pump() -> None:
            nonlocal known
            async for extent in self._source.watch():
                known = extent
                self._news.set()

        task = asyncio.create_task(pump())
        task.add_done_callback(lambda _: self._news.set())
        shown: Extent | None = None
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if known is not None:
                    self._cut = cut = await self._find(known)
                    end = min(known.end, cut)
                    extent = known._replace(end=end, open=cut - end, over=False)
                    if extent != shown:
                        shown = extent
                        yield extent
                if task.done():
                    task.result()  # what ended it, if it is an error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _find(self, extent: Extent) -> int:
        """The number of the first line that had not been written."""
        low, high = extent.first, extent.last
        while low < high:
            middle = (low + high) // 2
            if await self._time(middle, low) <= self._until:
                low = middle + 1
            else:
                high = middle
        return low

    async def _time(self, number: int, lowest: int) -> str:
        lines = await self._source.lines([number])
        if number in lines and lines[number].time:
            return lines[number].time
        before = await self._source.lines(range(max(lowest, number - _NEARBY), number))
        return next((line.time for line in reversed(before.values()) if line.time), "")

    async def lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        """Lines by number."""
        return await self._source.lines([number for number in numbers if number < self._cut])

    async def stretch(self, number: int, needle: re.Pattern[bytes] | None) -> Stretch | None:
        """The lines around one, as far as they had been written."""
        if number >= self._cut:
            return None
        found = await self._source.stretch(number, needle)
        if found is None or found.end <= self._cut:
            return found
        return Stretch(found.first, self._cut, found.lines[: self._cut - found.first])

    async def close(self) -> None:
        """Let go of the log."""
        await self._source.close()


def _stamp(moment: float) -> str:
    return isoformat(datetime.fromtimestamp(moment, UTC))
