"""What every state store promises, over all of them."""

from __future__ import annotations

import asyncio
import json

import pytest

from engine.errors import StateStoreError
from engine.state.store import JSON, RedisAccess, StateChanges, TaskOutcome
from tests.unit.state.places import RESULT_LIMIT, Place, eventually, task

RUN = "0a1b2c3d4e5f"
OTHER = "ffffffffffff"


async def open_run(place: Place, run_id: str = RUN, **state: JSON) -> None:
    await place.store.open_run(run_id, {"status": "running"}, state, open_access=False)


async def test_state_is_read_back_as_it_was_written(place: Place) -> None:
    state: dict[str, JSON] = {
        "text": "Grüße",
        "number": 1.5,
        "none": None,
        "list": [1, [2]],
        "object": {"a": {"b": False}},
    }
    await open_run(place, **state)
    assert await place.store.read_state(RUN) == state
    await place.store.write_state(RUN, StateChanges(set={"number": 2, "new": []}, removed=("text", "object")))
    assert await place.store.read_state(RUN) == {"number": 2, "none": None, "list": [1, [2]], "new": []}


async def test_containers_and_engine_see_the_same_state(place: Place) -> None:
    await open_run(place, urls=["a"])
    container = await place.container(RUN)
    await container.hset(RUN, "progress", "0.5")
    await container.hset(RUN, "note", "not json")
    await container.hset(RUN, "urls", '["a", "b"]')
    assert await place.store.read_state(RUN) == {"urls": ["a", "b"], "progress": 0.5, "note": "not json"}


@pytest.mark.parametrize("text", ["NaN", '{"x": Infinity}', '"\\ud800"', "[1", "", "1" * 5000, "[" * 5000])
async def test_what_is_not_json_for_everyone_is_text(place: Place, text: str) -> None:
    await open_run(place)
    await (await place.container(RUN)).hset(RUN, "field", text)
    state = await place.store.read_state(RUN)
    assert state == {"field": text}
    json.dumps(state, ensure_ascii=False).encode()


async def test_lists_and_sets_of_tasks_are_part_of_the_state(place: Place) -> None:
    await open_run(place, taken="by the hash")
    container = await place.container(RUN)
    for value in ("3", '"three"', "1"):
        await container.rpush(RUN, "results", value)
        await container.sadd(RUN, "seen", value)
        await container.rpush(RUN, "taken", value)
    assert await place.store.read_state(RUN) == {
        "results": [3, "three", 1],
        "seen": [1, 3, "three"],
        "taken": "by the hash",
    }
    await container.rpush(RUN, "results", "null")
    assert (await place.store.read_state(RUN))["results"] == [3, "three", 1, None]


async def test_lists_and_sets_are_written_as_tasks_would_make_them(place: Place) -> None:
    await open_run(place, field=1)
    container = await place.container(RUN)
    await container.rpush(RUN, "results", '"old"')
    await place.store.read_state(RUN)
    kinds = {"results": "list", "seen": "set", "none": "list"}
    values: dict[str, JSON] = {"results": [3, "three"], "seen": ["a"], "none": [], "more": True}
    await place.store.write_state(RUN, StateChanges(set=values, collections=kinds))
    expected = {"field": 1, "results": [3, "three"], "seen": ["a"], "more": True}
    assert await place.store.read_state(RUN) == expected
    assert place.store.collections(RUN) == {"results": "list", "seen": "set"}
    await container.rpush(RUN, "results", "4")
    assert (await place.store.read_state(RUN))["results"] == [3, "three", 4]


@pytest.mark.parametrize(("size", "stays"), [(100, True), (100_000, False)])
async def test_only_a_small_input_outlives_its_task(place: Place, size: int, stays: bool) -> None:
    await open_run(place)
    given = task(RUN, filler="x" * size)
    await place.store.put_task(given, "agentainer-x-1")
    container = await place.container(RUN)
    text = await container.get(f"task:{given.task_id}")
    assert text is not None
    assert json.loads(text)["input"] == {"filler": "x" * size}
    await place.store.announce(given.task_id, result="1", error=None)
    assert (await container.get(f"task:{given.task_id}") is not None) is stays
    assert await container.get(f"task:{given.task_id}:result") == "1"


