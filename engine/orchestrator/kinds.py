"""The step kinds: what runs a started step to its outcome, by the type of the step.

Conditions and skips are decided before (`graph`), retries inside (`units`); a kind only knows its shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.events import Event
from engine.history.records import StepRecord
from engine.orchestrator.attempt import Unit
from engine.orchestrator.conclusion import conclude_step, fields_of, track_of
from engine.orchestrator.context import RunContext
from engine.orchestrator.gates import ApprovalStep, DelayStep
from engine.orchestrator.items import FanOutStep, fans_out, gathered
from engine.orchestrator.memo import memo_of
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.routes import RouteStep
from engine.orchestrator.subworkflows import SubWorkflowStep
from engine.orchestrator.units import UnitRunner
from engine.workflows.plan import PlanStep, StepType


class StepKind(Protocol):
    """Runs a step from its start to its outcome, and records its end."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Run it. `prior` is what an interrupted engine left of it, None for a fresh start."""
        ...


class TaskStep:
    """One task: sequential and reduce steps, and a parallel step with one worker."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Run the one task; an object result is merged into the shared state key by key."""
        track = track_of(run, step, prior)

        async def conclude(outcome: Outcome) -> tuple[Outcome, Event]:
            return await conclude_step(run, step, track, outcome, fields_of(outcome))

        unit = _unit_of(run, step)
        runner = UnitRunner(
            run,
            unit,
            track,
            slots=run.slots,
            conclude=conclude,
            interrupted=run.stopped_outcome,
            memo=memo_of(run, unit),
        )
        return await runner.run(prior.attempts if prior else ())


def _unit_of(run: RunContext, step: PlanStep) -> Unit:
    match step.type:
        case StepType.PARALLEL:
            return Unit(step, input={"worker_id": 0}, env={"WORKER_ID": "0"})
        case StepType.REDUCE:
            return Unit(step, input=gathered(run, step))
        case _:
            return Unit(step)


KINDS: Mapping[StepType, StepKind] = {
    StepType.SEQUENTIAL: TaskStep(),
    StepType.REDUCE: TaskStep(),
    StepType.PARALLEL: TaskStep(),
    StepType.MAP: FanOutStep(),
    StepType.DECISION: RouteStep(),
    StepType.BRANCH: RouteStep(),
    StepType.SUBWORKFLOW: SubWorkflowStep(),
    StepType.APPROVAL: ApprovalStep(),
    StepType.DELAY: DelayStep(),
}


def kind_of(step: PlanStep) -> StepKind:
    """The kind that runs `step` (parallel steps with nested members are the graph's own affair)."""
    return KINDS[StepType.MAP] if fans_out(step) else KINDS[step.type]
