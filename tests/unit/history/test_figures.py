"""What figures are made of, from the events of runs to the rows."""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.events import Event
from engine.history.connection import Snapshot
from engine.history.database import connect_writer
from engine.history.figures import Scope
from engine.history.journal import Journal
from engine.history.migrations import migrate
from engine.history.projection import rebuild
from engine.history.reader import Reader
from engine.history.retention import delete_run
from engine.history.schema import VERSIONS
from engine.insight import insight, metrics_of_run, prometheus_text
from tests.unit.history.story import EPOCH, Story

WARM = {"mode": "shell", "agent": "warm-1", "reused": True, "uses": 2}
NEW = {"mode": "shell", "agent": "warm-2", "reused": False, "uses": 1}
PARKED = {"mode": "exec", "agent": "warm-3", "reused": True, "uses": 1}
FAILED: dict[str, Any] = {"reason": "task_failed", "error": "no"}
COLD = {"mode": "cold", "agent": "own", "why": "no shell"}


def pooled_run(story: Story, **created: Any) -> list[Event]:
    """A run whose tasks found agents in all the ways that there are."""

    def task(step: str, number: int, end: str, placement: Any, usage: Any, phases: Any) -> list[Event]:
        return [
            story.attempt_created(step, number),
            story.attempt(step, "pending", "running", number=number, agent_id=f"id-{step}-{number}",
                          **({"placement": placement} if placement else {})),
            story.attempt(step, "running", end, number=number, kept=False, duration=2.0, usage=usage,
                          phases=phases, **(FAILED if end == "failed" else {})),
        ]  # fmt: skip

    used = {"cpu_seconds": 1.5, "memory_peak": 100, "network_in": 10, "network_out": 20, "sampled": False}
    return [
        story.created("one", "two", "three", **created),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        *task("one", 1, "failed", COLD, None, {"queue": 0.5, "create": 1.0, "start": 0.25}),
        story.step("one", "running", "retrying", delay=1, next_attempt_at="t", error="e"),
        story.step("one", "retrying", "running"),
        *task("one", 2, "completed", NEW, used, {"queue": 0.0, "image": 2.0, "create": 1.0, "start": 1.0}),
        story.step("one", "running", "completed", duration=10.0),
        story.step("two", "pending", "running"),
        *task("two", 1, "completed", WARM, {**used, "memory_peak": 900}, {"queue": 0.25, "create": 0.0}),
        story.step("two", "running", "completed", duration=3.0),
        story.step("three", "pending", "running"),
        *task("three", 1, "failed", PARKED, {"cpu_seconds": 2.0, "sampled": True}, None),
        story.step("three", "running", "failed", reason="task_failed", error="no", duration=4.0),
        story.run("running", "failed", reason="task_failed", error="step 'three' failed: no", duration=20.0),
    ]


async def test_a_run_that_is_over_has_its_figures_in_a_row_of_its_own(
    journal: Journal, reader: Reader
) -> None:
    await journal.record(*pooled_run(Story("aaaa")))
    rows = await reader.period_rows(Scope())
    assert rows.runs == [("demo", 0, "failed", "2026-01-01T00:00:01.000000Z", 20.0)]
    # Retries, steps, failed steps, tasks, new agents, hits, misses, CPU, memory, network in and out.
    assert rows.sums == [("demo", 0, 1, 3, 1, 4, 3, 2, 2, 5.0, 900, 20, 40)]
    assert [row[2:6] for row in rows.errors] == [("task_failed", 1, "aaaa", "step 'three' failed: no")]
    assert sorted(rows.tasks) == [
        ("demo", "one", 0.0, 4.0, 1.5, 100, 2),
        ("demo", "one", 0.5, 1.25, None, None, 1),
        ("demo", "three", None, None, 2.0, None, 1),
        ("demo", "two", 0.25, 0.0, 1.5, 900, 1),
    ]


async def test_the_figures_are_derived_again_with_the_other_views(journal: Journal, reader: Reader) -> None:
    await journal.record(*pooled_run(Story("aaaa")))
    before = await reader.period_rows(Scope())
    await journal.maintain(lambda connection: rebuild(connection, "aaaa"))
    assert await reader.period_rows(Scope()) == before


