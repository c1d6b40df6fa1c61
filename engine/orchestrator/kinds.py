"""The step kinds: one task, or many units of one task. A kind runs a started step to its outcome.

Conditions and skips are decided before (`graph`), retries inside (`units`); a kind only knows its shape.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.errors import InputError, Reason, StateStoreError
from engine.events import Event, EventType, StepStatus
from engine.history.records import ItemRecord, StepRecord
from engine.orchestrator.context import RunContext, Track
from engine.orchestrator.fanout import FanOut, Tolerance
from engine.orchestrator.outcome import Outcome, cancelled, failed
from engine.orchestrator.routes import RouteStep
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.slots import Slots
from engine.orchestrator.unit import Unit
from engine.orchestrator.units import UnitRunner, abandon
from engine.state.store import StateChanges
from engine.workflows.plan import ItemErrors, MapPlan, PlanStep, StepType


class StepKind(Protocol):
    """Runs a step from its start to its outcome, and records its end."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Run it. `prior` is what an interrupted engine left of it, None for a fresh start."""
        ...


def track_of(run: RunContext, step: PlanStep, prior: StepRecord | None) -> Track:
    """The moves of a step, from where the history has it."""
    return Track(run, step.id, status=StepStatus(prior.status) if prior else StepStatus.PENDING)


async def conclude_step(
    run: RunContext, step: PlanStep, track: Track, outcome: Outcome, merged: Mapping[str, Any]
) -> tuple[Outcome, Event]:
    """Merge what a step gives to the shared state and make its finishing event with all that changed."""
    try:
        changes = await run.merge(step, merged)
    except StateStoreError as error:
        changes = StateChanges()
        if outcome.ok:
            outcome = failed(Reason.INFRA_ERROR, f"its result could not be stored: {error}")
    return outcome, track.finished(outcome, changes=_described(changes))


def _described(changes: StateChanges) -> dict[str, Any] | None:
    """Changes as an event has them."""
    if not changes:
        return None
    described: dict[str, Any] = {"set": dict(changes.set), "removed": list(changes.removed)}
    return described | ({"collections": dict(changes.collections)} if changes.collections else {})


class TaskStep:
    """One task: sequential and reduce steps, and a parallel step with one worker."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Run the one task; an object result is merged into the shared state key by key."""
        track = track_of(run, step, prior)

        async def conclude(outcome: Outcome) -> tuple[Outcome, Event]:
            merged = outcome.result if outcome.ok and isinstance(outcome.result, dict) else {}
            return await conclude_step(run, step, track, outcome, merged)

        worker = step.type is StepType.PARALLEL
        unit = Unit(step, input={"worker_id": 0}, env={"WORKER_ID": "0"}) if worker else Unit(step)
        runner = UnitRunner(
            run, unit, track, slots=run.slots, conclude=conclude, interrupted=run.stopped_outcome
        )
        return await runner.run(prior.attempts if prior else ())


