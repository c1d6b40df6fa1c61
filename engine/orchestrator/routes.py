"""Decisions and branches: they run nothing themselves, they say which of the steps behind them run."""

from __future__ import annotations

from engine.errors import InputError, Reason
from engine.events import StepStatus
from engine.history.records import StepRecord
from engine.orchestrator.context import RunContext, Track
from engine.orchestrator.outcome import Outcome, failed
from engine.workflows.plan import Choice, PlanStep, RoutePlan
from engine.workflows.routing import choose


class RouteStep:
    """Judges the choices; the result names the one that won and the steps that it leads to."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Choose. A choice that names a workflow is that workflow's run first, then its targets'."""
        track = Track(run, step.id, status=StepStatus(prior.status) if prior else StepStatus.PENDING)
        run.record(*track.started())
        outcome = self._choose(run, step)
        run.record(track.finished(outcome))
        return outcome

    def _choose(self, run: RunContext, step: PlanStep) -> Outcome:
        assert step.route is not None, "the planner gives every decision and branch a route"
        try:
            choice, warnings = choose(step.route, run.scope())
        except InputError as error:
            return failed(Reason.INPUT_ERROR, str(error), started=False)
        for warning in warnings:
            run.warn(warning, step.id)
        if choice is None:
            return failed(Reason.NO_CHOICE_MATCHED, _nothing_matched(step.route))
        return chosen(choice)


def chosen(choice: Choice, *, partial: bool = False) -> Outcome:
    """The outcome of a step that has chosen."""
    result = {"choice": choice.label, "next": list(choice.targets)}
    return Outcome(StepStatus.COMPLETED, result=result, partial=partial)


def _nothing_matched(route: RoutePlan) -> str:
    names = ", ".join(choice.label for choice in route.choices)
    at = f" of the value at {route.input_path.source}" if route.input_path is not None else ""
    return f"none of the choices ({names}) is true{at}, and there is no `default`: add one"