async def test_the_metrics_of_a_run_have_what_every_step_took_and_used(
    journal: Journal, reader: Reader
) -> None:
    await journal.record(*pooled_run(Story("aaaa")))
    document = (await metrics_of_run(reader, "last")).to_json()
    assert (document["workflow_id"], document["status"], document["duration"]) == ("aaaa", "failed", 20.0)
    usage = document["resource_usage"]
    assert usage["cpu_millicores"] == 250.0  # 5 s of CPU time in 20 s
    assert (usage["memory_bytes"], usage["network_bytes_in"], usage["network_bytes_out"]) == (900, 20, 40)
    assert (usage["agents_deployed"], usage["agents_reused"], usage["pool_misses"]) == (3, 2, 2)
    assert usage["pool_utilization"] == 0.5
    one, two, three = document["step_metrics"].values()
    assert (one["step_name"], one["retry_count"], one["agent_id"], one["agent_pooled"]) == (
        "ONE", 1, "id-one-2", True
    )  # fmt: skip
    assert (one["duration"], one["resource_usage"]["cpu_millicores"]) == (10.0, 150.0)
    assert (two["resource_usage"]["agents_deployed"], two["resource_usage"]["agents_reused"]) == (0, 1)
    assert (three["status"], three["error"]) == ("failed", "no")
    assert [(error["step_id"], error["reason"]) for error in document["errors"]] == [("three", "task_failed")]
    assert document["error_count"] == 1


async def test_a_run_in_progress_has_metrics_as_of_now(journal: Journal, reader: Reader) -> None:
    await journal.record(*pooled_run(Story("aaaa"))[:3])
    metrics = await metrics_of_run(reader, "aaaa", now=EPOCH + timedelta(seconds=62))
    assert (metrics.status, metrics.duration, metrics.end_time) == ("running", 60.0, None)
    one, two, _ = metrics.steps
    assert (one.status, one.duration, one.start_time) == ("running", 59.0, "2026-01-01T00:00:03.000000Z")
    assert (two.status, two.duration, two.start_time, two.agent_id) == ("pending", 0.0, None, None)
    assert metrics.resource_usage.cpu_millicores == 0.0


async def test_items_that_failed_stand_for_their_step(journal: Journal, reader: Reader) -> None:
    story = Story("aaaa")
    await journal.record(
        story.created("one"),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.expanded("one", *range(250)),
        *(
            story.item("one", number, "pending", "failed", reason="task_failed", error=f"no {number}")
            for number in range(150)
        ),
        story.step("one", "running", "failed", reason="task_failed", error="150 of 250 items failed"),
    )
    metrics = await metrics_of_run(reader, "aaaa")
    assert metrics.failed == 150 and len(metrics.errors) == 100
    assert (metrics.errors[0].item, metrics.errors[0].error) == (0, "no 0")


async def test_a_period_counts_the_runs_created_in_it(journal: Journal, reader: Reader) -> None:
    for number in range(5):
        start = EPOCH + timedelta(days=number)
        await journal.record(*Story(f"day{number}", start=start).whole())

    async def runs(**period: Any) -> int:
        return (await insight(reader, **period)).overall.runs

    day = timedelta(days=1)
    assert await runs() == 5
    assert await runs(since=EPOCH + 2 * day) == 3
    assert await runs(until=EPOCH + 2 * day) == 2
    assert await runs(since=EPOCH + day, until=EPOCH + 2 * day) == 1
    assert await runs(since=EPOCH + 9 * day) == 0


async def test_totals_and_history_agree_on_runs_that_are_part_of_others(
    journal: Journal, reader: Reader
) -> None:
    await journal.record(*Story("aaaa").whole())
    link = {"run_id": "aaaa", "step_id": "one", "attempt": 1}
    await journal.record(*Story("bbbb").whole(workflow="inner", parent=link))
    await journal.record(Story("cccc").created(workflow="inner", parent=link))
    for children in (False, True):
        found = await insight(reader, children=children)
        assert found.overall.runs == len(await reader.runs(children=children))
        assert found.overall.child_runs == 2
        for one in found.workflows:
            listed = await reader.runs(children=children, workflow=one.workflow)
            assert one.runs == len(listed), one.workflow
    assert (await insight(reader, workflow="inner", children=True)).overall.by_status == {
        "completed": 1, "pending": 1
    }  # fmt: skip


