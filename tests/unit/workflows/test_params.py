"""Params: declarations, and the values that a run is given on a command line or by a program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.workflows.loader import load_text
from engine.workflows.params import resolve_params
from engine.workflows.plan import ParamSpec, Plan


def plan_with(params: str) -> Plan:
    return load_text(f'name: tool\nparams:\n{params}\nsteps: [{{id: a, command: "true"}}]\n').require()


def refusal(plan: Plan, given: dict[str, Any]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolve_params(plan, given)
    assert caught.value.exit_code == 2
    return caught.value


ALL = """\
  name: {type: string, default: world, description: whom to greet}
  count: {type: integer, required: true}
  ratio: {type: number, default: 0.5}
  loud: {type: boolean, default: false}
  items: {type: array, default: [1, 2]}
  options: {type: object}
  mode: {choices: [fast, slow], default: fast}"""


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("  p: text", ParamSpec("p", "string", "text")),
        ("  p: 3", ParamSpec("p", "integer", 3)),
        ("  p: 0.5", ParamSpec("p", "number", 0.5)),
        ("  p: true", ParamSpec("p", "boolean", True)),
        ("  p: [a, b]", ParamSpec("p", "array", ["a", "b"])),
        ("  p: {default: {a: 1}}", ParamSpec("p", "object", {"a": 1})),
        ("  p: {}", ParamSpec("p", "string")),
        ("  p:", ParamSpec("p", "string")),
        ("  p: {choices: [1, 2]}", ParamSpec("p", "integer", choices=(1, 2))),
        ("  p: {type: number, default: 3}", ParamSpec("p", "number", 3)),
        (
            "  p: {type: string, required: true, description: d}",
            ParamSpec("p", "string", None, True, "d"),
        ),
    ],
)
def test_declarations_in_both_forms(written: str, spec: ParamSpec) -> None:
    assert plan_with(written).params == {"p": spec}


def test_texts_are_read_as_the_declared_type() -> None:
    given = {
        "count": "3",
        "ratio": "1e-2",
        "loud": "True",
        "items": '["a", {"b": null}]',
        "options": '{"a": [1]}',
        "mode": "slow",
        "name": " kept as it is ",
    }
    assert resolve_params(plan_with(ALL), given) == {
        "name": " kept as it is ",
        "count": 3,
        "ratio": 0.01,
        "loud": True,
        "items": ["a", {"b": None}],
        "options": {"a": [1]},
        "mode": "slow",
    }


def test_defaults_fill_in_and_what_has_none_is_null() -> None:
    assert resolve_params(plan_with(ALL), {"count": -1}) == {
        "name": "world",
        "count": -1,
        "ratio": 0.5,
        "loud": False,
        "items": [1, 2],
        "options": None,
        "mode": "fast",
    }


def test_all_problems_are_named_at_once_with_what_there_is() -> None:
    error = refusal(
        plan_with(ALL),
        {"nmae": "x", "ratio": "half", "loud": "yes", "mode": "fsat", "items": "[1", "options": "[]"},
    )
    assert error.message.splitlines() == [
        'there is no param "nmae": did you mean "name"?',
        "param 'count' is required: give it as -p count=…",
        "param 'ratio': found \"half\", expected a number",
        "param 'loud': found \"yes\", expected true or false: write loud=true",
        "param 'items': found \"[1\", expected a JSON list: "
        "Expecting ',' delimiter: line 1 column 3 (char 2)",
        "param 'options': found a list, expected a JSON object",
        'param \'mode\': found the text "fsat", expected one of fast, slow: did you mean "fast"?',
    ]
    assert error.hint == (
        "params of tool: name (string, default world), count (integer, required), "
        "ratio (number, default 0.5), loud (boolean, default false), items (array, default [1, 2]), "
        "options (object), "
        "mode (string, one of fast|slow, default fast)"
    )


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("count", "3.0", "expected a whole number"),
        ("count", "", "expected a whole number"),
        ("count", 3.0, "found the number 3.0, expected a whole number"),
        ("count", True, "found the truth value true"),
        ("count", None, "found null"),
        ("count", "9" * 400, "expected a whole number"),
        ("name", 3, "found the number 3, expected a text"),
        ("name", "a\0b", "NUL"),
        ("name", "\ud800", "surrogate"),
        ("ratio", "nan", "expected a number"),
        ("ratio", "1e999", "too large"),
        ("ratio", float("inf"), "too large"),
        ("items", '["a\\u0000b"]', "NUL"),
        ("items", "[NaN]", "NaN is not JSON"),
        ("items", "[1e999]", "too large"),
        ("items", "[" * 100_000, "expected a JSON list"),
        ("items", "[" * 900 + "]" * 900, "nested more than 100 levels deep"),
        ("items", json.loads("[" * 400 + "]" * 400), "nested more than 100 levels deep: make it flatter"),
        ("loud", 1, "expected true or false"),
        ("loud", "0", "write loud=false"),
        ("mode", "", "expected one of fast, slow"),
    ],
)
def test_values_that_do_not_fit(name: str, value: Any, part: str) -> None:
    assert part in refusal(plan_with(ALL), {"count": 1, name: value}).message


def test_a_workflow_without_params_says_so() -> None:
    plan = load_text('name: tool\nsteps: [{id: a, command: "true"}]').require()
    error = refusal(plan, {"x": "1"})
    assert (error.message, error.hint) == (
        'there is no param "x": there are no params of this workflow',
        "",
    )


def test_shell_code_stays_a_text() -> None:
    hostile = "'; rm -rf / #\n$(id) `id` {{ $.x }}"
    assert resolve_params(plan_with("  p: x"), {"p": hostile}) == {"p": hostile}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "count", "ratio", "loud", "items", "options", "mode", "other"]), json_values
    )
)
def test_whatever_is_given_is_taken_as_json_or_refused(given: dict[str, Any]) -> None:
    try:
        values = resolve_params(plan_with(ALL), given)
    except UsageError as error:
        assert str(error).splitlines()
    else:
        json.dumps(values, allow_nan=False)
