"""The journal: where every transition is committed before its effect starts.

`record` queues; everything that waits is committed as one group, which is one transaction (group commit).
While a group is being committed, the next one gathers. What nobody waits for does not hurry: it rests for a
moment, in which more may come, since a commit of its own would cost as much as everything else about it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from engine.clock import isoformat
from engine.errors import HistoryError
from engine.events import Event, EventType
from engine.history.moves import describe, to_json
from engine.history.subscription import Subscription
from engine.history.writer import SYNC_INTERVAL, Entry, Writer, Written, without_document

# Calls in one transaction: enough to make a commit cheap per event, few enough to answer soon.
_GROUP_LIMIT = 500

# Seconds that calls rest for more to come, as long as nobody awaits an answer and there are not enough.
_ENOUGH = 16
_REST = 0.005

Committed = asyncio.Future[tuple[Event, ...]]
OnFailure = Callable[[BaseException], None]
T = TypeVar("T")


class _Answer(Committed):
    """The answer to one call. Whoever awaits it is in a hurry."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hurry: Callable[[], None]) -> None:
        super().__init__(loop=loop)
        self._hurry = hurry

    def __await__(self) -> Generator[Any, None, tuple[Event, ...]]:
        self._hurry()
        return super().__await__()


class _Call(NamedTuple):
    entries: tuple[Entry, ...]
    answer: Committed
    on_failure: OnFailure | None