async def test_counters_do_not_go_back_when_runs_are_deleted(
    journal: Journal, reader: Reader, tmp_path: Path
) -> None:
    for name in ("aaaa", "bbbb", "cccc"):
        await journal.record(*pooled_run(Story(name)))
    before = await reader.counter_rows()
    assert before == [("demo", "failed", 0, 3, 3, 60.0, 3, 9, 3, 12, 9, 6, 6, 15.0, 60, 120)]
    for name in ("aaaa", "cccc"):
        await delete_run(journal, tmp_path / "logs", name, artifacts=tmp_path / "artifacts")
        assert await reader.counter_rows() == before
    assert "agentainer_runs_total" in await prometheus_text(reader)
    assert (await insight(reader)).overall.runs == 1


async def test_an_older_home_gets_the_figures_of_the_runs_it_has(tmp_path: Path) -> None:
    database = tmp_path / "history.db"
    connection = connect_writer(database)
    migrate(connection, database, VERSIONS[:2])
    for number, (run_id, status) in enumerate((("aaaa", "completed"), ("bbbb", "running"))):
        connection.execute(
            "INSERT INTO runs (seq, id, workflow, digest, status, backend, params, initial_state, created_at,"
            " started_at, finished_at) VALUES (?, ?, 'old', 'd', ?, 'process', '{}', '{}', ?, ?, ?)",
            (number, run_id, status, *("2026-11-22T10:00:00.000000Z",) * 2, "2026-11-22T10:00:05.000000Z"),
        )
        connection.execute(
            "INSERT INTO attempts (run_id, step_id, item, number, status, task_id, agent, backend, log,"
            " created_at, started_at) VALUES (?, 's', -1, 1, 'completed', 't', 'a', 'local', 'l', 'x', 'x')",
            (run_id,),
        )
    connection.close()
    async with await Journal.open(database), Reader(database) as reader:
        rows = await reader.period_rows(Scope())
    assert rows.runs == [
        ("old", 0, "running", "2026-11-22T10:00:00.000000Z", None),
        ("old", 0, "completed", "2026-11-22T10:00:00.000000Z", 5.0),
    ]
    assert rows.sums == [("old", 0, 0, 0, 0, 1, 1, 0, 0, 0.0, None, None, None)]


async def test_no_question_for_figures_reads_all_runs_steps_or_attempts(
    journal: Journal, reader: Reader, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.record(*Story().whole())
    asked: list[tuple[str, Any]] = []
    fetch = Snapshot.fetch

    async def listen(self: Snapshot, sql: str, parameters: Any = ()) -> Any:
        asked.append((sql, parameters))
        return await fetch(self, sql, parameters)

    monkeypatch.setattr(Snapshot, "fetch", listen)
    await insight(reader, workflow="demo", since=EPOCH)
    await insight(reader)
    await reader.expired(before="2026-02-01", keep=1, limit=10)
    await reader.run_rows(Story().run_id)
    connection = sqlite3.connect(database)
    plans = {
        (row[3], sql)
        for sql, values in asked
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    }
    connection.close()
    assert len(asked) > 15
    whole = [
        found for found in plans if re.match(r"SCAN (runs|steps|attempts|items)\b(?!.* USING )", found[0])
    ]
    assert whole == []
    by_workflow = [plan for plan, _ in plans if plan.startswith("SEARCH run_figures USING PRIMARY KEY")]
    assert by_workflow


async def test_hostile_names_are_only_names(journal: Journal, reader: Reader) -> None:
    name = "x' OR 1=1 --\n\x1b[31m"
    await journal.record(*Story("aaaa").whole(workflow=name))
    await journal.record(*Story("bbbb").whole())
    assert (await insight(reader, workflow=name)).overall.runs == 1
    assert (await insight(reader, workflow="' OR 1=1 --")).overall.runs == 0
