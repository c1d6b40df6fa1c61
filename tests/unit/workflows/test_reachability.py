"""Steps that can never run are refused, and no others: a small simulator of routing knows which those are."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Severity
from engine.workflows.loader import Loaded, load_text
from engine.workflows.reachability import MOST_LOOKS

TRIGGERS = ("", "all_success", "all_done", "one_success", "none_failed")


@dataclass(frozen=True)
class Step:
    """A step of a made-up workflow: what it waits for, and as a decision where each way leads."""

    depends_on: tuple[int, ...]
    trigger: str
    ways: tuple[tuple[int, int], ...]  # the value that the condition asks for, and the target

    def text(self, number: int) -> str:
        fields = [f"id: s{number}", f"depends_on: [{', '.join(f's{one}' for one in self.depends_on)}]"]
        if self.trigger:
            fields.append(f"trigger: {self.trigger}")
        if self.ways:
            choices = ", ".join(
                f"{{condition: {{field: v{number}, operator: eq, value: {value}}}, next: s{target}}}"
                for value, target in self.ways
            )
            fields.append(f"decision_node: {{choices: [{choices}]}}")
        else:
            fields.append("command: run")
        return f"  - {{{', '.join(fields)}}}\n"


@st.composite
def workflows(draw: st.DrawFn) -> tuple[Step, ...]:
    count = draw(st.integers(3, 9))
    steps = []
    decisions = 0
    for number in range(count):
        earlier = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        later = range(number + 1, count)
        ways: list[tuple[int, int]] = []
        if later and decisions < 3 and draw(st.booleans()):
            decisions += 1
            pair = st.tuples(st.integers(0, 3), st.sampled_from(later))
            ways = draw(st.lists(pair, min_size=1, max_size=4))
        steps.append(Step(tuple(sorted(earlier)), draw(st.sampled_from(TRIGGERS)), tuple(ways)))
    return tuple(steps)


def running(steps: tuple[Step, ...], picks: dict[int, int]) -> set[int]:
    """The steps that run when every task completes and each decision takes the way that `picks` says."""
    ran: set[int] = set()
    chosen: set[int] = set()
    for number, step in enumerate(steps):
        routers = {one for one, other in enumerate(steps) if number in {target for _, target in other.ways}}
        if routers and number not in chosen:
            continue
        awaited = [one for one in step.depends_on if one not in routers]
        done = [one in ran for one in awaited]
        admitted = {
            "": not awaited or any(done) or bool(routers),
            "all_success": all(done),
            "all_done": True,
            "one_success": not awaited or any(done),
            "none_failed": True,
        }[step.trigger]
        if admitted:
            ran.add(number)
            if step.ways:
                chosen.add(next(target for value, target in step.ways if value == picks[number]))
    return ran


def ever_running(steps: tuple[Step, ...]) -> set[int]:
    deciding = [number for number, step in enumerate(steps) if step.ways]
    values = [sorted({value for value, _ in steps[number].ways}) for number in deciding]
    seen: set[int] = set()
    for picked in itertools.product(*values):
        seen |= running(steps, dict(zip(deciding, picked, strict=True)))
    return seen


def load(steps: tuple[Step, ...]) -> Loaded:
    return load_text("name: x\nsteps:\n" + "".join(step.text(number) for number, step in enumerate(steps)))


def refused(loaded: Loaded) -> set[int]:
    """The numbers of the steps that are said to run never."""
    found: set[int] = set()
    for problem in loaded.problems:
        if problem.severity is Severity.ERROR:
            assert "can never run" in problem.message
            named = re.search(r"these steps can never run: ([^:]*):", problem.message)
            if named:
                found |= {int(one) for one in re.findall(r'"s(\d+)"', named[1])}
            else:
                found.add(problem.line - 3)
    return found


@settings(max_examples=300, deadline=None)
@given(workflows())
def test_a_step_that_is_refused_does_not_run_whatever_is_chosen(steps: tuple[Step, ...]) -> None:
    loaded = load(steps)
    never = set(range(len(steps))) - ever_running(steps)
    assert refused(loaded) <= never
    if not never:
        assert loaded.plan is not None


@settings(max_examples=300, deadline=None)
@given(workflows())
def test_with_one_decision_every_step_that_never_runs_is_refused(steps: tuple[Step, ...]) -> None:
    first = next((number for number, step in enumerate(steps) if step.ways), None)
    steps = tuple(
        step if number == first else Step(step.depends_on, step.trigger, ())
        for number, step in enumerate(steps)
    )
    never = set(range(len(steps))) - ever_running(steps)
    assert (load(steps).plan is None) is bool(never)


def test_a_choice_that_is_never_taken_but_does_no_harm_is_a_warning() -> None:
    loaded = load_text(
        "name: x\nsteps:\n  - id: d\n    decision_node:\n      choices:\n"
        "        - {condition: {field: a, operator: '>', value: 1}, next: s}\n"
        "        - {condition: {field: $.a, operator: gt, value: 1}, next: s}\n"
        "  - {id: s, command: run}\n"
    )
    assert loaded.plan is not None
    (problem,) = loaded.problems
    assert (problem.line, problem.column, problem.severity) == (7, 23, Severity.WARNING)
    assert "this choice is never taken" in problem.message


def test_conditions_that_only_look_alike_are_both_judged() -> None:
    choices = ", ".join(
        f"{{condition: {condition}, next: s{number}}}"
        for number, condition in enumerate(
            (
                "{field: a, operator: eq, value: 1}",
                '{field: a, operator: eq, value: "1"}',
                "{field: a, operator: eq, value: true}",
                "{field: a, operator: ne, value: 1}",
                "{field: a.a, operator: eq, value: 1}",
                "{field: a, operator: exists}",
                "{field: a, operator: exists, value: false}",
                "{not: {field: a, operator: eq, value: 1}}",
                "{and: [{field: a, operator: eq, value: 1}, {field: b, operator: eq, value: 1}]}",
                "{or: [{field: a, operator: eq, value: 1}, {field: b, operator: eq, value: 1}]}",
                "{and: [{field: b, operator: eq, value: 1}, {field: a, operator: eq, value: 1}]}",
            )
        )
    )
    steps = "".join(f"  - {{id: s{number}, command: run}}\n" for number in range(11))
    loaded = load_text(f"name: x\nsteps:\n  - {{id: d, decision_node: {{choices: [{choices}]}}}}\n{steps}")
    assert loaded.problems == ()


def test_a_skip_that_passes_on_a_false_condition_lets_what_is_behind_it_run() -> None:
    """`c` false, choice f: `s` is skipped (condition_false), which satisfies `z`, so that `j` runs."""
    loaded = load_text(
        "name: x\nsteps:\n"
        "  - {id: c, command: run, depends_on: [], condition: {field: n, operator: exists}}\n"
        "  - id: d\n    branch_config:\n"
        "      {condition: {field: a, operator: exists}, true_steps: t, false_steps: f}\n"
        "  - {id: t, command: run}\n  - {id: f, command: run}\n"
        "  - {id: s, command: run, depends_on: [c, t], trigger: all_success}\n"
        "  - {id: z, command: run, depends_on: [s]}\n"
        "  - {id: j, command: run, depends_on: [z, f], trigger: all_success}\n"
    )
    assert loaded.problems == ()


def test_handlers_are_searched_like_other_steps() -> None:
    loaded = load_text(
        "name: x\nsteps: [{id: a, command: run}]\nfinally:\n  - id: d\n    branch_config:\n"
        "      {condition: {field: a, operator: exists}, true_steps: [t], false_steps: [f]}\n"
        "  - {id: t, command: run}\n  - {id: f, command: run}\n"
        "  - {id: both, command: run, depends_on: [t, f], trigger: all_success}\n"
    )
    (problem,) = loaded.problems
    assert (problem.line, problem.column) == (9, 59)


def test_the_search_is_bounded_and_what_it_leaves_out_is_accepted() -> None:
    count = 900
    assert count * count * 3 / 2 > MOST_LOOKS
    exists = "condition: {field: a, operator: exists}"
    chain = "name: x\nsteps:\n" + "".join(
        f"  - {{id: d{n}, depends_on: [{f't{n - 1}' if n else ''}], "
        f"branch_config: {{{exists}, true_steps: t{n}, false_steps: f{n}}}}}\n"
        f"  - {{id: t{n}, command: run}}\n  - {{id: f{n}, command: run}}\n"
        for n in range(count)
    )
    join = "  - {{id: z, command: run, depends_on: [t{0}, f{0}], trigger: all_success}}\n"
    assert load_text(chain + join.format(count - 1)).plan is None
    assert load_text(chain + join.format(0)).plan is not None
