"""The command line with containers: runs, a missing image, kept containers, signals."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_images
from tests.engine.command_line import CommandLine, wait_until

pytestmark = pytest.mark.docker


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()
    instance = command_line.home / "instance"
    if instance.exists():
        docker_images.remove_containers_of(instance.read_text().strip())


def containers(line: CommandLine) -> list[str]:
    """Names of the containers of the home."""
    return docker_images.containers_of((line.home / "instance").read_text().strip())


def workflow(image: str, command: str, more: str = "") -> str:
    return f"name: w\n{more}steps:\n  - id: a\n    image: {image}\n    command: {json.dumps(command)}\n"


def test_a_run_in_a_container_ends_with_its_result_and_leaves_nothing(
    line: CommandLine, busybox_image: str
) -> None:
    line.write("w.yaml", workflow(busybox_image, 'echo "{\\"host\\": \\"$(hostname)\\"}"'))
    done = line.run("run", "w.yaml", "--backend", "docker", "--json")
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert document["run"]["backend"] == "docker"
    assert document["steps"][0]["result"]["host"] == document["steps"][0]["attempts"][0]["agent"]
    assert containers(line) == []


def test_an_image_that_cannot_be_had_fails_the_step_and_says_which(line: CommandLine) -> None:
    line.write("w.yaml", workflow("agentainer-test/no-such-image:1", "true"))
    done = line.run("run", "w.yaml", "--backend", "docker")

    assert done.returncode == 1
    assert re.search(r"a failed: run [0-9a-f]{12}, step a", done.stderr)
    assert "reason: image_error" in done.stderr
    assert "agentainer-test/no-such-image:1" in done.stderr
    assert len(done.stderr.splitlines()) <= 24


def test_a_kept_container_is_listed_by_name_and_removed(line: CommandLine, busybox_image: str) -> None:
    line.write("w.yaml", workflow(busybox_image, "exit 3", "config: {cleanup_policy: on_success}\n"))
    assert line.run("run", "w.yaml", "--backend", "docker").returncode == 1

    (agent,) = line.json("agents", "--backend", "docker")
    assert [agent["name"]] == containers(line)
    assert (agent["kept"], agent["exit_code"], agent["image"]) == (True, 3, busybox_image)
    assert line.run("cleanup", "last", "--yes", "--backend", "docker").returncode == 0
    assert containers(line) == []


def test_ctrl_c_twice_ends_a_container_that_ignores_the_first(line: CommandLine, busybox_image: str) -> None:
    line.write("agentainer.toml", "stop_grace = 300.0\n")
    line.write("w.yaml", workflow(busybox_image, "trap '' TERM; echo up; while :; do sleep 1; done"))
    live = line.start("run", "w.yaml", "--backend", "docker")
    wait_until(lambda: (line.home / "history.db").exists() and line.json("history") != [])
    logs = line.start("logs", "last", "-f")
    logs.wait_for("out | up")
    live.signal(signal.SIGINT)
    live.wait_for("cancelling  ")
    live.signal(signal.SIGINT)

    assert live.wait() == 130
    assert logs.wait() == 0
    assert containers(line) == []


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("{gpu_limit: 1}", ["w.yaml:7:34:", "gpu_limit is 1", "no GPU runtime"]),
        ("{memory_limit: 1Mi}", ["w.yaml:7:37:", "smallest limit is 6Mi"]),
        ("{memory_limit: 900Ti}", ["w.yaml:7:37:", "memory_limit is 943,718,400 MiB"]),
        ("{cpu_limit: 4000}", ["w.yaml:7:34:", "cpu_limit is 4000 CPUs"]),
    ],
)
def test_a_limit_that_the_machine_cannot_give_is_refused_before_anything_starts(
    line: CommandLine, busybox_image: str, limits: str, words: list[str]
) -> None:
    if "gpu" in limits and "nvidia" in docker_images.client().info()["Runtimes"]:
        pytest.skip("this engine has GPUs")
    first = f"name: w\nsteps:\n  - {{id: first, image: '{busybox_image}', command: 'true'}}\n"
    line.write(
        "w.yaml",
        f"{first}  - id: second\n    image: {busybox_image}\n    command: 'true'\n"
        f"    resource_limits: {limits}\n",
    )
    done = line.run("run", "w.yaml", "--backend", "docker")

    assert done.returncode == 2, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert json.loads(line.run("history", "--json").stdout) == []
    if (line.home / "instance").exists():
        assert containers(line) == []
