"""How a retry begins: the events by which it takes over what stands of the run that it retries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.events import Event, EventType, StepStatus
from engine.history.reader import Reader
from engine.history.records import ItemRecord, RunDetail, StepRecord
from engine.orchestrator.artifacts import ArtifactStore
from engine.orchestrator.creation import present
from engine.orchestrator.fates import Reuse

# Of a step, or of an item of it.
Artifacts = Mapping[tuple[str, int | None], list[dict[str, Any]]]


async def taken_over(
    run_id: str, detail: RunDetail, reuse: Reuse, history: Reader, now: datetime, artifacts: Artifacts
) -> list[Event]:
    """The events that give the new run `run_id` the outcomes of an old one, whose artifacts it has."""
    changes = await _changes(history, detail.run.id)
    events: list[Event] = []
    # In the order in which they ended, so that the state folds to the same values.
    order = {step_id: place for place, step_id in enumerate(changes)}
    for record in sorted(detail.steps, key=lambda step: (order.get(step.id, -1), step.ordinal)):
        partly = reuse.items.get(record.id)
        if record.id not in reuse.steps and not partly:
            continue
        if record.items:
            events += _taken_items(run_id, record, partly, now, artifacts)
        if record.id in reuse.steps:
            data = _end_of(record) | {
                "changes": changes.get(record.id),
                "artifacts": artifacts.get((record.id, None)),
            }
            events.append(Event(run_id, EventType.STEP_FINISHED, now, record.id, data=present(data)))
    return events


async def take_artifacts(run_id: str, detail: RunDetail, reuse: Reuse, store: ArtifactStore) -> Artifacts:
    """Give the new run the artifacts of what it takes over; returns them as events have them.

    Raises:
        BackendError: the disk does not take them.
    """
    taken: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for record in detail.steps:
        whole = record.id in reuse.steps
        items = reuse.items.get(record.id, frozenset())
        units: list[int | None] = [None] if whole else []
        units += [item.index for item in record.items if whole or item.index in items]
        for item in units:
            if kept := await store.take_over(detail.run.id, record.id, item, run_id):
                taken[record.id, item] = [artifact.to_json() for artifact in kept]
    return taken


async def collections_of(history: Reader, run_id: str) -> dict[str, str]:
    """Which names of a run's state are lists or sets of its tasks, as far as the history knows."""
    made: dict[str, str] = {}
    for change in await history.changes(run_id):
        for name in (*change.set, *change.removed):
            made.pop(name, None)
        made |= change.collections
    return made


async def _changes(history: Reader, run_id: str) -> dict[str, Mapping[str, Any]]:
    return {
        change.step_id: {
            "set": change.set,
            "removed": list(change.removed),
            "collections": change.collections,
        }
        for change in await history.changes(run_id)
    }


def _taken_items(
    run_id: str, record: StepRecord, partly: frozenset[int] | None, now: datetime, artifacts: Artifacts
) -> list[Event]:
    values = [item.value for item in record.items]
    events = []
    if partly is not None:
        started = {"old": StepStatus.PENDING.value, "status": StepStatus.RUNNING.value}
        events.append(Event(run_id, EventType.STEP_STARTED, now, record.id, data=started))
    expanded = {"values": values, "workers": record.type == "parallel"}
    events.append(Event(run_id, EventType.STEP_EXPANDED, now, record.id, data=expanded))
    for item in record.items:
        if StepStatus(item.status).is_terminal and (partly is None or item.index in partly):
            data = _end_of(item) | {"artifacts": artifacts.get((record.id, item.index))}
            finished = Event(run_id, EventType.ITEM_FINISHED, now, record.id, item.index, data=present(data))
            events.append(finished)
    return events


def _end_of(record: StepRecord | ItemRecord) -> dict[str, Any]:
    return {
        "old": StepStatus.PENDING.value,
        "status": record.status,
        "reason": record.reason,
        "error": record.error,
        "result": record.result,
        "exit_code": record.exit_code,
        "reused": True,
        "partial": record.partial or None,
    }
