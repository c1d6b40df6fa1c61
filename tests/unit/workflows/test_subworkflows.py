"""Steps that run workflows, by name and inline: what they plan to, and that a child's text is enough."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.workflows.loader import load_text
from engine.workflows.plan import Plan, PlanStep, StepType, SubWorkflowPlan
from engine.workflows.source import MAX_BYTES
from tests.unit.workflows.test_schema import GOOD, SAMPLES


def plan_of(text: str) -> Plan:
    return load_text(text, "flows/w.yaml").require()


def step_of(fields: str) -> PlanStep:
    return plan_of(f"name: x\nsteps:\n  - {{id: s, {fields}}}\n").steps["s"]


def sub_of(step: PlanStep) -> SubWorkflowPlan:
    assert step.sub is not None
    return step.sub


def inline_of(step: PlanStep) -> Plan:
    plan = sub_of(step).inline
    assert plan is not None
    return plan


@pytest.mark.parametrize("key", ["sub_workflow_id", "sub_workflow_name"])
@pytest.mark.parametrize("written", ["", "type: subworkflow, ", "type: sub_workflow, "])
def test_a_workflow_is_named_by_id_or_name(key: str, written: str) -> None:
    step = step_of(f"{written}{key}: other")
    assert step.type is StepType.SUBWORKFLOW
    assert step.task is None
    assert step.sub == SubWorkflowPlan("other")
    assert (step.sub.line, step.sub.column) == (3, 13 + len(written) + len(key) + 2)


def test_a_map_can_run_a_workflow_for_each_item() -> None:
    step = step_of(
        "map_config: {input_path: $.xs, item_alias: x}, sub_workflow_name: other, inputs: {v: '{{ $.x }}'}"
    )
    assert step.type is StepType.MAP
    assert step.task is None
    assert step.map is not None
    inputs = sub_of(step).inputs
    assert inputs is not None
    assert inputs["v"].evaluate({"x": {"a": 1}}) == {"a": 1}


def test_members_of_a_parallel_step_can_run_workflows() -> None:
    plan = plan_of("name: x\nsteps: [{id: p, steps: [{id: m, sub_workflow_name: a}, {id: n, delay: 1}]}]\n")
    assert sub_of(plan.steps["m"]).name == "a"
    assert plan.steps["n"].delay == 1.0


def test_inputs_are_values_and_outputs_are_paths_into_the_state_of_the_child() -> None:
    step = step_of(
        "sub_workflow_name: a, "
        "inputs: {list: '{{ $.rows }}', text: 'n {{ $.n }}', deep: {a: [1, '{{ $.n }}']}},"
        " outputs: {total: $.sums.total, all: '$.rows[*].id'}"
    )
    sub = sub_of(step)
    assert sub.inputs is not None
    scope = {"rows": [1, 2], "n": 5}
    assert {key: value.evaluate(scope) for key, value in sub.inputs.items()} == {
        "list": [1, 2],
        "text": "n 5",
        "deep": {"a": [1, 5]},
    }
    assert not isinstance(sub.outputs, str)
    child = {"sums": {"total": 3}, "rows": [{"id": 1}]}
    assert {key: path.find(child) for key, path in sub.outputs.items()} == {"total": 3, "all": [1]}


def test_outputs_may_speak_of_steps_of_the_child() -> None:
    step = step_of("sub_workflow_name: a, outputs: {x: $.steps.elsewhere.result, y: $.params.theirs}")
    assert len(sub_of(step).outputs) == 2


def test_without_inputs_and_outputs_the_state_is_handed_on_and_merged() -> None:
    sub = sub_of(step_of("sub_workflow_name: a"))
    assert (sub.inputs, sub.outputs) == (None, "merge")
    assert sub_of(step_of("sub_workflow_name: a, outputs: step")).outputs == "step"
    assert sub_of(step_of("sub_workflow_name: a, inputs: {}")).inputs == {}


INLINE = """\
name: outer
env_file: [shared.env]
secrets: [TOKEN, {name: KEY, file: outer.key}]
config: {timeout: 5m}
steps:
  - id: s
    workflow:
      env_file: own.env
      secrets: [{name: KEY, env: OWN_KEY}]
      params: {n: 3}
      state: {a: 1}
      steps:
        - {id: one, command: [echo, "{{ $.params.n }}"], secrets: [TOKEN]}
        - {id: two, command: run, depends_on: [one], cache: false}
      finally:
        - {id: end, command: [echo, "{{ $.run.status }}"]}
