"""Limits that the machine cannot give are refused before a run exists, each at its place in the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.backend import BackendFacts
from engine.errors import DocumentError, Problem
from engine.orchestrator.admission import check_admission
from engine.settings import Settings
from engine.workflows.linking import link_from
from engine.workflows.loader import load_text

ENGINE = BackendFacts("docker", cpus=2, memory_bytes=4 << 30, gpus=0, enforces_limits=True)


def problems_of(
    text: str, tmp_path: Path, facts: BackendFacts = ENGINE, library: dict[str, str] | None = None
) -> tuple[Problem, ...]:
    plan = load_text(text, "w.yaml").require()
    plan = link_from(plan, {name: (child, f"{name}.yaml") for name, child in (library or {}).items()})
    try:
        check_admission(plan, facts, Settings(home=tmp_path))
    except DocumentError as error:
        return error.problems
    return ()


def test_a_gpu_where_there_is_none_is_refused_at_its_line(tmp_path: Path) -> None:
    text = """\
name: w
steps:
  - id: train
    image: trainer
    resource_limits:
      memory_limit: 1Gi
      gpu_limit: 1
"""
    (problem,) = problems_of(text, tmp_path)
    assert str(problem) == (
        "w.yaml:7:18: step 'train': gpu_limit is 1, but the Docker engine has no GPU runtime: "
        "install the NVIDIA Container Toolkit, or remove gpu_limit"
    )


def test_every_limit_of_every_step_is_told_at_once_each_at_its_own_place(tmp_path: Path) -> None:
    text = """\
name: w
config:
  resource_limits: {cpu_limit: 64}
steps:
  - id: a
    image: i
  - id: b
    image: i
    resource_limits:
      cpu_limit: 3
      memory_limit: 8Gi
"""
    places = {(problem.line, problem.column): problem.message for problem in problems_of(text, tmp_path)}
    assert places.keys() == {(3, 32), (10, 18), (11, 21)}
    assert places[3, 32].startswith("step 'a': cpu_limit is 64 CPUs")
    assert places[10, 18].startswith("step 'b': cpu_limit is 3 CPUs")
    assert places[11, 21].startswith("step 'b': memory_limit is 8,192 MiB")


def test_a_limit_that_a_member_has_from_its_parallel_step_is_told_there(tmp_path: Path) -> None:
    text = """\
name: w
steps:
  - id: all
    type: parallel
    resource_limits: {gpu_limit: 2}
    steps:
      - {id: one, image: i}
      - {id: two, image: i, resource_limits: {gpu_limit: 0}}
"""
    (problem,) = problems_of(text, tmp_path)
    assert (problem.line, problem.column) == (5, 34)
    assert "step 'one': gpu_limit is 2" in problem.message


def test_a_limit_in_the_config_of_a_step_is_told_there(tmp_path: Path) -> None:
    text = """\
name: w
steps:
  - id: one
    type: sequential
    config:
      image: i
      resource_limits:
        memory_limit: 5Gi
"""
    (problem,) = problems_of(text, tmp_path)
    assert (problem.line, problem.column) == (8, 23)


def test_the_limits_of_workflows_that_a_step_runs_are_looked_at_too(tmp_path: Path) -> None:
    child = "name: child\nsteps:\n  - {id: deep, image: i, resource_limits: {gpu_limit: 1}}\n"
    text = "name: w\nsteps:\n  - {id: sub, type: subworkflow, sub_workflow_name: child}\n"
    (problem,) = problems_of(text, tmp_path, library={"child": child})
    assert str(problem).startswith("child.yaml:3:55: step 'deep': gpu_limit is 1")


@pytest.mark.parametrize(
    "limits", ["{cpu_limit: 2, memory_limit: 4Gi}", "{gpu_limit: 0}", "{memory_limit: 6Mi}"]
)
def test_what_the_machine_can_give_is_admitted(tmp_path: Path, limits: str) -> None:
    text = f"name: w\nsteps:\n  - {{id: a, image: i, resource_limits: {limits}}}\n"
    assert problems_of(text, tmp_path) == ()


def test_where_limits_are_not_enforced_none_is_refused(tmp_path: Path) -> None:
    text = "name: w\nsteps:\n  - {id: a, command: [x], resource_limits: {cpu_limit: 64, gpu_limit: 4}}\n"
    assert problems_of(text, tmp_path, BackendFacts("process", cpus=1, memory_bytes=1 << 20)) == ()
