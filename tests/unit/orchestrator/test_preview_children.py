"""What `run --dry-run` foresees of the runs that are part of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import Reason
from engine.orchestrator.preview import ChildPreview, StepPreview, preview_steps
from engine.standalone import validate_file
from engine.workflows.params import resolve_params

TASK = "command: ['true']"
CHILD = f"""
name: child
params: {{mode: {{default: slow}}}}
state: {{own: 1}}
steps:
  - {{id: by_mode, depends_on: [], {TASK}, condition: {{field: $.params.mode, operator: eq, value: fast}}}}
  - {{id: by_n, depends_on: [], {TASK}, condition: {{field: $.n, operator: eq, value: 2}}}}
  - {{id: by_own, depends_on: [], {TASK}, condition: {{field: $.own, operator: eq, value: 1}}}}
"""


def preview(tmp_path: Path, steps: str, child: str = CHILD, **params: Any) -> dict[str, StepPreview]:
    """The steps of a workflow with `child` beside it, by id."""
    (tmp_path / "child.yaml").write_text(child)
    file = tmp_path / "parent.yaml"
    head = "name: parent\nparams: {speed: {default: fast}}\nstate: {n: 2, names: [a, b]}\nsteps:\n"
    file.write_text(f"{head}{steps}")
    plan, problems = validate_file(file)
    assert plan is not None, "\n".join(map(str, problems))
    return {one.step.id: one for one in preview_steps(plan, resolve_params(plan, params))}


def fates(child: ChildPreview) -> dict[str, str]:
    """What would become of each step; `?` after what holds as of now only."""
    assert child.steps is not None
    return {one.step.id: one.would + ("?" if one.as_of_now else "") for one in child.steps}


def only_child(one: StepPreview) -> ChildPreview:
    [child] = one.children
    return child


def test_inputs_that_are_known_decide_within_the_child(tmp_path: Path) -> None:
    found = preview(
        tmp_path,
        "  - {id: sub, type: subworkflow, sub_workflow_name: child, "
        'inputs: {mode: "{{ $.params.speed }}"}}\n',
        speed="fast",
    )
    # `n` is not handed on, and nobody else can set it before the child begins.
    assert fates(only_child(found["sub"])) == {"by_mode": "run", "by_n": "skip", "by_own": "run"}


def test_inputs_from_the_state_hold_as_of_now_once_something_runs_before_the_child(tmp_path: Path) -> None:
    inputs = '{n: "{{ $.n }}", mode: "{{ $.params.speed }}"}'
    sub = f"type: subworkflow, sub_workflow_name: child, inputs: {inputs}"
    found = preview(
        tmp_path,
        f"  - {{id: early, depends_on: [], {sub}}}\n"
        f"  - {{id: a, depends_on: [], {TASK}}}\n"
        f"  - {{id: late, depends_on: [a], {sub}}}\n",
    )
    assert fates(only_child(found["early"])) == {"by_mode": "run", "by_n": "run", "by_own": "run"}
    assert fates(only_child(found["late"])) == {"by_mode": "run", "by_n": "run?", "by_own": "run"}


def test_inputs_from_what_steps_will_leave_are_not_guessed(tmp_path: Path) -> None:
    inputs = '{n: "{{ $.steps.a.result }}", mode: "{{ $.later }}"}'
    found = preview(
        tmp_path,
        f"  - {{id: a, {TASK}}}\n"
        f"  - {{id: sub, type: subworkflow, sub_workflow_name: child, inputs: {inputs}}}\n",
    )
    child = only_child(found["sub"])
    assert fates(child) == {"by_mode": "depends", "by_n": "depends", "by_own": "run"}
    assert child.steps is not None
    assert [doubt.reads for doubt in child.steps[0].depends] == [("$.params.mode",)]


def test_the_whole_state_is_handed_on_as_far_as_it_is_known(tmp_path: Path) -> None:
    sub = "type: subworkflow, sub_workflow_name: child"
    found = preview(
        tmp_path,
        f"  - {{id: early, depends_on: [], {sub}}}\n"
        f"  - {{id: a, depends_on: [], {TASK}}}\n"
        f"  - {{id: late, depends_on: [a], {sub}}}\n",
    )
    # The parent's params are no part of its state, so the child's own default counts.
    assert fates(only_child(found["early"])) == {"by_mode": "skip", "by_n": "run", "by_own": "run"}
    assert fates(only_child(found["late"])) == {"by_mode": "skip?", "by_n": "run?", "by_own": "run?"}


def test_what_every_item_has_otherwise_is_not_known(tmp_path: Path) -> None:
    child = f"""
