"""How many tasks may run at once: per machine, per run, per map step."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType


class Limit:
    """So many at once, first come, first served. Unlike a semaphore it can count what runs anyhow."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, size: int) -> None:
        """Another size from now on; what is held beyond it is held on."""
        self._size = size
        self._let_in()

    @property
    def full(self) -> bool:
        """Whether one more would have to wait."""
        return self._held >= self._size or bool(self._waiting)

    @property
    def held(self) -> int:
        """How many are in use."""
        return self._held

    def claim(self) -> None:
        """Count one that runs already, even over the limit."""
        self._held += 1

    async def acquire(self) -> None:
        """Take a place, as soon as there is one."""
        if not self.full:
            self._held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the place had been given already
            elif turn in self._waiting:  # else a release in this very moment has passed over it
                self._waiting.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back."""
        self._held -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._held < self._size:
            turn = self._waiting.popleft()
            if not turn.done():
                self._held += 1
                turn.set_result(None)


class Slots:
    """A stack of limits that a task must pass, the narrowest first.

    The narrow ones come first so that a task that waits for its own run's turn holds nothing of the machine.
    """

    def __init__(self, *limits: Limit) -> None:
        self._limits = limits

    @classmethod
    def of(cls, size: int) -> Slots:
        """One limit of `size` tasks; 0 is no limit."""
        return cls(Limit(size)) if size else cls()

    @property
    def held(self) -> int:
        """Places of the outermost limit that are in use."""
        return self._limits[-1].held if self._limits else 0

    def within(self, outer: Slots) -> Slots:
        """These limits, then those of `outer`."""
        return Slots(*self._limits, *outer._limits)

    def beyond(self, outer: Slots) -> Slots:
        """These limits without those of `outer`."""
        return Slots(*(limit for limit in self._limits if limit not in outer._limits))

    @property
    def full(self) -> bool:
        """Whether a task would have to wait now."""
        return any(limit.full for limit in self._limits)

    def claim(self) -> None:
        """Count a task that runs already in every limit; `give_back` when it has ended."""
        for limit in self._limits:
            limit.claim()

    def give_back(self) -> None:
        """Give back one slot of every limit."""
        for limit in reversed(self._limits):
            limit.release()

    def hold(self) -> AbstractAsyncContextManager[None]:
        """Hold one slot of every limit."""
        return _Held(self._limits)


class _Held:
    """Slots that are held. Not a generator's context: every attempt enters one, at three times the cost."""

    __slots__ = ("_held", "_limits")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = limits
        self._held = 0

    async def __aenter__(self) -> None:
        try:
            for limit in self._limits:
                await limit.acquire()
                self._held += 1
        except BaseException:
            self._release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        for limit in reversed(self._limits[: self._held]):
            limit.release()


class NamedLimits:
    """Limits that are shared by name."""

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}

    def of(self, name: str, size: int) -> Slots:
        """The limit of that name; the newest size counts."""
        limit = self._limits.setdefault(name, Limit(size))
        limit.resize(size)
        return Slots(limit)
