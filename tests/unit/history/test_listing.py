"""The list of runs: filters that combine, pages without gaps, and how little of a long history they read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.history import listing
from engine.history.connection import Row, Snapshot
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.history.records import RunFilter, RunPage
from tests.unit.history.story import EPOCH, Story


async def ids(reader: Reader, limit: int = 50, **wanted: Any) -> list[str]:
    """The runs that are found, page by page."""
    found: list[str] = []
    before: int | None = None
    while True:
        page = await reader.list_runs(RunFilter(**wanted), limit=limit, before=before)
        assert len(page.runs) <= limit
        found += [listed.run.id for listed in page.runs]
        if page.before is None:
            return found
        assert before is None or page.before < before, "every page goes on further down"
        before = page.before


async def record(journal: Journal, run_id: str, *, status: str = "completed", **data: Any) -> None:
    ending = {"error": data.pop("error")} if "error" in data else {}
    start = data.pop("start", EPOCH)
    story = Story(run_id, start=start)
    await journal.record(
        story.created("one", "two", **data),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.step("one", "running", status, duration=2.0),
        *([story.step("two", "pending", "skipped")] if status == "failed" else []),
        story.run("running", status, duration=float(len(run_id)), **ending),
    )


async def test_filters_combine(journal: Journal, reader: Reader) -> None:
    await record(journal, "aa", workflow="train", params={"model": "Tiny"})
    await record(journal, "bb", workflow="train", status="failed", error="No space left on device")
    await record(journal, "cc", workflow="deploy", status="failed", error="no route to host")
    await record(journal, "dd", workflow="deploy", status="cancelled")
    assert await ids(reader) == ["dd", "cc", "bb", "aa"]
    assert await ids(reader, workflow="train") == ["bb", "aa"]
    assert await ids(reader, statuses=("failed",)) == ["cc", "bb"]
    assert await ids(reader, statuses=("failed", "cancelled")) == ["dd", "cc", "bb"]
    assert await ids(reader, statuses=("completed", "failed"), workflow="train") == ["bb", "aa"]
    assert await ids(reader, statuses=("failed",), workflow="train", text="space") == ["bb"]
    assert await ids(reader, statuses=("cancelled",), workflow="train") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("train", ["aa"]),
        ("TRAIN", ["aa"]),
        ("tiny", ["aa"]),
        ("model tiny", ["aa"]),
        ("model deploy", []),
        ("route", ["bb"]),
        ("!train", ["bb"]),
        ("b", ["bb"]),
        ("100%", ["bb"]),
        ("_", ["bb"]),
        ("'; DROP TABLE runs; --", []),
        ("Zürich", ["aa"]),
        ("   ", ["bb", "aa"]),
    ],
)
async def test_text_is_looked_for_in_names_ids_errors_and_params(
    journal: Journal, reader: Reader, text: str, found: list[str]
) -> None:
    await record(journal, "aa", workflow="train", params={"model": "Tiny", "place": "Zürich"})
    error = "no_route: 100% lost"
    await record(journal, "bb", workflow="deploy", status="failed", error=error)
    assert await ids(reader, text=text) == found


async def test_a_period_begins_at_its_moment(journal: Journal, reader: Reader) -> None:
    for day in range(5):
        await record(journal, f"day{day}", start=EPOCH + timedelta(days=day))
    since = EPOCH + timedelta(days=3)
    assert await ids(reader, since=since) == ["day4", "day3"]
    assert await ids(reader, since=datetime.max.replace(tzinfo=UTC)) == []


async def test_pages_hold_each_run_once_whatever_is_filtered(journal: Journal, reader: Reader) -> None:
    for number in range(60):
        status = "failed" if number % 7 == 0 else "completed"
        await record(journal, f"{number:03}", workflow=f"w{number % 3}", status=status)
    everything = [f"{number:03}" for number in reversed(range(60))]
    for limit in (1, 7, 59, 60, 61):
        assert await ids(reader, limit) == everything
    failed = [run_id for run_id in everything if int(run_id) % 7 == 0]
    assert await ids(reader, 2, statuses=("failed",)) == failed
    assert await ids(reader, 2, statuses=("failed",), workflow="w1") == [
        run_id for run_id in failed if int(run_id) % 3 == 1
    ]


async def test_one_page_looks_at_a_bounded_number_of_runs(
    journal: Journal, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "WINDOW", 20)
    await record(journal, "needle", params={"word": "rare"})
    for number in range(100):
        await record(journal, f"{number:03}")
    page = await reader.list_runs(RunFilter(text="rare"), limit=5)
    assert page.runs == ()
    assert page.before is not None, "there is more to look at"
    assert page.looked_at is not None
    assert await ids(reader, 5, text="rare") == ["needle"]


async def test_parts_of_others_are_listed_only_where_they_are_asked_for(
    journal: Journal, reader: Reader
) -> None:
    await record(journal, "parent")
    await record(journal, "child", parent={"run_id": "parent", "step_id": "one", "attempt": 1})
    assert await ids(reader) == ["parent"]
    assert await ids(reader, children=True) == ["child", "parent"]
    (listed,) = (await reader.list_runs(RunFilter(), limit=5)).runs
    assert listed.children == 1
    assert await reader.count_own_runs() == 1


async def test_a_row_tells_steps_retries_and_what_is_usual(journal: Journal, reader: Reader) -> None:
    for run_id in ("1", "333", "55555"):
        await record(journal, run_id)
    await record(journal, "bad", status="failed")
    await record(journal, "again", retry_of="bad", status="failed")
    await record(journal, "better", retry_of="bad")
    listed = {row.run.id: row for row in (await reader.list_runs(RunFilter(), limit=50)).runs}
    assert (listed["bad"].steps, listed["bad"].completed) == (2, 0)
    assert (listed["1"].steps, listed["1"].completed) == (2, 1)
    assert (listed["bad"].retried_by, listed["bad"].retried_status) == ("better", "completed")
    assert listed["better"].run.retry_of == "bad"
    # Of 1, 3, 5 and 6 seconds; what failed says nothing about how long it takes.
    assert listed["bad"].usual == 4.0


async def test_steps_of_a_huge_run_are_not_counted_one_by_one(
    journal: Journal, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_COUNTED", 1)
    await record(journal, "huge")
    (listed,) = (await reader.list_runs(RunFilter(), limit=5)).runs
    assert (listed.steps, listed.completed) == (2, None)


async def test_a_home_without_a_database_has_no_runs(tmp_path: Path) -> None:
    async with Reader(tmp_path / "history.db") as reader:
        assert await reader.list_runs(RunFilter(text="x"), limit=5) == RunPage()
        assert await reader.count_own_runs() == 0


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(),
        RunFilter(children=True),
        RunFilter(text="word"),
        RunFilter(workflow="demo"),
        RunFilter(statuses=("failed",)),
        RunFilter(statuses=("failed", "cancelled"), workflow="demo", text="a b"),
        RunFilter(since=EPOCH),
    ],
)
async def test_no_page_reads_a_whole_table(
    journal: Journal, reader: Reader, monkeypatch: pytest.MonkeyPatch, wanted: RunFilter
) -> None:
    await record(journal, "aa", status="failed")
    plans: list[str] = []
    fetch = Snapshot.fetch

    async def explaining(self: Snapshot, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        plans.extend(row[3] for row in await fetch(self, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return await fetch(self, sql, parameters)

    monkeypatch.setattr(Snapshot, "fetch", explaining)
    await reader.list_runs(wanted, limit=5, before=99)
    assert len(plans) > 2
    tables = ("runs", "steps", "run_figures", "attempts", "items")
    assert not [plan for plan in plans if plan.startswith(tuple(f"SCAN {name}" for name in tables))]
