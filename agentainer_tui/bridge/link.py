"""The thread and the event loop that the engine lives on, and calls across to it.

Neither loop ever waits for the other: a slow screen (or one that gave the terminal to an editor) does not
hold up a run, and a busy engine does not hold up a key. Calls cross with `run_coroutine_threadsafe`, streams
through a bounded buffer (`stream.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import UnavailableError

if TYPE_CHECKING:
    from engine.facade import Engine
    from engine.settings import Settings

Result = TypeVar("Result")


class EngineLink:
    """Starts its thread at `open`; `shutdown` closes the engine and ends the thread."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="engine", daemon=True)
        self._opened: Engine | None = None

    async def open(self) -> None:
        """Start the engine."""
        self._thread.start()
        await self._call(self._open())

    async def _open(self) -> None:
        from engine.facade import Engine

        self._opened = await Engine.open(self._settings, directory=self._directory)

    async def close(self) -> None:
        """Close the engine; runs in progress are cancelled and waited for."""
        await asyncio.to_thread(self.shutdown)

    def shutdown(self) -> None:
        """As `close`, for where no loop runs any more. Repeatable."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _close(self) -> None:
        engine, self._opened = self._opened, None
        mine = asyncio.current_task()
        if engine is not None:
            await engine.close()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` on the engine's loop, and wait for it here."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @property
    def _engine(self) -> Engine:
        if self._opened is None:
            raise UnavailableError("the engine is not open")
        return self._opened
