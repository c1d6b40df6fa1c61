"""What `run --dry-run` foresees, and what it does not pretend to know."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import Reason
from engine.orchestrator.preview import StepPreview, preview_steps
from engine.workflows.loader import load_text
from engine.workflows.params import resolve_params


def preview(document: str, **params: Any) -> dict[str, StepPreview]:
    """Every step's preview by id, in the order in which they are told."""
    loaded = load_text(f"name: w\n{document}", "w.yaml")
    assert loaded.plan is not None, "\n".join(map(str, loaded.problems))
    return {one.step.id: one for one in preview_steps(loaded.plan, resolve_params(loaded.plan, params))}


def would(found: dict[str, StepPreview]) -> dict[str, str]:
    return {name: one.would for name, one in found.items()}


def hangs_on(one: StepPreview) -> set[str]:
    return {doubt.step_id for doubt in one.depends}


TASK = "command: ['true']"


def test_steps_come_in_the_order_in_which_they_would_run() -> None:
    found = preview(f"""
steps:
  - {{id: last, depends_on: [b, c], {TASK}}}
  - {{id: c, depends_on: [a], {TASK}}}
  - {{id: b, depends_on: [a], {TASK}}}
  - {{id: a, depends_on: [], {TASK}}}
""")
    assert [(name, one.stage) for name, one in found.items()] == [("a", 1), ("c", 2), ("b", 2), ("last", 3)]
    assert set(would(found).values()) == {"run"}


@pytest.mark.parametrize(("mode", "fate"), [("fast", "skip"), ("thorough", "run")])
def test_a_condition_on_params_is_decided(mode: str, fate: str) -> None:
    found = preview(
        f"""
params: {{mode: {{default: fast}}}}
steps:
  - {{id: a, {TASK}}}
  - {{id: b, {TASK}, condition: {{field: $.params.mode, operator: eq, value: thorough}}}}
  - {{id: c, {TASK}}}
""",
        mode=mode,
    )
    assert would(found) == {"a": "run", "b": fate, "c": "run"}
    assert not any(one.as_of_now for one in found.values()), "params do not change"
    if fate == "skip":
        assert found["b"].reason is Reason.CONDITION_FALSE


def test_a_condition_on_the_state_holds_as_of_now_once_something_runs_before_it() -> None:
    found = preview(f"""
state: {{score: 5}}
steps:
  - {{id: first, {TASK}, condition: {{field: score, operator: gt, value: 9}}}}
  - {{id: later, {TASK}, condition: {{field: score, operator: gt, value: 9}}}}
""")
    assert would(found) == {"first": "skip", "later": "skip"}
    assert not found["first"].as_of_now, "nothing can have changed it by then"
    assert found["later"].as_of_now


def test_a_condition_on_what_a_step_will_leave_is_not_guessed() -> None:
    found = preview(f"""
steps:
  - {{id: a, {TASK}}}
  - {{id: b, {TASK}, condition: {{field: $.steps.a.result.ok, operator: eq, value: true}}}}
  - {{id: c, {TASK}, condition: {{field: found, operator: eq, value: 1}}}}
""")
    assert would(found) == {"a": "run", "b": "depends", "c": "depends"}
    assert [doubt.reads for doubt in found["b"].depends] == [("$.steps.a.result.ok",)]
    assert [doubt.reads for doubt in found["c"].depends] == [("found",)]


def test_a_field_that_is_not_there_is_certain_to_be_missing_at_the_beginning() -> None:
    found = preview(f"steps:\n  - {{id: a, {TASK}, condition: {{field: nothing, operator: eq, value: 1}}}}\n")
    assert would(found) == {"a": "skip"}
    assert not found["a"].as_of_now


UNKNOWN = "{field: $.steps.a.status, operator: eq, value: x}"
TRUE = "{field: $.params.n, operator: eq, value: 1}"
FALSE = "{field: $.params.n, operator: eq, value: 2}"


@pytest.mark.parametrize(
    ("condition", "fate"),
    [
        (f"{{and: [{UNKNOWN}, {FALSE}]}}", "skip"),
        (f"{{or: [{UNKNOWN}, {TRUE}]}}", "run"),
        (f"{{and: [{UNKNOWN}, {TRUE}]}}", "depends"),
        (f"{{or: [{UNKNOWN}, {FALSE}]}}", "depends"),
        (f"{{not: {TRUE}}}", "skip"),
        (f"{{not: {UNKNOWN}}}", "depends"),
    ],
)
def test_combined_conditions_are_decided_as_soon_as_one_part_decides(condition: str, fate: str) -> None:
    found = preview(f"""
params: {{n: {{default: 1}}}}
steps:
  - {{id: a, {TASK}}}
  - {{id: b, {TASK}, condition: {condition}}}
""")
    assert found["b"].would == fate


TRIAGE = f"""
steps:
  - id: triage
    type: decision
    decision_node:
      choices:
        - {{condition: {{field: FIELD, operator: gte, value: 7}}, next: call}}
      default: mail
  - {{id: call, depends_on: [], {TASK}}}
  - {{id: mail, depends_on: [], {TASK}}}
  - {{id: report, depends_on: [call, mail], {TASK}}}
"""


