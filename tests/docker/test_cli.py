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
    line.write(
        "w.yaml",
        workflow(busybox_image, "echo treasure > /left; exit 3", "config: {cleanup_policy: on_success}\n"),
    )
    assert line.run("run", "w.yaml", "--backend", "docker").returncode == 1

    (agent,) = line.json("agents", "--backend", "docker")
    assert [agent["name"]] == containers(line)
    assert (agent["kept"], agent["exit_code"], agent["image"]) == (True, 3, busybox_image)
    entered = line.run("shell", "last", "a", "-c", "cat /left", "--backend", "docker")
    assert (entered.returncode, entered.stdout) == (0, "treasure\n"), entered.stderr
    assert [agent["name"]] == containers(line), "the copy that was entered is gone"
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


def test_agents_shows_what_containers_use_and_which_are_orphans(
    line: CommandLine, busybox_image: str, tmp_path: Path
) -> None:
    line.write("w.yaml", workflow(busybox_image, "echo begun; while :; do :; done"))
    run = line.start("run", "w.yaml", "--backend", "docker")
    wait_until(lambda: (line.home / "instance").exists() and containers(line))

    def measured() -> list[dict[str, object]]:
        found = json.loads(line.run("agents", "--backend", "docker", "--json").stdout)
        return [agent for agent in found if agent["cpu_millicores"]]

    wait_until(measured)
    (agent,) = measured()
    assert isinstance(agent["memory_bytes"], int) and 0 < agent["memory_bytes"] < 64 << 20

    def orphans(home: str = "") -> list[dict[str, object]]:
        where = ["--home", home] if home else []
        done = line.run("agents", "--orphans", "--backend", "docker", "--json", *where)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return [orphan for orphan in found if orphan["name"] == agent["name"]]

    assert orphans() == []
    assert orphans(str(tmp_path / "another")) == [], "its home is there"
    run.signal(signal.SIGKILL)
    run.wait()
    moved = line.home.rename(tmp_path / "moved")
    try:
        (orphan,) = orphans(str(tmp_path / "another"))
        assert str(line.home) in str(orphan["why"])
        assert orphan["remove"] == ["docker", "rm", "-f", "-v", agent["name"]]
        shown = line.run("agents", "--orphans", "--backend", "docker", "--home", str(tmp_path / "another"))
        assert f"docker rm -f -v {agent['name']}" in shown.stdout
    finally:
        moved.rename(line.home)
    (line.home / "history.db").unlink()
    (own,) = orphans()
    assert "no run of this home needs it" in str(own["why"])
    line.write("next.yaml", workflow(busybox_image, "true"))
    assert line.run("run", "next.yaml", "--backend", "docker").returncode == 0
    assert containers(line) == [], "the next engine on the home removes what nobody needs"


def test_a_profiled_run_keeps_what_its_containers_used(line: CommandLine, busybox_image: str) -> None:
    burn = "end=$(( $(date +%s) + 4 )); while [ $(date +%s) -lt $end ]; do :; done"
    line.write("w.yaml", workflow(busybox_image, burn, "config: {enable_profiling: true}\n"))
    done = line.run("run", "w.yaml", "--backend", "docker", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (attempt,) = document["steps"][0]["attempts"]
    usage = attempt["usage"]
    assert usage["sampled"] is True
    assert 0.5 < usage["cpu_seconds"] < 10
    assert 0 < usage["memory_peak"] < 64 << 20
    events = [
        json.loads(text) for text in line.run("events", document["run"]["id"], "--json").stdout.splitlines()
    ]
    (sampled,) = [event["data"] for event in events if event["type"] == "attempt.sampled"]
    assert sampled["every"] == 1.0
    assert 3 <= len(sampled["rows"]) <= 8
    assert max(row[1] for row in sampled["rows"]) > 100
    assert all(len(row) == 7 for row in sampled["rows"])


def test_an_unhealthy_container_is_a_warning_that_hides_secrets(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "opensesame-4711")
    image = docker_images.variant(
        'HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD echo "no login with $TOKEN"; exit 1'
    )
    line.write(
        "w.yaml",
        f"name: w\nsecrets: [TOKEN]\nsteps:\n  - id: a\n    image: {image}\n    command: sleep 600\n"
        "    secrets: [TOKEN]\n    timeout: 6s\n",
    )
    done = line.run("run", "w.yaml", "--backend", "docker", "--json")
    document = json.loads(done.stdout)
    assert document["steps"][0]["reason"] == "timed_out"
    told = line.run("events", document["run"]["id"], "--json").stdout
    (warning,) = [
        event["data"]["message"]
        for event in map(json.loads, told.splitlines())
        if event["type"] == "warning" and "unhealthy" in event["data"]["message"]
    ]
    assert "no login with" in warning
    assert "opensesame-4711" not in told + done.stdout + done.stderr
