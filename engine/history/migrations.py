"""Bringing a database file to the schema that this version of the program knows.

The version is in `PRAGMA user_version`. Each step up is one transaction, so a crash in the middle leaves
the file at a whole version. A file that is not ours, or newer than we are, is refused and left as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from engine.errors import HistoryError
from engine.history.schema import APPLICATION_ID, VERSIONS

Steps = Sequence[Sequence[str]]


# One row of application id, schema version and number of tables and indices, for `check_identity`.
IDENTITY = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
    " FROM pragma_application_id, pragma_user_version"
)


def check_identity(row: Sequence[int], path: Path, *, known: int = len(VERSIONS)) -> int:
    """The schema version in a row of `IDENTITY`, 0 for an empty file.

    Raises:
        HistoryError: the database belongs to another program, or to a version newer than `known`.
    """
    application, version, objects = row
    if application != APPLICATION_ID and (objects or application or version):
        raise HistoryError(
            f"the history database {path}: this is the database of another program",
            hint="it was left as it is; move it away, or use another --home",
        )
    if version > known:
        raise HistoryError(
            f"the history database {path}: its schema is version {version}, this program knows up to {known}",
            hint="a newer agentainer wrote it: install that version again, or use another --home",
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path, steps: Steps = VERSIONS) -> None:
    """Bring the database to version `len(steps)`; `steps[i]` leads from version i to i + 1.

    Raises:
        HistoryError: the file is not ours or newer than we are.
        sqlite3.Error: SQLite could not do it; the file stands at the last whole version.
    """
    known = len(steps)
    if check_identity(connection.execute(IDENTITY).fetchone(), path, known=known) < known:
        while _step_up(connection, path, steps):
            pass


def _step_up(connection: sqlite3.Connection, path: Path, steps: Steps) -> bool:
    """Go one version up; False when nothing is left to do."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have been faster.
        version = check_identity(connection.execute(IDENTITY).fetchone(), path, known=len(steps))
        if version < len(steps):
            for statement in steps[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return version + 1 < len(steps)
