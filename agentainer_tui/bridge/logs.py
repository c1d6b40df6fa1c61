"""Log files of the engine behind the port; all reading is done in threads, in bounded bites."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agentainer_tui.log_source import Extent, LogLine, Stretch, neighbours
from engine.errors import UnavailableError

if TYPE_CHECKING:
    from engine.upkeep import LogIndex

# Seconds between two looks at a file that is being written, and of counting between two reports.
PACE = 0.1

Result = TypeVar("Result")


class FileLog:
    """One attempt's log file; `until_ended` returns when nothing more is written to it."""

    def __init__(self, index: LogIndex, until_ended: Callable[[], Awaitable[None]]) -> None:
        self._index = index
        self._until_ended = until_ended

    async def watch(self) -> AsyncIterator[Extent]:
        """What is known, whenever it changed."""
        ending = asyncio.ensure_future(self._until_ended())
        shown: Extent | None = None
        try:
            while True:
                over = ending.done()  # before reading: what was written until then is found
                pace = PACE if shown is not None else 0  # the end is shown at once
                more, known = await self._read(partial(self._bite, pace))
                extent = known._replace(over=over and not more)
                if extent != shown:
                    shown = extent
                    yield extent
                if extent.over:
                    ending.result()
                    return
                if not more:
                    await asyncio.wait((ending,), timeout=PACE)
        finally:
            ending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await ending

    def _bite(self, seconds: float) -> tuple[bool, Extent]:
        stop = time.monotonic() + seconds
        while (more := self._index.advance()) and time.monotonic() < stop:
            pass
        return more, Extent(*self._index.extent)

    async def lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        """Lines by number."""
        return await self._read(lambda: self._lines(numbers))

    def _lines(self, numbers: Sequence[int]) -> dict[int, LogLine]:
        found: dict[int, LogLine] = {}
        lowest = self._index.extent.first
        for first, count in neighbours(numbers):
            start = max(first, lowest)
            lines = self._index.lines(start, first + count - start)
            found |= {start + place: LogLine(*line) for place, line in enumerate(lines)}
        return found

    async def stretch(self, number: int, needle: re.Pattern[bytes] | None) -> Stretch | None:
        """The lines of one block of the file."""
        try:
            first, end, lines = await self._read(lambda: self._index.stretch(number, needle))
        except IndexError:
            return None
        return Stretch(first, end, [LogLine(*line) for line in lines])

    async def _read(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise UnavailableError(f"the log {self._index.path} cannot be read: {error.strerror}") from error

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._index.close)
