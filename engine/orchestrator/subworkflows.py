"""Steps that run a workflow as a child run: the sub-workflow step, and the ways of a branch that name one."""

from __future__ import annotations

from collections.abc import Callable

from engine.events import Event
from engine.history.records import StepRecord
from engine.orchestrator.attempt import Unit
from engine.orchestrator.conclusion import conclude_step, fields_of, track_of
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.slots import Slots
from engine.orchestrator.track import Track
from engine.orchestrator.units import UnitRunner
from engine.workflows.plan import PlanStep, SubWorkflowPlan


class SubWorkflowStep:
    """One child run."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Run the workflow; what it gives back is merged into the shared state, unless the step keeps it."""
        assert step.sub is not None, "the planner gives every sub-workflow step its workflow"
        return await run_child_workflow(run, step, step.sub, track_of(run, step, prior), prior)


async def run_child_workflow(
    run: RunContext,
    step: PlanStep,
    sub: SubWorkflowPlan,
    track: Track,
    prior: StepRecord | None,
    *,
    way: str | None = None,
    conclusion: Callable[[Outcome], Outcome] = lambda outcome: outcome,
) -> Outcome:
    """Run a step's workflow to its end, with the step's retries, and record the end of the step.

    What the child gives back is merged as `sub.outputs` says. Of a branch, `way` is the one whose workflow it
    is, and `conclusion` makes the outcome of the step from that of the child when it completed.
    """

    async def conclude(outcome: Outcome) -> tuple[Outcome, Event]:
        merged = fields_of(outcome) if sub.outputs != "step" else {}
        ended = conclusion(outcome) if outcome.ok else outcome
        return await conclude_step(run, step, track, ended, merged)

    # The child's tasks hold slots of their own; one more for the whole of it could wait for them for ever.
    runner = UnitRunner(
        run,
        Unit(step, sub=sub, way=way),
        track,
        slots=Slots(),
        conclude=conclude,
        interrupted=run.stopped_outcome,
    )
    return await runner.run(prior.attempts if prior else ())
