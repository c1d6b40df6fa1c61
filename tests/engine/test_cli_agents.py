"""`agents` on the command line: what runs, what it uses, what was kept, and what belongs to nothing."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.command_line import CommandLine, wait_until

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what processes use")
BUSY = "name: busy\nsteps:\n  - {id: burn, command: 'echo begun; while :; do :; done'}\n"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def agents(line: CommandLine, *words: str) -> Any:
    return json.loads(line.run("agents", *words, "--json").stdout)


@linux
def test_agents_says_what_a_running_task_uses(line: CommandLine) -> None:
    line.write("w.yaml", BUSY)
    run = line.start("run", "w.yaml")
    wait_until(lambda: (line.home / "instance").exists() and agents(line))

    def measured() -> Any:
        (found,) = agents(line)
        return found if found["cpu_millicores"] else None

    wait_until(measured)
    found = measured()
    assert found["status"] == "running"
    assert 100 < found["cpu_millicores"] < 1500
    assert found["memory_bytes"] > 0
    assert (found["health"], found["paused"]) == (None, False)
    shown = line.run("agents").stdout
    assert " %" in shown and "CPU" in shown and "MEMORY" in shown
    run.signal(signal.SIGINT)
    assert run.wait() == 130


def test_agents_says_how_much_disk_a_kept_task_takes_and_that_it_uses_nothing(line: CommandLine) -> None:
    line.write(
        "w.yaml",
        "name: w\nconfig: {cleanup_policy: never}\n"
        "steps:\n  - {id: a, command: 'head -c 5000 /dev/zero > left'}\n",
    )
    assert line.run("run", "w.yaml").returncode == 0
    (found,) = agents(line)
    assert found["kept"] and found["status"] == "exited"
    assert found["size_bytes"] == 5000
    assert (found["cpu_millicores"], found["memory_bytes"]) == (None, None)
    assert "4.9 KiB" in line.run("agents").stdout
    assert agents(line, "--orphans") == []


def test_agents_of_a_home_where_nothing_ever_ran_are_none(line: CommandLine) -> None:
    assert agents(line) == []
    done = line.run("agents", "--orphans")
    assert done.returncode == 0 and "there are no orphans" in done.stderr
    assert not line.home.exists()


def test_the_agent_of_a_dead_engine_whose_run_is_unfinished_is_no_orphan(line: CommandLine) -> None:
    line.write("w.yaml", BUSY)
    run = line.start("run", "w.yaml")
    wait_until(lambda: (line.home / "instance").exists() and agents(line))
    run.signal(signal.SIGKILL)
    run.wait()
    assert agents(line, "--orphans") == []
    run_id = agents(line)[0]["run_id"]
    assert line.run("cancel", run_id).returncode in (0, 130)
    assert agents(line) == []


KEEPING = (
    "name: w\nconfig: {cleanup_policy: on_success}\nsteps:\n"
    "  - {id: many, type: map, failure_strategy: continue, command: 'echo $MAP_INDEX > left; exit 1',\n"
    "     map_config: {input_path: params.items, error_handling: continue_on_error}}\n"
    "  - {id: one, type: parallel, command: 'echo alone > left; exit 3',\n"
    "     retry_policy: {max_attempts: 2, delay: 10ms}}\n"
    "params:\n  items: {type: array, default: [a, b]}\n"
)


def test_shell_runs_a_command_in_what_an_agent_left(line: CommandLine) -> None:
    line.write("w.yaml", KEEPING)
    assert line.run("run", "w.yaml").returncode == 1
    done = line.run("shell", "last", "one", "-c", "cat left; exit 5")
    assert (done.returncode, done.stdout) == (5, "alone\n"), done.stderr
    assert line.run("shell", "last", "many", "--item", "1", "-c", "cat left").stdout == "1\n"
    names = [agent["name"] for agent in agents(line) if agent["step_id"] == "one"]
    assert line.run("shell", names[-1], "-c", "cat left").stdout == "alone\n"


def test_cleanup_removes_the_named_agents_only(line: CommandLine) -> None:
    line.write("w.yaml", KEEPING)
    assert line.run("run", "w.yaml").returncode == 1
    names = sorted(agent["name"] for agent in agents(line))
    wrong = line.run("cleanup", "--agent", "nobody", "--yes")
    assert (wrong.returncode, "not a kept agent: nobody" in wrong.stderr) == (2, True)
    done = line.run("cleanup", "--agent", names[0], "--agent", names[1], "--yes")
    assert done.returncode == 0, done.stderr
    assert sorted(agent["name"] for agent in agents(line)) == names[2:]


def test_shell_says_which_agents_there_are_where_it_cannot_know_which_is_meant(line: CommandLine) -> None:
    line.write("w.yaml", KEEPING)
    assert line.run("run", "w.yaml").returncode == 1
    several = line.run("shell", "last", "-c", "true")
    assert several.returncode == 2
    assert "3 agents of run" in several.stderr and "many[1] try 1" in several.stderr
    assert "one try 2" in several.stderr, "of a step's tries only the last"
    none = line.run("shell", "last", "three", "-c", "true")
    assert none.returncode == 2
    assert "there are agents of: many; one" in none.stderr
    piped = line.run("shell", "last", "one")
    assert piped.returncode == 2
    assert "needs a terminal" in piped.stderr
