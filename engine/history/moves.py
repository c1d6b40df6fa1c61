"""Moves of statuses in the views, and values as SQLite takes them: what the projections are made of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from engine.errors import IllegalTransitionError
from engine.events import Event, RunStatus, StepStatus
from engine.history.schema import NO_ITEM

# Condition and order of the key of each view that an event can move.
_KEYS: Mapping[str, str] = {
    "runs": "id = ?",
    "steps": "run_id = ? AND id = ?",
    "items": "run_id = ? AND step_id = ? AND number = ?",
    "attempts": "run_id = ? AND step_id = ? AND item = ? AND number = ?",
}


def describe(event: Event) -> str:
    """`run R, step S, item I, attempt A: type`, for messages."""
    where = [f"run {event.run_id}"]
    where += [f"step {event.step_id}"] if event.step_id is not None else []
    where += [f"item {event.item}"] if event.item is not None else []
    where += [f"attempt {event.attempt}"] if event.attempt is not None else []
    return f"{', '.join(where)}: {event.type}"


# -- values -------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """What the JSON encoder does not know by itself: mappings and sets that are not dict or list."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# ASCII only, so that half characters printed by a task can be stored and come back the same. What holds
# itself ends as a RecursionError: to look for that in every value takes longer than to write it.
to_json = json.JSONEncoder(separators=(",", ":"), default=_plain, check_circular=False).encode


def as_json(value: Any) -> str | None:
    """A JSON value as SQLite takes it, None as NULL."""
    return None if value is None else to_json(value)


def as_text(value: Any) -> str | None:
    """A text as SQLite takes it: half of a surrogate pair (from undecodable output) becomes `?`."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


# -- moves --------------------------------------------------------------------------------------------


def move(
    connection: sqlite3.Connection,
    event: Event,
    table: str,
    assignments: str,
    *values: Any,
    anyhow: bool = False,
) -> None:
    """Set columns of the row that the event is about, if its status is the event's `old`.

    With `anyhow` the status is neither asked for nor set; the row must exist all the same.
    """
    key = key_of(event, table)
    sql = f"UPDATE {table} SET {assignments} WHERE {_KEYS[table]}"
    if anyhow:
        changed = connection.execute(sql, (*values, *key)).rowcount
    else:
        old, new = event.data["old"], event.data["status"]
        changed = connection.execute(f"{sql} AND status = ?", (*values, *key, str(old))).rowcount
    if changed == 1:
        return
    row = connection.execute(f"SELECT status FROM {table} WHERE {_KEYS[table]}", key).fetchone()
    found = f"its status is {row[0]!r}" if row else "there is nothing of that name in the history"
    wanted = "" if anyhow else f" from {str(old)!r} to {str(new)!r}"
    raise IllegalTransitionError(f"{describe(event)}{wanted} was refused: {found}")


def key_of(event: Event, table: str) -> tuple[Any, ...]:
    """The key of the row of a view that an event is about."""
    if table == "runs":
        return (event.run_id,)
    if table == "steps":
        return event.run_id, event.step_id
    if table == "items":
        return event.run_id, event.step_id, event.item
    return event.run_id, event.step_id, NO_ITEM if event.item is None else event.item, event.attempt


def status_of(event: Event, kind: type[RunStatus] | type[StepStatus]) -> str:
    """The status that an event moves something to."""
    return kind(event.data["status"]).value


END = "status = ?, reason = ?, error = ?, finished_at = ?, duration = ?"


def ending(event: Event, time: str, kind: type[RunStatus] | type[StepStatus]) -> tuple[Any, ...]:
    """Values of `END`."""
    data = event.data
    duration = data.get("duration")
    return (
        status_of(event, kind),
        as_text(data.get("reason")),
        as_text(data.get("error")),
        time,
        None if duration is None else float(duration),
    )
