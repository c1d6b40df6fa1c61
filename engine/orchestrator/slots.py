"""How many tasks may run at once: per machine, per run, per map step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Slots:
    """A stack of limits that a task must pass, the narrowest first; waiting is first come, first served.

    The narrow ones come first so that a task that waits for its own run's turn holds nothing of the machine.
    """

    def __init__(self, *limits: asyncio.Semaphore) -> None:
        self._limits = limits

    @classmethod
    def of(cls, size: int) -> Slots:
        """One limit of `size` tasks; 0 is no limit."""
        return cls(asyncio.Semaphore(size)) if size else cls()

    def within(self, outer: Slots) -> Slots:
        """These limits, then those of `outer`."""
        return Slots(*self._limits, *outer._limits)

    @property
    def full(self) -> bool:
        """Whether a task would have to wait now."""
        return any(limit.locked() for limit in self._limits)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Hold one slot of every limit."""
        async with AsyncExitStack() as stack:
            for limit in self._limits:
                await stack.enter_async_context(limit)
            yield
