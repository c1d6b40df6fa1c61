"""The diff of two plans: fields by the names of documents, and which of them make a result another."""

from __future__ import annotations

import pytest

from engine.workflows.linking import link_from
from engine.workflows.loader import load_text
from engine.workflows.plan_diff import FieldChange, PlanDiff, diff_plans

BASE = """
name: w
config: {timeout: 60s}
state: {n: 1}
params: {who: {default: you}}
secrets: [{name: TOKEN, env: ONE}]
steps:
  - {id: a, image: "alpine:3", command: [say, "{{ $.n }}"], env_vars: {URL: "http://a"}, secrets: [TOKEN]}
  - {id: b, type: map, command: "x", map_config: {input_path: $.list}}
  - id: c
    type: decision
    decision_node: {choices: [{condition: {field: $.n, operator: gt, value: 0}, next: d}], default: e}
  - {id: d, command: "x", condition: {field: $.n, operator: eq, value: 1}}
  - {id: e, command: "x"}
"""


def diff(old: str, new: str) -> PlanDiff:
    before, after = (load_text(text, "w.yaml").require() for text in (old, new))
    return diff_plans(before, after)


@pytest.mark.parametrize(
    ("old", "new", "step", "change"),
    [
        ("alpine:3", "alpine:4", "a", FieldChange("image", "alpine:3", "alpine:4")),
        ("{{ $.n }}", "{{ $.m }}", "a", FieldChange("command", ["say", "{{ $.n }}"], ["say", "{{ $.m }}"])),
        ("http://a", "http://b", "a", FieldChange("env_vars.URL", "http://a", "http://b")),
        ("URL: ", "URI: x, URL: ", "a", FieldChange("env_vars.URI", None, "x")),
        ("$.list", "$.other", "b", FieldChange("map_config.input_path", "$.list", "$.other")),
        ("eq, value: 1", "eq, value: 2", "d", FieldChange("condition", "$.n eq 1", "$.n eq 2")),
    ],
)
def test_a_change_of_what_a_step_does_is_told_by_its_name(
    old: str, new: str, step: str, change: FieldChange
) -> None:
    found = diff(BASE, BASE.replace(old, new))
    assert [each.id for each in found.steps] == [step]
    assert found.steps[0].matters
    assert found.steps[0].fields == (change,)
    assert not found.workflow


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("id: a,", "id: a, name: first,", ["name"]),
        ("id: a,", "id: a, timeout: 5s,", ["timeout"]),
        ("id: a,", "id: a, retry_policy: {max_attempts: 3},", ["retry_policy.max_attempts"]),
        ("id: a,", "id: a, resource_limits: {memory_limit: 64Mi},", ["memory_limit"]),
        ("$.list}", "$.list, max_concurrency: 2}", ["map_config.max_concurrency"]),
    ],
)
def test_how_a_step_is_carried_out_is_told_and_does_not_matter(old: str, new: str, names: list[str]) -> None:
    [step] = diff(BASE, BASE.replace(old, new)).steps
    assert [field.name for field in step.fields] == names
    assert not step.matters


def test_what_reads_the_same_is_no_change() -> None:
    assert not diff(BASE, BASE)
    assert not diff(BASE, "# a remark\n" + BASE.replace("timeout: 60s", "timeout: 1m"))


def test_added_and_removed_steps_change_those_that_wait_for_others_now() -> None:
    found = diff(BASE, BASE.replace("  - {id: b", '  - {id: n, command: "x"}\n  - {id: b'))
    assert [(step.id, step.kind, [field.name for field in step.fields]) for step in found.steps] == [
        ("n", "added", []),
        ("b", "changed", ["depends_on"]),
    ]
    back = diff(BASE.replace("  - {id: b", '  - {id: n, command: "x"}\n  - {id: b'), BASE)
    assert [(step.id, step.kind) for step in back.steps] == [("b", "changed"), ("n", "removed")]


def test_the_workflow_itself_is_compared_field_by_field() -> None:
    new = BASE.replace("60s", "90s").replace("{n: 1}", "{n: 2}").replace("default: you", "default: me")
    found = diff(BASE, new)
    assert [field.name for field in found.workflow] == ["timeout", "state.n", "params.who"]
    assert [field.name for field in found.seen_by_all] == ["state.n"]
    assert not found.steps


def test_a_step_is_another_when_a_workflow_that_it_runs_is_however_deep() -> None:
    runs = "name: {}\nsteps:\n  - {{id: s, type: subworkflow, sub_workflow_name: {}}}\n"
    outer, inner = runs.format("outer", "inner") + "  - {id: t, command: x}\n", runs.format("inner", "core")

    def linked(core: str) -> object:
        texts = {"inner": (inner, None), "core": (f"name: core\nsteps: [{{id: c, command: {core}}}]\n", None)}
        return link_from(load_text(outer, "outer.yaml").require(), texts)

    found = diff_plans(linked("x"), linked("y"))  # type: ignore[arg-type]
    assert [step.id for step in found.steps] == ["s"]
    assert [field.name for field in found.steps[0].fields] == ["workflow core"]


def test_a_secret_from_elsewhere_changes_the_tasks_that_get_it() -> None:
    found = diff(BASE, BASE.replace("env: ONE", "env: TWO"))
    assert [step.id for step in found.steps] == ["a", "b", "d", "e"]
    assert {field.name for step in found.steps for field in step.fields} == {"secrets.TOKEN"}


def test_true_is_not_one() -> None:
    assert diff(BASE, BASE.replace("{n: 1}", "{n: true}")).workflow
    assert diff(BASE, BASE.replace("operator: eq, value: 1", "operator: eq, value: true")).steps
