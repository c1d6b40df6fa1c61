"""The reading side's connection: opened when first needed, read-only, safe beside an active writer."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from engine.errors import HistoryError
from engine.history.database import explain, reader_uri
from engine.history.migrations import IDENTITY, check_identity
from engine.history.schema import VERSIONS

Row = tuple[Any, ...]

# SQLite waits that long (s) for a lock; readers of a write-ahead log hardly ever meet one.
_BUSY_TIMEOUT = 5.0

# What SQLite says when it cannot make the index of a write-ahead log.
_NO_INDEX = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


class ReadConnection:
    """One read-only connection. Where there is no database (yet), every query finds nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None
        self._keeper: AsyncGenerator[aiosqlite.Connection, None] | None = None

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one query.

        Raises:
            HistoryError: the database cannot be read; says why and what to do.
        """
        async with self.snapshot() as snapshot:
            return await snapshot.fetch(sql, parameters)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Several queries that see the same moment of the database. Keep it short.

        Raises:
            HistoryError: as `fetch`.
        """
        async with self._lock:
            try:
                connection = await self._open()
                if connection is None:
                    yield Snapshot(None)
                    return
                try:
                    await connection.execute("BEGIN")
                    yield Snapshot(connection)
                finally:
                    # Queued behind a BEGIN whose awaiter was cancelled, and nothing without one.
                    await connection.rollback()
            except sqlite3.Error as error:
                raise explain(error, self._path) from None

    async def close(self) -> None:
        """Close the connection, if there is one; a later query opens it again."""
        async with self._lock:
            self._connection = None
            if self._keeper is not None:
                await self._keeper.aclose()
                self._keeper = None

    async def _open(self) -> aiosqlite.Connection | None:
        if self._connection is None and await asyncio.to_thread(self._path.exists):
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> aiosqlite.Connection | None:
        """The connection; None while the database has no tables yet."""
        try:
            return await self._checked(reader_uri(self._path))
        except sqlite3.OperationalError as error:
            # On a read-only medium the write-ahead log's index cannot be made. Without a log there
            # nobody can be writing, and the file can be read as it stands.
            log = self._path.with_name(f"{self._path.name}-wal")
            if error.sqlite_errorcode & 0xFF not in _NO_INDEX or log.exists():
                raise
            return await self._checked(reader_uri(self._path, immutable=True))

    async def _checked(self, uri: str) -> aiosqlite.Connection | None:
        keeper = _keep_open(uri)
        try:
            connection = await anext(keeper)
            (identity,) = await connection.execute_fetchall(IDENTITY)
            version = check_identity(tuple(identity), self._path)
            if 0 < version < len(VERSIONS):
                raise HistoryError(
                    f"the history database {self._path}: its schema is version {version}, "
                    f"this program reads version {len(VERSIONS)}",
                    hint="start a workflow or the dashboard once: the engine brings it up to date",
                )
        except BaseException:
            await keeper.aclose()
            raise
        if version == 0:
            await keeper.aclose()
            return None
        self._keeper = keeper
        return connection


async def _keep_open(uri: str) -> AsyncGenerator[aiosqlite.Connection, None]:
    """A connection that is closed with this generator, which the event loop does when it ends.

    Otherwise the thread of a connection that nobody closed would keep the whole process from ending.
    """
    async with aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT) as connection:
        yield connection


class Snapshot:
    """Queries inside one read transaction."""

    def __init__(self, connection: aiosqlite.Connection | None) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one query; none where there is no database."""
        if self._connection is None:
            return []
        return list(await self._connection.execute_fetchall(sql, parameters))  # type: ignore[arg-type]
