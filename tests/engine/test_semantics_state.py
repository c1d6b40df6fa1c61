"""Rules about the shared state, what steps see of each other, and what a run ends as."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import EventType
from engine.history.records import RunDetail
from tests.engine.world import World, by_step, ends, in_world, prints, run_once, statuses, step_of, until

BAD, ENDLESS = Script(exit_code=1), Script(delay=None)


def seen_by(
    home: Path, document: str, scripts: Mapping[str, Script] | None = None
) -> tuple[RunDetail, dict[str, Any]]:
    """Run it; returns its end, and the input of each task by its step."""
    inputs: dict[str, Any] = {}

    def behaviour(spec: AgentSpec) -> Script:
        inputs[spec.identity.step_id] = json.loads(spec.env["TASK_INPUT"])
        return (scripts or {}).get(spec.identity.step_id, Script())

    async def story(world: World) -> RunDetail:
        return await world.run(document)

    return in_world(home, story, behaviour), inputs


# -- the state ----------------------------------------------------------------------------------------

CHAIN = """
name: chain
params: {depth: {type: integer, default: 3}}
state: {n: 1, kept: yes it is}
steps:
  - {id: a, command: ["x"]}
  - {id: b, command: ["x"]}
  - {id: c, command: ["x"]}
"""


def test_a_later_value_replaces_an_earlier_one_of_the_same_key(tmp_path: Path) -> None:
    scripts = {"a": prints({"n": {"deep": 1}, "own": 1}), "b": prints({"n": {"other": 2}})}
    end, inputs = seen_by(tmp_path, CHAIN, scripts)

    params = {"depth": 3}
    assert inputs["a"] == {"n": 1, "kept": "yes it is", "params": params}
    assert inputs["b"] == {"n": {"deep": 1}, "kept": "yes it is", "own": 1, "params": params}
    assert inputs["c"]["n"] == {"other": 2}, "the value as a whole, not a mixture"
    assert end.state["n"] == {"other": 2}


@pytest.mark.parametrize("printed", [[1, 2], "text", 7, None, True])
def test_a_result_that_is_no_object_stays_with_its_step(tmp_path: Path, printed: object) -> None:
    end, inputs = seen_by(tmp_path, CHAIN, {"a": prints(printed)})

    assert step_of(end, "a").result == printed
    assert inputs["b"] == inputs["a"]


@pytest.mark.parametrize("printed", ["[" * 900 + "]" * 900, '{"a": 1e400}', '{"a":' * 400 + "1" + "}" * 400])
def test_what_no_walk_and_no_other_program_could_read_is_a_text(tmp_path: Path, printed: str) -> None:
    async def story(world: World) -> RunDetail:
        async def write(spec: AgentSpec) -> None:
            await world.store.rpush(spec.identity.run_id, "parts", printed)

        world.backend._behaviour = lambda spec: Script(stdout=printed, action=write)
        return await world.run(CHAIN)

    end = in_world(tmp_path, story)

    assert (end.run.status, step_of(end, "a").result) == ("completed", printed)
    assert end.state["parts"] == [printed] * 3


def test_reserved_names_are_left_out_of_what_is_merged_with_a_warning(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(CHAIN)
        assert end.state == {"n": 2, "kept": "yes it is", "params": {"depth": 3}}
        assert step_of(end, "a").result == {"n": 2, "params": {"depth": 9}, "steps": {"b": "mine"}}
        warnings = [e for e in await world.events(end.run.id) if e.type is EventType.WARNING]
        assert [(e.step_id, "params, steps are reserved" in e.data["message"]) for e in warnings] == [
            ("a", True)
        ]

    result = {"n": 2, "params": {"depth": 9}, "steps": {"b": "mine"}}
    in_world(tmp_path, story, by_step({"a": prints(result)}))


def test_a_failed_task_gives_nothing_to_the_state(tmp_path: Path) -> None:
    text = CHAIN.replace("state:", "config: {failure_strategy: continue}\nstate:")
    end, inputs = seen_by(tmp_path, text, {"a": prints({"n": 99, "half": 1}, exit_code=1)})

    assert statuses(end) == {"a": "failed", "b": "completed", "c": "completed"}
    assert step_of(end, "a").result is None
    assert inputs["b"] == inputs["a"]


def test_lists_and_sets_that_a_task_writes_are_fields_of_the_state(tmp_path: Path) -> None:
    inputs: dict[str, Any] = {}

    async def story(world: World) -> None:
        async def write(spec: AgentSpec) -> None:
            run_id = spec.identity.run_id
            for word in ("2", "1"):
                await world.store.rpush(run_id, "parts", word)
            for word in ('"b"', '"a"', '"b"'):
                await world.store.sadd(run_id, "kinds", word)

        def behaviour(spec: AgentSpec) -> Script:
            inputs[spec.identity.step_id] = json.loads(spec.env["TASK_INPUT"])
            return Script(action=write) if spec.identity.step_id == "a" else Script()

        world.backend._behaviour = behaviour
        end = await world.run(CHAIN)
        assert (end.state["parts"], end.state["kinds"]) == ([2, 1], ["a", "b"])
        assert inputs["b"]["parts"] == [2, 1]

    in_world(tmp_path, story)


# -- what steps see of each other ---------------------------------------------------------------------


def test_the_result_of_a_skipped_step_reads_as_null(tmp_path: Path) -> None:
    text = """
