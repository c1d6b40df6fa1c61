"""Steps that run nothing and only wait: for the answer of a person, or for time to pass."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engine.clock import isoformat, parse_time
from engine.errors import InputError, Reason
from engine.events import EventType, StepStatus
from engine.history.records import StepRecord
from engine.orchestrator.approvals import Answer, Gate
from engine.orchestrator.conclusion import track_of
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome, failed
from engine.workflows.plan import ApprovalPlan, PlanStep

# Who answers a gate when nobody did in time.
_TIMEOUT = "timeout"


class ApprovalStep:
    """A gate: it completes when somebody approves and fails when somebody rejects."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Ask and wait; the time that was waited before a crash counts."""
        assert step.approval is not None, "the planner gives every approval step its gate"
        track, plan = track_of(run, step, prior), step.approval
        began = prior.started_at if prior is not None else None
        since = isoformat(run.services.clock.now()) if began is None else began
        try:
            message = plan.message.render(run.scope())
        except InputError as error:
            outcome = failed(Reason.INPUT_ERROR, str(error), started=False)
            run.record(track.finished(outcome))
            return outcome
        gate = Gate(step.id, message, since, _due(since, step.timeout), plan.default)
        if track.status is StepStatus.PENDING:
            waiting = run.event(
                EventType.STEP_WAITING,
                step.id,
                why="approval",
                message=message,
                due=gate.due,
                default=plan.default,
            )
            run.record(*track.started(), waiting)
        try:
            outcome = await self._answered(run, step, plan, gate)
        except asyncio.CancelledError:
            run.record(track.finished(run.stopped_outcome()))
            raise
        run.record(track.finished(outcome))
        return outcome

    async def _answered(self, run: RunContext, step: PlanStep, plan: ApprovalPlan, gate: Gate) -> Outcome:
        left = None if step.timeout is None else _left(run, gate.since, step.timeout)
        try:
            async with asyncio.timeout(left):
                answer = await run.approvals.ask(gate)
        except TimeoutError:
            if plan.default is None:
                return failed(Reason.TIMED_OUT, f"nobody answered within its timeout of {step.timeout:g} s")
            answer = Answer(plan.default, _TIMEOUT)
        said = f": {answer.comment}" if answer.comment else ""
        if not answer.approved:
            return failed(Reason.REJECTED, f"rejected by {answer.by}{said}")
        at = isoformat(run.services.clock.now())
        result = {"approved": True, "by": answer.by, "comment": answer.comment, "at": at}
        return Outcome(StepStatus.COMPLETED, result=result)


class DelayStep:
    """Lets time pass."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Wait; the time that was waited before a crash counts."""
        assert step.delay is not None, "the planner gives every delay step its delay"
        track = track_of(run, step, prior)
        began = prior.started_at if prior is not None else None
        since = isoformat(run.services.clock.now()) if began is None else began
        if track.status is StepStatus.PENDING:
            waiting = run.event(EventType.STEP_WAITING, step.id, why="delay", due=_due(since, step.delay))
            run.record(*track.started(), waiting)
        try:
            await run.services.clock.sleep(_left(run, since, step.delay))
        except asyncio.CancelledError:
            run.record(track.finished(run.stopped_outcome()))
            raise
        outcome = Outcome(StepStatus.COMPLETED)
        run.record(track.finished(outcome))
        return outcome


def _due(since: str, seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return isoformat(parse_time(since) + timedelta(seconds=seconds))
    except OverflowError:
        return None  # beyond the last day of the calendar


def _left(run: RunContext, since: str, seconds: float) -> float:
    """What is left of `seconds`. The wall clock may have jumped: never more than all of them."""
    passed = (run.services.clock.now() - parse_time(since)).total_seconds()
    return min(seconds, max(0.0, seconds - passed))
