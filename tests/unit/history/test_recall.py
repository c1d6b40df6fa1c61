"""Results of earlier work, found again by their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.errors import IllegalTransitionError
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.history.retention import delete_run
from tests.unit.history.story import EPOCH, Story


@pytest.fixture
async def reader(database: Path, journal: Journal) -> AsyncIterator[Reader]:
    """A reader whose clock stands one minute after the beginning of every story."""
    async with Reader(database, now=lambda: EPOCH + timedelta(minutes=1)) as reader:
        yield reader


async def finished(journal: Journal, run_id: str, *, late: float = 0.0, **data: Any) -> None:
    """A run whose one step ends three seconds (and `late`) after the beginning of its story."""
    story = Story(run_id, start=EPOCH + timedelta(seconds=late))
    await journal.record(
        story.created("one"),
        story.run("pending", "running"),
        story.step("one", "pending", "completed", cache_key="key", **data),
        story.run("running", "completed"),
    )


async def test_a_result_comes_back_with_all_that_the_step_did(journal: Journal, reader: Reader) -> None:
    changes = {"set": {"a": [1], "b": None}, "removed": ["c"], "collections": {"a": "list"}}
    artifacts = [{"name": "report", "size": 3}]
    await finished(journal, "aaaa", result={"n": 1}, exit_code=0, changes=changes, artifacts=artifacts)
    found = await reader.recall("key")
    assert found is not None
    assert (found.run_id, found.step_id, found.item) == ("aaaa", "one", None)
    assert (found.result, found.exit_code, found.changes) == ({"n": 1}, 0, changes)
    assert found.artifacts == tuple(artifacts)
    assert found.finished_at == "2026-01-01T00:00:03.000000Z"
    assert await reader.recall("another key") is None


async def test_a_result_that_changed_no_state_comes_back_without_changes(
    journal: Journal, reader: Reader
) -> None:
    await finished(journal, "aaaa", result=False, changes={"set": {}, "removed": []})
    found = await reader.recall("key")
    assert found is not None and found.result is False and found.changes is None and found.artifacts == ()


async def test_the_newest_result_of_a_key_counts_until_its_run_goes(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    await finished(journal, "aaaa", result="older")
    await finished(journal, "bbbb", result="newer")
    for expected, run_id in (("newer", "bbbb"), ("older", "aaaa")):
        found = await reader.recall("key")
        assert found is not None and (found.result, found.run_id) == (expected, run_id)
        await delete_run(journal, tmp_path / "logs", run_id, artifacts=tmp_path / "artifacts")
    assert await reader.recall("key") is None


@pytest.mark.parametrize(
    ("max_age", "there"),
    [(56.999, False), (57.0, True), (None, True), (1e12, True), (1e300, True)],
)
async def test_a_result_is_found_up_to_its_age_and_not_a_millisecond_longer(
    journal: Journal, reader: Reader, max_age: float | None, there: bool
) -> None:
    await finished(journal, "aaaa", result=1)
    assert (await reader.recall("key", max_age) is not None) is there


async def test_items_are_remembered_one_by_one_null_results_too(journal: Journal, reader: Reader) -> None:
    story = Story("aaaa")
    await journal.record(
        story.created("one"),
        story.step("one", "pending", "running"),
        story.expanded("one", "x", "y"),
        story.item("one", 0, "pending", "completed", result=None, exit_code=0, cache_key="x"),
        story.item("one", 1, "pending", "completed", result=2, cache_key="y", artifacts=[{"name": "a"}]),
        story.step("one", "running", "completed", result=[None, 2], exit_code=9, artifacts=[{"name": "all"}]),
    )
    x, y = await reader.recall("x"), await reader.recall("y")
    assert x is not None and (x.item, x.result, x.exit_code, x.artifacts) == (0, None, 0, ())
    assert y is not None and (y.item, y.result, y.exit_code) == (1, 2, None)
    assert y.artifacts == ({"name": "a"},)
    # What the whole step did to the state is no item's.
    assert x.changes is None and y.changes is None


async def test_a_result_without_a_key_is_not_remembered(journal: Journal, reader: Reader) -> None:
    await journal.record(*Story("aaaa").whole())
    assert await reader.recall("") is None and await reader.recall("None") is None


async def test_a_refused_end_is_not_remembered(journal: Journal, reader: Reader) -> None:
    await finished(journal, "aaaa", result="first")
    with pytest.raises(IllegalTransitionError):
        await journal.record(Story("aaaa").step("one", "pending", "completed", cache_key="key", result="no"))
    found = await reader.recall("key")
    assert found is not None and found.result == "first"