name: nulls
steps:
  - {id: a, command: ["x"], condition: {field: $.never, operator: exists}}
  - id: b
    command: ["<{{ $.steps.a.result }}>", "{{ $.steps.a.status }}", "{{ $.steps.a.reason }}"]
    condition: {field: $.steps.a.result, operator: eq, value: null}
"""
    commands: list[Any] = []

    def behaviour(spec: AgentSpec) -> Script:
        commands.append(spec.command)
        return Script()

    async def story(world: World) -> None:
        assert ends(await world.run(text)) == {"a": "condition_false", "b": "completed"}

    in_world(tmp_path, story, behaviour)
    assert set(commands) == {("<>", "skipped", "condition_false")}


@pytest.mark.parametrize(
    "fields",
    [
        'image: "tool:{{ $.no.such }}", command: ["x"]',
        'command: ["x", "{{ $.no.such }}"]',
        'command: ["x"], env_vars: {A: "{{ $.no.such }}"}',
        'command: ["x"], cache: {key: "{{ $.no.such }}"}',
        'type: map, command: ["x"], map_config: {input_path: $.no.such}',
        'type: parallel, command: ["x"], workers_path: $.no.such',
        "type: decision, decision_node: {input_path: $.no.such, default: c, choices: "
        "[{condition: {field: n, operator: exists}, next: b}]}",
        'type: approval, approval: {message: "{{ $.no.such }}"}',
        'inputs: {v: "{{ $.no.such }}"}, workflow: {steps: [{id: i, command: ["x"]}]}',
    ],
)
def test_a_path_that_finds_nothing_is_an_input_error_wherever_it_stands(tmp_path: Path, fields: str) -> None:
    text = CHAIN.replace('{id: a, command: ["x"]}', f"{{id: a, retry_policy: {{max_attempts: 3}}, {fields}}}")

    async def story(world: World) -> None:
        step = step_of(await world.run(text), "a")
        assert (step.status, step.reason, step.attempts) == ("failed", "input_error", ())
        assert "$.no.such" in (step.error or "")
        assert world.backend.started == []

    in_world(tmp_path, story)


def test_a_step_that_does_not_run_evaluates_nothing_else(tmp_path: Path) -> None:
    missing = '"{{ $.no.such }}"'
    text = (
        "name: lazy\nconfig: {failure_strategy: continue}\nsteps:\n"
        "  - {id: bad, command: [x], depends_on: [], failure_strategy: continue}\n"
        f"  - {{id: unwanted, command: [x, {missing}], depends_on: [], "
        "when: {field: $.no, operator: exists}}\n"
        f"  - {{id: behind, command: [x, {missing}], depends_on: [bad], trigger: all_success}}\n"
    )
    assert ends(run_once(tmp_path, text, {"bad": BAD})) == {
        "bad": "failed",
        "unwanted": "condition_false",
        "behind": "upstream_failed",
    }


def test_the_trigger_is_looked_at_before_the_condition(tmp_path: Path) -> None:
    text = (
        "name: first\nsteps:\n  - {id: bad, command: [x], depends_on: [], failure_strategy: continue}\n"
        "  - {id: b, command: [x], depends_on: [bad], trigger: all_success,"
        " when: {field: $.never, operator: exists}}\n"
    )
    assert ends(run_once(tmp_path, text, {"bad": BAD}))["b"] == "upstream_failed"


def test_a_condition_that_compares_different_kinds_is_false_with_a_warning_in_the_events(
    tmp_path: Path,
) -> None:
    text = (
        'name: kinds\nstate: {n: "9"}\nsteps:\n'
        "  - {id: a, command: [x], when: {field: $.n, operator: gt, value: 3}}\n"
    )

    async def story(world: World) -> None:
        end = await world.run(text)
        assert ends(end) == {"a": "condition_false"}
        warnings = [e for e in await world.events(end.run.id) if e.type is EventType.WARNING]
        assert [(e.step_id, "cannot be ordered" in e.data["message"]) for e in warnings] == [("a", True)]

    in_world(tmp_path, story)


def test_a_skip_for_a_failure_goes_on_past_steps_that_would_tolerate_one(tmp_path: Path) -> None:
    text = (
        "name: past\nsteps:\n"
        "  - {id: bad, command: [x], depends_on: [], failure_strategy: continue}\n"
        "  - {id: b, command: [x], depends_on: [bad], trigger: all_success, failure_strategy: continue}\n"
        "  - {id: c, command: [x], depends_on: [b]}\n"
        "  - {id: d, command: [x], depends_on: [c], trigger: all_done}\n"
    )
    end = run_once(tmp_path, text, {"bad": BAD})
    assert ends(end) == {"bad": "failed", "b": "upstream_failed", "c": "upstream_failed", "d": "completed"}
    assert end.run.status == "partially_completed"


# -- what a run ends as -------------------------------------------------------------------------------

TWO = """
name: two
config: {timeout: 100s, failure_strategy: %s}
state: {things: [0, 1]}
steps:
  - {id: a, command: ["x"], depends_on: []%s}
  - {id: b, command: ["x"], depends_on: []%s}
