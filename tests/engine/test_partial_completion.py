"""What completed only in part: nobody overlooks it, neither after a crash nor in a retry."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.errors import UsageError
from engine.orchestrator.naming import child_run_id
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, ends, in_world, plan_of, step_of, until

CHILD = """
name: child
config: {failure_strategy: continue}
steps:
  - {id: good, command: [x], depends_on: []}
  - {id: bad, command: [x], depends_on: []}
"""
ONE = """
name: one
steps:
  - {id: sub, type: subworkflow, sub_workflow_name: child}
  - {id: after, command: [x]}
"""
MANY = """
name: many
state: {things: [0, 1, 2]}
steps:
  - {id: sub, type: map, sub_workflow_name: child, map_config: {input_path: things, max_concurrency: 1}}
  - {id: after, command: [x]}
"""
ITEMS = """
name: items
state: {things: [0, 1, 2]}
steps:
  - id: each
    type: map
    command: [x]
    map_config: {input_path: things, error_handling: continue_on_error%s}
  - {id: after, command: [x]}
"""


class Mishap:
    """`bad` fails as long as it is broken, `after` takes its time."""

    def __init__(self) -> None:
        self.broken = True

    def __call__(self, spec: AgentSpec) -> Script:
        step_id = spec.identity.step_id
        if step_id == "after":
            return Script(delay=10)
        return Script(exit_code=int(self.broken and step_id == "bad"))


async def start(world: World, document: str) -> str:
    world.library["child"] = CHILD
    return await world.start(document)


@pytest.mark.parametrize("document", [ONE, MANY])
def test_a_child_that_completed_in_part_makes_its_parent_partial(tmp_path: Path, document: str) -> None:
    async def story(world: World) -> None:
        detail = await world.finish(await start(world, document))
        assert ends(detail) == {"sub": "completed", "after": "completed"}
        assert step_of(detail, "sub").partial
        assert detail.run.status == "partially_completed"
        assert "'sub'" in (detail.run.error or "")

    in_world(tmp_path, story, Mishap())


@pytest.mark.parametrize("document", [ONE, MANY])
def test_it_is_partial_after_a_crash_too(tmp_path: Path, document: str) -> None:
    async def story(world: World) -> None:
        run_id = await start(world, document)
        await until(lambda: any(a.spec.identity.step_id == "after" for a in world.backend.agents.values()))
        detail = await world.recover(await world.crash(run_id), document)
        assert detail.run.status == "partially_completed"

    in_world(tmp_path, story, Mishap())


@pytest.mark.parametrize(("document", "item"), [(ONE, None), (MANY, 1)])
def test_a_retry_of_what_failed_goes_into_a_child_that_completed_in_part(
    tmp_path: Path, document: str, item: int | None
) -> None:
    mishap = Mishap()

    async def story(world: World) -> None:
        first = await world.finish(await start(world, document))
        mishap.broken = False
        plan = plan_of(document, world.library)
        run_id = await world.orchestrator.retry(plan, first, RetryScope(failed=True), source="test")
        second = await world.finish(run_id)
        assert second.run.status == "completed"
        child = await world.detail(child_run_id(run_id, "sub", item, 1))
        assert [(step.id, step.reused) for step in child.steps] == [("good", True), ("bad", False)]

    in_world(tmp_path, story, mishap)


def test_items_that_failed_within_a_tolerance_are_no_partial_completion(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=int(spec.identity.item == 1))

    async def story(world: World) -> None:
        within = await world.run(ITEMS % ", tolerated_failure_count: 1")
        assert (within.run.status, step_of(within, "each").partial) == ("completed", False)
        unsaid = await world.run(ITEMS % "")
        assert (unsaid.run.status, step_of(unsaid, "each").partial) == ("partially_completed", True)

    in_world(tmp_path, story, behaviour)


def test_a_retry_alone_keeps_what_is_partial_elsewhere(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(exit_code=int(spec.identity.item == 1))

    async def story(world: World) -> None:
        first = await world.run(ITEMS % "")
        plan = plan_of(ITEMS % "")
        run_id = await world.orchestrator.retry(plan, first, RetryScope(only_step="after"), source="test")
        second = await world.finish(run_id)
        assert step_of(second, "each").reused
        assert second.run.status == "partially_completed"

    in_world(tmp_path, story, behaviour)


def test_nothing_is_retried_where_nothing_is_partial(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        detail = await world.finish(await start(world, ONE))
        with pytest.raises(UsageError, match="nothing failed"):
            plan = plan_of(ONE, world.library)
            await world.orchestrator.retry(plan, detail, RetryScope(failed=True), source="test")

    in_world(tmp_path, story)


def test_a_finally_step_that_is_partial_makes_the_run_partial(tmp_path: Path) -> None:
    document = "name: last\nstate: {things: [0, 1]}\nsteps: [{id: main, command: [x]}]\nfinally:\n" + (
        "  - {id: each, type: map, command: [x],"
        " map_config: {input_path: things, error_handling: continue_on_error}}\n"
    )

    async def story(world: World) -> None:
        detail = await world.run(document)
        assert detail.run.status == "partially_completed"
        assert "'each' completed only in part" in (detail.run.error or "")

    in_world(tmp_path, story, lambda spec: Script(exit_code=int(spec.identity.item == 1)))
