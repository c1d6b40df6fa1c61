"""Schedules from the command line: `watch`, and what `list` says of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.clock import isoformat
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.settings import Settings
from tests.engine.command_line import CommandLine, alive, wait_until

FAR = "name: far\nconfig: {schedule: '0 0 1 1 *'}\nsteps:\n  - {id: a, command: ['true']}\n"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def test_watch_tells_the_next_times_and_ends_well_when_nothing_runs(line: CommandLine) -> None:
    line.write("far.yaml", FAR)
    watch = line.start("watch")
    assert "(0 0 1 1 *, UTC)" in watch.wait_for("next  ")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 0


def test_watch_tells_which_files_have_errors_also_later_ones(line: CommandLine) -> None:
    line.write("bad.yaml", "name: bad\nsteps: 5\n")
    watch = line.start("watch")
    assert "bad.yaml:2:8" in watch.wait_for("bad.yaml has errors and does not run before they are put right")
    line.write("worse.yaml", "- 1\n")
    assert "worse.yaml:1:1" in watch.wait_for("worse.yaml has errors")
    line.write("bad.yaml", FAR)
    watch.wait_for("(0 0 1 1 *, UTC)")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 0


def scheduled_before(home: Path, workflow: str) -> None:
    """Have the history say that a schedule started a workflow three hours ago."""
    time = datetime.now(UTC) - timedelta(hours=3)
    created: dict[str, Any] = {
        "workflow": workflow,
        "digest": "0" * 64,
        "document": "",
        "backend": "process",
        "source": "schedule",
        "scheduled_for": isoformat(time),
        "plan": [],
    }
    moves: list[tuple[EventType, dict[str, Any]]] = [
        (EventType.RUN_CREATED, created),
        (EventType.RUN_STARTED, {"old": "pending", "status": "running"}),
        (EventType.RUN_FINISHED, {"old": "running", "status": "completed"}),
    ]

    async def write() -> None:
        home.mkdir(parents=True, exist_ok=True)
        async with await Journal.open(Settings(home=home).database) as journal:
            await journal.record(*(Event("0123456789ab", kind, time, data=data) for kind, data in moves))

    asyncio.run(write())


def test_a_missed_time_is_made_up_for_and_ctrl_c_cancels_what_it_started(
    line: CommandLine,
) -> None:
    pid_file = line.directory / "pid"
    scheduled_before(line.home, "slow")
    line.write("far.yaml", FAR)
    line.write(
        "slow.yaml",
        "name: slow\nconfig: {schedule: {cron: '0 * * * *', missed: run_once}}\nsteps:\n"
        f"  - {{id: a, command: [sh, -c, 'echo $$ > {pid_file}; exec sleep 300']}}\n",
    )
    watch = line.start("watch")
    assert "slow" in watch.wait_for("(0 * * * *, UTC)")
    wait_until(lambda: pid_file.exists() and pid_file.read_text())

    watch.signal(signal.SIGINT)

    assert watch.wait() == 130
    assert not alive(int(pid_file.read_text()))
    run = line.json("history")[0]
    assert (run["workflow"], run["status"]) == ("slow", "cancelled")
    assert datetime.fromisoformat(run["scheduled_for"]).minute == 0


def test_watch_refuses_a_directory_that_is_none(line: CommandLine) -> None:
    done = line.run("watch", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_list_shows_when_a_workflow_runs_next(line: CommandLine) -> None:
    line.write("far.yaml", FAR)
    line.write("never.yaml", "name: never\nsteps:\n  - {id: a, command: ['true']}\n")
    next_runs = {one["workflow"]: one["next_run"] for one in line.json("list")}
    assert next_runs["never"] is None
    due = datetime.fromisoformat(next_runs["far"])
    assert (due.month, due.day, due.hour) == (1, 1, 0)
    assert timedelta() < due - datetime.now(due.tzinfo) <= timedelta(days=366)
    assert "-01-01 00:00Z" in line.run("list").stdout
