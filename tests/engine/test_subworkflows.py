"""Steps that run workflows: what the child gets, what it gives back, how it fails, stops and goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.history.records import RunDetail
from engine.orchestrator.naming import child_run_id
from tests.engine.world import World, by_step, in_world, plan_of, prints, statuses, step_of, until

CHILD = """
name: child
state: {own: 1, kept: 2}
steps:
  - {id: work, command: ["x"]}
"""

PARENT = """
name: parent
state: {text: hello, number: 7}
steps:
  - id: call
    type: subworkflow
    sub_workflow_name: child
    %s
  - {id: after, command: ["x"]}
"""


def parent(*settings: str) -> str:
    return PARENT % "\n    ".join(settings)


async def child_of(
    world: World, run_id: str, step: str = "call", item: int | None = None, attempt: int = 1
) -> RunDetail:
    return await world.detail(child_run_id(run_id, step, item, attempt))


def run(
    tmp_path: Path, document: str, scripts: dict[str, Script], child: str = CHILD, **settings: Any
) -> tuple[RunDetail, RunDetail]:
    """The ends of a run and of the child of its step `call`."""

    async def story(world: World) -> tuple[RunDetail, RunDetail]:
        world.library["child"] = child
        end = await world.run(document)
        return end, await child_of(world, end.run.id)

    return in_world(tmp_path, story, by_step(scripts), **settings)


def test_a_child_gets_the_whole_state_and_its_fields_are_merged(tmp_path: Path) -> None:
    end, child = run(tmp_path, parent(), {"work": prints({"answer": 42, "text": "changed"})})
    assert end.run.status == child.run.status == "completed"
    assert child.state == {"own": 1, "kept": 2, "text": "changed", "number": 7, "answer": 42}
    assert step_of(end, "call").result == {"answer": 42, "text": "changed"}
    assert end.state == {"text": "changed", "number": 7, "answer": 42}


def test_the_attempt_of_the_step_is_the_child_and_has_no_agent(tmp_path: Path) -> None:
    end, child = run(tmp_path, parent(), {})
    (attempt,) = step_of(end, "call").attempts
    assert (attempt.agent, attempt.log, attempt.status) == ("", "", "completed")
    assert child.run.id == child_run_id(end.run.id, "call", None, 1)
    assert [step.id for step in child.steps] == ["work"]


def test_inputs_are_the_childs_fields_and_params(tmp_path: Path) -> None:
    child = CHILD + "params: {count: {type: integer}, name: {default: nobody}}\n"
    document = parent('inputs: {count: "{{ $.number }}", extra: ["{{ $.text }}", 2]}')
    _, end = run(tmp_path, document, {}, child)
    assert end.run.params == {"count": 7, "name": "nobody"}
    assert end.state == {
        "own": 1,
        "kept": 2,
        "extra": ["hello", 2],
        "params": {"count": 7, "name": "nobody"},
    }


@pytest.mark.parametrize(
    ("inputs", "words"),
    [('{count: "{{ $.text }}"}', "count"), ('{count: "{{ $.no.such }}"}', "$.no.such")],
)
def test_an_input_that_cannot_be_made_is_an_input_error_without_a_child(
    tmp_path: Path, inputs: str, words: str
) -> None:
    child = CHILD + "params: {count: {type: integer}}\n"

    async def story(world: World) -> None:
        world.library["child"] = child
        end = await world.run(parent(f"inputs: {inputs}", "retry_policy: {max_attempts: 3}"))
        step = step_of(end, "call")
        assert (step.status, step.reason) == ("failed", "input_error")
        assert words in (step.error or "")
        assert step.attempts == ()
        assert len(await world.history.runs(limit=10)) == 1

    in_world(tmp_path, story)


def test_the_childs_params_are_not_part_of_its_result(tmp_path: Path) -> None:
    child = CHILD + "params: {count: {type: integer}}\n"
    end, _ = run(tmp_path, parent("inputs: {count: 3}"), {"work": prints({"new": 1})}, child)
    assert step_of(end, "call").result == {"new": 1}


@pytest.mark.parametrize(
    ("outputs", "result", "state"),
    [
        ("merge", {"a": 1, "b": [2]}, {"text": "hello", "number": 7, "a": 1, "b": [2]}),
        ("step", {"a": 1, "b": [2]}, {"text": "hello", "number": 7}),
        ("{c: '$.b[0]', d: $.own}", {"c": 2, "d": 1}, {"text": "hello", "number": 7, "c": 2, "d": 1}),
    ],
)
def test_outputs_say_what_becomes_of_the_childs_fields(
    tmp_path: Path, outputs: str, result: object, state: object
) -> None:
    end, _ = run(tmp_path, parent(f"outputs: {outputs}"), {"work": prints({"a": 1, "b": [2]})})
    assert step_of(end, "call").result == result
    assert end.state == state


def test_an_output_that_finds_nothing_is_a_bad_result(tmp_path: Path) -> None:
    end, child = run(tmp_path, parent("outputs: {c: $.no.such}"), {})
    step = step_of(end, "call")
    assert child.run.status == "completed"
    assert (step.status, step.reason) == ("failed", "bad_result")
    assert "$.no.such" in (step.error or "")


def test_true_instead_of_one_is_a_change(tmp_path: Path) -> None:
    end, _ = run(tmp_path, parent(), {"work": prints({"own": True, "kept": 2})})
    assert step_of(end, "call").result == {"own": True}


def test_a_failed_child_fails_the_step_and_names_itself(tmp_path: Path) -> None:
    end, child = run(tmp_path, parent(), {"work": Script(exit_code=3)})
    step = step_of(end, "call")
    assert (step.status, step.reason) == ("failed", "sub_workflow_failed")
    assert child.run.id in (step.error or "")
    assert child.run.error is not None
    assert child.run.error in (step.error or "")
    assert end.run.reason == "sub_workflow_failed"


def test_a_partially_completed_child_completes_the_step_and_the_run_only_partially(tmp_path: Path) -> None:
    child = (
        "name: child\nconfig: {failure_strategy: continue}\nsteps:\n"
        "  - {id: work, command: [x], depends_on: []}\n  - {id: other, command: [x], depends_on: []}\n"
    )
    end, inner = run(tmp_path, parent(), {"work": Script(exit_code=3)}, child)
    assert inner.run.status == end.run.status == "partially_completed"
    assert statuses(end) == {"call": "completed", "after": "completed"}


def test_each_try_is_a_new_child(tmp_path: Path) -> None:
    tries: list[str] = []

    def behaviour(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "work" and spec.identity.run_id not in tries:
            tries.append(spec.identity.run_id)
        return Script(exit_code=1 if spec.identity.step_id == "work" and len(tries) < 3 else 0)

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        end = await world.run(parent("retry_policy: {max_attempts: 3, delay: 10s}"))
        assert end.run.status == "completed"
        assert [attempt.status for attempt in step_of(end, "call").attempts] == [
            "failed",
            "failed",
            "completed",
        ]
        assert tries == [child_run_id(end.run.id, "call", None, number) for number in (1, 2, 3)]
        assert world.loop.time() == pytest.approx(20)

    in_world(tmp_path, story, behaviour)


def test_the_steps_timeout_bounds_the_child_and_ends_it(tmp_path: Path) -> None:
    end, child = run(tmp_path, parent("timeout: 30s"), {"work": Script(delay=None)})
    step = step_of(end, "call")
    assert (step.status, step.reason) == ("failed", "timed_out")
    assert "30 s" in (step.error or "")
    assert child.run.status == "cancelled"


def test_a_cancel_reaches_the_child_and_waits_for_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(parent())
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(run_id, by="test")
        end = await world.finish(run_id)
        child = await child_of(world, run_id)
        assert (end.run.status, child.run.status) == ("cancelled", "cancelled")
        assert step_of(end, "call").status == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None, ignores_term=True))


def test_the_time_out_of_the_run_reaches_the_child(tmp_path: Path) -> None:
    document = parent() + "config: {timeout: 60s}\n"
    end, child = run(tmp_path, document, {"work": Script(delay=None)})
    assert (end.run.status, end.run.reason) == ("failed", "timed_out")
    assert child.run.status == "cancelled"


def test_a_child_cancelled_by_itself_fails_the_step(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(parent())
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(child_run_id(run_id, "call", None, 1), by="test")
        end = await world.finish(run_id)
        step = step_of(end, "call")
        assert (step.status, step.reason) == ("failed", "sub_workflow_failed")
        assert "was cancelled" in (step.error or "")

    in_world(tmp_path, story, lambda spec: Script(delay=None))


def test_children_hold_no_slot_so_that_nested_ones_cannot_lock_each_other_out(tmp_path: Path) -> None:
    middle = "name: middle\nsteps:\n  - {id: inner, sub_workflow_name: child}\n"
    document = (
        "name: top\nconfig: {max_parallel: 1}\nsteps:\n"
        "  - {id: one, sub_workflow_name: middle, depends_on: []}\n"
        "  - {id: two, sub_workflow_name: middle, depends_on: []}\n"
    )

    async def story(world: World) -> None:
        world.library |= {"child": CHILD, "middle": middle}
        end = await world.run(document)
        assert end.run.status == "completed"
        assert world.backend.most_running == 1

    in_world(tmp_path, story, lambda spec: Script(delay=5), max_tasks=1)


def test_an_inline_workflow_runs_like_a_named_one(tmp_path: Path) -> None:
    document = """
