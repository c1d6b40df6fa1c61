"""An event loop whose time jumps: hours of back-off pass in microseconds, in a reproducible order.

Time moves only when nothing on the loop can run and no work outside it (the journal's thread) is under
way; then it jumps to the next timer. A loop with nothing to wait for at all is a deadlock and says so.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_REAL_WAIT = 0.02  # seconds between looks at work outside the loop, which also wakes it by itself
_CANCEL_ROUNDS = 50
_PATIENCE = 30.0  # real seconds that such work may take


class DeadlockError(AssertionError):
    """Nothing can ever happen again, and yet the test has not ended."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Give real events at once; else let virtual time pass instead of real time."""
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        waited = 0.0
        while self._loop.busy():
            if events := super().select(_REAL_WAIT):
                return events
            waited += _REAL_WAIT
            if waited > _PATIENCE:
                raise DeadlockError("work outside the loop does not end")
        if events := super().select(0):
            return events
        if timeout is None:
            raise DeadlockError("every task waits, no timer is set")
        self._loop.advance(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop. `watch` adds a source of work outside it; `outside` marks a stretch of such work."""

    def __init__(self) -> None:
        self._now = 0.0
        self._outside = 0
        self._watched: list[Callable[[], bool]] = []
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """Hold time while `is_busy()`."""
        self._watched.append(is_busy)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Hold time while the thread works."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, future: asyncio.Future[Any]) -> None:
        self._outside -= 1

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hold time while the block runs: it awaits threads."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def busy(self) -> bool:
        """Whether something outside the loop is under way."""
        return self._outside > 0 or any(is_busy() for is_busy in self._watched)


def run_virtual(main: Callable[[VirtualTimeLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `main(loop)` on a fresh virtual-time loop."""
    loop = VirtualTimeLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop))
    finally:
        # More than once: a task may answer its cancellation with work of its own, which is cancelled too.
        for _ in range(_CANCEL_ROUNDS):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
