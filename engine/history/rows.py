"""Rows of the views as records: for each record the columns to select, and the function that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.history.records import (
    AttemptRecord,
    ItemRecord,
    ParentRecord,
    RunRecord,
    StateChange,
    StepRecord,
)
from engine.history.schema import DURATION, NO_ITEM

Row = tuple[Any, ...]


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _item(number: int) -> int | None:
    return None if number == NO_ITEM else number


def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _parent(text: str | None) -> ParentRecord | None:
    return None if text is None else ParentRecord(**json.loads(text))


def _artifacts(text: str | None) -> tuple[dict[str, Any], ...]:
    return () if text is None else tuple(json.loads(text))


# How a column becomes the field of a record, where it is not the same value.
_DECODE: dict[str, Callable[[Any], Any]] = {
    "params": _value,
    "retry_scope": _value,
    "depends_on": _names,
    "result": _value,
    "command": _value,
    "value": _value,
    "changed": _value,
    "removed": _names,
    "collections": _value,
    "item": _item,
    "reused": bool,
    "partial": bool,
    "kept": bool,
    "no_cache": bool,
    "parent_link": _parent,
    "settled": _value,
    "routes": _value,
    "waiting": _value,
    "artifacts": _artifacts,
    "cached_from": _value,
    "placement": _value,
    "phases": _value,
    "usage": _value,
}

# Columns whose field in the record has another name.
_FIELDS = {"number": "index", "changed": "set"}

# The parent of a run is a link, that of a step an id.
_LINKS = {"parent_link": "parent"}
_SQL = {"duration": f"{DURATION} AS duration", "parent_link": "parent"}


class Columns:
    """The columns of one record: as text for a SELECT, and as the way from a row to its fields."""

    def __init__(self, columns: str, *, renamed: bool = False) -> None:
        names = columns.replace(",", " ").split()
        self._sql = ", ".join(_SQL.get(name, name) for name in names)
        self._fields = [_FIELDS.get(name, name) if renamed else _LINKS.get(name, name) for name in names]
        self._decoders = [(i, _DECODE[name]) for i, name in enumerate(names) if name in _DECODE]

    def __str__(self) -> str:
        return self._sql

    def fields(self, row: Row) -> dict[str, Any]:
        """The row's values by the record's field names."""
        values = list(row)
        for place, decode in self._decoders:
            values[place] = decode(values[place])
        return dict(zip(self._fields, values, strict=True))


RUN = Columns(
    "id, workflow, digest, status, backend, reason, error, path, params, retry_of, recoveries, created_at,"
    " started_at, finished_at, duration, retries, source, retry_scope, seq, parent_link, scheduled_for,"
    " no_cache, queued, settled"
)
STEP = Columns(
    "run_id, id, name, type, ordinal, status, depends_on, parent, reason, error, result, exit_code, reused,"
    " next_attempt_at, started_at, finished_at, duration, image, command, workers, max_concurrency,"
    " role, trigger, routes, sub_workflow, waiting, artifacts, cached_from, partial"
)
ITEM = Columns(
    "run_id, step_id, number, value, status, reason, error, result, exit_code, reused, next_attempt_at,"
    " started_at, finished_at, duration, artifacts, cached_from, partial",
    renamed=True,
)
ATTEMPT = Columns(
    "run_id, step_id, item, number, status, task_id, agent, backend, log, reason, exit_code, error, agent_id,"
    " image, created_at, started_at, finished_at, duration, kept, child_run,"
    " pool, placement, phases, usage"
)
CHANGE = Columns("seq, step_id, changed, removed, collections", renamed=True)


def run_record(row: Row) -> RunRecord:
    """The run in a row of `RUN`."""
    return RunRecord(**RUN.fields(row))


def step_record(
    row: Row, attempts: tuple[AttemptRecord, ...] = (), items: tuple[ItemRecord, ...] = ()
) -> StepRecord:
    """The step in a row of `STEP`."""
    return StepRecord(**STEP.fields(row), attempts=attempts, items=items)


def item_record(row: Row, attempts: tuple[AttemptRecord, ...] = ()) -> ItemRecord:
    """The item in a row of `ITEM`."""
    return ItemRecord(**ITEM.fields(row), attempts=attempts)


def attempt_record(row: Row) -> AttemptRecord:
    """The attempt in a row of `ATTEMPT`."""
    return AttemptRecord(**ATTEMPT.fields(row))


def state_change(row: Row) -> StateChange:
    """The state change in a row of `CHANGE`."""
    return StateChange(**CHANGE.fields(row))
