"""A unit (a step, an item, a worker) tried until it is final: slots, platform failures, retries, cleanup."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from engine.clock import isoformat, parse_time
from engine.errors import InputError, Reason
from engine.events import Event, EventType, StepStatus
from engine.history.records import AttemptRecord
from engine.orchestrator.attempt import Attempt, Unit
from engine.orchestrator.children import ChildAttempt
from engine.orchestrator.context import RunContext
from engine.orchestrator.memo import Memo
from engine.orchestrator.outcome import Outcome, failed, fault
from engine.orchestrator.retry import may_retry, retry_delay
from engine.orchestrator.slots import Slots
from engine.orchestrator.task_attempt import TaskAttempt
from engine.orchestrator.track import Track
from engine.workflows.plan import CleanupPolicy

Conclusion = Callable[[Outcome], Awaitable[tuple[Outcome, Event]]]


async def abandon(run: RunContext, unit: Unit, prior: Sequence[AttemptRecord]) -> None:
    """End the attempts of a unit that an interrupted engine left open in a run that will not go on."""
    keep = keeps_agents(unit.step.cleanup, ok=False)
    for record in prior:
        attempt = _recorded(run, unit, record)
        if not StepStatus(record.status).is_terminal:
            with run.claimed_slot(Slots(), task=bool(record.agent)):  # handler steps are to have its place
                await attempt.end()
            await run.record(attempt.finished(run.stopped_outcome(), kept=keep))
        elif not record.kept:
            continue
        if not keep:
            await attempt.remove("recovery")


def keeps_agents(policy: CleanupPolicy, *, ok: bool) -> bool:
    """Whether a cleanup policy keeps the agents of a unit that ended well (`ok`) or not."""
    return policy is CleanupPolicy.NEVER or (policy is CleanupPolicy.ON_SUCCESS and not ok)


def _recorded(run: RunContext, unit: Unit, record: AttemptRecord) -> Attempt:
    """An attempt as the history has it; those of child runs have no agent."""
    kind = TaskAttempt if record.agent else ChildAttempt
    return kind(run, unit, record.number, StepStatus(record.status))


class UnitRunner:
    """Tries one unit until its outcome is final.

    Args:
        run: the run it belongs to.
        unit: what is tried.
        track: the moves of the step or item.
        slots: what an attempt must hold while it runs; given back while it waits for the next try.
        conclude: turns the final outcome into the finishing event (a step merges its result there).
        interrupted: the outcome where a cancellation came through.
        on_backoff: called whenever the unit begins to wait for its next try.
        memo: finds the result of the same work done earlier, None where nothing is remembered.
    """

    def __init__(
        self,
        run: RunContext,
        unit: Unit,
        track: Track,
        *,
        slots: Slots,
        conclude: Conclusion,
        interrupted: Callable[[], Outcome],
        on_backoff: Callable[[], None] = lambda: None,
        memo: Memo | None = None,
    ) -> None:
        self._run = run
        self._unit = unit
        self._track = track
        # Those of the pool first: who waits for a warm agent holds nothing that others could use.
        self._slots = run.services.pool_slots(unit.step).within(slots)
        self._conclude = conclude
        self._interrupted = interrupted
        self._on_backoff = on_backoff
        self._memo = memo
        self._open: Attempt | None = None  # created in the journal, not finished there
        self._agents: list[Attempt] = []  # attempts whose agents may exist

    async def run(self, prior: Sequence[AttemptRecord] = ()) -> Outcome:
        """Try until final. `prior` are the attempts that an interrupted engine left in the history."""
        try:
            outcome = await self._until_final(prior)
            outcome, finishing = await self._conclude(outcome)
        except BaseException as error:
            # Recorded without waiting: the journal keeps the order, and nothing here can be interrupted.
            outcome = self._interrupted() if isinstance(error, asyncio.CancelledError) else fault(error)
            self._close(outcome, self._track.finished(outcome))
            raise
        self._close(outcome, finishing)
        return outcome

    async def _until_final(self, prior: Sequence[AttemptRecord]) -> Outcome:
        number, failures = 1, 0
        if not prior and (known := await self._recalled()) is not None:
            return known
        if prior:
            resumed, number, failures = await self._resume(prior)
            if resumed is not None:
                outcome = resumed
                failures += not outcome.ok
                if outcome.ok or not await self._back_off(outcome, failures):
                    return outcome
                number += 1
        while True:
            outcome = await self._try(number)
            failures += not outcome.ok
            if outcome.ok or not await self._back_off(outcome, failures):
                return outcome
            number += 1

    async def _recalled(self) -> Outcome | None:
        """The result of the same work done earlier; None to do it."""
        try:
            return await self._memo.recall() if self._memo is not None else None
        except InputError as error:
            return failed(Reason.INPUT_ERROR, str(error), started=False)

    async def _try(self, number: int) -> Outcome:
        """One attempt, with the platform's own failures tried again in place: they cost no attempt."""
        kind = TaskAttempt if self._unit.sub is None else ChildAttempt
        attempt: Attempt = kind(self._run, self._unit, number)
        settings = self._run.services.settings
        for platform_failures in range(settings.platform_retries + 1):
            if self._slots.full:
                attempt.enter("queue")
                if self._unit.item is None:
                    self._note_waiting()
            async with self._slots.hold():
                outcome = await self._execute(attempt)
            if outcome.ok or outcome.started or not outcome.transient:
                break
            if platform_failures < settings.platform_retries:
                attempt.enter("backoff")
                await attempt.discard()
                self._run.warn(
                    f"platform failure {platform_failures + 1} of {settings.platform_retries} before "
                    f"the task ran, trying again: {outcome.error}",
                    self._unit.step.id,
                    self._unit.item,
                )
                await self._run.services.clock.sleep(settings.platform_retry_delay * 2**platform_failures)
        return outcome

    def _note_waiting(self) -> None:
        pool = self._unit.step.pool
        name = pool.name if pool and self._run.services.pool_slots(self._unit.step).full else None
        why = "slot" if name is None else "pool"
        self._run.record(self._run.event(EventType.STEP_WAITING, self._unit.step.id, why=why, pool=name))

    async def _execute(self, attempt: Attempt) -> Outcome:
        attempt.enter(None)
        try:
            intent = attempt.prepare()
            key = self._memo.key() if self._memo is not None else None
        except InputError as error:
            return failed(Reason.INPUT_ERROR, str(error), started=False)
        if self._open is not attempt:
            self._open = attempt
            self._agents.append(attempt)
            await self._run.record(*self._track.started(), intent)
        outcome = await attempt.execute()
        return replace(outcome, cache_key=key) if outcome.ok and key is not None else outcome

    async def _back_off(self, outcome: Outcome, failures: int) -> bool:
        """Wait for the next try; False when there will be none."""
        policy = self._unit.step.retry
        if self._open is None or not may_retry(policy, outcome, failures):
            return False
        clock = self._run.services.clock
        delay = retry_delay(policy, failures, self._seed(self._open.number))
        if self._run.deadline is not None and clock.monotonic() + delay >= self._run.deadline:
            self._run.warn(
                f"no further try: a delay of {delay:g} s would cross the run's timeout",
                self._unit.step.id,
                self._unit.item,
            )
            return False
        due = isoformat(clock.now() + timedelta(seconds=delay))
        self._run.record(self._open.finished(outcome, kept=True), self._track.retrying(outcome, delay, due))
        self._run.in_background(self._open.rest(keep=self._unit.step.cleanup is not CleanupPolicy.ALWAYS))
        self._open = None
        self._on_backoff()
        await clock.sleep(delay)
        return True

    async def _resume(self, prior: Sequence[AttemptRecord]) -> tuple[Outcome | None, int, int]:
        """Go on after a crash: the outcome of the attempt that was adopted, the next number, the failures."""
        earlier = [_recorded(self._run, self._unit, record) for record in prior]
        self._agents.extend(attempt for attempt, record in zip(earlier, prior, strict=True) if record.kept)
        # Attempts that an interruption ended are the platform's failures, not the user's.
        failures = sum(
            1
            for record in prior
            if record.status == StepStatus.FAILED and record.reason != Reason.INFRA_ERROR
        )
        last, attempt = prior[-1], earlier[-1]
        if StepStatus(last.status).is_terminal:
            await self._wait_until_due(last, failures)
            return None, last.number + 1, failures
        self._open = attempt
        self._agents.append(attempt)
        with self._run.claimed_slot(self._slots, task=bool(last.agent)):
            outcome = await attempt.resume(self._elapsed(last))
            if outcome is None:
                await self._discard(attempt)
        return outcome, last.number + (outcome is None), failures

    async def _discard(self, attempt: Attempt) -> None:
        """End an interrupted attempt whose agent cannot be taken over; the next try is the platform's."""
        lost = failed(Reason.INFRA_ERROR, "the engine was interrupted and the agent could not be taken over")
        await attempt.end()
        self._agents.remove(attempt)
        await attempt.remove("recovery")
        recorded = self._run.record(attempt.finished(lost, kept=False))
        self._open = None  # before the await: a cancellation must not end it twice
        await recorded

    async def _wait_until_due(self, last: AttemptRecord, failures: int) -> None:
        """The rest of a back-off that a crash interrupted, measured from the failure."""
        clock = self._run.services.clock
        if last.finished_at is None:
            return
        delay = retry_delay(self._unit.step.retry, failures, self._seed(last.number))
        passed = (clock.now() - parse_time(last.finished_at)).total_seconds()
        # The wall clock may have jumped: never wait longer than the delay itself.
        await clock.sleep(min(delay, max(0.0, delay - passed)))

    def _seed(self, number: int) -> str:
        return f"{self._run.run_id}/{self._unit.step.id}/{self._unit.item}/{number}"

    def _elapsed(self, last: AttemptRecord) -> float:
        if last.started_at is None:
            return 0.0
        return max(0.0, (self._run.services.clock.now() - parse_time(last.started_at)).total_seconds())

    def _close(self, outcome: Outcome, finishing: Event) -> None:
        """Record the end and act on the cleanup policy; removal goes on in the background."""
        keep = keeps_agents(self._unit.step.cleanup, ok=outcome.ok)
        events = [finishing]
        if self._open is not None:
            events.insert(0, self._open.finished(outcome, kept=keep))
            self._open = None
        self._run.record(*events)
        for attempt in self._agents:
            self._run.in_background(attempt.rest(keep=True) if keep else attempt.remove("policy"))
        self._agents = []
