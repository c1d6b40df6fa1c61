"""Decisions and branches: what both dialects come to in the plan, and which way is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InputError
from engine.workflows.loader import load_text
from engine.workflows.plan import Choice, Plan, RoutePlan, StepType
from engine.workflows.routing import choose


def plan_of(*steps: str) -> Plan:
    text = "name: x\nsteps:\n" + "".join(f"  - {{{step}}}\n" for step in steps)
    return load_text(text, "w.yaml").require()


def route_of(decision: str, *targets: str) -> RoutePlan:
    plan = plan_of(f"id: d, {decision}", *(f"id: {one}, command: run" for one in targets))
    route = plan.steps["d"].route
    assert route is not None
    return route


def ways(route: RoutePlan) -> list[tuple[str, tuple[str, ...], bool]]:
    return [(way.label, way.targets, way.condition is None) for way in route.ways]


def chosen(route: RoutePlan, scope: dict[str, Any]) -> str | None:
    choice, _ = choose(route, scope)
    return choice.label if choice else None


CHOICES = (
    "decision_node: {choices: ["
    "{condition: {field: n, operator: gt, value: 10}, next: big}, "
    "{condition: {field: n, operator: gt, value: 5}, next: middle}], default: small}"
)


def test_the_first_true_choice_wins_and_default_comes_last() -> None:
    route = route_of(CHOICES, "big", "middle", "small")
    assert ways(route) == [
        ("1", ("big",), False),
        ("2", ("middle",), False),
        ("default", ("small",), True),
    ]
    assert [chosen(route, {"n": n}) for n in (11, 6, 5)] == ["1", "2", "default"]
    assert chosen(route, {}) == "default"


def test_without_a_default_nothing_is_chosen_where_nothing_is_true() -> None:
    route = route_of(
        "decision_node: {choices: [{condition: {field: n, operator: eq, value: 1}, next: a}]}", "a"
    )
    assert route.default is None
    assert choose(route, {"n": 2}) == (None, ())


def test_branches_are_judged_by_priority_equal_ones_in_the_order_of_the_document() -> None:
    branch = "{{id: {}, condition: {{field: {}, operator: exists}}, next_steps: [{}], priority: {}}}"
    branches = [
        branch.format(*one)
        for one in (("late", "a", "s1", -1), ("x", "b", "s2", 3), ("y", "c", "s3", 3), ("z", "d", "s4", 9))
    ]
    route = route_of(f"decision_node: {{branches: [{', '.join(branches)}]}}", "s1", "s2", "s3", "s4")
    assert [way.label for way in route.ways] == ["z", "x", "y", "late"]
    assert chosen(route, {"a": 1, "b": 1, "c": 1}) == "x"


def test_a_branch_with_a_condition_can_be_the_default_as_well() -> None:
    route = route_of(
        "decision_node: {branches: ["
        "{id: low, condition: {field: n, operator: lt, value: 3}, next_steps: [a, b]}, "
        "{id: high, condition: {field: n, operator: gt, value: 7}, next_steps: [b]}], default: low}",
        "a",
        "b",
    )
    assert ways(route) == [
        ("low", ("a", "b"), False),
        ("high", ("b",), False),
        ("low", ("a", "b"), True),
    ]
    assert [chosen(route, {"n": n}) for n in (1, 5, 8)] == ["low", "low", "high"]


def test_a_branch_without_steps_leads_nowhere_and_is_no_error() -> None:
    route = route_of(
        "decision_node: {branches: [{id: go, condition: {field: n, operator: exists}, next_steps: a}, "
        "{id: stop}], default: stop}",
        "a",
    )
    assert choose(route, {}) == (Choice("stop"), ())


def test_a_branch_has_the_ways_true_and_false() -> None:
    route = route_of(
        "branch_config: {condition: {field: n, operator: exists}, true_steps: [a, b], "
        "false_workflow: other}, inputs: {x: '{{ $.n }}'}, outputs: step",
        "a",
        "b",
    )
    assert ways(route) == [("true", ("a", "b"), False), ("false", (), True)]
    assert [way.workflow is None for way in route.ways] == [True, False]
    workflow = route.ways[1].workflow
    assert workflow is not None
    assert (workflow.name, workflow.outputs, workflow.line) == ("other", "step", 3)
    assert workflow.inputs is not None
    assert workflow.inputs["x"].evaluate({"n": [1]}) == [1]
    assert chosen(route, {"n": None}) == "true"
    assert chosen(route, {}) == "false"


def test_the_value_at_input_path_comes_before_the_state() -> None:
    route = route_of(
        "decision_node: {input_path: $.report, choices: ["
        "{condition: {field: $.kind, operator: eq, value: inner}, next: a}, "
        "{condition: {not: {or: [{field: $.limit, operator: lt, value: 5}]}}, next: b}]}",
        "a",
        "b",
    )
    assert chosen(route, {"report": {"kind": "inner"}, "kind": "outer"}) == "1"
    assert chosen(route, {"report": {"kind": None, "limit": 9}, "kind": "inner"}) == "2"
    # `kind` is not in the report, and `limit` of the report hides that of the state.
    assert chosen(route, {"report": {}, "kind": "inner"}) == "1"
    assert chosen(route, {"report": {"limit": 1}, "limit": 9}) is None


@pytest.mark.parametrize(
    ("value", "label"), [([3, 4], "list"), ("text", "text"), (7, "number"), (None, "none")]
)
def test_the_value_at_input_path_may_be_of_any_kind(value: Any, label: str) -> None:
    route = route_of(
        "decision_node: {input_path: $.v, default: none, branches: ["
        "{id: list, condition: {field: '$[1]', operator: eq, value: 4}, next_steps: a}, "
        "{id: text, condition: {field: $, operator: matches, value: ^te}, next_steps: a}, "
        "{id: number, condition: {field: $, operator: eq, value: 7}, next_steps: a}, "
        "{id: none, next_steps: a}]}",
        "a",
    )
    assert chosen(route, {"v": value}) == label


def test_wildcards_look_into_the_value_at_input_path_where_it_has_the_field() -> None:
    route = route_of(
        "decision_node: {input_path: $.v, choices: "
        "[{condition: {field: '$.rows[*].id', operator: contains, value: 2}, next: a}]}",
        "a",
    )
    rows = [{"id": 2}]
    assert chosen(route, {"v": {"rows": rows}, "rows": []}) == "1"
    assert chosen(route, {"v": {"rows": []}, "rows": rows}) is None
    assert chosen(route, {"v": {}, "rows": rows}) == "1"


def test_an_input_path_that_finds_nothing_is_an_input_error() -> None:
    route = route_of(
        "decision_node: {input_path: $.v.w, choices: "
        "[{condition: {field: $.a, operator: exists}, next: a}], default: a}",
        "a",
    )
    with pytest.raises(InputError, match=r'"\$\.v\.w" finds nothing: \$\.v has no "w"'):
        choose(route, {"v": {"x": 1}})


def test_the_warnings_of_the_conditions_that_were_judged_are_kept() -> None:
    route = route_of(CHOICES, "big", "middle", "small")
    choice, warnings = choose(route, {"n": "eleven"})
    assert choice is route.default
    assert len(warnings) == 2
    assert all("cannot be ordered" in warning for warning in warnings)


def test_targets_wait_for_their_routers_which_are_no_order_only_edges() -> None:
    plan = plan_of(
        "id: a, command: run",
        f"id: d, {CHOICES}",
        "id: big, command: run",
        "id: middle, command: run",
        "id: small, command: run",
        "id: end, command: run",
    )
    seen = {step.id: (step.depends_on, step.routers, set(step.order_only)) for step in plan.steps.values()}
    assert seen == {
        "a": ((), (), set()),
        "d": (("a",), (), {"a"}),
        "big": (("d",), ("d",), set()),
        "middle": (("big", "d"), ("d",), {"big"}),
        "small": (("middle", "d"), ("d",), {"middle"}),
        "end": (("small",), (), {"small"}),
    }


def test_with_depends_on_targets_wait_for_their_routers_besides() -> None:
    plan = plan_of(
        "id: d, decision_node: {choices: [{condition: {field: n, operator: exists}, next: Far end}], "
        "default: m}",
        "id: e, decision_node: {choices: [{condition: {field: n, operator: exists}, next: far}]}",
        "id: m, command: run, depends_on: [d]",
        "id: far, name: Far end, command: run, depends_on: [m]",
    )
    far = plan.steps["far"]
    assert (far.depends_on, far.routers, far.order_only) == (("m", "d", "e"), ("d", "e"), frozenset())
    assert plan.steps["m"].routers == ("d",)
    assert plan.steps["d"].type is StepType.DECISION


def test_a_decision_can_choose_a_parallel_step_with_members() -> None:
    plan = plan_of(
        "id: d, decision_node: {choices: [{condition: {field: n, operator: exists}, next: p}]}",
        "id: p, steps: [{id: m, command: run}]",
    )
    assert plan.steps["p"].routers == ("d",)
    assert plan.steps["m"].routers == ()


def test_a_decision_that_says_its_default_twice_has_one_target() -> None:
    route = route_of(
        "branch_config: {condition: {field: a, operator: exists}, true_steps: [s, s, Same], false_steps: s}",
        "s, name: Same",
    )
    assert [way.targets for way in route.ways] == [("s",), ("s",)]


def test_both_dialects_load_without_a_warning() -> None:
    plan = plan_of(
        "id: one, decision_node: {choices: [{condition: {field: s, operator: eq, value: ok}, next: a}], "
        "default: b}",
        "id: two, type: decision, decision_node: {branches: [{id: high, name: High, next_steps: [b], "
        "condition: {type: simple, field: n, operator: '>', value: 3}, priority: 2}, "
        "{id: low, next_steps: a}], default: low}",
        "id: a, command: run",
        "id: b, command: run",
    )
    assert plan.warnings == ()
    assert plan.steps["a"].routers == ("one", "two")
