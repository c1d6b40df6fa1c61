"""One source of samples for all who want them: it runs while somebody does, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from engine.agents.backend import Sample


class SampleFeed:
    """Hands the samples of one agent to any number of watchers.

    A watcher that is slow misses samples rather than getting old ones.

    Args:
        source: makes the samples; it ends with the agent. It is closed with the last watcher.
    """

    def __init__(self, source: Callable[[], AsyncGenerator[Sample, None]]) -> None:
        self._source = source
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._newest: Sample | None = None
        self._news = asyncio.Event()

    async def watch(self) -> AsyncGenerator[Sample, None]:
        """The samples from now on; a watcher that joins others gets the newest one at once."""
        task = self._task
        if task is None or task.done():
            task = self._task = asyncio.create_task(self._run(self._closing), name="samples")
            task.add_done_callback(lambda _: self._tell())
            self._newest = None
        self._watchers += 1
        seen: Sample | None = None
        try:
            while True:
                news = self._news
                if self._newest is not None and self._newest is not seen:
                    seen = self._newest
                    yield seen
                elif task.done():
                    return
                else:
                    await news.wait()
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._task, self._closing = None, task
                task.cancel()
                await asyncio.wait({task})

    async def _run(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        async with aclosing(self._source()) as samples:
            async for sample in samples:
                self._newest = sample
                self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