async def test_runs_do_not_see_each_other(place: Place) -> None:
    await open_run(place, mine=1)
    await open_run(place, OTHER, theirs=2)
    await (await place.container(OTHER)).rpush(OTHER, "list", "1")
    assert await place.store.read_state(RUN) == {"mine": 1}
    assert await place.store.read_state("never-opened") == {}


async def test_opening_a_run_again_keeps_what_its_state_has_become(place: Place) -> None:
    await open_run(place, start=1)
    await (await place.container(RUN)).hset(RUN, "start", "2")
    await (await place.container(RUN)).rpush(RUN, "list", "1")
    await open_run(place, start=1, other=1)
    assert await place.store.read_state(RUN) == {"start": 2, "list": [1]}


async def test_a_state_that_is_not_json_is_refused_by_name(place: Place) -> None:
    for value in (float("nan"), object(), {1, 2}):
        with pytest.raises(StateStoreError, match="state field 'broken' cannot be written"):
            await open_run(place, fine=1, broken=value)
    await open_run(place)
    with pytest.raises(StateStoreError, match="state field 'broken'"):
        await place.store.write_state(RUN, StateChanges(set={"broken": object()}))


async def test_a_task_finds_its_input_and_nothing_of_an_earlier_try(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN, urls=["ä"], _map_index=3)
    await container.set_result(one.task_id, "1")
    await container.set_error(one.task_id, "old")
    await place.store.put_task(one, "agentainer-1")
    record = json.loads(await container.get(f"task:{one.task_id}") or "")
    assert record == {
        "task_id": one.task_id,
        "workflow_id": RUN,
        "step_id": "fetch",
        "step_name": "Fetch",
        "task_type": "fetch",
        "input": {"urls": ["ä"], "_map_index": 3},
        "created_at": one.created_at,
    }
    assert await place.store.read_outcome(one.task_id) == TaskOutcome()


