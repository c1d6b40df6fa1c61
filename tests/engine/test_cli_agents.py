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
