"""`on_failure` and `finally`: lists of steps with a turn and a graph of their own."""

from __future__ import annotations

from engine.workflows.loader import load_text
from engine.workflows.plan import Plan, StepRole

MAIN = "name: x\nsteps:\n  - {id: a, command: run}\n  - {id: b, command: run, depends_on: [a]}\n"


def plan_of(handlers: str) -> Plan:
    return load_text(MAIN + handlers, "w.yaml").require()


def test_handlers_come_after_the_main_steps_whatever_their_place_in_the_document() -> None:
    plan = load_text(
        "name: x\nfinally: [{id: f, command: run}]\non_failure: [{id: o, command: run}]\n"
        "steps: [{id: a, command: run}, {id: p, steps: [{id: m, command: run}]}]\n"
    ).require()
    assert [(step.id, step.role, step.ordinal) for step in plan.steps.values()] == [
        ("a", StepRole.MAIN, 0),
        ("p", StepRole.MAIN, 1),
        ("m", StepRole.MAIN, 2),
        ("o", StepRole.ON_FAILURE, 3),
        ("f", StepRole.FINALLY, 4),
    ]


def test_each_list_has_its_own_order() -> None:
    plan = plan_of(
        "on_failure:\n  - {id: o1, command: run}\n  - {id: o2, command: run}\n"
        "finally:\n  - {id: f1, command: run}\n  - {id: f2, command: run, depends_on: []}\n"
        "  - {id: f3, command: run, depends_on: [f1]}\n"
    )
    assert {step.id: (step.depends_on, set(step.order_only)) for step in plan.steps.values()} == {
        "a": ((), set()),
        "b": (("a",), set()),
        "o1": ((), set()),
        "o2": (("o1",), {"o1"}),
        "f1": ((), set()),
        "f2": ((), set()),
        "f3": (("f1",), set()),
    }


def test_depends_on_in_a_handler_does_not_take_the_order_of_the_main_steps() -> None:
    plan = load_text(
        "name: x\nsteps: [{id: a, command: run}, {id: b, command: run}]\n"
        "finally: [{id: f, command: run, depends_on: []}]\n"
    ).require()
    assert plan.steps["b"].depends_on == ("a",)


def test_members_of_a_handler_have_its_role() -> None:
    plan = plan_of("finally:\n  - {id: p, steps: [{id: m, command: run}, {id: n, command: run}]}\n")
    assert {step.id for step in plan.steps.values() if step.role is StepRole.FINALLY} == {"p", "m", "n"}


def test_handlers_may_read_the_run_and_what_had_its_turn_before() -> None:
    plan = plan_of(
        "on_failure:\n  - {id: o, command: [echo, '{{ $.run.error }}', '{{ $.steps.b.error }}']}\n"
        "finally:\n  - {id: f, command: [echo, '{{ $.run.failed_step }}', '{{ $.steps.o.status }}', "
        "'{{ $.steps.a.result }}', '{{ $.run }}']}\n"
    )
    assert plan.warnings == ()


def test_elsewhere_run_is_a_field_like_any_other() -> None:
    plan = load_text(
        "name: x\nstate: {run: {number: 1}}\nsteps: [{id: a, command: [echo, '{{ $.run.number }}']}]\n"
    ).require()
    assert plan.warnings == ()
    loaded = load_text("name: x\nsteps: [{id: a, command: [echo, '{{ $.run.number }}']}]\n")
    assert loaded.problems == ()


def test_a_handler_may_decide() -> None:
    plan = plan_of(
        "on_failure:\n"
        "  - id: whom\n    decision_node:\n      choices:\n"
        "        - {condition: {field: $.run.reason, operator: eq, value: lost}, next: ops}\n"
        "      default: dev\n"
        "  - {id: ops, command: run}\n  - {id: dev, command: run}\n"
    )
    assert plan.steps["ops"].routers == ("whom",)