class Journal:
    """Implements `EventSink`. Made by `Journal.open`; belongs to the event loop that opened it.

    Only one Journal may have a home open at a time; that is what the home's lease is for.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self._path = path
        self._writer = writer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Call] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._turn: asyncio.Handle | None = None  # the loop's next one looks at the queue
        self._rest: asyncio.TimerHandle | None = None  # at its end the queue is looked at in any case
        self._resting_since = 0.0  # the first call of the queue
        self._writing = False  # the task does, and its answers come before any others
        self._subscriptions: set[Subscription] = set()
        self._last_seq = 0
        self._in_flight = 0
        self._jobs = 0  # on the thread; the connection is its own while there are any
        self._sync_timer: asyncio.TimerHandle | None = None
        self._sync_due = False
        self._failure: HistoryError | None = None
        self._closing = False

    @classmethod
    async def open(cls, path: Path, *, busy_timeout: float = 30.0) -> Self:
        """Open the database (make it, in a directory that is there), bring it to our schema, start writing.

        A commit waits `busy_timeout` seconds for another program that keeps the database locked.

        Raises:
            HistoryError: it cannot be used; says why and what to do. The file is left as it is.
        """
        clock = asyncio.get_running_loop().time
        journal = cls(path, Writer(path, busy_timeout=busy_timeout, clock=clock))
        try:
            journal._last_seq = await journal._on_thread(journal._writer.open)
        except BaseException:
            journal._thread.submit(journal._writer.close)
            journal._thread.shutdown(wait=False)
            raise
        journal._task = asyncio.get_running_loop().create_task(journal._write_groups(), name="journal")
        return journal

    async def close(self) -> None:
        """Commit what waits, then close the database. What is recorded later fails. Repeatable."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            # Not to be lost to the cancellation of whoever closes us.
            await asyncio.shield(self._task)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def in_flight(self) -> int:
        """Calls that are queued or being committed."""
        return self._in_flight

    @property
    def at_work(self) -> bool:
        """Whether its thread is. An event loop with virtual time must not jump then."""
        return self._jobs > 0

    @property
    def last_seq(self) -> int:
        """Number of the newest committed event, 0 in a new home."""
        return self._last_seq

    @property
    def healthy(self) -> bool:
        """False after a commit that the database did not take, until one succeeds."""
        return self._failure is None

    @property
    def failure(self) -> HistoryError | None:
        """Why it is not healthy."""
        return self._failure

    def record(self, *events: Event, on_failure: OnFailure | None = None) -> Committed:
        """Queue `events` (in call order, atomically) at once; await the answer only for durability.

        Cancelling the wait does not take the events back. See `EventSink.record` for what it raises.
        """
        answer = _Answer(self._loop, self._look_soon)
        if self._task is None or self._closing:
            self._refuse(answer, HistoryError(f"the history database {self._path} is closed"), on_failure)
            return answer
        try:
            # Encoded here, so that nobody can change the data between this call and the commit.
            entries = tuple([Entry(event, isoformat(event.time), _encode(event)) for event in events])
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            names = "; ".join(describe(event) for event in events)
            refusal = HistoryError(f"{names}: the data cannot be stored: {error}")
            self._refuse(answer, refusal, on_failure)
            return answer
        self._in_flight += 1
        if not self._queue:
            self._resting_since = self._loop.time()
        self._queue.append(_Call(entries, answer, on_failure))
        if len(self._queue) >= _ENOUGH:
            self._look_soon()
        elif self._turn is None and self._rest is None:
            self._rest = self._loop.call_later(_REST, self._rested)
        return answer

    def subscribe(self, after: int | None = None, *, run_id: str | None = None) -> Subscription:
        """Follow the journal: every event after number `after` (None: from now on), each once, in order.

        Close the subscription, or use it as an async context manager.
        """
        start = self._last_seq if after is None else after
        subscription = Subscription(
            self._path, start, run_id=run_id, behind=start < self._last_seq, on_close=self._forget
        )
        if self._task is None or self._closing:
            subscription.end()
        self._subscriptions.add(subscription)
        return subscription

    async def maintain(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the writing connection, in a transaction of its own, between two groups.

        For what is not an event: deleting old runs, rebuilding views.

        Raises:
            HistoryError: the database could not take it.
        """
        if self._task is None or self._closing:
            raise HistoryError(f"the history database {self._path} is closed")
        self._in_flight += 1
        try:
            return await self._on_thread(lambda: self._writer.transaction(work))
        finally:
            self._in_flight -= 1

    async def compact(self) -> None:
        """Write the database anew, without the room of deleted rows. Takes seconds, and as much disk again.

        Raises:
            HistoryError: the disk does not have the room for it, or another program uses it.
        """
        await self._on_thread(self._writer.compact)

    # -- the writer task ------------------------------------------------------------------------------

    async def _write_groups(self) -> None:
        """The writer task: sees to what waits for the disk."""
        try:
            while self._queue or not self._closing:
                await self._wake.wait()
                self._wake.clear()
                self._writing = True
                while self._queue:
                    await self._write(self._take(min(len(self._queue), _GROUP_LIMIT)))
                    if not self._closing:
                        break
                self._writing = False
                if self._queue:  # which may not need the thread
                    self._look_soon()
                await self._settle()
        finally:
            await self._shut_down()

    async def _write(self, group: Sequence[_Call]) -> None:
        calls = [call.entries for call in group]
        try:
            outcome = await self._on_thread(lambda: self._writer.commit(calls))
        except BaseException as error:
            self._fail(group, error)
            if not isinstance(error, Exception):  # cancelled: the loop is ending
                raise
        else:
            self._succeed(group, outcome)

    def _succeed(self, group: Sequence[_Call], outcome: Sequence[Written]) -> None:
        self._failure = None
        self._answer(group, outcome)

    def _fail(self, group: Sequence[_Call], error: BaseException) -> None:
        if not isinstance(error, HistoryError):
            error = HistoryError(f"the history database {self._path}: writing failed: {error!r}")
        self._failure = error
        self._answer(group, [Written(error=error)] * len(group))

    def _rested(self) -> None:
        self._rest = None
        if not self._queue:
            return
        left = self._resting_since + _REST - self._loop.time()
        if left > 0:  # what the timer was set for has been committed meanwhile
            self._rest = self._loop.call_later(left, self._rested)
        else:
            self._look_soon()

    def _look_soon(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._look_at_queue)

    def _look_at_queue(self) -> None:
        """Commit what waits."""
        self._turn = None
        if self._writing or not self._queue:
            return  # the task goes on with what is there when it is done
        if not self._write_quickly():
            self._wake.set()
        elif self._queue:
            self._look_soon()

    def _write_quickly(self) -> bool:
        """Commit right here, of what waits, what need not wait for the disk; False if that is nothing.

        A small commit without a sync is a copy in memory, which takes less time than to the thread and back.
        """
        count = 0 if self._jobs else self._writer.quick_part(call.entries for call in self._queue)
        group = list(islice(self._queue, count))
        if not group:
            return False
        try:
            outcome = self._writer.commit_quickly([call.entries for call in group])
        except Exception as error:
            self._take(count)
            self._fail(group, error)
            return True
        if outcome is None:
            return False
        self._take(count)
        self._sync_soon()
        self._succeed(group, outcome)
        return True

    def _take(self, count: int) -> list[_Call]:
        """The first calls of the queue, out of it."""
        return [self._queue.popleft() for _ in range(count)]

    def _sync_soon(self) -> None:
        if self._sync_timer is None:
            self._sync_timer = asyncio.get_running_loop().call_later(SYNC_INTERVAL, self._look_at_sync)

    def _look_at_sync(self) -> None:
        """Have the end of a burst synced; while it goes on, its own commits see to that."""
        self._sync_timer = None
        age = self._writer.unsynced_for
        if age >= 2 * SYNC_INTERVAL:
            self._sync_due = True
            self._wake.set()
        elif age > 0:
            self._sync_soon()

    async def _settle(self) -> None:
        """Sync what the last commits left, if that is due."""
        if not self._sync_due:
            return
        self._sync_due = False
        if self._writer.unsynced_for > 0:
            self._in_flight += 1
            try:
                await self._on_thread(self._writer.settle)
            except HistoryError as error:
                self._failure = error
            finally:
                self._in_flight -= 1

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """Run `work` on the writer's thread, to its end even if the caller is cancelled."""
        job = asyncio.get_running_loop().run_in_executor(self._thread, work)
        self._jobs += 1
        job.add_done_callback(self._job_done)
        return await asyncio.shield(job)

    def _job_done(self, job: asyncio.Future[T]) -> None:
        self._jobs -= 1

    def _answer(self, group: Sequence[_Call], outcome: Sequence[Written]) -> None:
        committed: list[Event] = []
        for call, written in zip(group, outcome, strict=True):
            self._in_flight -= 1
            committed += written.events
            if call.answer.done():  # whoever waited was cancelled
                continue
            if written.error is not None:
                self._refuse(call.answer, written.error, call.on_failure)
            else:
                call.answer.set_result(written.events)
        if committed:
            self._last_seq = committed[-1].seq
            for subscription in tuple(self._subscriptions):
                subscription.push(committed)

    def _refuse(self, answer: Committed, error: BaseException, on_failure: OnFailure | None) -> None:
        answer.set_exception(error)
        if on_failure is not None:
            answer.exception()  # retrieved: who has asked to be told need not await it
            self._loop.call_soon(on_failure, error)

    async def _shut_down(self) -> None:
        self._closing = True
        closed = HistoryError(f"the history database {self._path} was closed before this was written")
        left = tuple(self._queue)
        self._queue.clear()
        self._answer(left, [Written(error=closed)] * len(left))
        for subscription in tuple(self._subscriptions):
            subscription.end()
        for timer in (self._sync_timer, self._rest):
            if timer is not None:
                timer.cancel()
        self._sync_due = True
        await self._settle()
        await self._on_thread(self._writer.close)
        self._thread.shutdown(wait=False)

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)


def _encode(event: Event) -> str:
    if event.type is EventType.RUN_CREATED:
        return to_json(without_document(event))
    return to_json(dict(event.data))
