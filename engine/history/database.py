"""Opening the history's SQLite file, and saying in plain words why SQLite could not do something."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from engine.errors import HistoryError

# SQLite waits that long (s) for a file that another program holds when the database is opened.
_OPEN_TIMEOUT = 5.0

# A burst may grow the write-ahead log; it is cut back to this once its pages are in the database.
_JOURNAL_SIZE_LIMIT = 64 << 20

_MOVE_AWAY = "move it away (with its -wal and -shm files) to start a new history, or restore a copy of it"

# Primary result code -> what happened, what to do.
_EXPLANATIONS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space; writing is tried again with the next event"),
    sqlite3.SQLITE_IOERR: (
        "the disk reported an error",
        "check the disk and its free space; writing is tried again with the next event",
    ),
    sqlite3.SQLITE_READONLY: (
        "it cannot be written to",
        "give yourself write permission on the file and its directory, or use another --home",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "check that its directory exists and that you may read and write there, or use another --home",
    ),
    sqlite3.SQLITE_PERM: ("access was refused", "check its permissions, or use another --home"),
    sqlite3.SQLITE_BUSY: (
        "another program keeps it locked",
        "close what has it open (an SQLite shell, a backup), then try again",
    ),
    sqlite3.SQLITE_LOCKED: ("another program keeps it locked", "close what has it open, then try again"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", _MOVE_AWAY),
    sqlite3.SQLITE_NOTADB: ("the file is not an SQLite database, or is damaged", _MOVE_AWAY),
}


def explain(error: sqlite3.Error, path: Path) -> HistoryError:
    """The HistoryError for what SQLite reported about the database at `path`."""
    code = getattr(error, "sqlite_errorcode", None)
    what, hint = _EXPLANATIONS.get((code or 0) & 0xFF, ("it could not be used", ""))
    return HistoryError(f"the history database {path}: {what} ({error})", hint=hint)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the database for writing, creating an empty file if there is none. Transactions are explicit.

    It may go from thread to thread, but only one may use it at a time.

    Raises:
        sqlite3.Error: as it is; the caller knows whether the file should be blamed.
        OSError: the file cannot be created.
    """
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=_OPEN_TIMEOUT, isolation_level=None, cached_statements=256, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        if path.stat().st_size == 0:
            # Only possible before there is a table: the room of deleted rows can be given back bit by bit.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_SIZE_LIMIT}")
    except BaseException:
        connection.close()
        raise
    return connection


def reader_uri(path: Path, *, immutable: bool = False) -> str:
    """The SQLite URI that opens `path` read-only; `immutable` for a file nobody can be writing to."""
    return f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if immutable else ''}"
