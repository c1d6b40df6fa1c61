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
from engine.history.moves import END, as_json, as_text, describe, ending, key_of, move, status_of, to_json
from engine.history.schema import KEEP_FIGURES, NO_ITEM

EVENT_COLUMNS = "seq, run_id, type, time, step_id, item, attempt, data"


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


# -- runs ---------------------------------------------------------------------------------------------


_FIGURES_OF_ONE = KEEP_FIGURES.format(attempts="run_id = ?1", runs="id = ?1")


def _run_created(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    workflow, digest, path = as_text(data["workflow"]), as_text(data["digest"]), as_text(data.get("path"))
    _keep_document(connection, data, digest, workflow)
    parent = data.get("parent")
    connection.execute(
        "INSERT INTO runs (seq, id, workflow, digest, path, status, backend, source, params, initial_state,"
        " retry_of, retry_scope, parent, parent_run_id, scheduled_for, no_cache, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.seq,
            event.run_id,
            workflow,
            digest,
            path,
            RunStatus.PENDING.value,
            as_text(data["backend"]),
            as_text(data.get("source")),
            to_json(data.get("params") or {}),
            to_json(data.get("state") or {}),
            data.get("retry_of"),
            as_json(data.get("retry_scope")),
            as_json(parent),
            parent["run_id"] if parent else None,
            data.get("scheduled_for"),
            int(bool(data.get("no_cache"))),
            time,
        ),
    )
    for name, child in (data.get("children") or {}).items():
        _keep_document(connection, child, child["digest"], as_text(name))
        connection.execute(
            "INSERT INTO run_children (run_id, name, digest, path) VALUES (?, ?, ?, ?)",
            (event.run_id, as_text(name), child["digest"], as_text(child.get("path"))),
        )
    connection.executemany(
        "INSERT INTO steps (run_id, id, name, type, ordinal, depends_on, parent, image, command, workers,"
        " max_concurrency, role, trigger, routes, sub_workflow, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                event.run_id,
                step["id"],
                as_text(step["name"]),
                str(step["type"]),
                step["ordinal"],
                to_json(list(step.get("depends_on") or ())),
                step.get("parent"),
                as_text(step.get("image")),
                as_json(step.get("command")),
                step.get("workers"),
                step.get("max_concurrency"),
                step.get("role") or "main",
                step.get("trigger"),
                as_json(step.get("routes")),
                as_text(step.get("sub_workflow")),
                StepStatus.PENDING.value,
            )
            for step in data["plan"]
        ],
    )


def _keep_document(
    connection: sqlite3.Connection, data: Mapping[str, Any], digest: str | None, name: str | None
) -> None:
    if (document := data.get("document")) is not None:
        connection.execute(
            "INSERT OR IGNORE INTO documents (digest, name, path, text) VALUES (?, ?, ?, ?)",
            (digest, name, as_text(data.get("path")), as_text(document)),
        )


