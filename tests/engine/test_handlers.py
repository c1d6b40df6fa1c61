"""`on_failure` and `finally` steps: when they run, what they see, and that they hide nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import UsageError
from engine.events import EventType
from engine.history.records import RunDetail
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, by_step, ends, in_world, plan_of, run_once, statuses, step_of, until

DOCUMENT = """
name: handled
config: {timeout: 100s, finally_timeout: 60s, failure_strategy: %s}
steps:
  - {id: first, command: [x]}
  - {id: main, command: [x]}
on_failure:
  - {id: alarm, command: [x]}
finally:
  - {id: tidy, command: [x]}
  - {id: tell, command: [x]}
"""
FAST, ON = DOCUMENT % "fail_fast", DOCUMENT % "continue"
BAD, ENDLESS = Script(exit_code=7, stderr="boom\n"), Script(delay=None)


async def started(world: World, step_id: str) -> None:
    """Wait for the agent of a step."""
    await until(lambda: any(a.spec.identity.step_id == step_id for a in world.backend.agents.values()))
    await asyncio.sleep(0.5)


async def settled(world: World, run_id: str) -> list[dict[str, Any]]:
    events = await world.events(run_id)
    return [dict(event.data) for event in events if event.type is EventType.RUN_SETTLED]


# -- when they run ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "main", "status", "alarm"),
    [
        (FAST, Script(), "completed", "condition_false"),
        (FAST, BAD, "failed", "completed"),
        (ON, BAD, "partially_completed", "completed"),
        (FAST, ENDLESS, "failed", "completed"),  # the run's time is up
    ],
)
def test_on_failure_runs_when_something_failed_and_finally_always(
    tmp_path: Path, document: str, main: Script, status: str, alarm: str
) -> None:
    detail = run_once(tmp_path, document, {"main": main})

    assert detail.run.status == status
    assert ends(detail)["alarm"] == alarm
    assert ends(detail)["tidy"] == ends(detail)["tell"] == "completed"


def test_finally_runs_after_a_cancel_and_on_failure_does_not(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert (detail.run.status, detail.run.reason) == ("cancelled", "cancelled")
        assert ends(detail) == {
            "first": "completed",
            "main": "cancelled",
            "alarm": "condition_false",
            "tidy": "completed",
            "tell": "completed",
        }
        assert "cancelled" in (step_of(detail, "alarm").error or "")

    in_world(tmp_path, story, by_step({"main": ENDLESS}))


def test_on_failure_comes_before_finally_and_after_everything_else(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(FAST)
        events = await world.events(detail.run.id)
        began = [e.step_id for e in events if e.type is EventType.STEP_STARTED]
        assert began == ["first", "main", "alarm", "tidy", "tell"]
        place = [e.type for e in events].index(EventType.RUN_SETTLED)
        assert [e.step_id for e in events[:place] if e.type is EventType.STEP_FINISHED] == ["first", "main"]

    in_world(tmp_path, story, by_step({"main": BAD}))


def test_a_run_without_handlers_is_not_settled_first(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run("name: plain\nsteps:\n  - {id: a, command: [x]}\n")
        assert await settled(world, detail.run.id) == []

    in_world(tmp_path, story)


# -- what they see ------------------------------------------------------------------------------------


def test_they_see_what_the_run_came_to_in_scope_and_environment(tmp_path: Path) -> None:
    seen: dict[str, dict[str, str]] = {}
    document = FAST.replace(
        "{id: tidy, command: [x]}",
        "{id: tidy, command: ['{{ $.run.status }}/{{ $.run.reason }}/{{ $.run.failed_step }}']}",
    )

    def behaviour(spec: AgentSpec) -> Script:
        name = spec.identity.step_id
        seen[name] = dict(spec.env) | {"command": str(spec.command)}
        return BAD if name == "main" else Script()

    async def story(world: World) -> None:
        await world.run(document)

    in_world(tmp_path, story, behaviour)
    assert seen["tidy"]["command"] == "('failed/task_failed/main',)"
    env = seen["alarm"]
    assert env["AGENTAINER_RUN_STATUS"] == "failed"
    assert env["AGENTAINER_RUN_REASON"] == "task_failed"
    assert env["AGENTAINER_RUN_FAILED_STEP"] == "main"
    assert "boom" in env["AGENTAINER_RUN_ERROR"]
    assert not any(name.startswith("AGENTAINER_RUN_") for name in seen["main"])


def test_a_condition_of_a_handler_can_ask_how_the_run_ended(tmp_path: Path) -> None:
    document = FAST.replace(
        "{id: tidy, command: [x]}",
        "{id: tidy, command: [x], condition: {field: $.run.status, operator: eq, value: failed}}",
    )
    assert ends(run_once(tmp_path / "good", document))["tidy"] == "condition_false"
    assert ends(run_once(tmp_path / "bad", document, {"main": BAD}))["tidy"] == "completed"


def test_a_run_that_completed_has_empty_variables_where_nothing_went_wrong(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def behaviour(spec: AgentSpec) -> Script:
        seen.update(spec.env)
        return Script()

    async def story(world: World) -> None:
        await world.run(FAST)

    in_world(tmp_path, story, behaviour)
    values = {name: seen[name] for name in seen if name.startswith("AGENTAINER_RUN_")}
    assert values == {
        "AGENTAINER_RUN_STATUS": "completed",
        "AGENTAINER_RUN_REASON": "",
        "AGENTAINER_RUN_ERROR": "",
        "AGENTAINER_RUN_FAILED_STEP": "",
    }


def test_an_error_that_no_variable_can_hold_is_made_to_fit(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def behaviour(spec: AgentSpec) -> Script:
        seen.update(spec.env)
        return Script(exit_code=1, stderr="a\0b\n") if spec.identity.step_id == "main" else Script()

    async def story(world: World) -> None:
        await world.run(FAST)

    in_world(tmp_path, story, behaviour)
    assert "a\ufffdb" in seen["AGENTAINER_RUN_ERROR"]


# -- what they change ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "main", "status"),
    [
        (FAST, Script(), "partially_completed"),
        (FAST, BAD, "failed"),
        (ON, BAD, "partially_completed"),
    ],
)
def test_a_finally_step_that_fails_only_makes_a_completed_run_partial(
    tmp_path: Path, document: str, main: Script, status: str
) -> None:
    detail = run_once(tmp_path, document, {"main": main, "tidy": Script(exit_code=3)})

    assert detail.run.status == status
    assert ("tidy" in (detail.run.error or "")) is (main != BAD)
    assert ends(detail)["tell"] == "completed", "inside handlers every failure is tolerated"


def test_an_on_failure_step_that_fails_does_not_keep_finally_from_running(tmp_path: Path) -> None:
    detail = run_once(tmp_path, FAST, {"main": BAD, "alarm": BAD})

    assert ends(detail)["alarm"] == "failed"
    assert ends(detail)["tidy"] == "completed"
    assert "'main'" in (detail.run.error or "")


def test_one_time_limit_bounds_both_lists_together(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.run(FAST)
        assert ends(detail)["alarm"] == "completed"
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert step_of(detail, "tidy").reason == "timed_out"
        assert "60 s" in (step_of(detail, "tidy").error or "")
        assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")
        assert world.loop.time() == pytest.approx(60, abs=1)

    in_world(tmp_path, story, by_step({"main": BAD, "alarm": Script(delay=40), "tidy": ENDLESS}))


def test_handlers_have_a_graph_of_their_own(tmp_path: Path) -> None:
    document = """
