"""Decisions and branches: they say which of the steps behind them run; a branch may run a workflow first."""

from __future__ import annotations

import asyncio

from engine.errors import InputError, Reason
from engine.events import StepStatus
from engine.history.records import StepRecord
from engine.orchestrator.attempt import Unit
from engine.orchestrator.conclusion import track_of
from engine.orchestrator.context import RunContext
from engine.orchestrator.naming import child_run_id
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.subworkflows import run_child_workflow
from engine.orchestrator.units import abandon
from engine.workflows.plan import Choice, PlanStep, RoutePlan
from engine.workflows.routing import choose, judged


class RouteStep:
    """Judges the choices; the result names the one that won and the steps that it leads to."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Choose; a choice that names a workflow runs that to its end before its targets have their turn."""
        route = step.route
        assert route is not None, "the planner gives every decision and branch a route"
        track = track_of(run, step, prior)
        try:
            choice = await _taken_before(run, step, route, prior) or _choose(run, step, route)
        except asyncio.CancelledError:
            await uncancelled(abandon(run, Unit(step), prior.attempts if prior else ()))
            run.record(track.finished(run.stopped_outcome()))
            raise
        if isinstance(choice, Outcome):
            run.record(*track.started(), track.finished(choice))
            return choice
        if choice.workflow is None:
            outcome = chosen(choice)
            run.record(*track.started(), track.finished(outcome))
            return outcome
        return await run_child_workflow(
            run,
            step,
            choice.workflow,
            track,
            prior,
            way=choice.label,
            conclusion=lambda child: chosen(choice, partial=child.partial),
        )


def chosen(choice: Choice, *, partial: bool = False) -> Outcome:
    """The outcome of a step that has chosen."""
    result = {"choice": choice.label, "next": list(choice.targets)}
    return Outcome(StepStatus.COMPLETED, result=result, partial=partial)


def _choose(run: RunContext, step: PlanStep, route: RoutePlan) -> Choice | Outcome:
    """The choice that wins, or why there is none; what the conditions remark is recorded."""
    scope = run.scope()
    try:
        choice, warnings = choose(route, scope)
    except InputError as error:
        return failed(Reason.INPUT_ERROR, str(error), started=False)
    for warning in warnings:
        run.warn(warning, step.id)
    if choice is None:
        names = ", ".join(way.label for way in route.choices)
        why = f"none of the choices ({names}) is true: {judged(route, scope)}; add a choice or a `default`"
        return failed(Reason.NO_CHOICE_MATCHED, why, started=False)
    return choice


async def _taken_before(
    run: RunContext, step: PlanStep, route: RoutePlan, prior: StepRecord | None
) -> Choice | None:
    """The choice whose workflow an interrupted engine had begun to run: the state may have moved on since."""
    if prior is None or run.children is None:
        return None
    for attempt in reversed(prior.attempts):
        way = await run.children.way_of(child_run_id(run.run_id, step.id, None, attempt.number))
        if way is not None:
            return next((choice for choice in route.ways if choice.label == way), None)
    return None
