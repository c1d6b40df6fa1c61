"""Signals as wishes: the first one asks for a cancellation, the second one for haste."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The person (or the system) wants this to end before it is done."""


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but Ctrl-C is an event of the loop like any other.

    asyncio's own handler cancels in the midst of whatever the loop is doing, and a callback that has just
    looked whether its future is done then fails with a traceback.

    Raises:
        KeyboardInterrupt: there was a Ctrl-C, and `main` has ended because of it.
    """

    async def guarded() -> T:
        with Interruptions(signal.SIGINT) as interruptions:
            return await interruptions.unless(main)

    try:
        return asyncio.run(guarded())
    except Interrupted:
        raise KeyboardInterrupt from None


class Interruptions:
    """Takes signals (Ctrl-C, SIGTERM, SIGHUP unless told otherwise) while the block runs, on its loop.

    `asked` is set by the first signal, `insisted` by the second; `by` names the first one.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self._signals = signals or _ALL
        self.asked = asyncio.Event()
        self.insisted = asyncio.Event()
        self.by = ""

    def __enter__(self) -> Self:
        """Take the signals over."""
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self._take, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in self._signals:
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
