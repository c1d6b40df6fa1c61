"""The one connection that writes: applies groups of recorded calls to the database, a transaction each.

This is the blocking `sqlite3`, not aiosqlite: a group of calls is many statements, and aiosqlite takes one
hop to its thread and back (0.1 ms and more) for every statement; its public interface has no way to run a
function there. So the journal runs whole groups here, on a thread of its own where they may wait for the
disk, and directly where they do not.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from engine.errors import AgentainerError, HistoryError
from engine.events import Event, EventType
from engine.history.database import connect_writer, explain
from engine.history.migrations import migrate
from engine.history.moves import describe
from engine.history.projection import EVENT_COLUMNS, project
from engine.history.schema import VERSIONS

# Commits that only reach the operating system may follow a synced one for this many seconds.
SYNC_INTERVAL = 0.1

# A run that was accepted, and how it ended, must survive even a power cut.
_SYNCED = frozenset({EventType.RUN_CREATED, EventType.RUN_FINISHED})

# What a commit without a sync may have to write, in events and bytes of their data: under 2 ms.
_QUICK_EVENTS = 64
_QUICK_BYTES = 64 * 1024

# Seconds between two looks at a database that another program keeps locked.
_BUSY_PAUSE = 0.01

# Bytes of the write-ahead log from which on its pages are moved into the database. Pages that many
# commits change are then moved once.
_CHECKPOINT_BYTES = 16 << 20

# No row in a new database. Unlike the highest number in the table it never goes back.
_LAST_SEQ = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"

# A write that changes nothing, and that SQLite does not leave out for that (as it does a like UPDATE).
_TOUCH = f"PRAGMA user_version = {len(VERSIONS)}"

_INSERT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

# What a call fails with whose data is not what its type promises; the database itself is fine.
_BAD_DATA = (
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

T = TypeVar("T")


class Entry(NamedTuple):
    """One event on its way into the database, with its time and its data as they are stored."""

    event: Event
    time: str
    data: str


Call = Sequence[Entry]


class Written(NamedTuple):
    """What became of one call: its numbered events, or why it alone was refused."""

    events: tuple[Event, ...] = ()
    error: AgentainerError | None = None


class Writer:
    """The writing connection. It may be used from any thread, but never from two at a time.

    Durability: what `commit` has returned survives the death of this process in any case, and never is
    the database damaged. Against a power cut, a commit must be synced to the disk, which takes 0.35 ms
    and more, against 0.02 ms for one that is not. So a commit that creates or ends a run is synced, and any
    other if the last sync is 0.1 s ago; what comes in a burst in between is synced by the next such
    commit, or by `settle` when the burst is over. A power cut can take the last third of a second of a burst.

    Args:
        path: the database.
        busy_timeout: seconds to wait for another program that keeps it locked.
        clock: seconds that only go forward.
    """

    def __init__(
        self, path: Path, *, busy_timeout: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._clock = clock
        self._synced_at = -SYNC_INTERVAL
        self._full = True
        self._unsynced = False
        self._last_seq = 0  # of what has been committed: nobody else writes

    def open(self) -> int:
        """Open or create the database, bring it to the current schema; returns the last sequence number.

        Raises:
            HistoryError: it cannot be used; says why and what to do.
        """
        try:
            connection = connect_writer(self._path)
        except OSError as error:
            raise HistoryError(
                f"the history database {self._path} cannot be created: {error.strerror}",
                hint="check that its directory exists and that you may write there, or use another --home",
            ) from None
        except sqlite3.Error as error:
            raise explain(error, self._path) from None
        try:
            migrate(connection, self._path)
            # Checkpoints sync, so they happen where we may wait; and so do we wait for locks.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA synchronous = FULL")
            self._last_seq = _last_seq(connection)
        except sqlite3.Error as error:
            connection.close()
            raise explain(error, self._path) from None
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self._last_seq

    def close(self) -> None:
        """Close the connection; unless others have it open, the log is folded into the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def unsynced_for(self) -> float:
        """Seconds since the last sync, if anything was committed since; else 0."""
        return self._clock() - self._synced_at if self._unsynced else 0.0

    def quick_part(self, calls: Iterable[Call]) -> int:
        """How many of these calls, from the first, are so few that a commit need not wait for the disk."""
        if self._clock() - self._synced_at >= SYNC_INTERVAL:
            return 0
        count = events = size = 0
        for call in calls:
            events += len(call)
            size += sum([len(entry.data) for entry in call])
            if events > _QUICK_EVENTS or size > _QUICK_BYTES:
                break
            if any(entry.event.type in _SYNCED for entry in call):
                break
            count += 1
        return count

    def commit_quickly(self, calls: Sequence[Call]) -> list[Written] | None:
        """`commit` without a sync and without waiting for a lock: None, and nothing done, if there is one.

        Raises:
            HistoryError: as `commit`.
        """
        connection = self._use(full=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise explain(error, self._path) from error
        written = self._write(connection, calls)
        self._unsynced = True
        return written

    def commit(self, calls: Sequence[Call]) -> list[Written]:
        """Write the calls in order, in one synced transaction; one that is refused leaves no trace.

        Raises:
            HistoryError: the database took none of them.
        """
        connection = self._use(full=True)
        self._begin(connection)
        written = self._write(connection, calls)
        self._note_sync()
        if self._log_is_long():
            self._checkpoint(connection)
        return written

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one synced transaction; all of it is kept or nothing.

        Raises:
            HistoryError: the database could not take it.
        """
        connection = self._use(full=True)
        self._begin(connection)
        result = self._finish(connection, work)
        self._note_sync()
        return result

    def compact(self) -> None:
        """Write the database anew without the room of deleted rows; nothing else may use it meanwhile.

        Raises:
            HistoryError: the disk does not have the room for it, or another program uses it.
        """
        connection = self._use(full=True)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of an older database, too, from now on
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        self._note_sync()

    def settle(self) -> None:
        """Sync what `commit_quickly` wrote, and use the calm to move the log's pages into the database.

        Raises:
            HistoryError: the disk did not take it.
        """
        # A checkpoint alone syncs nothing while a reader holds on to an older state; a commit always does.
        self.transaction(lambda connection: connection.execute(_TOUCH))
        self._checkpoint(self._use(full=True))

    # -- inside ---------------------------------------------------------------------------------------

    def _use(self, *, full: bool) -> sqlite3.Connection:
        connection = self._connection
        if connection is None:
            raise HistoryError(f"the history database {self._path} is closed")
        if full != self._full:
            try:
                connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            except sqlite3.Error as error:
                raise explain(error, self._path) from error
            self._full = full
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin a writing transaction, waiting for other programs as long as is allowed."""
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise explain(error, self._path) from error
            time.sleep(_BUSY_PAUSE)

    def _write(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> list[Written]:
        written = self._finish(connection, lambda connection: _write_group(connection, calls, self._last_seq))
        self._last_seq = max((call.events[-1].seq for call in written if call.events), default=self._last_seq)
        return written

    def _finish(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in the transaction that has begun, and commit."""
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:  # some errors have rolled back already
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise explain(error, self._path) from error
            raise
        return result

    def _note_sync(self) -> None:
        self._synced_at = self._clock()
        self._unsynced = False

    def _log_is_long(self) -> bool:
        try:
            return self._log.stat().st_size >= _CHECKPOINT_BYTES
        except OSError:
            return False

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        # What has been committed stands whether this succeeds or not; it is tried again later.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _last_seq(connection: sqlite3.Connection) -> int:
    row = connection.execute(_LAST_SEQ).fetchone()
    return row[0] if row else 0


def _write_group(connection: sqlite3.Connection, calls: Sequence[Call], last: int) -> list[Written]:
    """Write all calls at once; if one is refused, which is rare, begin again and write them one by one.

    `last` is the number of the last event that there is.
    """
    connection.execute("SAVEPOINT calls")
    try:
        entries = [entry for call in calls for entry in call]
        events = iter(_append(connection, entries, last))
        written = [Written(tuple([next(events) for _ in call])) for call in calls]
    except (AgentainerError, *_BAD_DATA):
        connection.execute("ROLLBACK TO calls")
        written = []
        for call in calls:
            alone = _write_alone(connection, call, last)
            last += len(alone.events)
            written.append(alone)
    connection.execute("RELEASE calls")
    return written


def _write_alone(connection: sqlite3.Connection, call: Call, last: int) -> Written:
    """Write one call; its refusal does not touch the others."""
    connection.execute("SAVEPOINT call")
    try:
        written = Written(tuple(_append(connection, call, last)))
    except AgentainerError as error:
        written = Written(error=error)
    except _BAD_DATA as error:
        events = "; ".join(describe(entry.event) for entry in call)
        written = Written(error=HistoryError(f"{events}: the data cannot be stored: {error!r}"))
    if written.error is not None:
        connection.execute("ROLLBACK TO call")
    connection.execute("RELEASE call")
    return written


def _append(connection: sqlite3.Connection, entries: Sequence[Entry], last: int) -> list[Event]:
    """Number the events, apply them to the views in order, then add them to the journal, all at once."""
    numbered = []
    rows = []
    for seq, (event, stamp, data) in enumerate(entries, start=last + 1):
        event = Event(*event[:-1], seq)
        project(connection, event, stamp)
        numbered.append(_as_kept(event))
        rows.append(
            (seq, event.run_id, event.type.value, stamp, event.step_id, event.item, event.attempt, data)
        )
    connection.executemany(_INSERT, rows)
    return numbered


def _as_kept(event: Event) -> Event:
    """The event as it is in the journal."""
    return event._replace(data=without_document(event)) if event.type is EventType.RUN_CREATED else event


def without_document(event: Event) -> dict[str, object]:
    """The data of a RUN_CREATED as it is kept: the texts are in the documents table."""
    kept = {key: value for key, value in event.data.items() if key != "document"}
    if children := kept.get("children"):
        kept["children"] = {
            name: {key: value for key, value in child.items() if key != "document"}
            for name, child in children.items()
        }
    return kept
