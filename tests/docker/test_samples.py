"""Every sample on Docker: same results, same order as on local processes, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_images
from tests.samples import MAPREDUCE_JSON, SampleRun, answered_sample, outline, run_sample

pytestmark = pytest.mark.docker

# The samples whose results do not depend on where they run, with params that make them quick.
SAME_EVERYWHERE = [
    ("hello", {"name": "Ada"}),
    ("mapreduce", {"pace": 0}),
    ("pipeline", {}),
    ("document_analysis", {"pace": 0}),
    ("decision", {"ticket": "the shop is down"}),
    ("subworkflow", {}),
    ("etl_with_finally", {"bad_rows": 1}),
    ("warm_pool", {"throws": 12}),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home for the run on Docker; containers of it are removed, whatever the test came to."""
    path = tmp_path / "docker"
    path.mkdir()
    yield path
    for instance in instances_of(path):
        docker_images.remove_containers_of(instance)


def instances_of(home: Path) -> list[str]:
    file = home / "instance"
    return [file.read_text(encoding="ascii").strip()] if file.exists() else []


@pytest.mark.parametrize(("sample", "params"), SAME_EVERYWHERE, ids=[name for name, _ in SAME_EVERYWHERE])
def test_containers_and_processes_give_the_same_results_in_the_same_order(
    sample: str, params: dict[str, object], home: Path, tmp_path: Path, python_image: str
) -> None:
    params = {**params, "image": python_image}
    elsewhere = tmp_path / "process"
    elsewhere.mkdir()

    on_docker = run_sample(sample, home, backend="docker", params=params)
    on_processes = run_sample(sample, elsewhere, backend="process", params=params)

    assert (on_docker.exit_code, on_docker.status) == (0, "completed")
    assert on_docker.document["run"]["backend"] == "docker"
    assert outline(on_docker) == outline(on_processes)
    assert_nothing_is_left(home)


def test_a_failure_in_containers_ends_with_the_same_handler_steps(
    home: Path, tmp_path: Path, python_image: str
) -> None:
    params = {"bad_rows": 3, "image": python_image}
    elsewhere = tmp_path / "process"
    elsewhere.mkdir()

    on_docker = run_sample("etl_with_finally", home, backend="docker", params=params)
    on_processes = run_sample("etl_with_finally", elsewhere, backend="process", params=params)

    assert (on_docker.exit_code, on_docker.status) == (1, "failed")
    assert outline(on_docker) == outline(on_processes)
    assert on_docker.step("transform")["artifacts"] == on_processes.step("transform")["artifacts"]
    assert_nothing_is_left(home)


def test_warm_pool_runs_many_tasks_in_its_two_agents(home: Path, python_image: str) -> None:
    run = run_sample("warm_pool", home, backend="docker", params={"throws": 12, "image": python_image})

    assert (run.exit_code, run.status) == (0, "completed")
    attempts = [run.step(step)["attempts"][0] for step in ("deal", "sum")]
    attempts += [item["attempts"][0] for item in run.step("throw")["items"]]
    placements = [attempt["placement"] for attempt in attempts]
    assert {placement["mode"] for placement in placements} == {"shell"}
    assert len({placement["agent"] for placement in placements}) <= 2
    assert run.state["traces"] == 0
    assert_nothing_is_left(home)


def test_approval_waits_without_a_container_until_somebody_answers(home: Path, python_image: str) -> None:
    run = answered_sample(
        "approval", home, backend="docker", answer="approve", params={"image": python_image}
    )

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.step("gate")["attempts"] == []
    assert run.state["released"] == "app-1.4.0"
    assert_nothing_is_left(home)


def test_resources_shows_that_docker_holds_the_limits(home: Path, python_image: str) -> None:
    run = run_sample("resources", home, backend="docker", params={"rounds": 1, "image": python_image})

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.state["half"]["limits_enforced"] is True
    assert run.state["quarter"]["limits_enforced"] is True
    assert run.step("compare")["result"] == {"same_work": True, "verdict": "the limits hold"}
    assert_nothing_is_left(home)


def test_the_dialect_of_agentainers_code_runs_in_containers(
    home: Path, tmp_path: Path, python_image: str
) -> None:
    file = tmp_path / "mapreduce.json"
    text = MAPREDUCE_JSON.read_text(encoding="utf-8").replace("python:3.12-alpine", python_image)
    file.write_text(text, encoding="utf-8")

    run = run_sample(file, home, backend="docker")

    assert (run.exit_code, run.status) == (3, "partially_completed")
    assert run.state["final_summary"] == {"words": [3, 3, None, 2], "team": "docs"}
    assert kept_items(run) == [2]
    # `cleanup_policy: on_success` keeps the agents of the item that failed, each of its tries.
    (instance,) = instances_of(home)
    assert len(docker_images.containers_of(instance)) == 2


def kept_items(run: SampleRun) -> list[int]:
    return [item["index"] for item in run.step("process")["items"] if item["status"] == "failed"]


def assert_nothing_is_left(home: Path) -> None:
    (instance,) = instances_of(home)
    assert docker_images.containers_of(instance) == []
