"""Conditions: every operator in both spellings, missing fields, mismatched types, bounded matching."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workflows.loader import load_text
from engine.workflows.plan import Condition, Verdict

STATE: dict[str, Any] = {
    "n": 3,
    "f": 3.0,
    "text": "hello world",
    "digits": "3",
    "list": [1, "a", None, {"k": 1}],
    "object": {"k": 1},
    "yes": True,
    "nothing": None,
    "deep": {"items": [{"ok": True}, {"ok": False}]},
}


def compiled(document: dict[str, Any]) -> Condition:
    workflow = {"name": "x", "steps": [{"id": "a", "command": "run", "condition": document}]}
    condition = load_text(json.dumps(workflow), "w.json").require().steps["a"].condition
    assert condition is not None
    return condition


def verdict(field: str, operator: str, value: Any = ..., state: dict[str, Any] = STATE) -> Verdict:
    document = {"field": field, "operator": operator}
    if value is not ...:
        document["value"] = value
    return compiled(document).evaluate(state)


SPELLINGS = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("$.n", "eq", 3, True),
        ("n", "eq", 3.0, True),
        ("$.n", "eq", "3", False),
        ("$.digits", "eq", 3, False),
        ("$.yes", "eq", True, True),
        ("$.yes", "eq", 1, False),
        ("$.nothing", "eq", None, True),
        ("$.list", "eq", [1, "a", None, {"k": 1.0}], True),
        ("$.object", "eq", {"k": True}, False),
        ("$.deep.items[0].ok", "eq", True, True),
        ("$.deep.items[*].ok", "eq", [True, False], True),
        ("$.n", "ne", 4, True),
        ("$.n", "ne", 3, False),
        ("$.n", "gt", 2, True),
        ("$.n", "gt", 3, False),
        ("$.n", "gte", 3.0, True),
        ("$.n", "lt", 3.5, True),
        ("$.n", "lte", 2, False),
        ("$.text", "gt", "hello", True),
        ("$.text", "lt", "zzz", True),
        ("$.list", "contains", "a", True),
        ("$.list", "contains", True, False),
        ("$.list", "contains", None, True),
        ("$.list", "contains", {"k": 1}, True),
        ("$.text", "contains", "lo wo", True),
        ("$.object", "contains", "k", True),
        ("$.list", "not_contains", 2, True),
        ("$.text", "not_contains", "hello", False),
        ("$.n", "in", [1, 2, 3], True),
        ("$.n", "in", ["3"], False),
        ("$.n", "not_in", [1, 2], True),
        ("$.n", "not_in", [3], False),
        ("$.text", "matches", "^hel+o", True),
        ("$.text", "matches", "wor", True),
        ("$.text", "matches", "^world", False),
        ("$.text", "matches", r"\bworld$", True),
        ("$.n", "exists", True, True),
        ("$.n", "exists", False, False),
        ("$.nothing", "exists", True, True),
    ],
)
def test_operators(field: str, operator: str, value: Any, expected: bool) -> None:
    assert verdict(field, operator, value) == Verdict(expected)
    if operator in SPELLINGS:
        assert verdict(field, SPELLINGS[operator], value) == Verdict(expected)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("eq", None, False),
        ("ne", 1, True),
        ("!=", 1, True),
        ("gt", 0, False),
        ("gte", 0, False),
        ("lt", 0, False),
        ("lte", 0, False),
        ("contains", 1, False),
        ("not_contains", 1, True),
        ("in", [None], False),
        ("not_in", [1], True),
        ("matches", "", False),
        ("exists", True, False),
        ("exists", False, True),
        ("exists", ..., False),
    ],
)
@pytest.mark.parametrize(
    "field", ["$.missing", "$.n.deeper", "$.list[9]", "$.missing[*].x", "$.missing[?(@.a == 1)]"]
)
def test_a_missing_field(field: str, operator: str, value: Any, expected: bool) -> None:
    assert verdict(field, operator, value) == Verdict(expected)


@pytest.mark.parametrize(
    ("field", "operator", "value", "warning"),
    [
        ("$.digits", "gt", 2, 'condition on "$.digits": the text "3" cannot be ordered against the number 2'),
        ("$.n", "lt", "9", "the number 3 cannot be ordered against the text"),
        ("$.yes", "gte", 0, "the truth value true cannot be ordered against the number 0"),
        ("$.nothing", "lte", 0, "null cannot be ordered"),
        ("$.list", "gt", 0, "a list cannot be ordered"),
        ("$.object", "gt", "a", "an object cannot be ordered"),
        ("$.n", "matches", "3", "the number 3 cannot be matched: only texts can"),
        ("$.n", "contains", 3, "the number 3 cannot contain the number 3"),
        ("$.text", "contains", 3, "cannot contain the number 3"),
    ],
)
def test_comparing_what_cannot_be_compared_is_false_with_a_warning(
    field: str, operator: str, value: Any, warning: str
) -> None:
    found = verdict(field, operator, value)
    assert found.value is False
    (said,) = found.warnings
    assert warning in said


def test_not_contains_of_what_can_contain_nothing_is_true_with_a_warning() -> None:
    found = verdict("$.n", "not_contains", 3)
    assert (found.value, len(found.warnings)) == (True, 1)


TRUE = {"field": "$.n", "operator": "eq", "value": 3}
FALSE = {"field": "$.n", "operator": "eq", "value": 4}
ODD = {"field": "$.digits", "operator": "gt", "value": 1}


@pytest.mark.parametrize(
    ("document", "expected", "warnings"),
    [
        ({"and": [TRUE, TRUE]}, True, 0),
        ({"and": [TRUE, FALSE]}, False, 0),
        ({"and": [FALSE, ODD]}, False, 0),
        ({"and": [ODD, FALSE]}, False, 1),
        ({"or": [FALSE, TRUE]}, True, 0),
        ({"or": [TRUE, ODD]}, True, 0),
        ({"or": [ODD, TRUE]}, True, 1),
        ({"or": [FALSE, FALSE]}, False, 0),
        ({"not": TRUE}, False, 0),
        ({"not": ODD}, True, 1),
        ({"not": {"and": [TRUE, {"or": [FALSE, {"not": FALSE}]}]}}, False, 0),
        ({"type": "simple", **TRUE}, True, 0),
        ({"type": "and", "and": [TRUE]}, True, 0),
    ],
)
def test_combinations_are_judged_in_order_until_the_answer_is_known(
    document: dict[str, Any], expected: bool, warnings: int
) -> None:
    found = compiled(document).evaluate(STATE)
    assert (found.value, len(found.warnings)) == (expected, warnings)


def test_matching_takes_time_in_proportion_to_the_text_for_the_worst_patterns() -> None:
    text = "a" * 200_000 + "!"
    condition = compiled({"field": "$.t", "operator": "matches", "value": "^(a+)+(a|aa)*$"})
    started = time.process_time()
    assert condition.evaluate({"t": text}) == Verdict(False)
    assert time.process_time() - started < 5  # a backtracking matcher needs longer than there is time


def test_text_that_cannot_be_encoded_is_false_with_a_warning() -> None:
    found = verdict("$.t", "matches", "x", {"t": "\ud800x"})
    assert (found.value, len(found.warnings)) == (False, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
EVERY = [
    compiled({"field": "$.x.y", "operator": operator, "value": value})
    for operator, value in [
        *((operator, 1) for operator in ("eq", "ne", "gt", "gte", "lt", "lte", "contains", "not_contains")),
        *((operator, "a") for operator in ("eq", "gt", "lte", "contains", "matches")),
        *((operator, [1, "a", None]) for operator in ("in", "not_in", "eq")),
        ("exists", True),
    ]
]


@given(st.dictionaries(st.sampled_from(["x", "y"]), json_values | st.dictionaries(st.just("y"), json_values)))
def test_no_state_makes_a_condition_raise(state: dict[str, Any]) -> None:
    for condition in EVERY:
        assert isinstance(condition.evaluate(state).value, bool)