name: outer
state: {n: 1}
steps:
  - id: call
    workflow:
      name: inside
      steps:
        - {id: deep, command: ["x"]}
"""

    async def story(world: World) -> None:
        end = await world.run(document)
        child = await child_of(world, end.run.id)
        assert (end.run.status, child.run.workflow) == ("completed", "inside")
        assert end.state == {"n": 1, "deep": "done"}

    in_world(tmp_path, story, by_step({"deep": prints({"deep": "done"})}))


MAP = """
name: fan
state: {urls: [a, b, c, d], shared: s}
steps:
  - id: each
    type: map
    sub_workflow_name: child
    map_config: {input_path: urls, item_alias: url%s}
"""


def test_a_map_runs_one_child_for_each_item(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        given = json.loads(spec.env["TASK_INPUT"])
        assert given["shared"] == "s"
        return prints({"got": [given["url"], given["_map_index"]]}, delay=10 - given["_map_index"])

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        end = await world.run(MAP % "")
        assert end.state["each_results"] == [
            {"got": [url, index]} for index, url in enumerate(["a", "b", "c", "d"])
        ]
        assert "got" not in end.state
        items = step_of(end, "each").items
        assert all(item.attempts[0].agent == "" for item in items)
        assert (await child_of(world, end.run.id, "each", 2)).state["url"] == "c"

    in_world(tmp_path, story, behaviour)


def test_max_concurrency_bounds_the_children_of_a_map(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        await world.run(MAP % ", max_concurrency: 2")
        assert world.backend.most_running == 2
        assert world.loop.time() == pytest.approx(20)

    in_world(tmp_path, story, lambda spec: Script(delay=10))


def test_a_failed_child_of_a_map_is_a_failed_item(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=int(json.loads(spec.env["TASK_INPUT"])["url"] == "b"))

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        end = await world.run(MAP % ", error_handling: continue_on_error")
        assert [item.status for item in step_of(end, "each").items] == [
            "completed",
            "failed",
            "completed",
            "completed",
        ]
        assert end.state["each_errors"][0]["reason"] == "sub_workflow_failed"
        assert end.run.status == "partially_completed"

    in_world(tmp_path, story, behaviour)


def test_after_a_crash_the_parent_goes_on_with_the_same_child(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(parent())
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        end = await world.recover(detail, parent())
        assert end.run.status == "completed"
        assert len(step_of(end, "call").attempts) == 1
        assert step_of(end, "call").result == {"answer": 42}
        child = await child_of(world, run_id)
        assert child.run.recoveries == 1
        assert len(step_of(child, "work").attempts) == 1

    in_world(tmp_path, story, by_step({"work": prints({"answer": 42}, delay=30)}))


def test_a_crash_between_the_intent_and_the_child_starts_it_after_all(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(parent())
        child_id = child_run_id(run_id, "call", None, 1)
        while world.orchestrator.context_of(child_id) is None:
            call = step_of(await world.detail(run_id), "call")
            if call.attempts:
                break
            await asyncio.sleep(0)
        detail = await world.crash(run_id)
        end = await world.recover(detail, parent())
        assert end.run.status == "completed"
        assert (await child_of(world, run_id)).run.status == "completed"

    in_world(tmp_path, story, lambda spec: Script(delay=1))


def test_the_time_of_a_child_goes_on_during_a_crash(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        document = parent("timeout: 100s")
        run_id = await world.start(document)
        await until(lambda: world.backend.running == 1)
        detail = await world.crash(run_id)
        await asyncio.sleep(60)
        end = await world.recover(detail, document)
        assert step_of(end, "call").reason == "timed_out"
        assert world.loop.time() == pytest.approx(100, abs=15)

    in_world(tmp_path, story, lambda spec: Script(delay=None))


def test_a_run_cancelled_before_the_crash_ends_its_child(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(parent())
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(run_id, by="test")
        detail = await world.crash(run_id)
        end = await world.recover(detail, parent())
        child = await child_of(world, run_id)
        assert (end.run.status, child.run.status) == ("cancelled", "cancelled")
        assert step_of(end, "call").attempts[0].status == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, lambda spec: Script(delay=None, ignores_term=True))


BRANCH = """
name: choosing
state: {big: %s}
steps:
  - id: route
    type: branch
    branch_config:
      condition: {field: $.big, operator: eq, value: true}
      true_workflow: child
      true_steps: [yes_step]
      false_steps: [no_step]
  - {id: yes_step, command: ["x"], depends_on: [route]}
  - {id: no_step, command: ["x"], depends_on: [route]}
"""


@pytest.mark.parametrize(("big", "children"), [("true", 1), ("false", 0)])
def test_a_branch_runs_the_workflow_of_the_way_it_takes(tmp_path: Path, big: str, children: int) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        end = await world.run(BRANCH % big)
        assert end.run.status == "completed"
        chosen = "true" if children else "false"
        assert step_of(end, "route").result["choice"] == chosen
        assert ("answer" in end.state) is bool(children)
        assert len(await world.history.runs(limit=10)) == 1 + children
        assert statuses(end)["yes_step" if children else "no_step"] == "completed"

    in_world(tmp_path, story, by_step({"work": prints({"answer": 42})}))


def test_the_plan_of_a_childs_child_is_found(tmp_path: Path) -> None:
    plan = plan_of(
        "name: top\nsteps:\n  - {id: a, sub_workflow_name: middle}\n",
        {"middle": "name: middle\nsteps:\n  - {id: b, sub_workflow_name: child}\n", "child": CHILD},
    )
    assert set(plan.children) == {"middle", "child"}
    assert set(plan.children["middle"].children) == {"child"}
