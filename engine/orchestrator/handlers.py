"""The steps that have their turn when a run's own have ended: `on_failure`, then `finally` (design §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.clock import isoformat
from engine.errors import Reason
from engine.events import EventType, RunStatus, StepStatus
from engine.orchestrator.context import RunContext, Stop
from engine.orchestrator.graph import Graph, StepExecutor
from engine.orchestrator.outcome import Outcome, skipped
from engine.orchestrator.verdict import RunEnd
from engine.workflows.plan import PlanStep, StepRole

_FAILED = (RunStatus.FAILED, RunStatus.PARTIALLY_COMPLETED)


class Handlers:
    """Runs the handler steps of one run. They never hide what the run came to.

    Args:
        run: the run.
        executor: runs and closes steps.
        known: outcomes of handler steps that the history has already.
    """

    def __init__(self, run: RunContext, executor: StepExecutor, known: Mapping[str, Outcome]) -> None:
        self._run = run
        self._executor = executor
        self._known = known
        self._steps = {role: steps_of(run, role) for role in (StepRole.ON_FAILURE, StepRole.FINALLY)}

    @property
    def there(self) -> bool:
        """Whether the workflow has such steps at all."""
        return any(self._steps.values())

    async def run(self, settled: RunEnd, failed_step: str | None, *, due: datetime | None) -> RunEnd:
        """Have the steps run that have their turn; returns what the run ends as.

        Args:
            settled: what the run's own steps came to.
            failed_step: the first of them that failed, if any.
            due: where an interrupted engine has recorded that already: when their time is up.
        """
        run, (status, reason, error) = self._run, settled
        verdict: dict[str, Any] = {
            "status": status.value,
            "reason": reason,
            "error": error,
            "failed_step": failed_step,
        }
        now, seconds = run.services.clock.now(), run.plan.finally_timeout
        if due is None:
            until = isoformat(now + timedelta(seconds=seconds))
            run.record(run.event(EventType.RUN_SETTLED, **verdict, due=until))
        else:  # the wall clock may have jumped: never more than all of it
            seconds = min(seconds, max(0.0, (due - now).total_seconds()))
        # A cancel that the run's own steps did not end for has come since, and was for these.
        run.begin_handlers(verdict, seconds, outlive=due is None or status is RunStatus.CANCELLED)
        if run.hurry.is_set():
            run.request_stop(Stop(Reason.CANCELLED, "cancelled in a hurry"))
        timer = asyncio.get_running_loop().call_later(seconds, self._time_is_up)
        try:
            await self._phase(StepRole.ON_FAILURE, wanted=status in _FAILED, why=f"the run is {status}")
            await self._phase(StepRole.FINALLY)
        finally:
            timer.cancel()
        return self._end(settled)

    async def _phase(self, role: StepRole, *, wanted: bool = True, why: str = "") -> None:
        steps = self._steps[role]
        if wanted:
            await Graph(self._run, steps, self._known, self._executor).run()
            return
        for step in steps:
            if step.id in self._known:
                continue
            outcome = skipped(Reason.CONDITION_FALSE, f"nothing failed: {why}")
            self._executor.close(step, outcome)
            self._run.finish_step(step.id, outcome)

    def _time_is_up(self) -> None:
        limit = self._run.plan.finally_timeout
        message = f"the on_failure and finally steps did not finish within {limit:g} s"
        self._run.request_stop(Stop(Reason.TIMED_OUT, message))

    def _end(self, settled: RunEnd) -> RunEnd:
        status, _, _ = settled
        if status is not RunStatus.COMPLETED:
            return settled
        for step in self._steps[StepRole.FINALLY]:
            outcome = self._run.outcomes[step.id]
            if outcome.partial or outcome.status in (StepStatus.FAILED, StepStatus.CANCELLED):
                what = "completed only in part" if outcome.partial else f"{outcome.status}: {outcome.error}"
                error = f"finally step {step.id!r} {what}"
                return RunStatus.PARTIALLY_COMPLETED, outcome.reason, error
        return settled


def steps_of(run: RunContext, role: StepRole) -> list[PlanStep]:
    """The steps of a role that no other step holds, in document order."""
    return [step for step in run.plan.steps.values() if step.parent is None and step.role is role]
