"""YAML and JSON as trees: anchors, limits, and where both notations differ."""

from __future__ import annotations

import json
import time

import pytest

from engine.workflows.loader import Loaded, load_text
from engine.workflows.tree import MAX_DEPTH, MAX_NODES


def messages(loaded: Loaded) -> list[str]:
    return [problem.message for problem in loaded.problems]


def state_of(text: str, path: str = "w.yaml") -> object:
    return load_text(text, path).require().state["value"]


def yaml_state(value: str) -> str:
    return f'name: x\nstate:\n  value: {value}\nsteps: [{{id: a, command: "true"}}]\n'


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-17", -17),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("text", "text"),
        ("'no'", "no"),
        ('"0123"', "0123"),
        ("1:30", "1:30"),
        ("y", "y"),
        ("12:30:45", "12:30:45"),
        ("1.2.3", "1.2.3"),
        ("[1, [2, {a: b}]]", [1, [2, {"a": "b"}]]),
        ("{no: 1, 1: 2}", {"no": 1, "1": 2}),
        ('"\\u00e9 \\n"', "é \n"),
    ],
)
def test_plain_values_follow_yaml_1_2(written: str, value: object) -> None:
    found = state_of(yaml_state(written))
    assert found == value
    assert type(found) is type(value)


def test_anchors_and_merge_keys() -> None:
    plan = load_text(
        """
name: anchors
x-defaults: &defaults
  image: alpine
  timeout: 30s
  retry_policy: &retry {max_attempts: 3}
x-more: &more {image: busybox, pull_policy: never}
steps:
  - {<<: *defaults, id: a, command: [a]}
  - {<<: [*more, *defaults], id: b, command: [b], timeout: 5s}
  - {id: c, command: [c], retry_policy: *retry}
"""
    ).require()
    a, b, c = plan.steps.values()
    assert a.task and a.task.image and a.task.image.source == "alpine"
    assert (a.timeout, a.retry.max_attempts) == (30.0, 3)
    assert b.task and b.task.image and b.task.image.source == "busybox"
    assert (b.timeout, b.task.pull_policy, b.retry.max_attempts) == (5.0, "never", 3)
    assert c.retry.max_attempts == 3


def test_one_alias_used_twice_is_lifted_independently() -> None:
    plan = load_text(
        "name: x\nx-c: &c {command: [a], env: {A: '1'}}\n"
        "steps:\n  - {id: a, config: *c}\n  - {id: b, config: *c}\n  - {id: d, <<: *c}\n"
    ).require()
    assert [sorted(step.task.env) for step in plan.steps.values() if step.task] == [["A"]] * 3


def test_bomb_of_aliases_is_refused_quickly() -> None:
    lines = ["name: bomb", "state:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    started = time.process_time()
    loaded = load_text("\n".join([*lines, 'steps: [{id: a, command: "true"}]']))
    assert time.process_time() - started < 5
    (message,) = messages(loaded)
    assert "once the aliases are expanded" in message


def test_aliases_cannot_nest_deeper_than_the_limit() -> None:
    lines = ["name: deep", "state:", "  a0: &a0 [x]"]
    lines += [f"  a{level}: &a{level} [*a{level - 1}]" for level in range(1, 60)]
    (message,) = messages(load_text("\n".join([*lines, "steps: []"])))
    assert "levels deep" in message


@pytest.mark.parametrize("path", ["w.yaml", "w.json"])
def test_depth_is_limited_in_both_notations(path: str) -> None:
    def document(depth: int) -> str:
        nested: object = []
        for _ in range(depth - 3):
            nested = [nested]
        return json.dumps({"name": "x", "state": {"v": nested}, "steps": [{"id": "a", "command": "x"}]})

    assert load_text(document(MAX_DEPTH), path).plan is not None
    (message,) = messages(load_text(document(MAX_DEPTH + 1), path))
    assert f"nested more than {MAX_DEPTH} levels deep" in message


@pytest.mark.parametrize("path", ["w.yaml", "w.json"])
def test_number_of_values_is_limited_in_both_notations(path: str) -> None:
    text = json.dumps({"name": "x", "state": {"v": [1] * MAX_NODES}, "steps": []})
    (message,) = messages(load_text(text, path))
    assert f"more than {MAX_NODES:,} values" in message


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "{a: ", "[&a ", "'", '"', "!!a ", "*a ", "|\n"])
@pytest.mark.parametrize("path", ["w.yaml", "w.json"])
def test_megabytes_of_openings_end_soon(opening: str, path: str) -> None:
    text = opening * (5 * 1024 * 1024 // len(opening))
    started = time.process_time()
    assert load_text(text, path).plan is None
    assert time.process_time() - started < 20


def test_json_is_read_as_json_whatever_the_file_is_called() -> None:
    text = '{"name": "x", "state": {"value": "\\ud83d\\ude00\\/\t"}, "steps": []}'.replace("\t", "\\t")
    document = text.replace('"steps": []', '"steps": [{"id": "a", "command": "x"}]')
    for path in ("w.json", "w.yaml", "w", "W.JSON"):
        assert state_of(document, path) == "😀/\t"


def test_json_indented_by_tabs_may_stand_in_a_yaml_file() -> None:
    document = json.dumps({"name": "x", "steps": [{"id": "a", "command": "x"}]}, indent="\t")
    assert load_text(document, "w.yaml").plan is not None


def test_flow_style_yaml_with_a_comment_is_not_mistaken_for_json() -> None:
    plan = load_text("{name: x, # a comment\n steps: [{id: a, command: x}]}").require()
    assert plan.workflow == "x"


def test_yaml_in_a_json_file_is_refused_as_json() -> None:
    (message,) = messages(load_text("name: x\n", "w.json"))
    assert message.startswith("not valid JSON")


def test_control_characters_are_named_with_their_place() -> None:
    (problem,) = load_text("name: x\ndescription: a\x1b[31mred\n", "w.yaml").problems
    assert (problem.line, problem.column) == (2, 15)
    assert "control character '\\x1b'" in problem.message


def test_hostile_text_is_escaped_in_messages() -> None:
    (problem,) = load_text('name: "\\u202e\\e[31m"\nsteps: [{id: a, command: x}]\n').problems
    assert problem.message.isprintable()


def test_long_numbers_are_refused_not_computed() -> None:
    (message,) = messages(load_text(yaml_state("9" * 100_000)))
    assert "too long" in message


def test_positions_are_those_of_keys_for_unknown_keys_and_of_values_for_values() -> None:
    loaded = load_text('name: x\nsteps:\n  - id: a\n    comand: "true"\n    timeout: 5x\n    command: y\n')
    assert [(problem.line, problem.column) for problem in loaded.problems] == [(4, 5), (5, 14)]
