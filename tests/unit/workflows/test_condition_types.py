"""Conditions: every operator against every type of value, on both sides, and against a missing field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.workflows.compiling import MAX_NESTING
from engine.workflows.conditions import OPERATORS, SPELLINGS
from engine.workflows.loader import Loaded, load_text

# What the field is, in the order of the columns below; the first is not there at all.
ACTUAL: tuple[Any, ...] = (..., None, True, 3, "3", [3], {"3": 1})

# T and F: true and false. t and f: the same with a warning, for what cannot be compared.
TABLE = [
    #                         -  null true 3  "3" [3] {"3": 1}
    ("eq", None, "            F   T    F   F   F   F   F"),
    ("eq", True, "            F   F    T   F   F   F   F"),
    ("eq", 3, "               F   F    F   T   F   F   F"),
    ("eq", 3.0, "             F   F    F   T   F   F   F"),
    ("eq", "3", "             F   F    F   F   T   F   F"),
    ("eq", [3], "             F   F    F   F   F   T   F"),
    ("eq", {"3": 1}, "        F   F    F   F   F   F   T"),
    ("ne", None, "            T   F    T   T   T   T   T"),
    ("ne", True, "            T   T    F   T   T   T   T"),
    ("ne", 3, "               T   T    T   F   T   T   T"),
    ("ne", "3", "             T   T    T   T   F   T   T"),
    ("ne", [3], "             T   T    T   T   T   F   T"),
    ("ne", {"3": 1}, "        T   T    T   T   T   T   F"),
    ("gt", 2, "               F   f    f   T   f   f   f"),
    ("gt", 3, "               F   f    f   F   f   f   f"),
    ("gt", "2", "             F   f    f   f   T   f   f"),
    ("gt", "3", "             F   f    f   f   F   f   f"),
    ("gte", 3, "              F   f    f   T   f   f   f"),
    ("gte", 3.5, "            F   f    f   F   f   f   f"),
    ("gte", "3", "            F   f    f   f   T   f   f"),
    ("lt", 4, "               F   f    f   T   f   f   f"),
    ("lt", 3, "               F   f    f   F   f   f   f"),
    ("lt", "4", "             F   f    f   f   T   f   f"),
    ("lte", 3, "              F   f    f   T   f   f   f"),
    ("lte", "3", "            F   f    f   f   T   f   f"),
    ("lte", "20", "           F   f    f   f   F   f   f"),
    ("contains", None, "      F   f    f   f   f   F   f"),
    ("contains", True, "      F   f    f   f   f   F   f"),
    ("contains", 3, "         F   f    f   f   f   T   f"),
    ("contains", "3", "       F   f    f   f   T   F   T"),
    ("contains", [3], "       F   f    f   f   f   F   f"),
    ("contains", {"3": 1}, "  F   f    f   f   f   F   f"),
    ("not_contains", None, "  T   t    t   t   t   T   t"),
    ("not_contains", True, "  T   t    t   t   t   T   t"),
    ("not_contains", 3, "     T   t    t   t   t   F   t"),
    ("not_contains", "3", "   T   t    t   t   F   T   F"),
    ("not_contains", [3], "   T   t    t   t   t   T   t"),
    ("in", [], "              F   F    F   F   F   F   F"),
    ("in", [3, None], "       F   T    F   T   F   F   F"),
    ("in", ["3", True], "     F   F    T   F   T   F   F"),
    ("in", [[3]], "           F   F    F   F   F   T   F"),
    ("in", [{"3": 1}], "      F   F    F   F   F   F   T"),
    ("not_in", [], "          T   T    T   T   T   T   T"),
    ("not_in", [3, None], "   T   F    T   F   T   T   T"),
    ("not_in", ["3", True], " T   T    F   T   F   T   T"),
    ("not_in", [[3]], "       T   T    T   T   T   F   T"),
    ("matches", "^3$", "      F   f    f   f   T   f   f"),
    ("matches", "", "         F   f    f   f   T   f   f"),
    ("exists", ..., "         F   T    T   T   T   T   T"),
    ("exists", None, "        F   T    T   T   T   T   T"),
    ("exists", True, "        F   T    T   T   T   T   T"),
    ("exists", False, "       T   F    F   F   F   F   F"),
]
WORDS = {ours: theirs for theirs, ours in SPELLINGS.items()}


def load_condition(document: Any) -> Loaded:
    workflow = {"name": "x", "steps": [{"id": "a", "command": "run", "condition": document}]}
    return load_text(json.dumps(workflow), "w.json")


def judge(document: Any, state: dict[str, Any]) -> tuple[bool, int]:
    condition = load_condition(document).require().steps["a"].condition
    assert condition is not None
    verdict = condition.evaluate(state)
    return verdict.value, len(verdict.warnings)


def comparison(operator: str, value: Any, field: str = "$.x") -> dict[str, Any]:
    document = {"field": field, "operator": operator}
    return document if value is ... else {**document, "value": value}


def test_the_table_has_every_operator() -> None:
    assert {operator for operator, _, _ in TABLE} == set(OPERATORS)


@pytest.mark.parametrize(("operator", "value", "row"), TABLE, ids=lambda part: str(part).replace(" ", ""))
def test_every_operator_against_every_type(operator: str, value: Any, row: str) -> None:
    for actual, mark in zip(ACTUAL, row.split(), strict=True):
        state = {} if actual is ... else {"x": actual}
        expected = (mark.upper() == "T", int(mark.islower()))
        assert judge(comparison(operator, value), state) == expected, f"{actual!r} {operator} {value!r}"
        if operator in WORDS:
            assert judge(comparison(WORDS[operator], value), state) == expected


# The types of a value that each operator cannot take at all, found at load.
REFUSED = {
    "gt": (None, True, [3], {"a": 1}),
    "gte": (None, False, [3], {"a": 1}),
    "lt": (None, True, [], {}),
    "lte": (None, True, [3], {"a": 1}),
    "in": (None, True, 3, "3", {"a": 1}),
    "not_in": (None, True, 3, "3", {"a": 1}),
    "matches": (None, True, 3, [3], {"a": 1}),
    "exists": (3, "true", [True], {}),
}


@pytest.mark.parametrize(
    ("operator", "value"), [(operator, value) for operator, values in REFUSED.items() for value in values]
)
def test_a_value_that_an_operator_cannot_take_is_an_error_at_load(operator: str, value: Any) -> None:
    loaded = load_condition(comparison(operator, value))
    (problem,) = loaded.problems
    assert loaded.plan is None
    assert problem.message.startswith("`condition.value`: found ")
    assert f"{operator} takes " in problem.message


@pytest.mark.parametrize("operator", sorted(set(OPERATORS) - {"exists"}))
def test_an_operator_without_its_value_is_an_error_at_load(operator: str) -> None:
    (problem,) = load_condition(comparison(operator, ...)).problems
    assert "`condition` needs `value`" in problem.message


ROWS = {"rows": [{"id": 1, "ok": True}, {"id": 2, "ok": False}, "odd", None], "word": "abc"}


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("$.rows[?(@.ok == true)].id", "eq", [1], True),
        ("$.rows[?(@.ok == true)].id", "contains", 1, True),
        ("$.rows[?(@.ok == false)].id", "not_contains", 1, True),
        ("$.rows[?(@.id > 0)].id", "eq", [1, 2], True),
        ("$.rows[?(@.id > 1 && @.ok == false)].id", "eq", [2], True),
        ("$.rows[?(@.id > 9)]", "eq", [], True),
        ("$.rows[?(@.id > 9)].id", "contains", 1, False),
        ("$.word[?(@.id > 9)]", "eq", [], True),
        # A filter that finds nothing finds an empty list, so that it can be compared; `exists` says so.
        ("$.rows[?(@.id > 1)]", "exists", True, True),
        ("$.rows[?(@.id > 9)]", "exists", True, False),
        ("$.rows[?(@.id > 9)]", "exists", False, True),
        ("$.rows[*].id", "exists", True, True),
        ("$.rows[*].name", "exists", True, False),
        ("$.missing[?(@.id > 1)]", "exists", True, False),
        ("$.missing[?(@.id > 1)]", "eq", [], False),
    ],
)
def test_a_filter_gives_the_list_of_what_it_finds(
    field: str, operator: str, value: Any, expected: bool
) -> None:
    assert judge(comparison(operator, value, field), ROWS) == (expected, 0)


def nested(depth: int, *, wrap: str = "not") -> dict[str, Any]:
    document: dict[str, Any] = {"field": "$.x", "operator": "exists"}
    for _ in range(depth):
        document = {wrap: document if wrap == "not" else [document]}
    return document


@pytest.mark.parametrize("wrap", ["and", "or", "not"])
def test_conditions_nest_as_deep_as_is_allowed(wrap: str) -> None:
    odd = wrap == "not" and MAX_NESTING % 2 == 1
    assert judge(nested(MAX_NESTING, wrap=wrap), {"x": 1}) == (not odd, 0)


@pytest.mark.parametrize("wrap", ["and", "or", "not"])
def test_conditions_nested_deeper_are_one_error_that_says_what_to_do(wrap: str) -> None:
    loaded = load_condition(nested(MAX_NESTING + 3, wrap=wrap))
    (problem,) = loaded.problems
    assert loaded.plan is None
    assert f"nested more than {MAX_NESTING} deep: let a step work it out" in problem.message


def test_nested_conditions_know_where_they_stand() -> None:
    odd = {
        "and": [{"field": "$.x", "operator": "exists"}, {"or": [{"not": {"field": "$.x", "operator": "is"}}]}]
    }
    (problem,) = load_condition(odd).problems
    assert problem.message.startswith("`condition.and[1].or[0].not.operator`: found ")