def test_a_decision_on_what_is_known_chooses_and_the_other_way_is_skipped() -> None:
    found = preview("state: {score: 9}" + TRIAGE.replace("FIELD", "$.score"))
    assert would(found) == {"triage": "run", "call": "run", "mail": "skip", "report": "run"}
    assert found["triage"].choice == "1"
    assert not found["triage"].choice_as_of_now
    assert found["mail"].reason is Reason.BRANCH_NOT_TAKEN
    assert "triage" in found["mail"].text


def test_a_join_of_both_ways_of_an_open_decision_is_certain_to_run() -> None:
    found = preview(
        TRIAGE.replace("steps:\n", f"steps:\n  - {{id: rate, {TASK}}}\n", 1)
        .replace("FIELD", "$.steps.rate.result")
        .replace("    type: decision", "    type: decision\n    depends_on: [rate]")
    )
    assert would(found) == {
        "rate": "run",
        "triage": "run",
        "call": "depends",
        "mail": "depends",
        "report": "run",
    }
    assert found["triage"].choice is None
    assert hangs_on(found["call"]) == {"triage"}


def test_a_choice_as_of_now_says_so_and_so_do_the_steps_behind_it() -> None:
    found = preview(
        "state: {score: 9}"
        + TRIAGE.replace("steps:\n", f"steps:\n  - {{id: rate, {TASK}}}\n", 1)
        .replace("FIELD", "$.score")
        .replace("    type: decision", "    type: decision\n    depends_on: [rate]")
    )
    assert would(found) == {"rate": "run", "triage": "run", "call": "run", "mail": "skip", "report": "run"}
    assert found["triage"].choice == "1"
    assert found["triage"].choice_as_of_now
    assert [found[name].as_of_now for name in ("call", "mail", "report")] == [True, True, False]


def test_what_hangs_on_one_answer_only_if_another_one_changes_does_not_depend_on_it() -> None:
    found = preview(f"""
state: {{wanted: false}}
steps:
  - {{id: a, {TASK}}}
  - {{id: b, {TASK}, condition: {{and: [
      {{field: wanted, operator: eq, value: true}}, {{field: $.steps.a.result, operator: eq, value: 1}}]}}}}
""")
    assert found["b"].would == "skip"
    assert found["b"].as_of_now


def test_a_decision_that_can_choose_nothing_would_fail() -> None:
    document = TRIAGE.replace("      default: mail\n", "").replace("FIELD", "$.params.n")
    found = preview("params: {n: {default: 1}}" + document)
    assert found["triage"].would == "fail"
    assert found["triage"].reason is Reason.NO_CHOICE_MATCHED
    assert found["call"].would == "skip"
    assert found["call"].reason is Reason.UPSTREAM_FAILED


def test_the_number_of_items_and_workers_is_told_where_it_is_known() -> None:
    found = preview(f"""
state: {{names: [a, b, c, d, e]}}
steps:
  - {{id: m, depends_on: [], type: map, map_config: {{input_path: names, batch_size: 2}}, {TASK}}}
  - {{id: n, depends_on: [m], type: map, map_config: {{input_path: names}}, {TASK}}}
  - {{id: o, depends_on: [m], type: map, map_config: {{input_path: $.steps.m.result}}, {TASK}}}
  - {{id: p, depends_on: [m], type: parallel, max_workers: 3, {TASK}}}
""")
    numbers = {name: (one.items, one.items_as_of_now) for name, one in found.items()}
    assert numbers == {"m": (3, False), "n": (5, True), "o": (None, False), "p": (3, False)}


def test_steps_for_the_end_are_told_after_the_others_and_their_verdict_is_not_known() -> None:
    found = preview(f"""
steps:
  - {{id: a, {TASK}}}
on_failure:
  - {{id: alarm, {TASK}, condition: {{field: $.run.reason, operator: eq, value: timed_out}}}}
finally:
  - {{id: tidy, {TASK}}}
""")
    assert list(found) == ["a", "alarm", "tidy"]
    assert would(found) == {"a": "run", "alarm": "depends", "tidy": "run"}


def test_members_of_a_parallel_step_share_its_fate() -> None:
    found = preview(f"""
params: {{go: {{default: false}}}}
steps:
  - id: both
    type: parallel
    condition: {{field: $.params.go, operator: eq, value: true}}
    steps:
      - {{id: one, {TASK}}}
      - {{id: two, {TASK}}}
""")
    assert would(found) == {"both": "skip", "one": "skip", "two": "skip"}


def test_too_many_open_answers_to_go_through_are_told_and_not_guessed() -> None:
    conditional = "".join(
        f"  - {{id: s{n}, {TASK}, condition: {{field: $.steps.a.result, operator: eq, value: {n}}}}}\n"
        for n in range(40)
    )
    found = preview(f"steps:\n  - {{id: a, {TASK}}}\n{conditional}")
    assert found["a"].would == "run"
    assert {found[f"s{n}"].would for n in range(40)} == {"depends"}
    assert found["s39"].depends[0].step_id == "s39", "its own condition first"


def test_thousands_of_steps_are_gone_through_without_keeping_all_that_lies_before_each() -> None:
    found = preview("steps:\n" + "".join(f"  - {{id: s{n}, {TASK}}}\n" for n in range(3_000)))
    assert found["s2999"].stage == 3_000
