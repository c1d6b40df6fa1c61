"""One run's life: from its committed creation to its committed end, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.clock import isoformat, parse_time
from engine.errors import Reason, StateStoreError
from engine.events import EventType, RunStatus, StepStatus
from engine.history.records import RunDetail, StepRecord
from engine.orchestrator.attempt import Unit
from engine.orchestrator.conclusion import track_of
from engine.orchestrator.context import RunContext, Services, Stop
from engine.orchestrator.faults import log_fault
from engine.orchestrator.graph import Graph
from engine.orchestrator.handlers import Handlers, steps_of
from engine.orchestrator.kinds import kind_of
from engine.orchestrator.outcome import Outcome, failed, fault, skipped
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.states import check_run_move
from engine.orchestrator.track import Track
from engine.orchestrator.units import abandon
from engine.orchestrator.verdict import RunEnd, first_failed, run_end
from engine.orchestrator.warming import warm_up
from engine.state.store import NO_COLLECTIONS, RedisAccess
from engine.workflows.plan import Plan, PlanStep, StepRole


class RunExecutor:
    """Executes one run. Made for a new run, or for one that an interrupted engine left unfinished.

    Args:
        services: what the engine gives.
        plan: the checked graph.
        run_id: its id; the run exists in the journal already.
        params: resolved params.
        state: the shared state that the run begins with, should Redis not have it.
        prior: what the history has of it; steps that ended keep their outcome, those that had begun go on.
        elapsed: seconds of the run's timeout that have gone by.
        collections: which names of `state` are lists or sets of the tasks.
    """

    def __init__(
        self,
        services: Services,
        plan: Plan,
        run_id: str,
        *,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        prior: RunDetail,
        elapsed: float = 0.0,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> None:
        self.context = RunContext(services, plan, run_id, params)
        self._services = services
        self._plan = plan
        self._initial = state
        self._collections = collections
        self._prior = {step.id: step for step in prior.steps}
        self._settled = prior.run.settled
        self._status = RunStatus(prior.run.status)
        self._created_at = prior.run.created_at
        self._elapsed = elapsed
        self._began = services.clock.monotonic()
        for _ in range(_running_tasks(prior)):
            self.context.claim_slot()

    async def run(self) -> RunStatus:
        """Run to the end; returns the terminal status, which is in the journal by then."""
        self._began = self._services.clock.monotonic()  # it may have waited for its turn
        try:
            end = await self._steps()
        except Exception as error:
            # Ours to answer for: the run must not stay `running` because of a fault in the engine.
            log_fault(f"run {self.context.run_id}", error, self.context.secrets.masker)
            message = fault(error).error or ""
            self.context.request_stop(Stop(Reason.INFRA_ERROR, message))
            for step in self._plan.steps.values():
                self.close(step, self.context.stopped_outcome())
            end = (RunStatus.FAILED, Reason.INFRA_ERROR, message)
        finally:
            self.context.release_claims()
        return await uncancelled(self._finish(end))

    async def cancel(self, by: str) -> None:
        """Durable mark first, then no new starts and everything that runs is stopped."""
        if self._status in (RunStatus.PENDING, RunStatus.RUNNING):
            await self._move(EventType.RUN_CANCELLING, RunStatus.CANCELLING, by=by)
        if self._status is RunStatus.CANCELLING:
            # Once more while handler steps run: then these are stopped, too.
            self.context.request_stop(Stop(Reason.CANCELLED, f"cancelled by {by}"))

    # -- StepExecutor ---------------------------------------------------------------------------------

    async def execute(self, step: PlanStep) -> Outcome:
        """Run one step that may start: its condition, then its kind."""
        prior = self._prior.get(step.id)
        if prior is not None and prior.status == StepStatus.PENDING:
            prior = None
        if prior is None and (refused := self._condition(step)) is not None:
            return refused
        if step.members:
            return await self._members(step, prior)
        return await kind_of(step).run(self.context, step, prior)

    def close(self, step: PlanStep, outcome: Outcome) -> None:
        """Record the end of a step that does not end by itself, and of its members."""
        track = track_of(self.context, step, self._prior.get(step.id))
        if track.status.is_terminal:
            return
        self.context.record(track.finished(outcome))
        for member in (self._plan.steps[member] for member in step.members):
            if member.id not in self.context.outcomes:
                self.close(member, outcome)
                self.context.finish_step(member.id, outcome)

    async def abandon(self, step: PlanStep) -> None:
        """End what an interrupted engine had begun of a step that does not go on: attempts, agents, items."""
        record = self._prior.get(step.id)
        if record is None or StepStatus(record.status).is_terminal:
            return
        begun = [item for item in record.items if not StepStatus(item.status).is_terminal]
        async with asyncio.TaskGroup() as group:
            group.create_task(abandon(self.context, Unit(step), record.attempts))
            for item in begun:
                group.create_task(abandon(self.context, Unit(step, item.index), item.attempts))
            for member in step.members:
                group.create_task(self.abandon(self._plan.steps[member]))
        for item in begun:
            track = Track(self.context, step.id, item.index, StepStatus(item.status))
            self.context.record(track.finished(self.context.stopped_outcome()))

    # -- parts ----------------------------------------------------------------------------------------

    async def _steps(self) -> RunEnd:
        run = self.context
        try:
            await self._open()
        except StateStoreError as error:
            run.request_stop(Stop(Reason.INFRA_ERROR, f"the run could not begin: {error}"))
        known = await self._known_outcomes()
        for step_id, outcome in known.items():
            run.finish_step(step_id, outcome)
        if run.stop is None:
            warm_up(run)
        try:
            if self._settled is None or (run.stop is not None and run.stop.is_platform):
                end, failed_step = await self._own_steps(known)
            else:
                end, failed_step = _settled_end(self._settled)
            handlers = Handlers(run, self, known)
            if not handlers.there:
                return end
            due = (self._settled or {}).get("due")
            return await handlers.run(end, failed_step, due=parse_time(due) if due else None)
        finally:
            await uncancelled(run.settle())

    async def _own_steps(self, known: Mapping[str, Outcome]) -> tuple[RunEnd, str | None]:
        """Run the steps of the workflow itself; returns what they came to, and the first that failed."""
        run = self.context
        timer: asyncio.TimerHandle | None = None
        self._stop_again()
        graph = Graph(run, steps_of(run, StepRole.MAIN), known, self)
        if self._plan.timeout is not None:
            left = max(0.0, self._plan.timeout - self._elapsed)
            run.deadline = self._services.clock.monotonic() + left
            timer = asyncio.get_running_loop().call_later(left, self._time_is_up)
        try:
            await graph.run()
        finally:
            if timer is not None:
                timer.cancel()
        outcomes = {
            step.id: run.outcomes[step.id]
            for step in self._plan.steps.values()
            if step.role is StepRole.MAIN and step.id in run.outcomes
        }
        return run_end(outcomes, run.stop), first_failed(outcomes, run.stop)

    async def _open(self) -> None:
        """Make the run known to Redis and mark it running."""
        run = self.context
        open_access = any(
            step.task is not None and step.task.redis_access == RedisAccess.OPEN
            for step in self._plan.steps.values()
        )
        if self._status is RunStatus.PENDING:
            await self._move(EventType.RUN_STARTED, RunStatus.RUNNING)
        await self._services.store.open_run(
            run.run_id,
            self._document(),
            self._initial,
            open_access=open_access,
            collections=self._collections,
        )
        self._services.metering.begin(run.run_id)
        await run.refresh()
        await run.tell_status(self._document())

    def _stop_again(self) -> None:
        """A failure that stopped the run before the engine was interrupted stops it still."""
        failures = [
            record
            for record in self._prior.values()
            if record.status == StepStatus.FAILED and not record.reused
        ]
        for record in sorted(failures, key=lambda record: record.finished_at or ""):
            self.context.step_failed(self._plan.steps[record.id], self.context.outcomes[record.id])

    async def _members(self, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """A parallel step that holds its members: they run together, it ends when all of them have."""
        run = self.context
        track = track_of(run, step, prior)
        run.record(*track.started())
        members = [self._plan.steps[member] for member in step.members]
        known = {member.id: run.outcomes[member.id] for member in members if member.id in run.outcomes}
        graph = Graph(run, members, known, self)
        try:
            outcomes = await graph.run()
        except asyncio.CancelledError:
            broken = _first_failure(run.outcomes, step)
            run.record(track.finished(broken or run.stopped_outcome()))
            if broken is None:
                raise
            return broken
        outcome = _first_failure(outcomes, step) or Outcome(
            StepStatus.COMPLETED,
            result={member: outcomes[member].result for member in step.members},
            partial=any(outcome.partial for outcome in outcomes.values()),
        )
        run.record(track.finished(outcome))
        return outcome

    def _condition(self, step: PlanStep) -> Outcome | None:
        """None if the step may run, else why not; what a condition remarks is recorded."""
        if step.condition is None:
            return None
        verdict = step.condition.evaluate(self.context.scope())
        for warning in verdict.warnings:
            self.context.warn(warning, step.id)
        return None if verdict.value else skipped(Reason.CONDITION_FALSE, "its condition is false")

    async def _known_outcomes(self) -> dict[str, Outcome]:
        """Outcomes that the history has already; they are not judged again."""
        known = {
            step.id: _outcome_of(record)
            for step in self._plan.steps.values()
            if (record := self._prior.get(step.id)) and StepStatus(record.status).is_terminal
        }
        for step_id, outcome in known.items():
            if self.context.has_artifacts:
                kept = await self._services.artifacts.kept(self.context.run_id, step_id)
                known[step_id] = replace(outcome, artifacts=kept)
        return known

    def _time_is_up(self) -> None:
        limit = self._plan.timeout
        self.context.request_stop(
            Stop(Reason.TIMED_OUT, f"the run did not finish within its timeout of {limit:g} s")
        )

    async def _finish(self, end: RunEnd) -> RunStatus:
        """Commit the end and let Redis know. A journal that is broken leaves the run for recovery."""
        status, reason, error = end
        run = self.context
        if self._status is RunStatus.CANCELLING and status not in (RunStatus.CANCELLED, RunStatus.FAILED):
            # Cancelled while handler steps ran, or when there was nothing left to stop.
            status, reason = RunStatus.CANCELLED, Reason.CANCELLED
            error = (run.stop.message if run.stop is not None else "") or "cancelled at the end"
        if self._status is RunStatus.PENDING:
            await self._move(EventType.RUN_STARTED, RunStatus.RUNNING)
        duration = None if self._elapsed else run.elapsed(self._began)
        await self._move(EventType.RUN_FINISHED, status, reason=reason, error=error, duration=duration)
        self._services.metering.end(run.run_id)
        await run.tell_status(self._document())
        try:
            await self._services.store.close_run(run.run_id)
        except StateStoreError as problem:
            run.warn(f"the run's keys in Redis could not be closed: {problem}")
        if self._services.pools is not None:
            self._services.pools.release_run(run.run_id)
        return status

    async def _move(self, type_: EventType, new: RunStatus, **data: Any) -> None:
        old = self._status
        check_run_move(old, new)
        self._status = new  # before the await: the journal keeps the order of the calls
        await self.context.record(self.context.event(type_, old=old.value, status=new.value, **data))

    def _document(self) -> dict[str, Any]:
        """The run as `workflow:{id}` shows it (contract §3)."""
        run = self.context
        return {
            "id": run.run_id,
            "name": self._plan.workflow,
            "description": self._plan.description,
            "status": self._status.value,
            "created_at": self._created_at,
            "updated_at": isoformat(self._services.clock.now()),
            "metadata": dict(self._plan.metadata),
            "state": run.secrets.masker.mask_json(run.state),
            "steps": [
                {
                    "id": step.id,
                    "name": step.name,
                    "type": step.type.value,
                    "role": step.role.value,
                    "depends_on": list(step.depends_on),
                    "status": run.outcomes[step.id].status.value if step.id in run.outcomes else "pending",
                }
                for step in self._plan.steps.values()
            ],
        }


def _first_failure(outcomes: Mapping[str, Outcome], step: PlanStep) -> Outcome | None:
    """The failure of a parallel step from those of its members."""
    bad = [
        (member, outcomes[member])
        for member in step.members
        if member in outcomes and outcomes[member].status is StepStatus.FAILED
    ]
    if not bad:
        return None
    member, first = bad[0]
    error = f"{len(bad)} of {len(step.members)} members failed, the first: {member}: {first.error}"
    return failed(first.reason or Reason.TASK_FAILED, error, exit_code=first.exit_code)


def _running_tasks(prior: RunDetail) -> int:
    """How many tasks of a run an interrupted engine may have left running."""
    attempts = [
        attempt
        for step in prior.steps
        for attempt in (*step.attempts, *(one for item in step.items for one in item.attempts))
    ]
    return sum(bool(one.agent) and not StepStatus(one.status).is_terminal for one in attempts)


def _settled_end(settled: Mapping[str, Any]) -> tuple[RunEnd, str | None]:
    """What an interrupted engine had recorded of the end of the run's own steps."""
    reason = settled.get("reason")
    end = RunStatus(settled["status"]), Reason(reason) if reason else None, settled.get("error")
    return end, settled.get("failed_step")


def _outcome_of(record: StepRecord) -> Outcome:
    return Outcome(
        StepStatus(record.status),
        Reason(record.reason) if record.reason else None,
        record.error,
        result=record.result,
        exit_code=record.exit_code,
        partial=record.partial,
    )
