"""From events to the views: one small function per event type, applied in the event's own transaction.

Every move of a status is an UPDATE that also asks for the old one; if that matches no row, the move is
refused with IllegalTransitionError and the caller rolls back. Nothing here looks at a clock or at anything
but the event and the rows, so that replaying a run's events (`rebuild`) gives the same rows again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from engine.clock import parse_time
from engine.errors import IllegalTransitionError
from engine.events import Event, EventType, RunStatus, StepStatus
from engine.history.schema import NO_ITEM

EVENT_COLUMNS = "seq, run_id, type, time, step_id, item, attempt, data"

# Condition and order of the key of each view that an event can move.
_KEYS: Mapping[str, str] = {
    "runs": "id = ?",
    "steps": "run_id = ? AND id = ?",
    "items": "run_id = ? AND step_id = ? AND number = ?",
    "attempts": "run_id = ? AND step_id = ? AND item = ? AND number = ?",
}


def project(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """Write what `event` (already numbered; `time` is its time as stored) means for the views.

    Raises:
        IllegalTransitionError: what it says does not fit what is stored.
        KeyError, TypeError, ValueError: its data is not what its type promises.
        sqlite3.Error: as SQLite reported it.
    """
    try:
        _PROJECTIONS[event.type](connection, event, time)
    except sqlite3.IntegrityError as error:
        raise IllegalTransitionError(
            f"{describe(event)}: it is there already, or what it belongs to is not ({error})"
        ) from None


def rebuild(connection: sqlite3.Connection, run_id: str) -> None:
    """Throw the views of one run away and derive them again from its events, in the caller's transaction.

    Raises what `project` raises.
    """
    connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
    rows = connection.execute(f"SELECT {EVENT_COLUMNS} FROM events WHERE run_id = ? ORDER BY seq", (run_id,))
    for row in rows.fetchall():
        project(connection, event_from_row(row), row[3])


def event_from_row(row: tuple[Any, ...]) -> Event:
    """The event in a row of `EVENT_COLUMNS`."""
    seq, run_id, type_, time, step_id, item, attempt, data = row
    return Event(
        run_id, EventType(type_), parse_time(time), step_id, item, attempt, json.loads(data), seq=seq
    )


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


# ASCII only, so that half characters printed by a task can be stored and come back the same.
to_json = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def _json(value: Any) -> str | None:
    return None if value is None else to_json(value)


def _text(value: Any) -> str | None:
    """A text as SQLite takes it: half of a surrogate pair (from undecodable output) becomes `?`."""
    return None if value is None else str(value).encode("utf-8", "replace").decode()


# -- moves --------------------------------------------------------------------------------------------


def _move(
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
    key = _key(event, table)
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
    move = "" if anyhow else f" from {str(old)!r} to {str(new)!r}"
    raise IllegalTransitionError(f"{describe(event)}{move} was refused: {found}")


def _key(event: Event, table: str) -> tuple[Any, ...]:
    if table == "runs":
        return (event.run_id,)
    if table == "steps":
        return event.run_id, event.step_id
    if table == "items":
        return event.run_id, event.step_id, event.item
    return event.run_id, event.step_id, NO_ITEM if event.item is None else event.item, event.attempt


def _status(event: Event, kind: type[RunStatus] | type[StepStatus]) -> str:
    return kind(event.data["status"]).value


_END = "status = ?, reason = ?, error = ?, finished_at = ?, duration = ?"


def _ending(event: Event, time: str, kind: type[RunStatus] | type[StepStatus]) -> tuple[Any, ...]:
    """Values of `_END`."""
    data = event.data
    duration = data.get("duration")
    return (
        _status(event, kind),
        _text(data.get("reason")),
        _text(data.get("error")),
        time,
        None if duration is None else float(duration),
    )


# -- runs ---------------------------------------------------------------------------------------------


def _run_created(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    workflow, digest, path = _text(data["workflow"]), _text(data["digest"]), _text(data.get("path"))
    if (document := data.get("document")) is not None:
        connection.execute(
            "INSERT OR IGNORE INTO documents (digest, name, path, text) VALUES (?, ?, ?, ?)",
            (digest, workflow, path, _text(document)),
        )
    connection.execute(
        "INSERT INTO runs (seq, id, workflow, digest, path, status, backend, source, params, initial_state,"
        " retry_of, retry_scope, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.seq,
            event.run_id,
            workflow,
            digest,
            path,
            RunStatus.PENDING.value,
            _text(data["backend"]),
            _text(data.get("source")),
            to_json(data.get("params") or {}),
            to_json(data.get("state") or {}),
            data.get("retry_of"),
            _json(data.get("retry_scope")),
            time,
        ),
    )
    connection.executemany(
        "INSERT INTO steps (run_id, id, name, type, ordinal, depends_on, parent, image, command, workers,"
        " max_concurrency, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                event.run_id,
                step["id"],
                _text(step["name"]),
                str(step["type"]),
                step["ordinal"],
                to_json(list(step.get("depends_on") or ())),
                step.get("parent"),
                _text(step.get("image")),
                _json(step.get("command")),
                step.get("workers"),
                step.get("max_concurrency"),
                StepStatus.PENDING.value,
            )
            for step in data["plan"]
        ],
    )


def _run_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    values = _status(event, RunStatus), time
    _move(connection, event, "runs", "status = ?, started_at = coalesce(started_at, ?)", *values)


def _run_recovered(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(connection, event, "runs", "recoveries = ?", event.data["recoveries"], anyhow=True)


def _run_cancelling(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(connection, event, "runs", "status = ?", _status(event, RunStatus))


def _run_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(connection, event, "runs", _END, *_ending(event, time, RunStatus))


def _run_noted(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """For events that change no view: their run must exist."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (event.run_id,)).fetchone() is None:
        raise IllegalTransitionError(f"{describe(event)} was refused: there is no such run in the history")


