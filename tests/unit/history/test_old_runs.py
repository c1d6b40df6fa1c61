"""Which runs `prune` finds: whole families, never parts of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.clock import isoformat
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.settings import Settings
from engine.upkeep import delete_runs, old_runs
from tests.unit.history.story import EPOCH, Story


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
async def journal(settings: Settings) -> AsyncIterator[Journal]:
    settings.home.mkdir()
    async with await Journal.open(settings.database) as journal:
        yield journal


async def record(journal: Journal, run_id: str, parent: str | None = None, *, kept: bool = False) -> None:
    story = Story(run_id)
    link: dict[str, Any] = {"parent": {"run_id": parent, "step_id": "one", "attempt": 1}} if parent else {}
    await journal.record(
        story.created("one", **link),
        story.run("pending", "running"),
        story.attempt_created("one"),
        story.attempt("one", "pending", "failed", kept=kept),
        story.run("running", "failed"),
    )


async def found(settings: Settings, *, before: str | None = None, keep: int | None = None) -> list[str]:
    return [run.id for run in await old_runs(settings, before=before, keep=keep)]


async def test_runs_within_others_are_neither_listed_nor_counted(
    journal: Journal, settings: Settings
) -> None:
    await record(journal, "aaaa")
    await record(journal, "bbbb")
    for child in ("c111", "c222", "c333"):
        await record(journal, child, "bbbb")
    assert await found(settings, keep=0) == ["aaaa", "bbbb"]
    assert await found(settings, keep=1) == ["aaaa"]
    assert await found(settings, before=isoformat(EPOCH + timedelta(days=1))) == ["aaaa", "bbbb"]


async def test_a_run_is_not_old_while_agents_are_kept_anywhere_within_it(
    journal: Journal, settings: Settings
) -> None:
    await record(journal, "aaaa")
    await record(journal, "bbbb", "aaaa")
    await record(journal, "cccc", "bbbb", kept=True)
    await record(journal, "dddd")
    assert await found(settings, keep=0) == ["dddd"]


async def test_what_is_found_can_be_deleted_families_included(settings: Settings) -> None:
    settings.home.mkdir()
    async with await Journal.open(settings.database) as journal:
        await record(journal, "aaaa")
        await record(journal, "bbbb", "aaaa")
        await record(journal, "cccc", "bbbb")
        await record(journal, "dddd")
    await delete_runs(settings, await found(settings, keep=0))
    async with Reader(settings.database) as reader:
        assert await reader.runs() == []