name: graph
state: {n: 1}
steps: [{id: main, command: [x]}]
finally:
  - {id: a, command: [x], depends_on: []}
  - {id: b, command: [x], depends_on: [a], trigger: all_success}
  - id: route
    type: decision
    depends_on: []
    decision_node: {choices: [{condition: {field: $.n, operator: eq, value: 1}, next: c}], default: d}
  - {id: c, command: [x], depends_on: [route]}
  - {id: d, command: [x], depends_on: [route]}
  - {id: p, depends_on: [], type: parallel, steps: [{id: m, command: [x]}, {id: n, command: [x]}]}
"""
    assert ends(run_once(tmp_path, document, {"a": BAD})) == {
        "main": "completed",
        "a": "failed",
        "b": "upstream_failed",
        "route": "completed",
        "c": "completed",
        "d": "branch_not_taken",
        "p": "completed",
        "m": "completed",
        "n": "completed",
    }


# -- stopping them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("main", "status"), [(Script(), "cancelled"), (BAD, "failed")])
def test_a_cancel_while_they_run_stops_them_too(tmp_path: Path, main: Script, status: str) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "tidy")
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.finish(run_id)
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert detail.run.status == status, "a failure stays visible"
        error = {"cancelled": "cancelled by test", "failed": "step 'main' failed: exit code 7: boom"}
        assert detail.run.error == error[status]
        assert world.loop.time() < 20

    in_world(tmp_path, story, by_step({"main": main, "tidy": ENDLESS}))


def test_a_second_cancel_stops_the_finally_steps_that_the_first_let_run(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test")
        await started(world, "tidy")
        await world.orchestrator.cancel(run_id, by="test", hurry=True)
        detail = await world.finish(run_id)
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert detail.run.status == "cancelled"

    in_world(tmp_path, story, by_step({"main": ENDLESS, "tidy": ENDLESS}))


def test_a_hurried_cancel_runs_no_finally_steps(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        run_id = await world.start(FAST)
        await started(world, "main")
        await world.orchestrator.cancel(run_id, by="test", hurry=True)
        detail = await world.finish(run_id)
        assert ends(detail)["tidy"] == ends(detail)["tell"] == "cancelled"
        assert ends(detail)["alarm"] == "condition_false"

    in_world(tmp_path, story, by_step({"main": ENDLESS}))


# -- retries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [RetryScope(failed=True), RetryScope(from_step="main")])
def test_a_retry_has_handlers_of_its_own(tmp_path: Path, scope: RetryScope) -> None:
    broken = {"main"}
    story = retried(scope, broken, lambda: broken.clear())

    first, second = in_world(
        tmp_path, story, lambda spec: BAD if spec.identity.step_id in broken else Script()
    )
    assert ends(first)["alarm"] == "completed"
    assert ends(second) == {
        "first": "completed",
        "main": "completed",
        "alarm": "condition_false",
        "tidy": "completed",
        "tell": "completed",
    }
    assert [step.id for step in second.steps if step.reused] == ["first"]


def test_a_retry_of_a_run_of_which_only_a_finally_step_failed_runs_just_the_handlers(tmp_path: Path) -> None:
    broken = {"tidy"}
    story = retried(RetryScope(failed=True), broken, lambda: broken.clear())

    _, second = in_world(tmp_path, story, lambda spec: BAD if spec.identity.step_id in broken else Script())
    assert second.run.status == "completed"
    assert [step.id for step in second.steps if step.reused] == ["first", "main"]
    assert [len(step.attempts) for step in second.steps] == [0, 0, 0, 1, 1]


def retried(scope: RetryScope, broken: set[str], repair: Callable[[], None]) -> Callable[[World], Any]:
    async def story(world: World) -> tuple[RunDetail, RunDetail]:
        first = await world.run(FAST)
        repair()
        run_id = await world.orchestrator.retry(plan_of(FAST), first, scope, source="test")
        return first, await world.finish(run_id)

    return story


@pytest.mark.parametrize("scope", [RetryScope(from_step="tidy"), RetryScope(only_step="alarm")])
def test_a_handler_cannot_be_retried_by_itself(tmp_path: Path, scope: RetryScope) -> None:
    async def story(world: World) -> None:
        detail = await world.run(FAST)
        with pytest.raises(UsageError, match="every retry runs anew"):
            await world.orchestrator.retry(plan_of(FAST), detail, scope, source="test")
        assert statuses(detail)["tidy"] == "completed"

    in_world(tmp_path, story)
