"""Steps of many units: the items of a map, the workers of a parallel step; and what a reduce step gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import InputError, Reason
from engine.events import Event, EventType, StepStatus
from engine.history.records import AttemptRecord, ItemRecord, StepRecord
from engine.orchestrator.attempt import Unit
from engine.orchestrator.conclusion import conclude_step, track_of
from engine.orchestrator.context import RunContext
from engine.orchestrator.fanout import FanOut, Tolerance
from engine.orchestrator.memo import memo_of
from engine.orchestrator.outcome import Outcome, cancelled, failed, skipped
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.slots import Slots
from engine.orchestrator.track import Track
from engine.orchestrator.units import UnitRunner, abandon
from engine.workflows.plan import ItemErrors, MapPlan, Path, PlanStep, StepType


def fans_out(step: PlanStep) -> bool:
    """Whether a step has units of its own: map steps, and parallel steps with several workers."""
    return step.map is not None or step.workers > 1 or step.workers_path is not None


class FanOutStep:
    """Many units of one task, or one workflow."""

    async def run(self, run: RunContext, step: PlanStep, prior: StepRecord | None) -> Outcome:
        """Expand, run the units within their bound, gather their results in order."""
        track = track_of(run, step, prior)
        try:
            values = _values(run, step, prior)
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
        fan = _fan_out(run, step, values, items)
        try:
            try:
                outcome = await fan.run()
            finally:
                await uncancelled(_close_rest(run, step, fan.never_begun(), items))
            merged = {f"{step.id}_results": outcome.result}
            if errors := fan.errors():
                merged[f"{step.id}_errors"] = errors
            outcome, finishing = await conclude_step(run, step, track, outcome, merged)
        except asyncio.CancelledError:
            run.record(track.finished(run.stopped_outcome()))
            raise
        run.record(finishing)
        return outcome


def gathered(run: RunContext, step: PlanStep) -> dict[str, Any]:
    """What a reduce step finds in its input: results and failures of the fan-outs that it depends on.

    In document order of the steps, then in the order of their items or members; the result of one that failed
    or was skipped is null, so that the two lists of several equally long maps go together.
    """
    results: list[Any] = []
    errors: list[Any] = []
    for upstream in run.plan.steps.values():
        if upstream.id not in step.depends_on or upstream.type not in (StepType.MAP, StepType.PARALLEL):
            continue
        if fans_out(upstream):
            outcome = run.outcomes[upstream.id]
            found = run.state.get(f"{upstream.id}_errors") if outcome.result else None
            results += outcome.result or []
            errors += [{"step": upstream.id, **error} for error in found or ()]
            continue
        for member in upstream.members or (upstream.id,):
            outcome = run.outcomes[member]
            results.append(outcome.result if outcome.ok else None)
            if outcome.status is StepStatus.FAILED:
                errors.append({"step": member, "reason": outcome.reason, "error": outcome.error})
    return {"_map_results": results, "_map_errors": errors}


async def _close_rest(
    run: RunContext, step: PlanStep, indexes: Sequence[int], prior: Sequence[ItemRecord]
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


# -- expanding ----------------------------------------------------------------------------------------


def _values(run: RunContext, step: PlanStep, prior: StepRecord | None) -> Sequence[Any]:
    """What the units are for, one value each.

    Raises:
        InputError: the state has no list there, or too long a one.
    """
    if prior is not None and prior.status != StepStatus.PENDING:
        return [item.value for item in prior.items]
    if step.map is not None:
        found = _list_at(run, "map_config.input_path", step.map.input_path, step.map.batch_size)
        size = step.map.batch_size
        return found if size == 1 else [found[at : at + size] for at in range(0, len(found), size)]
    if step.workers_path is not None:
        return _list_at(run, "workers_path", step.workers_path)
    return range(step.workers)


def _list_at(run: RunContext, name: str, path: Path, batch_size: int = 1) -> list[Any]:
    values = path.find(run.scope())
    if not isinstance(values, list):
        raise InputError(
            f"{name} {path.source!r} must find a list, found {_kind_of(values)}: {_preview(values)}"
        )
    limit = run.services.settings.max_items
    if len(values) > limit * batch_size:
        raise InputError(
            f"{name} {path.source!r} finds {len(values)} elements, more than the setting "
            f"max_items = {limit} allows" + (f" in batches of {batch_size}" if batch_size > 1 else "")
        )
    return values


def _kind_of(value: Any) -> str:
    names = {dict: "an object", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _preview(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _unit_of(step: PlanStep, index: int, value: Any) -> Unit:
    if step.map is not None:
        given = {step.map.item_alias: value, "_map_index": index}
        env = {"MAP_INDEX": str(index), "MAP_ITEM": json.dumps(value)}
        return Unit(step, index, given, env, step.sub)
    given, env = {"worker_id": index}, {"WORKER_ID": str(index)}
    if step.workers_path is not None:
        given["worker_item"] = value
        env["WORKER_ITEM"] = json.dumps(value)
    return Unit(step, index, given, env)


# -- running ------------------------------------------------------------------------------------------


def _fan_out(run: RunContext, step: PlanStep, values: Sequence[Any], prior: Sequence[ItemRecord]) -> FanOut:
    concurrency = step.map.max_concurrency if step.map else 0
    # A child run's tasks hold slots of the machine themselves; its item only counts for the step's own bound.
    slots = Slots.of(concurrency) if step.sub else Slots.of(concurrency).within(run.slots)

    async def run_item(
        index: int, on_backoff: Callable[[], None], attempts: Sequence[AttemptRecord]
    ) -> Outcome:
        track = Track(run, step.id, index, _item_status(prior, index))
        unit = _unit_of(step, index, values[index])
        if not attempts and (refused := _refused(run, unit)) is not None:
            run.record(track.finished(refused))
            return refused

        async def conclude(outcome: Outcome) -> tuple[Outcome, Event]:
            return outcome, track.finished(outcome)

        runner = UnitRunner(
            run,
            unit,
            track,
            slots=slots,
            conclude=conclude,
            interrupted=lambda: _interrupted(run),
            on_backoff=on_backoff,
            memo=memo_of(run, unit),
        )
        return await runner.run(attempts)

    return FanOut(
        count=len(values),
        window=concurrency or run.services.settings.max_tasks,
        tolerance=_tolerance(step.map),
        run_item=run_item,
        prior=prior,
    )


def _refused(run: RunContext, unit: Unit) -> Outcome | None:
    """None if the item may run, else that its condition does not want it."""
    condition = unit.step.map.condition if unit.step.map is not None else None
    if condition is None:
        return None
    verdict = condition.evaluate(run.scope(unit.input))
    for warning in verdict.warnings:
        run.warn(warning, unit.step.id, unit.item)
    return None if verdict.value else skipped(Reason.CONDITION_FALSE, "its condition is false")


def _interrupted(run: RunContext) -> Outcome:
    """The outcome of an item that was stopped: with the whole run, or because a sibling failed."""
    if run.stop is not None:
        return run.stopped_outcome()
    return cancelled(Reason.CANCELLED, "stopped because another item of the step failed")


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