name: child
steps:
  - {{id: a, depends_on: [], {TASK}, condition: {{field: $.who, operator: eq, value: Ada}}}}
  - {{id: b, depends_on: [], {TASK}, condition: {{field: $.name, operator: eq, value: Ada}}}}
  - {{id: c, depends_on: [], {TASK}, condition: {{field: $.first, operator: eq, value: Ada}}}}
"""
    steps = """
  - id: each
    type: map
    sub_workflow_name: child
    inputs: {who: "{{ $.name }}", first: Ada}
    map_config: {input_path: $.names, item_alias: name}
"""
    assert fates(only_child(preview(tmp_path, steps, child)["each"])) == {
        "a": "depends",
        "b": "depends",
        "c": "run",
    }


@pytest.mark.parametrize(("n", "expected"), [(1, "true"), (2, "false")])
def test_of_the_workflows_of_a_branch_only_the_chosen_one_is_gone_into(
    tmp_path: Path, n: int, expected: str
) -> None:
    steps = f"""
  - id: fork
    type: branch
    depends_on: []
    branch_config:
      condition: {{field: $.params.speed, operator: eq, value: "{n}"}}
      true_workflow: child
      false_workflow: child
"""
    [child] = preview(tmp_path, steps, speed="1")["fork"].children
    assert child.choice == expected


def test_where_the_choice_is_open_every_workflow_is_gone_into(tmp_path: Path) -> None:
    steps = f"""
  - {{id: a, {TASK}}}
  - id: fork
    type: branch
    depends_on: [a]
    branch_config:
      condition: {{field: $.later, operator: eq, value: 1}}
      true_workflow: child
      false_workflow: child
"""
    assert [child.choice for child in preview(tmp_path, steps)["fork"].children] == ["true", "false"]


def test_a_step_that_is_skipped_begins_no_child(tmp_path: Path) -> None:
    found = preview(
        tmp_path,
        "  - {id: sub, type: subworkflow, sub_workflow_name: child, "
        "condition: {field: $.n, operator: eq, value: 9}}\n",
    )
    assert found["sub"].reason is Reason.CONDITION_FALSE
    assert found["sub"].children == ()


def test_workflows_that_run_workflows_a_thousandfold_are_gone_into_only_so_far(tmp_path: Path) -> None:
    (tmp_path / "w0.yaml").write_text(f"name: w0\nsteps: [{{id: end, {TASK}}}]\n")
    for level in range(1, 8):
        steps = "".join(
            f"  - {{id: s{n}, type: subworkflow, sub_workflow_name: w{level - 1}}}\n" for n in range(9)
        )
        (tmp_path / f"w{level}.yaml").write_text(f"name: w{level}\nsteps:\n{steps}")
    top = preview(tmp_path, "  - {id: top, type: subworkflow, sub_workflow_name: w7}\n")["top"]

    def count(one: StepPreview) -> tuple[int, int]:
        shown = [count(step) for child in one.children for step in child.steps or ()]
        left = sum(child.steps is None for child in one.children)
        return 1 + sum(number for number, _ in shown), left + sum(number for _, number in shown)

    number, left = count(top)
    assert number <= 501
    assert left > 0, "the 4,782,969 runs at the bottom are not gone through"