"""


def test_an_inline_workflow_is_a_plan_of_its_own() -> None:
    plan = inline_of(plan_of(INLINE).steps["s"])
    assert plan.workflow == "s"
    assert plan.path == "flows/w.yaml"
    assert list(plan.steps) == ["one", "two", "end"]
    assert plan.steps["two"].depends_on == ("one",)
    assert plan.params["n"].default == 3
    assert plan.timeout is None


def test_an_inline_workflow_has_the_secrets_and_env_files_of_its_parent() -> None:
    plan = inline_of(plan_of(INLINE).steps["s"])
    assert plan.env_files == ("shared.env", "own.env")
    assert {name: (one.env, one.file) for name, one in plan.secrets.items()} == {
        "TOKEN": (None, None),
        "KEY": ("OWN_KEY", None),
    }
    assert plan.steps["one"].task is not None
    assert plan.steps["one"].task.secrets == ("TOKEN",)
    assert plan.steps["two"].task is not None
    assert set(plan.steps["two"].task.secrets) == {"TOKEN", "KEY"}


def test_what_an_inline_workflow_inherits_is_in_its_text() -> None:
    plan = inline_of(plan_of(INLINE).steps["s"])
    assert json.loads(plan.document)["env_file"] == ["shared.env", "own.env"]
    assert load_text(plan.document, plan.path).require() == plan


def test_the_name_of_an_inline_workflow_is_its_own_if_it_has_one() -> None:
    step = step_of("workflow: {name: Inner flow, steps: [{id: a, command: run}]}")
    assert (sub_of(step).name, inline_of(step).workflow) == ("Inner flow", "Inner flow")


def test_the_text_of_an_inline_workflow_inside_of_another_loads_too() -> None:
    step = step_of(
        "workflow: {steps: [{id: b, workflow: {state: {deep: [null, 1.50, 'no']}, "
        "steps: [{id: c, command: run, env: {A: 007, B: True, C: 1.50}}]}}]}"
    )
    outer = inline_of(step)
    inner = inline_of(outer.steps["b"])
    again = load_text(outer.document, outer.path).require()
    assert again == outer
    assert inline_of(again.steps["b"]).document == inner.document
    assert load_text(inner.document, inner.path).require() == inner
    assert inner.steps["c"].task is not None
    rendered = {name: value.render({}) for name, value in inner.steps["c"].task.env.items()}
    assert rendered == {"A": "007", "B": "True", "C": "1.50"}


def _inside(document: dict[str, Any]) -> dict[str, Any]:
    config = {
        key: value
        for key, value in document.get("config", {}).items()
        if key not in ("schedule", "max_active_runs")
    }
    inner = {key: value for key, value in document.items() if not key.startswith("x-")}
    return {"name": "outer", "steps": [{"id": "s", "workflow": {**inner, "config": config}}]}


@pytest.mark.parametrize("text", [GOOD, *(path.read_text(encoding="utf-8") for path in SAMPLES)])
def test_every_document_is_good_inline_and_its_text_loads_into_the_same_plan(text: str) -> None:
    plan = inline_of(plan_of(yaml.safe_dump(_inside(yaml.safe_load(text)), sort_keys=False)).steps["s"])
    again = load_text(plan.document, plan.path).require()
    assert replace(again, warnings=()) == plan
    assert again.digest == plan.digest


def test_settings_that_only_a_document_of_its_own_can_have_are_warnings() -> None:
    loaded = load_text(
        "name: x\nsteps:\n  - id: s\n    workflow:\n      config:\n        schedule: 0 6 * * *\n"
        "        max_active_runs: 1\n      steps: [{id: a, command: run}]\n"
    )
    assert [(one.line, one.column) for one in loaded.problems] == [(6, 9), (7, 9)]
    assert all("has no effect in a workflow that stands in a step" in one.message for one in loaded.problems)
    child = inline_of(loaded.require().steps["s"])
    for plan in (child, load_text(child.document).require()):
        assert (plan.schedule, plan.max_active_runs) == (None, 0)


def test_warnings_of_an_inline_workflow_are_those_of_its_parent() -> None:
    plan = plan_of(
        "name: x\nsteps:\n  - id: s\n    workflow:\n      steps:\n"
        "        - {id: a, command: run, pool_config: {}}\n"
    )
    (warning,) = plan.warnings
    assert warning.startswith("flows/w.yaml:6:")
    assert inline_of(plan.steps["s"]).warnings == ()


def test_aliases_cannot_blow_up_the_text_of_an_inline_workflow(tmp_path: Path) -> None:
    big = "x" * (MAX_BYTES // 50)
    fields = "".join(f"        f{number}: *big\n" for number in range(60))
    loaded = load_text(
        f"name: x\nx-big: &big {big}\nsteps:\n  - id: s\n    workflow:\n      state:\n{fields}"
        "      steps: [{id: a, command: run}]\n"
    )
    (problem,) = loaded.problems
    assert "is longer than 5,242,880 bytes: give it a file of its own" in problem.message
    assert problem.line == 6
