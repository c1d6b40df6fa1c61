"""The one thread that writes: applies groups of recorded calls to the database, one transaction each.

Everything here runs on the journal's own thread, with the blocking `sqlite3` module rather than aiosqlite:
a whole group is then one hop to the thread and back, where aiosqlite would need one per statement (its
public interface has no way to run a function on its thread).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TypeVar

from engine.clock import isoformat
from engine.errors import AgentainerError, HistoryError
from engine.events import Event, EventType
from engine.history.database import connect_writer, explain
from engine.history.migrations import migrate
from engine.history.projection import describe, project

# SQLite waits that long (s) for a file that another program holds when the journal is opened.
_OPEN_TIMEOUT = 5.0

# Between two commits that reach the disk itself there may be this many seconds of commits that only reach
# the operating system. See `Writer`.
_SYNC_INTERVAL = 0.1

# A run that was accepted, and how it ended, must survive even a power cut.
_SYNCED = frozenset({EventType.RUN_CREATED, EventType.RUN_FINISHED})

_INSERT = "INSERT INTO events (run_id, type, time, step_id, item, attempt, data) VALUES (?, ?, ?, ?, ?, ?, ?)"

# What a call fails with whose data is not what its type promises; the database itself is fine.
_BAD_DATA = (
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on its way into the database, with its data as JSON text."""

    event: Event
    data: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one call: its numbered events, or why it alone was refused."""

    events: tuple[Event, ...] = ()
    error: AgentainerError | None = None


class Writer:
    """The writing connection.

    Durability: what `commit` has returned survives the death of this process in any case. Every commit
    at least 0.1 s after the last synced one, and every one that creates or ends a run, is also synced to
    the disk (`synchronous=FULL`), so that it survives a power cut; in between, a burst is not slowed down
    by a sync per commit (0.35 ms each, against 0.02 ms). A power cut never damages the database.
    """

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._synced_at = 0.0
        self._full = True

    def open(self) -> int:
        """Open or create the database, bring it to the current schema; returns the last sequence number.

        Raises:
            HistoryError: it cannot be used; says why and what to do.
        """
        try:
            connection = connect_writer(self._path, busy_timeout=_OPEN_TIMEOUT)
        except OSError as error:
            raise HistoryError(
                f"the history database {self._path} cannot be created: {error.strerror}",
                hint="check that its directory exists and that you may write there, or use another --home",
            ) from None
        except sqlite3.Error as error:
            raise explain(error, self._path) from None
        try:
            migrate(connection, self._path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA busy_timeout = {round(self._busy_timeout * 1000)}")
            connection.execute("PRAGMA synchronous = FULL")
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        except sqlite3.Error as error:
            connection.close()
            raise explain(error, self._path) from None
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return row[0] if row else 0

    def close(self) -> None:
        """Close the connection; unless others have it open, the log is folded into the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def commit(self, calls: Sequence[Sequence[Entry]]) -> list[Written]:
        """Write the calls in order, in one transaction; one that is refused leaves no trace of itself.

        Raises:
            HistoryError: the database took none of them.
        """
        full = monotonic() - self._synced_at >= _SYNC_INTERVAL or any(
            entry.event.type in _SYNCED for call in calls for entry in call
        )
        written = self._transaction(lambda connection: [_write(connection, call) for call in calls], full)
        if full:
            self._synced_at = monotonic()
        return written

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one synced transaction; all of it is kept or nothing.

        Raises:
            HistoryError: the database could not take it.
        """
        return self._transaction(work, True)

    def _transaction(self, work: Callable[[sqlite3.Connection], T], full: bool) -> T:
        connection = self._connection
        if connection is None:
            raise HistoryError(f"the history database {self._path} is closed")
        try:
            if full != self._full:
                connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
                self._full = full
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back(connection)
            raise explain(error, self._path) from error
        except BaseException:
            self._roll_back(connection)
            raise
        return result

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:  # some errors have rolled back already
            connection.execute("ROLLBACK")


def _write(connection: sqlite3.Connection, call: Sequence[Entry]) -> Written:
    """Write one call inside a savepoint, so that its refusal does not touch the rest of the group."""
    connection.execute("SAVEPOINT call")
    try:
        written = Written(tuple([_append(connection, entry) for entry in call]))
    except AgentainerError as error:
        written = Written(error=error)
    except _BAD_DATA as error:
        events = "; ".join(describe(entry.event) for entry in call)
        written = Written(error=HistoryError(f"{events}: the data cannot be stored: {error!r}"))
    if written.error is not None:
        connection.execute("ROLLBACK TO call")
    connection.execute("RELEASE call")
    return written


def _append(connection: sqlite3.Connection, entry: Entry) -> Event:
    event = entry.event
    cursor = connection.execute(
        _INSERT,
        (
            event.run_id,
            event.type.value,
            isoformat(event.time),
            event.step_id,
            event.item,
            event.attempt,
            entry.data,
        ),
    )
    assert cursor.lastrowid is not None
    # By position: `dataclasses.replace` takes as long as a statement.
    numbered = Event(
        event.run_id,
        event.type,
        event.time,
        event.step_id,
        event.item,
        event.attempt,
        event.data,
        cursor.lastrowid,
    )
    project(connection, numbered)
    if event.type is EventType.RUN_CREATED and "document" in event.data:
        return replace(numbered, data=without_document(event))
    return numbered


def without_document(event: Event) -> dict[str, object]:
    """The data of a RUN_CREATED as it is kept: the text is in the documents table."""
    return {key: value for key, value in event.data.items() if key != "document"}
