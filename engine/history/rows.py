"""Rows of the views as records: for each record the columns to select, and the function that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.history.records import AttemptRecord, ItemRecord, RunRecord, StateChange, StepRecord
from engine.history.schema import NO_ITEM

Row = tuple[Any, ...]


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _item(number: int) -> int | None:
    return None if number == NO_ITEM else number


def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


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
    "kept": bool,
}

# Seconds something took: as the engine measured, else between the wall times, which may have jumped.
DURATION = (
    "coalesce(duration, max(0.0, round((julianday(finished_at) - julianday(started_at)) * 86400.0, 3)))"
)

# Columns whose field in the record has another name.
_FIELDS = {"number": "index", "changed": "set"}


class Columns:
    """The columns of one record: as text for a SELECT, and as the way from a row to its fields."""

    def __init__(self, columns: str, *, renamed: bool = False) -> None:
        names = columns.replace(",", " ").split()
        self._sql = ", ".join(f"{DURATION} AS duration" if name == "duration" else name for name in names)
        self._fields = [_FIELDS.get(name, name) if renamed else name for name in names]
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
    " started_at, finished_at, duration, retries, source, retry_scope, seq"
)
STEP = Columns(
    "run_id, id, name, type, ordinal, status, depends_on, parent, reason, error, result, exit_code, reused,"
    " next_attempt_at, started_at, finished_at, duration, image, command, workers, max_concurrency"
)
ITEM = Columns(
    "run_id, step_id, number, value, status, reason, error, result, exit_code, reused, next_attempt_at,"
    " started_at, finished_at, duration",
    renamed=True,
)
ATTEMPT = Columns(
    "run_id, step_id, item, number, status, task_id, agent, backend, log, reason, exit_code, error, agent_id,"
    " image, created_at, started_at, finished_at, duration, kept"
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