class FanOutStep:
    """Many units of one task: map steps and parallel steps with several workers."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Expand, run the units within their bound, gather their results in order."""
        track = track_of(run, step, prior)
        try:
            values = self._values(run, step, prior)
        except InputError as error:
            outcome = failed(Reason.INPUT_ERROR, str(error), started=False)
            run.record(track.finished(outcome))
            return outcome
        if track.status is StepStatus.PENDING:
            expanded = run.event(
                EventType.STEP_EXPANDED, step.id, values=list(values), workers=step.map is None
            )
            run.record(*track.started(), expanded)
        items = prior.items if prior else ()
        fan = self._fan_out(run, step, values, items)
        try:
            try:
                outcome = await fan.run()
            finally:
                await uncancelled(self._close_rest(run, step, fan.never_begun(), items))
            merged = {f"{step.id}_results": outcome.result}
            if errors := fan.errors():
                merged[f"{step.id}_errors"] = errors
            outcome, finishing = await conclude_step(run, step, track, outcome, merged)
        except asyncio.CancelledError:
            run.record(track.finished(run.stopped_outcome()))
            raise
        run.record(finishing)
        return outcome

    async def _close_rest(
        self, run: RunContext, step: PlanStep, indexes: Sequence[int], prior: Sequence[ItemRecord]
    ) -> None:
        """End the units that were never begun, and what an interrupted engine had begun of them."""
        outcome = _interrupted(run)
        events = []
        for index in indexes:
            if index < len(prior):
                await abandon(run, Unit(step, index), prior[index].attempts)
            events.append(Track(run, step.id, index, _item_status(prior, index)).finished(outcome))
        if events:
            run.record(*events)

    def _values(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Sequence[Any]:
        if prior is not None and prior.status != StepStatus.PENDING:
            return [item.value for item in prior.items]
        if step.map is None:
            return range(step.workers)
        values = step.map.input_path.find(run.scope())
        if not isinstance(values, list):
            raise InputError(
                f"map_config.input_path {step.map.input_path.source!r} must find a list, "
                f"found {_kind_of(values)}: {_preview(values)}"
            )
        limit = run.services.settings.max_items
        if len(values) > limit:
            raise InputError(
                f"map_config.input_path {step.map.input_path.source!r} finds {len(values)} items, more than "
                f"the setting max_items = {limit} allows"
            )
        return values

    def _fan_out(
        self, run: RunContext, step: PlanStep, values: Sequence[Any], prior: Sequence[ItemRecord]
    ) -> FanOut:
        plan = step.map
        concurrency = plan.max_concurrency if plan else 0
        slots = Slots.of(concurrency).within(run.slots)

        async def run_item(index: int, on_backoff: Any, attempts: Any) -> Outcome:
            track = Track(run, step.id, index, _item_status(prior, index))

            async def conclude(outcome: Outcome) -> tuple[Outcome, Event]:
                return outcome, track.finished(outcome)

            unit = _item_unit(step, index, values[index])
            runner = UnitRunner(
                run,
                unit,
                track,
                slots=slots,
                conclude=conclude,
                interrupted=lambda: _interrupted(run),
                on_backoff=on_backoff,
            )
            return await runner.run(attempts)

        return FanOut(
            count=len(values),
            window=concurrency or run.services.settings.max_tasks,
            tolerance=_tolerance(plan),
            run_item=run_item,
            prior=prior,
        )


def _interrupted(run: RunContext) -> Outcome:
    """The outcome of an item that was stopped: with the whole run, or because a sibling failed."""
    if run.stop is not None:
        return run.stopped_outcome()
    return cancelled(Reason.CANCELLED, "stopped because another item of the step failed")


def _item_unit(step: PlanStep, index: int, value: Any) -> Unit:
    if step.map is None:
        return Unit(step, index, {"worker_id": index}, {"WORKER_ID": str(index)})
    return Unit(
        step,
        index,
        {step.map.item_alias: value, "_map_index": index},
        {"MAP_INDEX": str(index), "MAP_ITEM": json.dumps(value)},
    )


def _item_status(prior: Sequence[ItemRecord], index: int) -> StepStatus:
    return StepStatus(prior[index].status) if index < len(prior) else StepStatus.PENDING


def _tolerance(plan: MapPlan | None) -> Tolerance:
    if plan is None:
        return Tolerance(keep_going=False)
    return Tolerance(
        keep_going=plan.error_handling is ItemErrors.CONTINUE,
        count=plan.tolerated_failure_count,
        percentage=plan.tolerated_failure_percentage,
    )


def _kind_of(value: Any) -> str:
    names = {dict: "an object", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _preview(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


KINDS: Mapping[StepType, StepKind] = {
    StepType.SEQUENTIAL: TaskStep(),
    StepType.REDUCE: TaskStep(),
    StepType.PARALLEL: TaskStep(),
    StepType.MAP: FanOutStep(),
    StepType.DECISION: RouteStep(),
    StepType.BRANCH: RouteStep(),
}


def kind_of(step: PlanStep) -> StepKind:
    """The kind that runs `step` (parallel steps with nested members are the graph's own affair)."""
    if step.type is StepType.PARALLEL and step.workers > 1:
        return KINDS[StepType.MAP]
    return KINDS[step.type]