def _run_queued(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(connection, event, "runs", "queued = ?", as_text(event.data.get("why")), anyhow=True)


def _run_settled(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(connection, event, "runs", "settled = ?", to_json(event.data), anyhow=True)


def _run_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    values = status_of(event, RunStatus), time
    started = "status = ?, started_at = coalesce(started_at, ?), queued = NULL"
    move(connection, event, "runs", started, *values)


def _run_recovered(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(connection, event, "runs", "recoveries = ?", event.data["recoveries"], anyhow=True)


def _run_cancelling(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(connection, event, "runs", "status = ?", status_of(event, RunStatus))


def _run_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(connection, event, "runs", f"{END}, queued = NULL", *ending(event, time, RunStatus))
    connection.execute(_FIGURES_OF_ONE, (event.run_id,))


def _run_noted(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """For events that change no view: their run must exist."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (event.run_id,)).fetchone() is None:
        raise IllegalTransitionError(f"{describe(event)} was refused: there is no such run in the history")


# -- steps and items ----------------------------------------------------------------------------------


def _step_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(
        connection,
        event,
        "steps",
        "status = ?, started_at = coalesce(started_at, ?), started_seq = coalesce(started_seq, ?),"
        " next_attempt_at = NULL, waiting = NULL",
        status_of(event, StepStatus),
        time,
        event.seq,
    )


def _step_waiting(connection: sqlite3.Connection, event: Event, time: str) -> None:
    if event.item is not None:
        return _run_noted(connection, event, time)
    waiting = {**event.data, "since": time}
    move(connection, event, "steps", "waiting = ?", to_json(waiting), anyhow=True)


def _step_expanded(connection: sqlite3.Connection, event: Event, time: str) -> None:
    connection.executemany(
        "INSERT INTO items (run_id, step_id, number, value, status) VALUES (?, ?, ?, ?, ?)",
        [
            (event.run_id, event.step_id, number, to_json(value), StepStatus.PENDING.value)
            for number, value in enumerate(event.data["values"])
        ],
    )


def _item_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    move(
        connection,
        event,
        "items",
        "status = ?, started_at = coalesce(started_at, ?), next_attempt_at = NULL",
        status_of(event, StepStatus),
        time,
    )


def _retrying(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """A step or item waits for its next try; its run counts them."""
    data = event.data
    table = "items" if event.type is EventType.ITEM_RETRYING else "steps"
    move(
        connection,
        event,
        table,
        "status = ?, reason = ?, error = ?, next_attempt_at = ?",
        status_of(event, StepStatus),
        as_text(data.get("reason")),
        as_text(data.get("error")),
        data.get("next_attempt_at"),
    )
    move(connection, event, "runs", "retries = retries + 1", anyhow=True)


_UNIT_END = (
    f"{END}, result = ?, exit_code = ?, reused = ?, partial = ?, artifacts = ?, cached_from = ?,"
    " next_attempt_at = NULL"
)


def _unit_ending(event: Event, time: str) -> tuple[Any, ...]:
    data = event.data
    return (
        *ending(event, time, StepStatus),
        as_json(data.get("result")),
        data.get("exit_code"),
        int(bool(data.get("reused"))),
        int(bool(data.get("partial"))),
        as_json(data.get("artifacts")),
        as_json(data.get("cached_from")),
    )


def _remember(connection: sqlite3.Connection, event: Event, time: str) -> None:
    """Keep where a result stands that may be used again."""
    if (key := event.data.get("cache_key")) is not None:
        number = NO_ITEM if event.item is None else event.item
        connection.execute(
            "INSERT INTO remembered (key, seq, run_id, step_id, item, finished_at) VALUES (?, ?, ?, ?, ?, ?)",
            (as_text(key), event.seq, event.run_id, event.step_id, number, time),
        )


def _step_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    ended = f"{_UNIT_END}, finished_seq = ?, waiting = NULL"
    move(connection, event, "steps", ended, *_unit_ending(event, time), event.seq)
    _remember(connection, event, time)
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
    move(connection, event, "items", _UNIT_END, *_unit_ending(event, time))
    _remember(connection, event, time)


# -- attempts and agents ------------------------------------------------------------------------------


def _attempt_created(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    connection.execute(
        "INSERT INTO attempts (run_id, step_id, item, number, status, task_id, agent, backend, image,"
        " command, log, spec_digest, child_run, pool, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key_of(event, "attempts"),
            StepStatus.PENDING.value,
            data["task_id"],
            data["agent"],
            data["backend"],
            as_text(data.get("image")),
            as_json(data.get("command")),
            data["log"],
            data.get("spec_digest"),
            data.get("child_run"),
            as_text(data.get("pool")),
            time,
        ),
    )


def _attempt_started(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    values = status_of(event, StepStatus), time, data.get("agent_id"), as_json(data.get("placement"))
    move(connection, event, "attempts", "status = ?, started_at = ?, agent_id = ?, placement = ?", *values)
    if event.item is None:
        # A try that the platform failed waits for its slot again without another start of its step.
        connection.execute(
            "UPDATE steps SET waiting = NULL WHERE run_id = ? AND id = ? AND waiting IS NOT NULL",
            (event.run_id, event.step_id),
        )


def _attempt_finished(connection: sqlite3.Connection, event: Event, time: str) -> None:
    data = event.data
    values = (
        *ending(event, time, StepStatus),
        data.get("exit_code"),
        int(bool(data.get("kept"))),
        as_json(data.get("phases")),
        as_json(data.get("usage")),
    )
    move(connection, event, "attempts", f"{END}, exit_code = ?, kept = ?, phases = ?, usage = ?", *values)


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
    EventType.RUN_QUEUED: _run_queued,
    EventType.RUN_STARTED: _run_started,
    EventType.RUN_RECOVERED: _run_recovered,
    EventType.RUN_CANCELLING: _run_cancelling,
    EventType.RUN_SETTLED: _run_settled,
    EventType.RUN_FINISHED: _run_finished,
    EventType.STEP_STARTED: _step_started,
    EventType.STEP_WAITING: _step_waiting,
    EventType.STEP_EXPANDED: _step_expanded,
    EventType.STEP_RETRYING: _retrying,
    EventType.STEP_FINISHED: _step_finished,
    EventType.ITEM_STARTED: _item_started,
    EventType.ITEM_RETRYING: _retrying,
    EventType.ITEM_FINISHED: _item_finished,
    EventType.ATTEMPT_CREATED: _attempt_created,
    EventType.ATTEMPT_STARTED: _attempt_started,
    EventType.ATTEMPT_SAMPLED: _run_noted,
    EventType.ATTEMPT_FINISHED: _attempt_finished,
    EventType.AGENT_REMOVED: _agent_removed,
    EventType.WARNING: _run_noted,
}