async def test_an_announced_result_ends_the_waiting(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        await place.store.put_task(one, "agent")
        waiting = asyncio.create_task(completion.wait())
        await container.set_result(one.task_id, '{"a": 1}')
        await container.publish(one.task_id, "completed")
        assert await asyncio.wait_for(waiting, 10) == TaskOutcome('{"a": 1}', announced="completed")


async def test_an_announced_error_ends_the_waiting(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        await place.store.put_task(one, "agent")
        await container.set_error(one.task_id, "no such page")
        await container.publish(one.task_id, "error")
        outcome = await asyncio.wait_for(completion.wait(), 10)
        assert (outcome.error, outcome.announced) == ("no such page", "error")


async def test_a_result_that_was_there_before_the_waiting_is_found(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    await place.store.put_task(one, "agent")
    await container.set_result(one.task_id, "1")
    await container.publish(one.task_id, "completed")
    async with place.store.completion(one.task_id) as completion:
        assert (await asyncio.wait_for(completion.wait(), 10)).result == "1"


@pytest.mark.parametrize("backstop", [0.1])
async def test_a_result_that_nobody_announces_is_found_by_the_slow_poll(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        await place.store.put_task(one, "agent")
        waiting = asyncio.create_task(completion.wait())
        await asyncio.sleep(0)
        await container.set_result(one.task_id, "1")
        assert await asyncio.wait_for(waiting, 10) == TaskOutcome("1")


@pytest.mark.parametrize("message", ["completed", "error", "nonsense", ""])
async def test_a_message_without_keys_only_wakes(place: Place, message: str) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        await place.store.put_task(one, "agent")
        waiting = asyncio.create_task(completion.wait())
        for _ in range(3):
            await container.publish(one.task_id, message)
        await place.messages()
        await place.store.read_outcome(one.task_id)  # a round trip after all that
        assert not waiting.done()
        await container.set_result(one.task_id, "1")
        await container.publish(one.task_id, "completed")
        assert await asyncio.wait_for(waiting, 10) == TaskOutcome("1", announced="completed")


async def test_a_completed_without_a_result_is_not_believed_but_an_error_without_text_is(
    place: Place,
) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id):
        await place.store.put_task(one, "agent")
        await container.publish(one.task_id, "completed")
        await place.messages()
        assert (await place.store.read_outcome(one.task_id)).announced is None
        await container.publish(one.task_id, "error")

        async def heard() -> bool:
            return (await place.store.read_outcome(one.task_id)).announced == "error"

        await eventually(heard)
        await place.store.put_task(one, "agent")  # it begins anew
        assert await place.store.read_outcome(one.task_id) == TaskOutcome()


async def test_cancelled_waiting_can_be_taken_up_again(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        for pause in (0, 0, 0.01):
            waiting = asyncio.create_task(completion.wait())
            await asyncio.sleep(pause)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await container.set_result(one.task_id, "1")
        await container.publish(one.task_id, "completed")
        assert (await asyncio.wait_for(completion.wait(), 10)).result == "1"
    assert (await place.store.read_outcome(one.task_id)).result == "1"


@pytest.mark.parametrize("backstop", [0.1])
async def test_a_thousand_tasks_end_in_any_order(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    tasks = [task(RUN, f"map-{index}") for index in range(1000)]
    put = [asyncio.Event() for _ in tasks]

    async def follow(index: int) -> str | None:
        one = tasks[index]
        async with place.store.completion(one.task_id) as completion:
            await place.store.put_task(one, f"agent-{index}")
            put[index].set()
            outcome = await completion.wait()
            await place.store.announce(one.task_id, result=outcome.result, error=None)
            return outcome.result

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        following = [group.create_task(follow(index)) for index in range(len(tasks))]
        for index, one in reversed(list(enumerate(tasks))):
            await put[index].wait()
            await container.set_result(one.task_id, str(index))
            if index % 3:
                await container.publish(one.task_id, "completed")
    assert [found.result() for found in following] == [str(index) for index in range(len(tasks))]


async def test_the_engine_tells_what_a_silent_task_came_to(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    good, bad = task(RUN, "good"), task(RUN, "bad")
    for one in (good, bad):
        await place.store.put_task(one, "agent")
    await place.store.announce(good.task_id, result='{"out": 1}', error=None)
    await place.store.announce(bad.task_id, result=None, error="exit code 3")
    assert await container.get(f"task:{good.task_id}:result") == '{"out": 1}'
    assert await container.get(f"task:{good.task_id}:error") is None
    assert await container.get(f"task:{bad.task_id}:result") is None
    assert await container.get(f"task:{bad.task_id}:error") == "exit code 3"
    assert await place.messages() == [
        (f"task:{good.task_id}:complete", "completed"),
        ("task:*:complete", f"{good.task_id} completed"),
        (f"task:{bad.task_id}:complete", "error"),
        ("task:*:complete", f"{bad.task_id} error"),
    ]


async def test_what_a_task_said_itself_is_neither_overwritten_nor_told_twice(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    async with place.store.completion(one.task_id) as completion:
        await place.store.put_task(one, "agent")
        await container.set_result(one.task_id, "[1, 2]")
        await container.publish(one.task_id, "completed")
        await asyncio.wait_for(completion.wait(), 10)

        async def heard() -> bool:
            return (await place.store.read_outcome(one.task_id)).announced == "completed"

        await eventually(heard)
        await place.store.announce(one.task_id, result="[1,2]", error=None)
        assert await container.get(f"task:{one.task_id}:result") == "[1, 2]"
        told = [
            (f"task:{one.task_id}:complete", "completed"),
            ("task:*:complete", f"{one.task_id} completed"),
        ]
        assert await place.messages() == told
        # It said "completed" and then exited with 1: the failure is told, its result stays for inspection.
        await place.store.announce(one.task_id, result=None, error="exit code 1")
        assert (await place.messages())[2:] == [
            (f"task:{one.task_id}:complete", "error"),
            ("task:*:complete", f"{one.task_id} error"),
        ]
        assert await place.store.read_outcome(one.task_id) == TaskOutcome("[1, 2]", "exit code 1", "error")


async def test_a_result_that_cannot_be_taken_is_a_problem_with_a_reason(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    key = f"task:{one.task_id}:result"
    async with place.store.completion(one.task_id) as completion:
        await container.set_key(key, b"x" * (RESULT_LIMIT + 1))
        outcome = await asyncio.wait_for(completion.wait(), 10)
        assert outcome.result is None
        assert f"{key} holds {RESULT_LIMIT + 1} bytes, more than the {RESULT_LIMIT}" in (
            outcome.problem or ""
        )
        await container.set_key(key, b"y" * RESULT_LIMIT)
        assert (await place.store.read_outcome(one.task_id)).result == "y" * RESULT_LIMIT
        await container.set_key(key, b'"\xff"')
        assert "is not UTF-8 text: byte 0xff at position 1" in (
            (await place.store.read_outcome(one.task_id)).problem or ""
        )
        await container.set_key(key, {b"a": b"1"})
        assert f"{key} holds a hash" in ((await place.store.read_outcome(one.task_id)).problem or "")
        await container.set_key(key, b"")
        assert await place.store.read_outcome(one.task_id) == TaskOutcome("")


async def test_an_endless_error_text_is_cut(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    one = task(RUN)
    await container.set_key(f"task:{one.task_id}:error", b"e" * 1_000_000)
    text = (await place.store.read_outcome(one.task_id)).error or ""
    assert text.endswith("… (1000000 bytes in all)")
    assert len(text) < 100_000
    await container.set_key(f"task:{one.task_id}:error", b"caf\xe9")
    assert (await place.store.read_outcome(one.task_id)).error == "caf\ufffd"


async def test_a_state_of_another_type_is_named_and_nothing_breaks(place: Place) -> None:
    await open_run(place, a=1)
    container = await place.container(RUN)
    await container.set_key(f"workflow:{RUN}:state", b"mine")
    for act in (
        place.store.read_state(RUN),
        place.store.write_state(RUN, StateChanges(set={"a": 1})),
    ):
        with pytest.raises(StateStoreError, match=f"workflow:{RUN}:state.*holds a"):
            await act
    await container.set_key(f"workflow:{RUN}:state", {b"b": b"2"})
    assert await place.store.read_state(RUN) == {"b": 2}
    await container.set_key(f"workflow:{RUN}:tasks", b"mine")
    with pytest.raises(StateStoreError, match=f"workflow:{RUN}:tasks.*holds a"):
        await place.store.put_task(task(RUN), "agent")


async def test_a_change_of_the_run_is_written_and_told(place: Place) -> None:
    await open_run(place)
    container = await place.container(RUN)
    await place.store.update_run(RUN, {"status": "completed", "updated_at": "2026-01-01T00:00:00.000000Z"})
    document = json.loads(await container.get(f"workflow:{RUN}") or "")
    assert document["status"] == "completed"
    ((channel, text),) = await place.messages()
    assert channel == "workflow:updates"
    assert json.loads(text) == {
        "type": "workflow_update",
        "workflow_id": RUN,
        "status": "completed",
        "timestamp": "2026-01-01T00:00:00.000000Z",
    }


async def test_the_environment_fits_the_access(place: Place) -> None:
    await open_run(place)
    environment = place.store.environment
    full = environment(RUN, RedisAccess.RUN, containerised=False)
    assert full.keys() == {"REDIS_HOST", "REDIS_PORT", "REDIS_URL", "REDIS_USERNAME", "REDIS_PASSWORD"}
    assert full["REDIS_USERNAME"] == f"run-{RUN}"
    login, at = f"run-{RUN}:{full['REDIS_PASSWORD']}", f"{full['REDIS_HOST']}:{full['REDIS_PORT']}"
    assert full["REDIS_URL"] == f"redis://{login}@{at}/0"
    assert environment(RUN, RedisAccess.OPEN, containerised=False) == {
        "REDIS_HOST": full["REDIS_HOST"],
        "REDIS_PORT": full["REDIS_PORT"],
        "REDIS_URL": f"redis://{at}/0",
    }
    assert environment(RUN, RedisAccess.NONE, containerised=True) == {}


async def test_a_run_and_its_agents_can_be_closed_and_closed_again(place: Place) -> None:
    await open_run(place, a=1)
    await place.store.put_task(task(RUN), "agent")
    await place.store.forget_agent(RUN, "agent")
    await place.store.forget_agent(RUN, "agent")
    await place.store.close_run(RUN)
    await place.store.close_run(RUN)
    await place.store.close_run("never-opened")
    assert await place.store.read_state(RUN) == {"a": 1}
    await place.store.forget_agent(RUN, "agent")
