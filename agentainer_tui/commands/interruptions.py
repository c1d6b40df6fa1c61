"""Signals as wishes: the first one asks for a cancellation, the second one for haste."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The person (or the system) wants this to end before it has begun."""


class Interruptions:
    """Takes Ctrl-C, SIGTERM and SIGHUP while the block runs, on the running loop.

    `asked` is set by the first signal, `insisted` by the second; `by` names the first one.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()
        self.by = ""

    def __enter__(self) -> Self:
        """Take the signals over."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._take, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    async def unless(self, awaited: Awaitable[T]) -> T:
        """The value of `awaited`, which is cancelled by the first signal.

        Raises:
            Interrupted: there was one.
        """
        task = asyncio.ensure_future(awaited)
        asked = asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise Interrupted
        return task.result()

    def _take(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            self.insisted.set()
            return
        self.by = "Ctrl-C" if number == signal.SIGINT else number.name
        self.asked.set()
