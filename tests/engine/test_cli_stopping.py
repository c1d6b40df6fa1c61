"""Stopping runs from the command line: signals, `cancel` from elsewhere, and what a dead engine left."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentainer_tui.cli import main
from agentainer_tui.commands import stopping
from tests.engine.command_line import CommandLine, LiveCommand, alive, wait_until

# A task that says where it is, and goes on for as long as it may; SIGTERM is obeyed or ignored.
LONG = """
name: long
steps:
  - id: a
    command:
      - python3
      - -c
      - |
        import os, pathlib, signal, time
        signal.signal(signal.SIGTERM, signal.{on_sigterm})
        print("up", flush=True)
        pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
        time.sleep(300)
    env_vars: {{PID_FILE: "{pid_file}"}}
  - id: b
    command: ["true"]
"""


class LongRun:
    """A run in a process of its own whose task runs."""

    def __init__(self, line: CommandLine, on_sigterm: str) -> None:
        pid_file = line.directory / "pid"
        line.write("long.yaml", LONG.format(on_sigterm=on_sigterm, pid_file=pid_file))
        self.command: LiveCommand = line.start("run", "long.yaml", "--json")
        wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
        self.task = int(pid_file.read_text())

    def document(self) -> Any:
        """What it printed in the end."""
        return json.loads("".join(self.command.stdout))

    def progress(self) -> str:
        """What it has told so far."""
        return "".join(self.command.stderr)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")],
)
def test_a_signal_cancels_the_run_and_ends_its_tasks(
    line: CommandLine, number: signal.Signals, name: str
) -> None:
    run = LongRun(line, "SIG_DFL")
    run.command.signal(number)

    assert run.command.wait() == 130
    assert run.document()["run"]["status"] == "cancelled"
    assert [step["status"] for step in run.document()["steps"]] == ["cancelled", "cancelled"]
    assert f"agentainer: {name}: cancelling; the tasks have 10s to stop" in run.progress()
    assert not alive(run.task)


def test_a_second_ctrl_c_does_not_wait_for_a_task_that_ignores_the_first(line: CommandLine) -> None:
    line.write("agentainer.toml", "stop_grace = 300.0\n")
    run = LongRun(line, "SIG_IGN")
    run.command.signal(signal.SIGINT)
    run.command.wait_for("cancelling  ")
    assert alive(run.task)
    run.command.signal(signal.SIGINT)

    assert run.command.wait() == 130
    assert "agentainer: stopping the tasks at once" in run.progress()
    assert run.document()["run"]["status"] == "cancelled"
    assert not alive(run.task)


def test_the_grace_ends_a_task_that_ignores_the_signal(line: CommandLine) -> None:
    line.write("agentainer.toml", "stop_grace = 0.2\n")
    run = LongRun(line, "SIG_IGN")
    run.command.signal(signal.SIGINT)

    assert run.command.wait() == 130
    assert not alive(run.task)


def test_a_run_is_cancelled_from_another_process(line: CommandLine) -> None:
    run = LongRun(line, "SIG_DFL")
    done = line.run("cancel", "last")

    assert done.returncode == 0
    assert re.fullmatch(r"run [0-9a-f]{12} is cancelled\n", done.stdout)
    assert run.command.wait() == 130
    assert not alive(run.task)


def test_cancel_waits_for_the_finally_steps_as_long_as_they_may_take(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tidy = f"finally:\n  - {{id: tidy, command: 'while [ ! -e {line.directory}/go ]; do sleep 0.05; done'}}\n"
    steps = f"steps:\n  - {{id: a, command: 'touch {line.directory}/up; sleep 300'}}\n"
    line.write("d.yaml", f"name: d\n{steps}{tidy}")
    live = line.start("run", "d.yaml")
    wait_until(lambda: (line.directory / "up").exists())
    # As if the tasks' own time were long gone by when the finally steps begin.
    monkeypatch.setattr(stopping, "_PATIENCE", 1.0)
    monkeypatch.setenv("AGENTAINER_STOP_GRACE", "1")

    def let_go() -> None:
        wait_until(
            lambda: any(
                s["id"] == "tidy" and s["status"] == "running" for s in line.json("show", "last")["steps"]
            )
        )
        time.sleep(3)  # longer than both: there is nothing to wait for that says so
        (line.directory / "go").touch()

    thread = threading.Thread(target=let_go)
    thread.start()
    assert main(["cancel", "last", "--home", str(line.home)]) == 0
    thread.join()
    assert live.wait() == 130
    assert "its finally steps have 5m" in capsys.readouterr().err


def test_cancel_now_does_not_wait_for_a_task_that_ignores_it(line: CommandLine) -> None:
    line.write("agentainer.toml", "stop_grace = 300.0\n")
    run = LongRun(line, "SIG_IGN")

    assert line.run("cancel", "last", "--now").returncode == 0
    assert run.command.wait() == 130
    assert not alive(run.task)


def test_a_run_that_is_over_cannot_be_cancelled(line: CommandLine) -> None:
    line.write("short.yaml", "name: short\nsteps:\n  - id: a\n    command: ['true']\n")
    line.run("run", "short")
    done = line.run("cancel", "last")

    assert done.returncode == 2
    assert re.search(r"run [0-9a-f]{12} is over: it is completed", done.stderr)


def test_a_live_run_can_be_followed_and_looked_at_from_another_process(line: CommandLine) -> None:
    run = LongRun(line, "SIG_DFL")
    logs = line.start("logs", "last", "-f")
    events = line.start("events", "last", "-f", "--json")
    assert "out | up" in logs.wait_for("up")
    events.wait_for('"attempt.started"')

    (agent,) = line.json("agents")
    assert (agent["step_id"], agent["status"], agent["kept"]) == ("a", "running", False)
    assert line.json("show", "last")["run"]["status"] == "running"
    assert line.run("cleanup", "-y").stdout == "nothing to clean up\n"
    doctor = {one["name"]: one for one in json.loads(line.run("doctor", "--json").stdout)}
    assert f"process {run.command.process.pid}" in doctor["engine"]["found"]
    assert doctor["redis"]["advice"].startswith("redis-cli -u '")

    run.command.signal(signal.SIGTERM)
    assert run.command.wait() == 130
    assert (logs.wait(), events.wait()) == (0, 0)
    assert json.loads(events.stdout[-1])["type"] == "run.finished"


def test_a_second_engine_on_the_home_is_refused_and_told_who_has_it(line: CommandLine) -> None:
    run = LongRun(line, "SIG_DFL")
    done = line.run("run", "long.yaml")

    assert done.returncode == 4
    assert f"is in use by process {run.command.process.pid}" in done.stderr
    assert "--home" in done.stderr


def test_a_run_whose_engine_was_killed_is_cancelled_all_the_same(line: CommandLine) -> None:
    run = LongRun(line, "SIG_DFL")
    run.command.signal(signal.SIGKILL)
    run.command.wait()
    done = line.run("cancel", "last")

    assert done.returncode == 0
    assert line.json("show", "last")["run"]["status"] == "cancelled"
    wait_until(lambda: not alive(run.task))


@pytest.mark.parametrize(("options", "tidied"), [([], "completed"), (["--now"], "cancelled")])
def test_cancel_now_leaves_out_the_finally_steps_of_a_killed_engine_too(
    line: CommandLine, options: list[str], tidied: str
) -> None:
    steps = f"steps:\n  - {{id: a, command: 'touch {line.directory}/up; sleep 300'}}\n"
    line.write("d.yaml", f"name: d\n{steps}finally:\n  - {{id: tidy, command: ['true']}}\n")
    killed = line.start("run", "d.yaml")
    wait_until(lambda: (line.directory / "up").exists())
    killed.signal(signal.SIGKILL)
    killed.wait()

    assert line.run("cancel", "last", *options).returncode == 0
    ended = {step["id"]: step["status"] for step in line.json("show", "last")["steps"]}
    assert ended == {"a": "cancelled", "tidy": tidied}


def test_the_next_run_goes_on_with_one_whose_engine_was_killed(line: CommandLine) -> None:
    line.write("short.yaml", "name: short\nsteps:\n  - id: a\n    command: ['true']\n")
    line.write(
        "once.yaml",
        "name: once\nsteps:\n  - id: a\n    env_vars: {HERE: '" + str(line.directory) + "'}\n"
        "    command: 'cd \"$HERE\"; test -e again && exit 0; touch again; sleep 300'\n",
    )
    killed = line.start("run", "once")
    wait_until(lambda: (line.directory / "again").exists())
    killed.signal(signal.SIGKILL)
    killed.wait()
    done = line.run("run", "short")

    assert done.returncode == 0
    assert {run["workflow"]: run["status"] for run in line.json("history")} == {
        "once": "completed",
        "short": "completed",
    }


def test_what_was_kept_is_listed_and_exactly_that_is_removed(line: CommandLine) -> None:
    line.write(
        "keep.yaml",
        "name: keep\nconfig: {cleanup_policy: on_success}\nsteps:\n"
        "  - id: good\n    command: ['true']\n  - id: bad\n    command: 'echo x > file; exit 1'\n",
    )
    line.run("run", "keep")
    line.run("run", "keep")
    first, second = reversed(line.json("history"))
    kept = line.json("agents")
    assert [(agent["run_id"], agent["step_id"], agent["kept"]) for agent in kept] == [
        (first["id"], "bad", True),
        (second["id"], "bad", True),
    ]

    dry = line.run("cleanup", "--dry-run")
    assert dry.returncode == 0
    assert all(agent["name"] in dry.stdout for agent in kept)
    refused = line.run("cleanup", "--all")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert line.json("agents") == kept

    assert line.run("cleanup", first["id"], "-y").stdout.endswith("removed 1 agent\n")
    assert line.json("agents") == kept[1:]
    assert line.run("cleanup", "-y").returncode == 0
    assert line.json("agents") == []


def test_old_runs_leave_the_history_with_their_logs_but_not_those_with_kept_agents(line: CommandLine) -> None:
    line.write("talk.yaml", "name: talk\nsteps:\n  - id: a\n    command: 'echo x'\n")
    line.write(
        "keep.yaml", "name: keep\nconfig: {cleanup_policy: never}\nsteps:\n  - id: a\n    command: ['true']\n"
    )
    for workflow in ("keep", "talk", "talk"):
        line.run("run", workflow)
    newest, older, kept = line.json("history")

    assert line.run("prune").stdout == "nothing to prune\n"
    assert line.run("prune", "--older-than", "1", "-y").stdout == "nothing to prune\n"
    assert older["id"] in line.run("prune", "--keep", "1", "--dry-run").stdout
    assert line.run("prune", "--keep", "1").returncode == 2
    assert len(line.json("history")) == 3
    assert line.run("prune", "--keep", "1", "--yes").stdout.splitlines()[-1].startswith("deleted 1 run with ")
    assert [run["id"] for run in line.json("history")] == [newest["id"], kept["id"]]
    assert not (line.home / "logs" / older["id"]).exists()
    assert (line.home / "logs" / newest["id"]).exists()
    line.run("prune", "--keep", "0", "--yes")
    assert [run["id"] for run in line.json("history")] == [kept["id"]]


@pytest.mark.parametrize("verb", ["logs", "events"])
def test_ctrl_c_ends_the_following_of_a_run_quietly_and_not_the_run(line: CommandLine, verb: str) -> None:
    run = LongRun(line, "SIG_DFL")
    follower = line.start(verb, "last", "-f")
    follower.wait_for("up" if verb == "logs" else "attempt.started")
    follower.signal(signal.SIGINT)

    assert follower.wait() == 130
    assert follower.stderr == []
    assert line.json("show", "last")["run"]["status"] == "running"
    run.command.signal(signal.SIGTERM)
    assert run.command.wait() == 130


def test_following_ends_with_its_reader(line: CommandLine) -> None:
    line.write(
        "talk.yaml", "name: talk\nsteps:\n  - id: a\n    command: 'while :; do echo x; sleep 0.1; done'\n"
    )
    run = line.start("run", "talk.yaml")
    wait_until(lambda: (line.home / "logs").exists() and any((line.home / "logs").rglob("*.log")))
    done = line.pipe(["logs", "last", "-f"], ["head", "-n", "2"])

    assert done.returncode == 0
    assert done.stdout.count("| x\n") == 2
    assert done.stderr == ""
    run.signal(signal.SIGTERM)
    assert run.wait() == 130
