"""A journal and a reader on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.history.journal import Journal
from engine.history.reader import Reader


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
async def journal(database: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(database) as journal:
        yield journal


@pytest.fixture
async def reader(database: Path, journal: Journal) -> AsyncIterator[Reader]:
    async with Reader(database) as reader:
        yield reader
