"""The ends of what a run leaves open that nobody can go on with, because its document cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from engine.errors import Reason
from engine.events import Event, EventType, StepStatus
from engine.history.records import AttemptRecord, ItemRecord, RunDetail, StepRecord


def open_attempts(detail: RunDetail) -> Iterator[AttemptRecord]:
    """The attempts of a run that have not ended; their agents may exist."""
    for step in detail.steps:
        yield from filter(_is_open, step.attempts)
        for item in step.items:
            yield from filter(_is_open, item.attempts)


def ends_of(detail: RunDetail, why: str, now: datetime) -> list[Event]:
    """The events that end every step, item and attempt of a run that has not ended, the inner ones first."""
    events = [
        Event(
            attempt.run_id,
            EventType.ATTEMPT_FINISHED,
            now,
            attempt.step_id,
            attempt.item,
            attempt.number,
            {**_end(attempt, why), "kept": False},
        )
        for attempt in open_attempts(detail)
    ]
    for step in detail.steps:
        events += [
            Event(item.run_id, EventType.ITEM_FINISHED, now, step.id, item.index, data=_end(item, why))
            for item in step.items
            if _is_open(item)
        ]
        if _is_open(step):
            events.append(Event(step.run_id, EventType.STEP_FINISHED, now, step.id, data=_end(step, why)))
    return events


def _is_open(record: StepRecord | ItemRecord | AttemptRecord) -> bool:
    return not StepStatus(record.status).is_terminal


def _end(record: StepRecord | ItemRecord | AttemptRecord, why: str) -> dict[str, Any]:
    return {
        "old": record.status,
        "status": StepStatus.CANCELLED.value,
        "reason": Reason.CANCELLED.value,
        "error": why,
    }