"""
SKIP = ", when: {field: $.never, operator: exists}"
ITEMS = ", type: map, map_config: {input_path: things, error_handling: continue_on_error%s}"
ODD = Script(delay=1)  # of a map whose second item fails


@pytest.mark.parametrize(
    ("strategy", "more", "scripts", "status", "reason"),
    [
        ("fail_fast", ("", ""), {}, "completed", None),
        ("fail_fast", (SKIP, ""), {}, "completed", None),
        ("fail_fast", (SKIP, SKIP), {}, "completed", None),
        ("fail_fast", ("", ""), {"b": BAD}, "failed", "task_failed"),
        ("fail_fast", ("", SKIP), {"a": BAD}, "failed", "task_failed"),
        ("continue", ("", ""), {"b": BAD}, "partially_completed", "task_failed"),
        ("continue", ("", ""), {"a": BAD, "b": BAD}, "failed", "task_failed"),
        ("continue", ("", SKIP), {"a": BAD}, "failed", "task_failed"),
        ("fail_fast", (", failure_strategy: continue", ""), {"a": BAD}, "partially_completed", "task_failed"),
        ("continue", (", failure_strategy: fail_fast", ""), {"a": BAD}, "failed", "task_failed"),
        ("continue", ("", ""), {"b": ENDLESS}, "failed", "timed_out"),
        ("continue", (", timeout: 5s", ""), {"a": ENDLESS}, "partially_completed", "timed_out"),
        ("fail_fast", (ITEMS % "", ""), {"a": ODD}, "partially_completed", None),
        ("fail_fast", (ITEMS % ", tolerated_failure_count: 1", ""), {"a": ODD}, "completed", None),
        ("fail_fast", (ITEMS % ", tolerated_failure_count: 0", ""), {"a": ODD}, "failed", "task_failed"),
    ],
)
def test_what_a_run_ends_as(
    tmp_path: Path,
    strategy: str,
    more: tuple[str, str],
    scripts: dict[str, Script],
    status: str,
    reason: str | None,
) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        script = scripts.get(spec.identity.step_id, Script())
        return BAD if script is ODD and spec.identity.item == 1 else script

    async def story(world: World) -> None:
        end = await world.run(TWO % (strategy, *more))
        assert (end.run.status, end.run.reason) == (status, reason)

    in_world(tmp_path, story, behaviour)


def test_a_cancelled_run_is_cancelled_whatever_had_failed_or_completed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        text = TWO % ("continue", "", "") + '  - {id: c, command: ["x"], depends_on: []}\n'
        run_id = await world.start(text)
        await until(lambda: len(world.backend.started) == 3)
        await asyncio.sleep(1)
        await world.orchestrator.cancel(run_id, by="test")
        end = await world.finish(run_id)
        assert statuses(end) == {"a": "failed", "b": "completed", "c": "cancelled"}
        assert (end.run.status, end.run.reason) == ("cancelled", "cancelled")

    in_world(tmp_path, story, by_step({"a": BAD, "c": ENDLESS}))


def test_a_run_that_is_over_cannot_be_cancelled(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        end = await world.run(CHAIN)
        assert not await world.orchestrator.cancel(end.run.id, by="test")
        assert (await world.detail(end.run.id)).run.status == "completed"

    in_world(tmp_path, story)
