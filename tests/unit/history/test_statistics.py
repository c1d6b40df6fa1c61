"""Short answers about many runs."""

from __future__ import annotations

from engine.history.journal import Journal
from engine.history.reader import Reader
from tests.unit.history.story import Story


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
