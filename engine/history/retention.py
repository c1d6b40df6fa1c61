"""Letting go of old runs: their rows, their documents and their log files."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

from engine.errors import HistoryError, UsageError
from engine.events import TERMINAL_RUN
from engine.history.journal import Journal
from engine.history.logs import log_file


async def delete_run(journal: Journal, logs: Path, run_id: str, *, artifacts: Path) -> None:
    """Delete a run that is over: events, views, its document if no other run has it, its logs and artifacts.

    Raises:
        UsageError: there is no such run, it is not over, or it kept agents that are still there.
        HistoryError: the database or the files could not be changed.
    """
    directories = {"logs": log_file(logs, run_id), "artifacts": log_file(artifacts, run_id)}
    await journal.maintain(lambda connection: _require_deletable(connection, run_id))
    # Files first: a crash in between leaves a run without them, which can be deleted again, and never
    # files that no run leads to.
    for what, directory in directories.items():
        try:
            await asyncio.to_thread(shutil.rmtree, directory)
        except FileNotFoundError:
            pass  # it had none
        except OSError as error:
            raise HistoryError(
                f"the {what} of run {run_id} in {directory} cannot be removed: {error.strerror}",
                hint="the run was not deleted; make the directory writable and try again",
            ) from None
    await journal.maintain(lambda connection: _delete_rows(connection, run_id))


def _require_deletable(connection: sqlite3.Connection, run_id: str) -> str:
    """The digest of the run's document, if the run may go."""
    row = connection.execute("SELECT status, digest FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise UsageError(f"there is no run {run_id!r}")
    status, digest = row
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
    return str(digest)


def _delete_rows(connection: sqlite3.Connection, run_id: str) -> None:
    digest = _require_deletable(connection, run_id)
    connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))  # the other views go with it
    connection.execute("DELETE FROM events WHERE run_id = ?", (run_id,))
    connection.execute(
        "DELETE FROM documents WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM runs WHERE digest = ?)",
        (digest, digest),
    )
