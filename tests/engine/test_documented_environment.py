"""What tasks really get, held against the page that tells users what they get."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.samples import ROOT, SampleRun, run_sample

PAGE = ROOT / "docs" / "reference" / "task-environment.md"

WORKFLOW = """\
name: environment
metadata: {cost-centre: "4711"}
params: {python: python3}
state: {names: [a, b], greeting: hello}
steps:
  - &task
    id: plain
    env_vars: {TASK_TYPE: probe, WORKFLOW_ID: mine, REDIS_PORT: "1"}
    command: ["{{ $.params.python }}", -c, "import json, os; print(json.dumps([dict(os.environ)]))"]
  - {<<: *task, id: items, type: map, map_config: {input_path: $.names, item_alias: name}}
  - {<<: *task, id: workers, type: parallel, max_workers: 2}
  - {<<: *task, id: closed, redis_access: none}
"""


def run_in(home: Path) -> SampleRun:
    file = home / "environment.yaml"
    file.write_text(WORKFLOW, encoding="utf-8")
    # This very interpreter: what `python3` is on PATH may be a script that adds to the environment.
    done = run_sample(file, home, backend="process", params={"python": sys.executable})
    assert done.status == "completed", done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    return run_in(tmp_path_factory.mktemp("home"))


def seen_by(run: SampleRun, step_id: str, item: int | None = None) -> dict[str, str]:
    """The environment of a task, as it printed it."""
    step = run.step(step_id)
    result = step["result"] if item is None else step["items"][item]["result"]
    return dict(result[0])


def test_every_variable_of_a_task_is_documented(run: SampleRun) -> None:
    documented = set(re.findall(r"`([A-Z_]+)`", PAGE.read_text(encoding="utf-8")))
    documented |= {"WORKFLOW_COST_CENTRE"}  # `WORKFLOW_<KEY>`
    python_s_own = {"LC_CTYPE", "PWD", "SHLVL", "_", "__CF_USER_TEXT_ENCODING"}

    tasks = [("plain", None), ("items", 0), ("workers", 1), ("closed", None)]
    seen = {name for step, item in tasks for name in seen_by(run, step, item)}

    assert seen - documented - python_s_own == set()


def test_the_engine_s_variables_win_but_a_step_s_own_place_of_redis_is_kept(run: SampleRun) -> None:
    task = seen_by(run, "plain")

    assert task["WORKFLOW_ID"] == run.document["run"]["id"]
    assert task["REDIS_PORT"] == "1"
    assert task["STEP_ID"] == "plain"
    assert task["AGENTAINER_ATTEMPT"] == "1"
    assert task["WORKFLOW_COST_CENTRE"] == "4711"
    assert task["TASK_ID"] == f"task-{run.document['run']['id']}-plain-1"
    assert task["AGENT_ID"] == run.step("plain")["attempts"][0]["agent"]
    assert task["REDIS_USERNAME"] == f"run-{run.document['run']['id']}"


def test_the_input_is_the_state_with_the_item_or_the_worker(run: SampleRun) -> None:
    def input_of(step_id: str, item: int | None = None) -> dict[str, Any]:
        return dict(json.loads(seen_by(run, step_id, item)["TASK_INPUT"]))

    params = {"python": sys.executable}
    assert input_of("plain") == {"names": ["a", "b"], "greeting": "hello", "params": params}
    item = input_of("items", 1)
    assert (item["name"], item["_map_index"], item["greeting"]) == ("b", 1, "hello")
    assert (seen_by(run, "items", 1)["MAP_INDEX"], seen_by(run, "items", 1)["MAP_ITEM"]) == ("1", '"b"')
    assert input_of("workers", 1)["worker_id"] == 1
    assert seen_by(run, "workers", 1)["WORKER_ID"] == "1"


def test_a_task_without_access_to_redis_is_told_nothing_of_it(run: SampleRun) -> None:
    names = [name for name in seen_by(run, "closed") if name.startswith("REDIS_")]

    assert names == ["REDIS_PORT"]  # the step's own


def test_a_local_process_does_not_inherit_the_rest_of_the_engine_s_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SHELL", "not for tasks")

    task = seen_by(run_in(tmp_path), "plain")

    assert "A_SECRET_OF_THE_SHELL" not in task
    assert task["PATH"] == os.environ["PATH"]
