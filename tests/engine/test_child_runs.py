"""Sub-workflows as runs of their own: linked, stopped, recovered and retried with their parents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import DocumentError, Reason
from engine.events import EventType
from engine.history.records import RunDetail
from engine.orchestrator.context import Services
from engine.orchestrator.naming import child_run_id
from engine.orchestrator.recovery import Recovery
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, by_step, in_world, plan_of, prints, statuses, step_of, until

PARENT = """
name: parent
steps:
  - {id: before, command: [x]}
  - {id: sub, type: subworkflow, sub_workflow_name: child}
  - {id: after, command: [x]}
"""
CHILD = """
name: child
steps:
  - {id: one, command: [x]}
  - {id: two, command: [x]}
"""


def child_of(run_id: str, step_id: str = "sub", item: int | None = None, attempt: int = 1) -> str:
    return child_run_id(run_id, step_id, item, attempt)


async def recover_all(world: World) -> None:
    """What a starting engine does."""

    async def services_for(name: str) -> Services:
        return world.services

    await Recovery(world.orchestrator, world.services, world.history, services_for).recover()


def test_a_child_is_a_run_of_its_own_linked_both_ways(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        detail = await world.run(PARENT)
        assert statuses(detail) == dict.fromkeys(("before", "sub", "after"), "completed")

        child = await world.detail(child_of(detail.run.id))
        assert (child.run.workflow, child.run.status, child.run.source) == ("child", "completed", "parent")
        created = (await world.events(child.run.id))[0]
        assert created.data["parent"] == {"run_id": detail.run.id, "step_id": "sub", "attempt": 1}
        attempt = next(
            event
            for event in await world.events(detail.run.id)
            if event.type is EventType.ATTEMPT_CREATED and event.step_id == "sub"
        )
        assert attempt.data["child_run"] == child.run.id
        assert detail.state["said"] == "one"

    in_world(tmp_path, story, by_step({"one": prints({"said": "one"})}))


def test_a_cancel_of_the_parent_reaches_the_child_and_waits_for_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: world.backend.running == 1 and len(world.backend.started) == 2)
        await world.orchestrator.cancel(run_id, by="test")
        parent = await world.finish(run_id)
        child = await world.finish(child_of(run_id))
        assert parent.run.status == child.run.status == "cancelled"
        assert child.run.finished_at <= parent.run.finished_at  # type: ignore[operator]
        cancelling = [e for e in await world.events(child.run.id) if e.type is EventType.RUN_CANCELLING]
        assert [e.data["by"] for e in cancelling] == [f"its parent, run {run_id}, step sub"]
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


def test_a_hurried_cancel_hurries_the_child(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        await world.orchestrator.cancel(run_id, by="test")
        await asyncio.sleep(1)
        begun = world.loop.time()
        await world.orchestrator.cancel(run_id, by="test", hurry=True)
        await world.finish(run_id)
        assert world.loop.time() - begun < 100  # the grace is 1000

    in_world(tmp_path, story, by_step({"one": Script(delay=None, ignores_term=True)}), stop_grace=1000)


def test_a_child_cancelled_alone_fails_the_step_of_its_parent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        await world.orchestrator.cancel(child_of(run_id), by="test")
        parent = await world.finish(run_id)
        assert parent.run.status == "failed"
        assert step_of(parent, "sub").reason == "sub_workflow_failed"

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


def test_closing_the_engine_cancels_parents_and_with_them_their_children(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        await world.orchestrator.close(by="the end")
        child = await world.detail(child_of(run_id))
        assert child.run.status == "cancelled"
        cancelling = [e for e in await world.events(child.run.id) if e.type is EventType.RUN_CANCELLING]
        assert "its parent" in cancelling[0].data["by"]

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


def test_what_a_child_lacks_is_known_before_its_parent_runs(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = (
            "name: child\nsecrets: [TOKEN]\nsteps:\n  - {id: one, command: [x], secrets: [TOKEN]}\n"
        )
        with pytest.raises(DocumentError, match="TOKEN"):
            await world.start(PARENT)
        assert await world.history.runs() == []
        world.environ["TOKEN"] = "a long secret"
        assert (await world.run(PARENT)).run.status == "completed"

    in_world(tmp_path, story)


# -- recovery -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["in the child", "between the child's steps", "as the child begins"])
def test_parent_and_child_go_on_after_a_crash_and_nothing_runs_twice(tmp_path: Path, moment: str) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        begun = {"in the child": 2, "between the child's steps": 3, "as the child begins": 1}[moment]
        await until(lambda: len(world.backend.started) == begun)
        if moment == "as the child begins":
            await until(lambda: world.backend.running == 0)
        await world.crash(run_id)
        await recover_all(world)
        parent, child = await world.finish(run_id), await world.finish(child_of(run_id))
        assert parent.run.status == child.run.status == "completed"
        assert len(world.backend.started) == 4
        assert len(step_of(parent, "sub").attempts) == 1

    in_world(tmp_path, story, lambda spec: Script(delay=10))


def test_children_of_children_are_gone_on_with_by_their_own_parents(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library |= {"child": CHILD, "middle": PARENT.replace("name: parent", "name: middle")}
        top = PARENT.replace("_name: child", "_name: middle")
        run_id = await world.start(top)
        await until(lambda: len(world.backend.started) == 3)  # `before` of two runs, then in the child
        await world.crash(run_id)
        await recover_all(world)
        middle = child_of(run_id)
        for family in (run_id, middle, child_of(middle)):
            detail = await world.finish(family)
            assert (detail.run.status, detail.run.recoveries) == ("completed", 1)
        assert len(world.backend.started) == 6, "nothing runs twice"

    in_world(tmp_path, story, lambda spec: Script(delay=10))


def test_a_child_whose_parent_is_over_is_cancelled(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        parent = await world.crash(run_id)
        await world.orchestrator.give_up(parent.run, Reason.INVALID_DEFINITION, "test")
        await recover_all(world)
        child = await world.finish(child_of(run_id))
        assert child.run.status == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


def test_a_child_is_ended_with_a_parent_that_is_cancelled_after_a_crash(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        detail = await world.crash(run_id)
        plan = plan_of(PARENT, world.library)
        await world.orchestrator.resume(plan, detail, world.services, cancel_by="test")
        parent, child = await world.finish(run_id), await world.finish(child_of(run_id))
        assert parent.run.status == child.run.status == "cancelled"
        assert world.backend.agents == {}

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


def test_agents_of_a_child_are_not_reaped(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = CHILD
        run_id = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        await world.crash(run_id)
        assert await world.reap() == []

    in_world(tmp_path, story, by_step({"one": Script(delay=None)}))


# -- retry --------------------------------------------------------------------------------------------


class Broken:
    """Steps in `steps` fail; remembers what ran, run by run."""

    def __init__(self, *steps: str) -> None:
        self.steps = set(steps)
        self.ran: dict[str, list[str]] = {}

    def __call__(self, spec: AgentSpec) -> Script:
        identity = spec.identity
        ran = self.ran.setdefault(identity.run_id, [])
        if identity.step_id not in ran:
            ran.append(identity.step_id)
        if identity.step_id in self.steps:
            return Script(exit_code=1)
        return prints({identity.step_id: f"{identity.run_id} says"})


async def retry(world: World, detail: RunDetail, document: str, **scope: bool) -> RunDetail:
    plan = plan_of(document, world.library)
    run_id = await world.orchestrator.retry(plan, detail, RetryScope(**scope), source="test")  # type: ignore[arg-type]
    return await world.finish(run_id)


def test_retrying_what_failed_goes_on_within_the_child(tmp_path: Path) -> None:
    broken = Broken("two")

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        first = await world.run(PARENT)
        assert first.run.status == "failed"
        broken.steps.clear()
        second = await retry(world, first, PARENT, failed=True)
        assert second.run.status == "completed"
        child = await world.detail(child_of(second.run.id))
        assert child.run.retry_of == child_of(first.run.id)
        assert (broken.ran[child.run.id], broken.ran[second.run.id]) == (["two"], ["after"])
        assert second.state["one"] == f"{child_of(first.run.id)} says"
        assert second.state["two"] == f"{child.run.id} says"

    in_world(tmp_path, story, broken)


def test_a_child_retried_alone_updates_the_retry_of_its_parent(tmp_path: Path) -> None:
    broken = Broken("two")

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        first = await world.run(PARENT)
        failed = await world.detail(child_of(first.run.id))
        still_failed = await retry(world, failed, CHILD, failed=True)
        broken.steps.clear()
        alone = await retry(world, still_failed, CHILD, failed=True)
        assert alone.run.status == "completed"
        second = await retry(world, first, PARENT, failed=True)
        assert second.run.status == "completed"
        child = await world.detail(child_of(second.run.id))
        assert child.run.retry_of == alone.run.id
        assert all(step.reused for step in child.steps)
        assert child.run.id not in broken.ran
        assert second.state["two"] == f"{alone.run.id} says"

    in_world(tmp_path, story, broken)


def test_a_child_retried_alone_begins_with_what_its_parent_gave_it(tmp_path: Path) -> None:
    broken = Broken("two")
    parent = PARENT.replace("child}", "child, inputs: {given: '{{ $.before }}'}}")

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        first = await world.run(parent)
        failed = await world.detail(child_of(first.run.id))
        broken.steps.clear()
        alone = await retry(world, failed, CHILD)
        assert alone.state["given"] == f"{first.run.id} says"

    in_world(tmp_path, story, broken)


def test_a_child_that_completed_partially_goes_on_with_what_failed_in_it(tmp_path: Path) -> None:
    broken = Broken("two")

    async def story(world: World) -> None:
        world.library["child"] = CHILD.replace("child\n", "child\nconfig: {failure_strategy: continue}\n", 1)
        first = await world.run(PARENT)
        assert first.run.status == "partially_completed"
        broken.steps.clear()
        second = await retry(world, first, PARENT, failed=True)
        assert second.run.status == "completed"
        child = await world.detail(child_of(second.run.id))
        assert broken.ran[child.run.id] == ["two"]

    in_world(tmp_path, story, broken)


def test_a_whole_retry_runs_the_child_afresh(tmp_path: Path) -> None:
    broken = Broken("two")

    async def story(world: World) -> None:
        world.library["child"] = CHILD
        first = await world.run(PARENT)
        broken.steps.clear()
        second = await retry(world, first, PARENT)
        child = await world.detail(child_of(second.run.id))
        assert child.run.retry_of is None
        assert broken.ran[child.run.id] == ["one", "two"]

    in_world(tmp_path, story, broken)


def test_only_the_failed_children_of_a_map_go_on(tmp_path: Path) -> None:
    document = (
        "name: each\nstate: {things: [0, 1, 2]}\nsteps:\n"
        "  - id: m\n    type: map\n    sub_workflow_name: child\n"
        "    map_config: {input_path: things, error_handling: continue_on_error}\n"
    )
    failing = True

    def behaviour(spec: AgentSpec) -> Script:
        bad = (
            failing
            and spec.identity.step_id == "two"
            and '"item":1' in spec.env["TASK_INPUT"].replace(" ", "")
        )
        return Script(exit_code=1 if bad else 0)

    async def story(world: World) -> None:
        nonlocal failing
        world.library["child"] = CHILD
        first = await world.run(document)
        assert [item.status for item in step_of(first, "m").items] == ["completed", "failed", "completed"]
        begun = len(world.backend.started)
        failing = False
        second = await retry(world, first, document, failed=True)
        assert second.run.status == "completed"
        assert len(world.backend.started) == begun + 1
        child = await world.detail(child_of(second.run.id, "m", 1))
        assert [step.reused for step in child.steps] == [True, False]

    in_world(tmp_path, story, behaviour)
