"""Figures over many runs."""

from __future__ import annotations

import json
from datetime import timedelta

from engine.history.journal import Journal
from engine.history.reader import Reader
from tests.unit.history.story import EPOCH, Story


async def test_figures_per_workflow(journal: Journal, reader: Reader) -> None:
    number = 0
    for workflow, ends in {
        "a": ["completed"] * 7 + ["failed"] * 2 + ["cancelled"],
        "b": ["cancelled"],
    }.items():
        for position, end in enumerate(ends, start=1):
            number += 1
            story = Story(f"run{number}")
            middle = [story.run("running", "cancelling")] if end == "cancelled" else []
            old = "cancelling" if middle else "running"
            journal.record(
                story.created(workflow=workflow),
                story.run("pending", "running"),
                story.step("one", "pending", "running"),
                story.step("one", "running", "retrying", delay=1, next_attempt_at="t", error="e"),
                *middle,
                story.run(old, end, duration=float(position)),
            )
    story = Story("unfinished")
    await journal.record(story.created(workflow="c"))

    a, b, c = await reader.stats()
    assert (a.workflow, a.runs, a.by_status) == ("a", 10, {"cancelled": 1, "completed": 7, "failed": 2})
    assert a.success_rate == 7 / 9
    # Durations 1 to 9; the cancelled run's 10 does not count.
    assert (a.average, a.p50, a.p90) == (5.0, 5.0, 9.0)
    assert a.retries == 10
    assert (b.success_rate, b.average, b.p50, b.p90, b.runs) == (None, None, None, None, 1)
    assert (c.runs, c.by_status, c.success_rate) == (1, {"pending": 1}, None)
    assert "NaN" not in json.dumps([figures.to_json() for figures in (a, b, c)])


async def test_a_single_run_is_its_own_median(journal: Journal, reader: Reader) -> None:
    await journal.record(*Story().whole())
    (figures,) = await reader.stats()
    assert figures.p50 == figures.p90 == figures.average == 6.0


async def test_a_period_counts_the_runs_created_in_it(journal: Journal, reader: Reader) -> None:
    for day in range(5):
        await journal.record(*Story(f"day{day}", start=EPOCH + timedelta(days=day)).whole())
    assert [f.runs for f in await reader.stats(EPOCH + timedelta(days=2))] == [3]
    assert [f.runs for f in await reader.stats(until=EPOCH + timedelta(days=2))] == [2]
    assert [f.runs for f in await reader.stats(EPOCH + timedelta(days=1), EPOCH + timedelta(days=2))] == [1]
    assert await reader.stats(EPOCH + timedelta(days=9)) == []


async def test_counts_name_every_status(journal: Journal, reader: Reader) -> None:
    await journal.record(*Story("a").whole())
    await journal.record(*Story("b").whole(status="failed"))
    counts = await reader.counts()
    assert counts["completed"] == counts["failed"] == 1
    assert counts["running"] == 0 and sum(counts.values()) == 2


async def test_the_last_runs_of_every_workflow(journal: Journal, reader: Reader) -> None:
    for number in range(12):
        story = Story(f"run{number:02}")
        await journal.record(story.created(workflow="xyz"[number % 3]))
    last = await reader.last_runs_by_workflow(2)
    assert {workflow: [run.id for run in runs] for workflow, runs in last.items()} == {
        "x": ["run09", "run06"],
        "y": ["run10", "run07"],
        "z": ["run11", "run08"],
    }
