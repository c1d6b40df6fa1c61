"""Tasks' completions: one subscription for all of them, and nobody who waits is ever forgotten.

A message only wakes; what counts is what stands in the keys. They are read once the subscription stands, at
every message, after every reconnect, and on a slow poll while anyone waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from engine.errors import StateStoreError
from engine.state import keys
from engine.state.connection import Connection
from engine.state.link import Command, CommandError, Link, PushHandler
from engine.state.store import TaskOutcome

_log = logging.getLogger("agentainer")

_PATIENCE = 300.0  # seconds without Redis, after which waiting for an announcement is given up
_AT_ONCE = 500  # tasks looked after in one round trip

ReadOutcome = Callable[[str], Awaitable[TaskOutcome]]


class Waiting:
    """One entered completion: a `store.Completion`."""

    def __init__(self, task_id: str, read: ReadOutcome, *, fresh: bool) -> None:
        self._unread = fresh  # nobody can have left anything before the first message
        self.task_id = task_id
        self.announced: str | None = None
        self.done = False
        self._read = read
        self._woken = asyncio.Event()
        self._failure: StateStoreError | None = None

    async def wait(self) -> TaskOutcome:
        """See `store.Completion`."""
        if self._unread:
            self._unread = False
            await self._woken.wait()
            if self._failure is not None:
                raise self._failure
        while True:
            self._woken.clear()
            try:
                if outcome := await self._read(self.task_id):
                    self.done = True
                    return outcome
            except StateStoreError:
                pass  # the patrol wakes us when Redis is back, or when it gives Redis up
            await self._woken.wait()
            if self._failure is not None:
                raise self._failure

    def wake(self, failure: StateStoreError | None = None) -> None:
        """Have the keys read again, or, with a failure, let the waiting end with it."""
        self._failure = failure
        self._woken.set()


class CompletionRouter:
    """Tells each waiting task of its completion.

    Args:
        connect: makes the link that listens.
        commands: the connection by which keys are looked at.
        read: reads what a task left.
        backstop: seconds after which, at the latest, a result is noticed that nobody announced.
    """

    def __init__(
        self,
        connect: Callable[[PushHandler], Awaitable[Link]],
        commands: Connection,
        read: ReadOutcome,
        *,
        backstop: float,
    ) -> None:
        self.listener = Connection(lambda: connect(self._on_push), self._subscribe)
        self._commands = commands
        self._read = read
        self._backstop = backstop
        self._waiting: dict[str, set[Waiting]] = {}
        self._occupied = asyncio.Event()
        self._sweep_due = asyncio.Event()
        self._away_since: float | None = None
        self._patrol_task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Subscribe."""
        await self.listener.open()
        self._patrol_task = asyncio.create_task(self._patrol(), name="patrol of completions")

    async def close(self) -> None:
        """Unsubscribe."""
        if self._patrol_task is not None:
            self._patrol_task.cancel()
            await asyncio.gather(self._patrol_task, return_exceptions=True)
        await self.listener.close()

    @asynccontextmanager
    async def completion(self, task_id: str, *, fresh: bool = False) -> AsyncIterator[Waiting]:
        """Wait for one task inside the block; the subscription stands when it is entered.

        `fresh`: it will only begin inside the block, so there is nothing to be found yet.
        """
        await self.listener.standing()
        waiting = Waiting(task_id, self._read, fresh=fresh)
        self._waiting.setdefault(task_id, set()).add(waiting)
        self._occupied.set()
        try:
            yield waiting
        finally:
            self._waiting[task_id].discard(waiting)
            if not self._waiting[task_id]:
                del self._waiting[task_id]
            if not self._waiting:
                self._occupied.clear()

    def announced(self, task_id: str) -> str | None:
        """What a task that is waited for has announced, `completed` or `error`."""
        return next((one.announced for one in self._waiting.get(task_id, ())), None)

    def forget(self, task_id: str) -> None:
        """What was announced of a task so far is void: it begins anew."""
        for waiting in self._waiting.get(task_id, ()):
            waiting.announced = None

    # -- inside -----------------------------------------------------------------------------------------

    async def _subscribe(self, link: Link) -> None:
        (reply,) = await link.subscribe(keys.COMPLETIONS)
        if isinstance(reply, CommandError):
            raise reply
        self._sweep_due.set()

    def _on_push(self, push: list[Any]) -> None:
        if push[0] != b"pmessage":
            return
        _, _, channel, message = push
        task_id = keys.task_of_completion(channel.decode("utf-8", errors="replace"))
        for waiting in self._waiting.get(task_id, ()):
            if message in (keys.COMPLETED.encode(), keys.ERROR.encode()):
                waiting.announced = message.decode()
            waiting.wake()

    async def _patrol(self) -> None:
        """Look after all who wait: after every reconnect, and now and then. Idle while nobody does."""
        while True:
            await self._occupied.wait()
            try:
                async with asyncio.timeout(self._backstop):
                    await self._sweep_due.wait()
            except TimeoutError:
                pass
            self._sweep_due.clear()
            try:
                await self._sweep()
                self._away_since = None
                await self.listener.run([("PING",)])  # notices a connection that is dead and does not know
            except StateStoreError as error:
                self._give_up_if_away_for_good(error)
            except Exception:  # a patrol that ended would leave tasks waiting for ever
                _log.exception("looking after the tasks that are waited for")

    async def _sweep(self) -> None:
        """Wake everyone whose task has left something."""
        ids = [task_id for task_id, those in self._waiting.items() if not all(one.done for one in those)]
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            looks: list[Command] = [("EXISTS", keys.result(one), keys.error(one)) for one in some]
            for task_id, found in zip(some, await self._commands.demand(looks), strict=True):
                if found:
                    self._wake(task_id)

    def _wake(self, task_id: str, failure: StateStoreError | None = None) -> None:
        for waiting in self._waiting.get(task_id, ()):
            waiting.wake(failure)

    def _give_up_if_away_for_good(self, error: StateStoreError) -> None:
        now = asyncio.get_running_loop().time()
        self._away_since = self._away_since or now
        if now - self._away_since > _PATIENCE:
            for task_id in self._waiting:
                self._wake(task_id, error)
