"""What the area of agents shows, as plain values: rows, details, loads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentainer_tui.agent_details import agent_lines
from agentainer_tui.agent_rows import (
    KEPT,
    ORPHANS,
    AgentRow,
    at_work_rows,
    kept_rows,
    orphan_rows,
    pool_rows,
    running_names,
)
from agentainer_tui.loads import Meter, percent
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from agentainer_tui.widgets.lines_view import plain_line
from engine.agents.backend import AgentIdentity, AgentInfo, AgentPhase, PoolReport, Sample
from engine.inventory import Orphan
from tests.tui.scenes import counting, finished, kept
from tests.tui.story import Story

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
POOL = PoolReport(
    name="python",
    min_size=1,
    max_size=4,
    mode="shell",
    images=("sha256:aa",),
    size=4,
    busy=2,
    idle=0,
    starting=1,
    waiting=3,
    hits=116,
    misses=4,
    tasks=118,
    retired={"unclean": 1, "idle": 2},
)


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def info(name: str, phase: AgentPhase = AgentPhase.RUNNING, **more: object) -> AgentInfo:
    identity = AgentIdentity("i", "count", "a1b2c3d4e5f6", "count", 1, 1, "t")
    made = AgentInfo(name, "id", identity, phase, image="app:1", created_at=START, size_bytes=5)
    return replace(made, **more)  # type: ignore[arg-type]


def text_of(row: AgentRow, meter: Meter | None = None, now: float = 0.0) -> str:
    return "\n".join(map(plain_line, agent_lines(row, meter, now, 100)))


def test_an_agent_at_work_is_a_row_before_the_backend_was_asked_and_has_its_health_after() -> None:
    views = [view_of(counting()), view_of(finished("f" * 12, 1))]
    assert running_names(views) == {"agent-count-1"}
    (row,) = at_work_rows(views, ())
    assert (row.place, row.run_id, row.backend, row.state) == ("count[1]", "a1b2c3d4e5f6", "process", "")
    (row,) = at_work_rows(views, [info("agent-count-1", health="unhealthy", pool="python")])
    assert (row.state, row.pool, row.since) == ("unhealthy", "python", START.timestamp() + 2.1)


def test_what_no_attempt_has_is_told_by_what_it_is_for() -> None:
    nobody = AgentIdentity("i", "", "", "", None, 0, "")
    warm = info("warm-1", identity=nobody, pool="python")
    holder = info("holder", identity=replace(nobody, run_id="a" * 12), paused=True)
    new = info("new", AgentPhase.CREATED, image=None, identity=replace(nobody, step_id="s", attempt=2))
    rows = {row.name: row for row in at_work_rows([], [warm, holder, new])}
    assert rows["warm-1"].place == "warm, for pool python"
    assert (rows["holder"].place, rows["holder"].state) == ("network of the run", "paused")
    assert (rows["new"].place, rows["new"].state) == ("s try 2", "not started")
    assert rows["new"].backend == "process", "it has no image"


def test_kept_agents_say_why_they_were_kept_the_newest_first() -> None:
    old, new = kept("old"), kept("new")
    noon, later = "2026-01-01T12:00:00.000000Z", "2026-01-01T13:00:00.000000Z"
    old = replace(old, attempt=replace(old.attempt, finished_at=noon, exit_code=7))
    new = replace(new, attempt=replace(new.attempt, finished_at=later, reason="oom_killed"))
    fine = replace(old, attempt=replace(old.attempt, agent="fine", status="completed", finished_at=None))
    rows = kept_rows([old, fine, new])
    assert [row.name for row in rows] == ["new", "old", "fine"]
    why = ["failed, oom killed", "failed, exit code 7", "cleanup_policy: never"]
    assert [row.state for row in rows] == why
    assert all(row.section == KEPT and row.removable for row in rows)
    (warm,) = kept_rows([replace(old, workflow="")], {"bad0bad0bad0": "count"})
    assert warm.workflow == "count", "a warm agent was made for nobody"


def test_an_orphan_can_be_removed_where_there_is_a_remedy() -> None:
    lost = info("lost", AgentPhase.EXITED)
    remedy = ("docker", "rm", "-f", "-v", "lost")
    container = Orphan(lost, "docker", "its home is gone", remedy)
    docker, process = orphan_rows([container, Orphan(lost, "process", "x", ())])
    assert docker.removable and not process.removable
    assert docker.section == ORPHANS
    assert "docker rm -f -v lost" in text_of(docker)
    assert "the next engine" in text_of(process)


def test_a_pool_is_told_in_full() -> None:
    (row,) = pool_rows([replace(POOL, note="the image has no shell")])
    text = text_of(row)
    assert "4 agents of 1 to 4: 2 busy, 1 starting, 1 being cleaned" in text
    assert "118 tasks, 96 % reuse: 116 hits, 4 misses" in text
    assert "3 tasks for an agent" in text
    assert "2 idle, 1 unclean" in text
    assert "the image has no shell" in text


def test_loads_are_differences_between_looks() -> None:
    meter = Meter()
    assert (meter.millicores, percent(None)) == (None, "")
    for second, used in ((0, 1.0), (1, 1.25), (1, 9.0), (3, 1.75), (4, 1.0)):
        meter.take(Sample(START + timedelta(seconds=second), used, 50 << 20))
    assert list(meter.cpu_history) == [250.0, 250.0, 0.0], "a look that is not later does not count"
    assert meter.memory == 50 << 20
    assert percent(meter.cpu_history[0]) == "25 %"
    row = AgentRow("at_work", "a", step_id="s", attempt=1, backend="docker")
    assert "50.0 MiB" in text_of(row, meter)


def test_only_a_minute_of_looks_is_kept() -> None:
    meter = Meter()
    for second in range(200):
        meter.take(Sample(START + timedelta(seconds=second), second, second))
    assert len(meter.memory_history) == 60
    assert meter.memory_history[-1] == 199


@pytest.mark.parametrize("width", [0, 20, 200])
def test_details_never_hold_what_a_terminal_obeys(width: int) -> None:
    bad = "\x1b[31mx\x07\n\x9b"
    row = AgentRow("kept", bad, "a" * 12, bad, 1, 1, bad, "docker", bad, 1.0, bad, error=bad, pool=bad)
    text = "\n".join(map(plain_line, agent_lines(row, None, 5.0, width)))
    assert not set(text) & {"\x1b", "\x07", "\x9b"}
