"""Schema versions, and files that are not ours to touch."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import HistoryError
from engine.history.database import connect_writer
from engine.history.journal import Journal
from engine.history.migrations import migrate
from engine.history.reader import Reader
from engine.history.schema import APPLICATION_ID, VERSIONS
from tests.unit.history.story import Story

SECOND = ("ALTER TABLE runs ADD COLUMN note TEXT", "UPDATE runs SET note = 'migrated'")
THIRD = ("CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT",)
BROKEN = ("CREATE TABLE half (id INTEGER) STRICT", "INSERT INTO no_such_table VALUES (1)")


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found
    finally:
        connection.close()


async def test_a_new_database_has_our_mark_our_version_and_only_its_owner_reads_it(database: Path) -> None:
    async with await Journal.open(database):
        pass
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    connection.close()
    assert version(database) == len(VERSIONS)
    assert database.stat().st_mode & 0o077 == 0


async def test_every_table_is_strict(database: Path) -> None:
    async with await Journal.open(database) as journal:
        tables = await journal.maintain(
            lambda connection: connection.execute(
                "SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND schema = 'main'"
            ).fetchall()
        )
    assert {name for name, strict in tables if not strict} == {"sqlite_schema", "sqlite_sequence"}


async def test_an_older_database_is_brought_up_step_by_step_with_its_data(database: Path) -> None:
    story = Story()
    async with await Journal.open(database) as journal:
        await journal.record(*story.whole())
    connection = connect_writer(database)
    migrate(connection, database, (*VERSIONS, SECOND, THIRD))
    assert connection.execute("SELECT id, note FROM runs").fetchall() == [(story.run_id, "migrated")]
    assert connection.execute("SELECT count(*) FROM extra").fetchone() == (0,)
    connection.close()
    assert version(database) == len(VERSIONS) + 2


async def test_a_step_that_fails_leaves_the_last_whole_version(database: Path) -> None:
    async with await Journal.open(database):
        pass
    connection = connect_writer(database)
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        migrate(connection, database, (*VERSIONS, SECOND, BROKEN))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    assert version(database) == len(VERSIONS) + 1
    assert "half" not in tables


async def assert_refused(database: Path, message: str) -> None:
    """Journal and reader refuse the file in words, and it stays as it is to the last byte."""
    before = database.read_bytes()
    with pytest.raises(HistoryError, match=message) as caught:
        await Journal.open(database)
    assert str(database) in caught.value.message
    assert caught.value.hint
    async with Reader(database) as reader:
        with pytest.raises(HistoryError, match=message):
            await reader.runs()
    assert database.read_bytes() == before


async def test_a_newer_database_is_refused_and_left_alone(database: Path) -> None:
    async with await Journal.open(database):
        pass
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA user_version = {len(VERSIONS) + 1}")
    connection.close()
    await assert_refused(database, f"version {len(VERSIONS) + 1}")


async def test_another_programs_database_is_refused_and_left_alone(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    await assert_refused(database, "another program")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(database: Path) -> None:
    database.write_bytes(b"this is a letter, not a database\n" * 100)
    await assert_refused(database, "not an SQLite database")


async def test_a_damaged_database_is_refused_in_words_when_the_damage_is_met(database: Path) -> None:
    async with await Journal.open(database) as journal:
        for number in range(200):
            journal.record(*Story(f"run{number}").whole())
    content = bytearray(database.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    database.write_bytes(content)
    async with Reader(database) as reader:
        with pytest.raises(HistoryError, match="damaged"):
            await reader.runs()
    with pytest.raises(HistoryError, match="damaged"):
        async with await Journal.open(database) as journal:
            await journal.record(Story("new").created())


async def test_an_empty_file_is_taken_as_a_new_database(database: Path) -> None:
    database.touch()
    async with Reader(database) as reader:
        assert await reader.runs() == []
        async with await Journal.open(database) as journal:
            await journal.record(Story().created())
        assert len(await reader.runs()) == 1


async def test_a_directory_in_its_place_is_refused_in_words(database: Path) -> None:
    database.mkdir()
    with pytest.raises(HistoryError, match="cannot be opened") as caught:
        await Journal.open(database)
    assert str(database) in caught.value.message


async def test_a_missing_directory_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be created: No such file or directory"):
        await Journal.open(tmp_path / "no" / "history.db")


# Root may write everywhere, so these run as a process that has given its rights away.
UNPRIVILEGED = """
import asyncio, os, sys
from pathlib import Path
from engine.errors import HistoryError
from engine.history.journal import Journal
from engine.history.reader import Reader
path = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
async def main():
    async with Reader(path) as reader:
        print(len(await reader.runs()))
    try:
        await Journal.open(path)
    except HistoryError as error:
        print(error)
asyncio.run(main())
"""


@pytest.mark.parametrize("file_mode", [0o644, 0o444])
async def test_a_home_without_write_permission_can_be_read_and_is_refused_for_writing(
    database: Path, file_mode: int
) -> None:
    async with await Journal.open(database) as journal:
        await journal.record(*Story().whole())
    for directory in database.parents:
        if not directory.stat().st_mode & 0o005:
            directory.chmod(0o755)
    database.chmod(file_mode)
    database.parent.chmod(0o555)
    try:
        shown = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(database)], capture_output=True, text=True
        )
    finally:
        database.parent.chmod(0o755)
    count, *refusal = shown.stdout.splitlines() or [shown.stderr]
    assert count == "1", shown.stderr
    assert str(database) in refusal[0]
    assert "permission" in refusal[1] or "may read and write there" in refusal[1]


def columns(connection: sqlite3.Connection) -> dict[str, set[tuple[str, str, int]]]:
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        table: {
            (row[1], row[2], row[3]) for row in connection.execute(f"PRAGMA table_info({table})").fetchall()
        }
        for (table,) in tables
    }


async def test_a_home_of_the_first_version_keeps_its_runs_and_reads_like_a_new_one(database: Path) -> None:
    connection = connect_writer(database)
    migrate(connection, database, VERSIONS[:1])
    connection.execute(
        "INSERT INTO runs (seq, id, workflow, digest, status, backend, params, initial_state, created_at)"
        " VALUES (0, 'aaaaaaaaaaaa', 'old', 'd', 'completed', 'process', '{}', '{}', '2026-11-22T10:00:00Z')"
    )
    connection.execute(
        "INSERT INTO steps (run_id, id, name, type, ordinal, depends_on, status)"
        " VALUES ('aaaaaaaaaaaa', 's', 's', 'sequential', 0, '[]', 'completed')"
    )
    connection.close()

    async with await Journal.open(database) as journal:
        await journal.record(*Story().whole())
        found = await journal.maintain(columns)
    fresh = sqlite3.connect(":memory:")
    for steps in VERSIONS:
        for statement in steps:
            fresh.execute(statement)
    assert found == columns(fresh)
    async with Reader(database) as reader:
        detail = await reader.detail("aaaaaaaaaaaa")
        assert (detail.run.parent, detail.steps[0].role, detail.steps[0].artifacts) == (None, "main", ())
        assert len(await reader.runs()) == 2
