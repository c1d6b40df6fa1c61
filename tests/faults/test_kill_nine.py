"""The engine is killed with SIGKILL while a run is live; the next start on the same home goes on with it.

The real program as a subprocess, real Redis, real SQLite; local processes always, containers where Docker is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 60.0

# `slow` outlives its engine: it ends when the file appears, or at once when it is asked to a second time.
LOCAL = """
name: interrupted
state: {flag: "%(flag)s"}
steps:
  - {id: first, command: ["echo", '{"made": 1}']}
  - id: slow
    command: ["sh", "-c", "while [ ! -e %(flag)s ]; do sleep 0.05; done; echo done"]
  - {id: last, command: ["echo", "{{ $.made }}"]}
"""

# The same as a child run of another.
FAMILY = """
name: outer
steps:
  - id: sub
    workflow:
      name: interrupted
      state: {flag: "%(flag)s"}
      steps:
        - {id: first, command: ["echo", '{"made": 1}']}
        - id: slow
          command: ["sh", "-c", "while [ ! -e %(flag)s ]; do sleep 0.05; done; echo done"]
        - {id: last, command: ["echo", "{{ $.made }}"]}
  - {id: after, command: ["echo", "{{ $.made }}"]}
"""

CONTAINERS = """
name: interrupted
steps:
  - {id: first, image: "%(image)s", command: ["echo", '{"made": 1}']}
  - id: slow
    image: "%(image)s"
    command: ["sh", "-c", "%(wait)s; echo done"]
    network: %(network)s
  - {id: last, image: "%(image)s", command: ["echo", "{{ $.made }}"]}
"""

OTHER = "name: other\nsteps:\n  - {id: only, command: ['true'], image: '%(image)s'}\n"


class Home:
    """A home and the programs that a test runs on it."""

    def __init__(self, directory: Path, backend: str) -> None:
        self.directory = directory
        self.backend = backend
        self.path = directory / "home"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "agentainer_tui", "--home", str(self.path), *arguments]

    def start(self, document: str) -> subprocess.Popen[str]:
        file = self.directory / "interrupted.yaml"
        file.write_text(document, encoding="utf-8")
        return subprocess.Popen(
            self.command("run", str(file), "--backend", self.backend),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ask(self, *arguments: str) -> Any:
        done = subprocess.run(
            self.command(*arguments, "--json"), capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def run_other(self, image: str = "") -> None:
        file = self.directory / "other.yaml"
        file.write_text(OTHER % {"image": image or "none"}, encoding="utf-8")
        done = subprocess.run(
            self.command("run", str(file), "--backend", self.backend),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def interrupted(self) -> dict[str, Any]:
        runs = [run for run in self.ask("history", "--all") or [] if run["workflow"] == "interrupted"]
        return self.ask("show", runs[0]["id"]) if runs else {}


def until(condition: Callable[[], bool], what: str) -> None:
    """Look again and again, up to a deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"did not happen within {DEADLINE:g} s: {what}"
        time.sleep(0.05)


def step_status(document: dict[str, Any], step_id: str) -> str:
    return next((step["status"] for step in document.get("steps", ()) if step["id"] == step_id), "")


def attempts_of(document: dict[str, Any], step_id: str) -> list[dict[str, Any]]:
    return next(step["attempts"] for step in document["steps"] if step["id"] == step_id)


def kill_while_slow_runs(home: Home, engine: subprocess.Popen[str]) -> None:
    def slow_runs() -> bool:
        assert engine.poll() is None, engine.communicate()[0]
        document = home.interrupted()
        return step_status(document, "slow") == "running" and any(
            attempt["started_at"] for attempt in attempts_of(document, "slow")
        )

    until(slow_runs, "the slow step runs")
    engine.send_signal(signal.SIGKILL)
    engine.wait(DEADLINE)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, "process")
    yield home
    assert _leftovers(str(tmp_path)) == []


def _leftovers(text: str) -> list[str]:
    """Command lines and environments of processes that still mention the test's directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told and f"--basetemp={text}".encode() not in told:
            found.append(f"{process.name}: {told[:200]!r}")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds what is left over through /proc")
def test_an_interrupted_local_process_is_ended_and_tried_again(local: Home) -> None:
    flag = local.directory / "flag"
    engine = local.start(LOCAL % {"flag": flag})
    kill_while_slow_runs(local, engine)
    assert local.interrupted()["run"]["status"] == "running"
    flag.touch()
    local.run_other()
    document = local.interrupted()
    assert document["run"]["status"] == "completed"
    first, second = attempts_of(document, "slow")
    assert (first["status"], first["reason"]) == ("failed", "infra_error")
    assert (second["status"], second["number"]) == ("completed", 2)
    assert len(attempts_of(document, "first")) == 1
    assert document["steps"][2]["result"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds what is left over through /proc")
def test_a_parent_and_its_child_go_on_together(local: Home) -> None:
    flag = local.directory / "flag"
    engine = local.start(FAMILY % {"flag": flag})
    kill_while_slow_runs(local, engine)
    flag.touch()
    local.run_other()
    child = local.interrupted()
    assert (child["run"]["status"], child["run"]["parent"]["step_id"]) == ("completed", "sub")
    assert [attempt["status"] for attempt in attempts_of(child, "slow")] == ["failed", "completed"]
    parent = local.ask("show", child["run"]["parent"]["run_id"])
    assert parent["run"]["status"] == "completed"
    [attempt] = attempts_of(parent, "sub")
    assert (attempt["status"], attempt["child_run"]) == ("completed", child["run"]["id"])
    assert parent["steps"][1]["result"] == 1


@pytest.mark.docker
@pytest.mark.parametrize("network", ["default", "run"])
def test_a_running_container_is_adopted(tmp_path: Path, busybox_image: str, network: str) -> None:
    home = Home(tmp_path, "docker")
    engine = home.start(CONTAINERS % {"image": busybox_image, "wait": "sleep 8", "network": network})
    kill_while_slow_runs(home, engine)
    home.run_other(busybox_image)
    document = home.interrupted()
    assert document["run"]["status"] == "completed"
    assert [attempt["status"] for attempt in attempts_of(document, "slow")] == ["completed"]
    assert document["steps"][1]["result"] == "done"
    assert document["steps"][2]["result"] == 1
    assert home.ask("agents") == []


@pytest.mark.docker
def test_a_container_that_exited_meanwhile_is_finalised(tmp_path: Path, busybox_image: str) -> None:
    home = Home(tmp_path, "docker")
    told = "trap 'told=1' USR1; while [ -z $told ]; do sleep 0.05; done"
    engine = home.start(CONTAINERS % {"image": busybox_image, "wait": told, "network": "default"})
    kill_while_slow_runs(home, engine)
    name = attempts_of(home.interrupted(), "slow")[0]["agent"]
    subprocess.run(["docker", "kill", "--signal", "USR1", name], check=True, capture_output=True)

    def exited() -> bool:
        answer = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.Running}}", name],
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip() == "false"

    until(exited, "the container exits")
    home.run_other(busybox_image)
    document = home.interrupted()
    assert document["run"]["status"] == "completed"
    assert [attempt["status"] for attempt in attempts_of(document, "slow")] == ["completed"]
    assert document["steps"][1]["result"] == "done"
