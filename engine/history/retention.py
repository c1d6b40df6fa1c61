"""Letting go of old runs: their rows, their documents and their log files."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from engine.errors import HistoryError, UsageError
from engine.events import TERMINAL_RUN
from engine.history.figures import COUNTERS, SUMMED
from engine.history.journal import Journal
from engine.history.logs import log_file
from engine.trees import remove_tree

# Rows deleted in one transaction, and pages given back in one: each takes a few milliseconds.
_ROWS = 2_000
_PAGES = 256

# Tables that may have very many rows of one run, with their keys. The run itself goes last: what a crash
# leaves of it is found again.
_LARGE = {
    "events": ("seq",),
    "attempts": ("run_id", "step_id", "item", "number"),
    "items": ("run_id", "step_id", "number"),
    "state_changes": ("run_id", "seq"),
}


async def delete_run(journal: Journal, logs: Path, run_id: str, *, artifacts: Path) -> None:
    """Delete a run that is over, and its child runs: events, views, documents no other has, logs, artifacts.

    Raises:
        UsageError: there is no such run, it is not over, it is the child of another that stays, or it or a
            child is being retried or kept agents that are still there. Nothing was deleted.
        HistoryError: the database or the files could not be changed.
    """
    log_file(logs, run_id)  # refuses an id that is a path, before anything else
    await journal.maintain(lambda connection: _require_no_parent(connection, run_id))
    for member in await journal.maintain(lambda connection: _deletable_family(connection, run_id)):
        await _delete(journal, logs, member, artifacts)


async def _delete(journal: Journal, logs: Path, run_id: str, artifacts: Path) -> None:
    directories = {"logs": log_file(logs, run_id), "artifacts": log_file(artifacts, run_id)}
    # Files first: a crash in between leaves a run without them, which can be deleted again, and never
    # files that no run leads to.
    for what, directory in directories.items():
        try:
            await asyncio.to_thread(remove_tree, directory)
        except OSError as error:
            raise HistoryError(
                f"the {what} of run {run_id} in {directory} cannot be removed: {error.strerror}",
                hint="the run was not deleted; make the directory writable and try again",
            ) from None
    await journal.maintain(lambda connection: _require_deletable(connection, run_id))
    while await journal.maintain(lambda connection: _delete_some(connection, run_id)):
        pass  # others may write in between
    await journal.maintain(lambda connection: _delete_rows(connection, run_id))


async def give_back_space(journal: Journal) -> bool:
    """Give some of the room that deleted rows had back to the file system; returns whether there is more.

    Does nothing in a database that was made before it could do so: `compact` makes it able to.

    Raises:
        HistoryError: the database could not be changed.
    """
    return await journal.maintain(_give_back_space)


def _give_back_space(connection: sqlite3.Connection) -> bool:
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, _PAGES)):
        # The module takes one step of a statement without columns, and a step is a page.
        connection.execute("PRAGMA incremental_vacuum(1)")
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    return bool(0 < left < free)


def _deletable_family(connection: sqlite3.Connection, run_id: str) -> list[str]:
    """The run and all that are part of it, children before their parents; raises unless all may go."""
    family = [run_id]
    for member in family:  # grows while it is gone through
        _require_deletable(connection, member)
        found = connection.execute("SELECT id FROM runs WHERE parent_run_id = ? ORDER BY seq", (member,))
        family += [child for (child,) in found]
    return family[::-1]


def _require_no_parent(connection: sqlite3.Connection, run_id: str) -> None:
    row = connection.execute(
        "SELECT runs.parent_run_id FROM runs JOIN runs AS parents ON parents.id = runs.parent_run_id"
        " WHERE runs.id = ?",
        (run_id,),
    ).fetchone()
    if row is not None:
        raise UsageError(
            f"run {run_id} is part of run {row[0]}", hint=f"delete run {row[0]}, which takes it along"
        )


def _require_deletable(connection: sqlite3.Connection, run_id: str) -> None:
    """Raise UsageError unless the run may go."""
    row = connection.execute("SELECT status FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise UsageError(f"there is no run {run_id!r}")
    (status,) = row
    if status not in TERMINAL_RUN:
        raise UsageError(f"run {run_id} is {status}: only runs that are over can be deleted")
    (kept,) = connection.execute(
        "SELECT count(*) FROM attempts WHERE run_id = ? AND kept = 1", (run_id,)
    ).fetchone()
    if kept:
        raise UsageError(
            f"run {run_id} still has {kept} kept agents, which only its history leads to",
            hint=f"remove them first: agentainer cleanup {run_id}",
        )
    # What it takes over it may take much later, as the child runs that failed there.
    retries = connection.execute("SELECT id, status FROM runs WHERE retry_of = ?", (run_id,)).fetchall()
    if live := [retry for retry, status in retries if status not in TERMINAL_RUN]:
        raise UsageError(f"run {run_id} is being retried by run {live[0]}, which takes results from it")


def _delete_some(connection: sqlite3.Connection, run_id: str) -> bool:
    """Delete rows of a run of which it has many; False when what is left can go at once."""
    for table in _LARGE:
        key = ", ".join(_LARGE[table])
        some = f"SELECT {key} FROM {table} WHERE run_id = ? LIMIT {_ROWS}"
        deleted = connection.execute(f"DELETE FROM {table} WHERE ({key}) IN ({some})", (run_id,)).rowcount
        if deleted == _ROWS:
            return True
    return False


def _delete_rows(connection: sqlite3.Connection, run_id: str) -> None:
    _require_deletable(connection, run_id)
    _remember_sums(connection, run_id)
    digests = [
        digest
        for (digest,) in connection.execute(
            "SELECT digest FROM runs WHERE id = ? UNION SELECT digest FROM run_children WHERE run_id = ?",
            (run_id, run_id),
        )
    ]
    connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))  # the other views go with it
    connection.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
    connection.executemany(
        "DELETE FROM documents WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE digest = ?)"
        " AND NOT EXISTS (SELECT 1 FROM run_children WHERE digest = ?)",
        [(one, one, one) for one in digests],
    )


def _remember_sums(connection: sqlite3.Connection, run_id: str) -> None:
    """Add a run's figures to those of all that was deleted, so that counters never go back."""
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTERS)
    summed = SUMMED.format(which="seq = (SELECT seq FROM runs WHERE id = ?)")
    connection.execute(
        f"INSERT INTO forgotten (workflow, status, child, {', '.join(COUNTERS)})"
        f" {summed} GROUP BY workflow, status, child"
        f" ON CONFLICT (workflow, status, child) DO UPDATE SET {added}",
        (run_id,),
    )
