"""An async iterator of one event loop, read in batches on another."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Generic, TypeVar

Value = TypeVar("Value")

# Values that wait for the reader before the source is held up.
_LIMIT = 5_000


class Stream(Generic[Value]):
    """Runs `source` on `loop` from now on; `batches` hands over on the reader's loop what came meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Callable[[], AsyncIterator[Value]]) -> None:
        self._source_loop = loop
        self._source = source
        self._reader_loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._buffer: list[Value] = []
        self._over = False
        self._news = asyncio.Event()  # of the reader's loop
        self._room = asyncio.Event()  # of the source's loop
        self._pump = asyncio.run_coroutine_threadsafe(self._run(), loop)

    async def batches(self) -> AsyncGenerator[Sequence[Value], None]:
        """What came since the last batch; ends with the source, or raises what ended it."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                with self._lock:
                    batch, self._buffer = self._buffer, []
                    over = self._over
                self._call(self._source_loop, self._room.set)
                if batch:
                    yield batch
                if over:
                    break
            await asyncio.wrap_future(self._pump)
        finally:
            self._pump.cancel()

    async def _run(self) -> None:
        try:
            async with contextlib.aclosing(self._values()) as values:
                async for value in values:
                    if self._put(value) >= _LIMIT:
                        await self._wait_for_room()
        finally:
            with self._lock:
                self._over = True
            self._call(self._reader_loop, self._news.set)

    async def _values(self) -> AsyncGenerator[Value, None]:
        async for value in self._source():
            yield value

    def _put(self, value: Value) -> int:
        with self._lock:
            self._buffer.append(value)
            size = len(self._buffer)
        if size == 1:
            self._call(self._reader_loop, self._news.set)
        return size

    async def _wait_for_room(self) -> None:
        """Hold the source up until the reader has taken what waits."""
        while True:
            self._room.clear()
            with self._lock:
                if not self._buffer:
                    return
            await self._room.wait()

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        """Call on a loop, which may be closed by now: then nobody is left to be told."""
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(callback)
