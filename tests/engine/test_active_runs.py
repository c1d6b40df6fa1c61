"""`max_active_runs`: how many runs of a workflow are active at once, and how the others wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.agents.memory import Script
from engine.events import EventType
from tests.engine.test_child_runs import CHILD, PARENT, child_of, recover_all
from tests.engine.world import World, by_step, in_world, plan_of, statuses, step_of, until

ONE = "name: one\nconfig: {max_active_runs: 1}\nsteps:\n  - {id: a, command: [x]}\n"
FOREVER = Script(delay=None)
TEN = Script(delay=10)


async def types(world: World, run_id: str) -> list[EventType]:
    return [event.type for event in await world.events(run_id)]


async def begun(world: World, run_id: str) -> str:
    started = (await world.detail(run_id)).run.started_at
    assert started is not None
    return started


def test_runs_beyond_the_bound_wait_and_start_in_the_order_of_their_creation(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        runs = [await world.start(ONE) for _ in range(4)]
        await until(lambda: world.backend.running == 1)
        waiting = [(await world.detail(run_id)).run.status for run_id in runs]
        assert waiting == ["running", "pending", "pending", "pending"]
        assert EventType.RUN_QUEUED not in await types(world, runs[0])
        queued = [e for e in await world.events(runs[1]) if e.type is EventType.RUN_QUEUED]
        assert [e.data for e in queued] == [{"why": "max_active_runs"}]

        for run_id in runs:
            assert (await world.finish(run_id)).run.status == "completed"
        assert [await begun(world, run_id) for run_id in runs] == sorted(
            [await begun(world, run_id) for run_id in runs]
        )
        assert world.backend.most_running == 1

    in_world(tmp_path, story, by_step({"a": TEN}))


@pytest.mark.parametrize(("bound", "most"), [(1, 1), (2, 2), (0, 5)])
def test_exactly_as_many_are_active_as_may_be(tmp_path: Path, bound: int, most: int) -> None:
    document = ONE.replace("max_active_runs: 1", f"max_active_runs: {bound}")

    async def story(world: World) -> None:
        for run_id in [await world.start(document) for _ in range(5)]:
            await world.finish(run_id)
        assert world.backend.most_running == most

    in_world(tmp_path, story, by_step({"a": TEN}))


def test_workflows_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.start(ONE)
        await world.start(ONE.replace("name: one", "name: other"))
        await until(lambda: world.backend.running == 2)
        assert len(world.orchestrator.active) == 2

    in_world(tmp_path, story, by_step({"a": FOREVER}))


@pytest.mark.parametrize("hurry", [False, True])
def test_a_run_that_waits_can_be_cancelled_and_nothing_of_it_runs(tmp_path: Path, hurry: bool) -> None:
    document = ONE + "finally:\n  - {id: tidy, command: [x]}\n"

    async def story(world: World) -> None:
        first, second, third = [await world.start(document) for _ in range(3)]
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(second, by="test", hurry=hurry)
        ended = await world.finish(second)
        assert ended.run.status == "cancelled"
        assert statuses(ended) == {"a": "cancelled", "tidy": "cancelled"}
        assert (await world.detail(first)).run.status == "running"
        assert (await world.finish(first)).run.status == "completed"
        assert (await world.finish(third)).run.status == "completed"
        assert len(world.backend.started) == 4

    in_world(tmp_path, story, by_step({"a": TEN}))


def test_a_run_that_fails_or_is_cancelled_makes_room_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        failing, cancelled, last = [await world.start(ONE) for _ in range(3)]
        assert (await world.finish(failing)).run.status == "failed"
        await until(lambda: len(world.backend.started) == 2)
        await world.orchestrator.cancel(cancelled, by="test")
        await world.finish(cancelled)
        await until(lambda: len(world.backend.started) == 3)
        await world.orchestrator.cancel(last, by="test")

    ends = iter([Script(exit_code=1)])
    known: dict[str, Script] = {}
    in_world(tmp_path, story, lambda spec: known.setdefault(spec.identity.run_id, next(ends, FOREVER)))


def test_the_time_in_the_queue_is_no_part_of_the_run(tmp_path: Path) -> None:
    document = ONE.replace("max_active_runs: 1", "max_active_runs: 1, timeout: 15s")

    async def story(world: World) -> None:
        _, second = await world.start(document), await world.start(document)
        ended = await world.finish(second)
        assert ended.run.status == "completed"
        assert ended.run.duration == pytest.approx(10, abs=0.1)

    in_world(tmp_path, story, by_step({"a": TEN}))


def test_closing_the_engine_ends_runs_that_wait(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        runs = [await world.start(ONE) for _ in range(3)]
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.close(by="the end")
        assert {(await world.finish(run_id)).run.status for run_id in runs} == {"cancelled"}

    in_world(tmp_path, story, by_step({"a": FOREVER}))


def test_after_a_crash_those_that_ran_run_and_those_that_waited_wait_in_their_order(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        runs = [await world.start(ONE) for _ in range(4)]
        await until(lambda: world.backend.running == 1)
        await world.crash(runs[0])
        await recover_all(world)
        late = await world.start(ONE)
        for run_id in [*runs, late]:
            assert (await world.finish(run_id)).run.status == "completed"
        starts = [await begun(world, run_id) for run_id in [*runs, late]]
        assert starts == sorted(starts)
        assert world.backend.most_running == 1

    in_world(tmp_path, story, by_step({"a": TEN}))


def test_a_run_that_waited_and_was_being_cancelled_at_the_crash_ends_cancelled(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        first, second = await world.start(ONE), await world.start(ONE)
        await until(lambda: world.backend.running == 1)
        cancelling = asyncio.create_task(world.orchestrator.cancel(second, by="test"))
        await asyncio.sleep(0)
        await world.crash(first)
        cancelling.cancel()
        await recover_all(world)
        assert (await world.finish(second)).run.status == "cancelled"

    in_world(tmp_path, story, by_step({"a": FOREVER}))


# -- child runs ---------------------------------------------------------------------------------------

BOUND_CHILD = CHILD.replace("name: child", "name: child\nconfig: {max_active_runs: 1}")
EACH = (
    "name: each\nstate: {things: [0, 1, 2]}\nsteps:\n"
    "  - {id: m, type: map, sub_workflow_name: child, map_config: {input_path: things}}\n"
)


def test_child_runs_count_and_wait_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = BOUND_CHILD
        assert (await world.run(EACH)).run.status == "completed"
        assert world.backend.most_running == 1
        assert len(world.backend.started) == 6

    in_world(tmp_path, story, lambda spec: TEN)


def test_a_cancelled_parent_takes_children_that_wait_with_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = BOUND_CHILD
        run_id = await world.start(EACH)
        await until(lambda: world.backend.running == 1)
        await world.orchestrator.cancel(run_id, by="test")
        await world.finish(run_id)
        children = [await world.finish(child_of(run_id, "m", item)) for item in range(3)]
        assert {child.run.status for child in children} == {"cancelled"}
        assert len(world.backend.started) == 1

    in_world(tmp_path, story, lambda spec: FOREVER)


def test_a_run_never_waits_for_the_run_that_it_is_a_part_of(tmp_path: Path) -> None:
    # Two files whose workflows have the same name: the parent must not keep its own child waiting.
    same = PARENT.replace("name: parent", "name: same\nconfig: {max_active_runs: 1}")

    async def story(world: World) -> None:
        world.library["child"] = BOUND_CHILD.replace("name: child", "name: same")
        first, second = await world.start(same), await world.start(same)
        for run_id in (first, second):
            assert step_of(await world.finish(run_id), "sub").status == "completed"

    in_world(tmp_path, story, lambda spec: TEN)


def test_after_a_crash_a_child_that_ran_goes_before_runs_that_waited(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library["child"] = BOUND_CHILD
        parent = await world.start(PARENT)
        await until(lambda: len(world.backend.started) == 2)
        waiting = await world.orchestrator.start(plan_of(BOUND_CHILD), {}, source="test")
        await world.crash(parent)
        await recover_all(world)
        assert (await world.finish(parent)).run.status == "completed"
        assert (await world.finish(waiting)).run.status == "completed"
        child = await world.detail(child_of(parent))
        assert (child.run.finished_at or "") <= await begun(world, waiting)

    in_world(tmp_path, story, lambda spec: TEN)


# Files whose names say nothing of the workflows in them: to run `runs_one` is to run a workflow `one`.
CROSSED = PARENT.replace("name: parent", "name: %s\nconfig: {max_active_runs: 1}").replace(
    "_name: child", "_name: %s"
)
RUNS = {f"runs_{name}": ONE.replace("name: one", f"name: {name}") for name in ("one", "two", "three", "four")}


def test_runs_whose_parts_would_wait_for_each_others_ends_do_not_wait_for_ever(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library |= RUNS
        one = await world.start(CROSSED % ("one", "runs_two"))
        two = await world.start(CROSSED % ("two", "runs_one"))
        ended = [await world.finish(run_id) for run_id in (one, two)]

        assert sorted(detail.run.status for detail in ended) == ["completed", "failed"]
        (failed,) = (detail for detail in ended if detail.run.status == "failed")
        other = one if failed.run.id == two else two
        child = await world.finish(child_of(failed.run.id))
        assert child.run.reason == "invalid_definition"
        assert f"it would wait for ever for run {other}, of which " in (child.run.error or "")
        assert failed.run.error == f"step 'sub' failed: child run {child.run.id}: {child.run.error}"

    in_world(tmp_path, story, lambda spec: TEN)


def test_a_part_that_waits_for_a_run_whose_part_can_go_on_just_waits(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.library |= RUNS
        # `two` waits within for `three`, which ends by itself; so does then `two`, and `one` goes on.
        names = [("three", "runs_four"), ("two", "runs_three"), ("one", "runs_two")]
        runs = [await world.start(CROSSED % pair) for pair in names]
        assert [(await world.finish(run_id)).run.status for run_id in runs] == ["completed"] * 3
        for run_id in runs[1:]:
            assert EventType.RUN_QUEUED in await types(world, child_of(run_id))

    in_world(tmp_path, story, lambda spec: TEN)
