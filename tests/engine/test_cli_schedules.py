"""Schedules from the command line: `watch`, and what `list` says of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

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


@pytest.mark.timeout(180)
def test_a_saved_schedule_counts_at_once_and_ctrl_c_cancels_what_it_started(line: CommandLine) -> None:
    pid_file = line.directory / "pid"
    line.write("far.yaml", FAR)
    watch = line.start("watch")
    watch.wait_for("next  ")
    # The fastest schedule there is: this one test waits for the next minute of the real clock.
    line.write(
        "slow.yaml",
        "name: slow\nconfig: {schedule: '* * * * *'}\nsteps:\n"
        f"  - {{id: a, command: [sh, -c, 'echo $$ > {pid_file}; exec sleep 300']}}\n",
    )
    assert "slow" in watch.wait_for("(* * * * *, UTC)")
    assert "by its schedule, for" in watch.wait_for("created", seconds=90)
    wait_until(lambda: pid_file.exists() and pid_file.read_text())

    watch.signal(signal.SIGINT)

    assert watch.wait() == 130
    assert not alive(int(pid_file.read_text()))
    [run] = line.json("history")
    assert (run["workflow"], run["status"]) == ("slow", "cancelled")
    assert datetime.fromisoformat(run["scheduled_for"]).second == 0


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