# -- steps and items ----------------------------------------------------------------------------------


def _step_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(
        connection,
        event,
        "steps",
        "status = ?, started_at = coalesce(started_at, ?), started_seq = coalesce(started_seq, ?),"
        " next_attempt_at = NULL",
        _status(event, StepStatus),
        time,
        event.seq,
    )


def _step_expanded(connection: sqlite3.Connection, event: Event, time: str) -> None:
    connection.executemany(
        "INSERT INTO items (run_id, step_id, number, value, status) VALUES (?, ?, ?, ?, ?)",
        [
            (event.run_id, event.step_id, number, to_json(value), StepStatus.PENDING.value)
            for number, value in enumerate(event.data["values"])
        ],
    )


def _item_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(
        connection,
        event,
        "items",
        "status = ?, started_at = coalesce(started_at, ?), next_attempt_at = NULL",
        _status(event, StepStatus),
        time,
    )


def _retrying(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """A step or item waits for its next try; its run counts them."""
    data = event.data
    table = "items" if event.type is EventType.ITEM_RETRYING else "steps"
    _move(
        connection,
        event,
        table,
        "status = ?, reason = ?, error = ?, next_attempt_at = ?",
        _status(event, StepStatus),
        _text(data.get("reason")),
        _text(data.get("error")),
        data.get("next_attempt_at"),
    )
    _move(connection, event, "runs", "retries = retries + 1", anyhow=True)


_UNIT_END = f"{_END}, result = ?, exit_code = ?, reused = ?, next_attempt_at = NULL"


def _unit_ending(event: Event, time: str) -> tuple[Any, ...]:
    data = event.data
    return (
        *_ending(event, time, StepStatus),
        _json(data.get("result")),
        data.get("exit_code"),
        int(bool(data.get("reused"))),
    )


def _step_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(connection, event, "steps", f"{_UNIT_END}, finished_seq = ?", *_unit_ending(event, time), event.seq)
    changes = event.data.get("changes") or {}
    changed, removed = changes.get("set") or {}, changes.get("removed") or ()
    if changed or removed:
        connection.execute(
            "INSERT INTO state_changes (run_id, seq, step_id, changed, removed, collections)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                event.run_id,
                event.seq,
                event.step_id,
                to_json(changed),
                to_json(list(removed)),
                to_json(changes.get("collections") or {}),
            ),
        )


def _item_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    _move(connection, event, "items", _UNIT_END, *_unit_ending(event, time))


# -- attempts and agents ------------------------------------------------------------------------------


def _attempt_created(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    connection.execute(
        "INSERT INTO attempts (run_id, step_id, item, number, status, task_id, agent, backend, image,"
        " command, log, spec_digest, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *_key(event, "attempts"),
            StepStatus.PENDING.value,
            data["task_id"],
            data["agent"],
            data["backend"],
            _text(data.get("image")),
            _json(data.get("command")),
            data["log"],
            data.get("spec_digest"),
            time,
        ),
    )


def _attempt_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    values = _status(event, StepStatus), time, event.data.get("agent_id")
    _move(connection, event, "attempts", "status = ?, started_at = ?, agent_id = ?", *values)


def _attempt_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    kept = int(bool(event.data.get("kept")))
    values = (*_ending(event, time, StepStatus), event.data.get("exit_code"), kept)
    _move(connection, event, "attempts", f"{_END}, exit_code = ?, kept = ?", *values)


def _agent_removed(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """By name, which is unique in a run: who cleans up may not know the attempt."""
    _run_noted(connection, event, time)
    # Named, because SQLite would rather go through all attempts of the run.
    connection.execute(
        "UPDATE attempts INDEXED BY attempts_kept SET kept = 0 WHERE run_id = ? AND agent = ? AND kept = 1",
        (event.run_id, event.data["agent"]),
    )


_PROJECTIONS: Mapping[EventType, Callable[[sqlite3.Connection, Event, str], None]] = {
    EventType.RUN_CREATED: _run_created,
    EventType.RUN_STARTED: _run_started,
    EventType.RUN_RECOVERED: _run_recovered,
    EventType.RUN_CANCELLING: _run_cancelling,
    EventType.RUN_FINISHED: _run_finished,
    EventType.STEP_STARTED: _step_started,
    EventType.STEP_WAITING: _run_noted,
    EventType.STEP_EXPANDED: _step_expanded,
    EventType.STEP_RETRYING: _retrying,
    EventType.STEP_FINISHED: _step_finished,
    EventType.ITEM_STARTED: _item_started,
    EventType.ITEM_RETRYING: _retrying,
    EventType.ITEM_FINISHED: _item_finished,
    EventType.ATTEMPT_CREATED: _attempt_created,
    EventType.ATTEMPT_STARTED: _attempt_started,
    EventType.ATTEMPT_FINISHED: _attempt_finished,
    EventType.AGENT_REMOVED: _agent_removed,
    EventType.WARNING: _run_noted,
}
