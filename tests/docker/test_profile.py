"""The profile of a run in real containers: start-up is seen, samples are taken, limits that hold are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_images
from tests.engine.command_line import CommandLine

pytestmark = pytest.mark.docker

# Busy for two seconds or more of a core that it may only use a quarter of.
_BURN = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 0.5"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()
    instance = command_line.home / "instance"
    if instance.exists():
        docker_images.remove_containers_of(instance.read_text().strip())


def test_a_profile_of_containers(line: CommandLine, busybox_image: str) -> None:
    line.write(
        "w.yaml",
        f"""\
name: w
config: {{enable_profiling: true, max_parallel: 1}}
state: {{xs: [1, 2, 3]}}
steps:
  - id: burn
    image: {busybox_image}
    command: {json.dumps(_BURN)}
    resource_limits: {{cpu_limit: "0.25", memory_limit: 512Mi}}
  - id: each
    type: map
    image: {busybox_image}
    command: ["true"]
    map_config: {{input_path: xs}}
""",
    )
    assert line.run("run", "w.yaml", "--backend", "docker").returncode == 0
    found = line.json("profile", "last")
    steps = {step["step_id"]: step for step in found["steps"]}

    (burn,) = steps["burn"]["attempts"]
    assert {"image", "create", "start", "run"} <= set(burn["parts"])
    assert sum(burn["parts"].values()) == pytest.approx(burn["end"] - burn["begin"], abs=1e-3)
    assert burn["samples"]["rows"]
    assert max(row[1] for row in burn["samples"]["rows"]) <= 400
    assert burn["usage"]["cpu_seconds"] > 0
    assert burn["cleanup"] > 0

    assert sum(part["seconds"] for part in found["parts"].values()) == pytest.approx(
        found["duration"], abs=1e-3
    )
    assert found["parallelism"]["peak"] == 1
    assert steps["each"]["parts"]["queue"] > 0
    # Its memory is never needed; a container that does nothing is mostly started.
    advice = {(one["component"], one["setting"]): one["proposed"] for one in found["recommendations"]}
    assert advice["step burn", "resource_limits.memory_limit"].endswith("Mi")
    each = steps["each"]["attempts"][0]["parts"]
    assert each["start"] > 0.01
    report = line.run("profile", "last").stdout
    assert "starting agents" in report
    assert "no samples" not in report
