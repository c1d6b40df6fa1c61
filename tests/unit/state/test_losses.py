"""Redis is lost, emptied, occupied or full in the middle of a run, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from engine.errors import StateStoreError
from engine.state import connection, server
from engine.state.binaries import Binary
from engine.state.memory_store import MemoryStateStore
from engine.state.redis_store import RedisStateStore
from engine.state.store import RedisAccess, StateChanges, TaskOutcome
from tests.engine.virtual_time import VirtualTimeLoop, run_virtual
from tests.unit.state.places import NEVER, RedisContainer, RedisPlace, eventually, opened, server_facts, task

RUN = "0a1b2c3d4e5f"
OTHER = "ffffffffffff"


async def open_run(place: RedisPlace, run_id: str = RUN, **state: int) -> RedisContainer:
    await place.store.open_run(run_id, {"status": "running"}, state, open_access=False)
    return await place.container(run_id)


class Outages:
    """Collects what `outages()` tells."""

    def __init__(self, store: RedisStateStore | MemoryStateStore) -> None:
        self.told: list[bool] = []
        self._task = asyncio.create_task(self._listen(store.outages()))

    async def _listen(self, outages: AsyncIterator[bool]) -> None:
        async for is_up in outages:
            self.told.append(is_up)

    async def are(self, *expected: bool) -> None:
        """Wait until exactly this was told."""

        async def told() -> bool:
            return len(self.told) >= len(expected)

        await eventually(told, seconds=30)
        assert self.told == list(expected)


async def test_a_killed_server_comes_back_with_all_that_was_known(redis: RedisPlace) -> None:
    outages = Outages(redis.store)
    container = await open_run(redis, a=1)
    await open_run(redis, OTHER, z=26)
    one, over = task(RUN, "live", x=1), task(RUN, "over")
    await container.hset(RUN, "b", "2")
    await container.rpush(RUN, "list", "1")
    await container.sadd(RUN, "set", "2")
    async with redis.store.completion(one.task_id) as completion:
        await redis.store.put_task(one, "agent")
        await redis.store.put_task(over, "agent-2")
        await redis.store.announce(over.task_id, result="1", error=None)
        waiting = asyncio.create_task(completion.wait())
        assert await redis.store.read_state(RUN) == {"a": 1, "b": 2, "list": [1], "set": [2]}
        await redis.store.write_state(RUN, StateChanges(set={"c": 3}, removed=("b",)))

        before = server_facts(redis.home)
        os.kill(before["pid"], signal.SIGKILL)
        assert await redis.store.read_state(RUN) == {"a": 1, "c": 3, "list": [1], "set": [2]}
        await outages.are(False, True)
        after = server_facts(redis.home)
        assert (after["port"], after["password"]) == (before["port"], before["password"])
        assert after["pid"] != before["pid"]

        assert await redis.store.read_state(OTHER) == {"z": 26}
        await container.reconnect()
        assert await container.get(f"task:{one.task_id}")
        assert await container.get(f"task:{over.task_id}") is None
        assert await container.refused("GET", f"workflow:{OTHER}")
        await container.rpush(RUN, "list", "2")
        await container.set_result(one.task_id, '"after all"')
        await container.publish(one.task_id, "completed")
        assert (await asyncio.wait_for(waiting, 10)).result == '"after all"'
    assert (await redis.store.read_state(RUN))["list"] == [1, 2]


async def test_calls_during_an_outage_wait_for_its_end(redis: RedisPlace) -> None:
    await open_run(redis, a=0)
    pid = server_facts(redis.home)["pid"]
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for index in range(50):
            group.create_task(redis.store.write_state(RUN, StateChanges(set={f"k{index}": index})))
            group.create_task(redis.store.put_task(task(RUN, f"s{index}"), "agent"))
            group.create_task(redis.store.announce(f"task-{RUN}-s{index}-1", result="1", error=None))
    assert await redis.store.read_state(RUN) == {"a": 0, **{f"k{index}": index for index in range(50)}}
    assert await redis.store.read_outcome(f"task-{RUN}-s49-1") == TaskOutcome("1")


async def test_a_server_that_is_killed_again_and_again_is_started_again_and_again(redis: RedisPlace) -> None:
    container = await open_run(redis, a=1)
    for round_ in range(5):
        os.kill(server_facts(redis.home)["pid"], signal.SIGKILL)
        await redis.store.write_state(RUN, StateChanges(set={"round": round_}))
        assert await redis.store.read_state(RUN) == {"a": 1, "round": round_}
    await container.reconnect()
    assert await container.get(f"workflow:{RUN}")


async def test_what_is_published_while_nobody_listens_is_found_after_the_reconnect(
    home: Path, binary: Binary
) -> None:
    # With a poll that never comes, only the re-reading after the new subscription can find the result.
    async with opened(RedisStateStore(home, binaries=lambda: [binary], backstop=NEVER)) as store:
        await store.open_run(RUN, {}, {}, open_access=False)
        outages = Outages(store)
        person = RedisContainer(store.connection_url())
        tasks = [task(RUN, f"s{index}") for index in range(3)]

        async def follow(index: int) -> TaskOutcome:
            async with store.completion(tasks[index].task_id) as completion:
                await store.put_task(tasks[index], "agent")
                ready.release()
                return await completion.wait()

        ready = asyncio.Semaphore(0)
        following = [asyncio.create_task(follow(index)) for index in range(3)]
        for _ in tasks:
            await ready.acquire()
        for number, one in enumerate(tasks):
            # In one transaction, so that the listener is gone for certain when the message goes out.
            async with person._client.pipeline(transaction=True) as transaction:
                transaction.client_kill_filter(_type="pubsub")
                transaction.set(f"task:{one.task_id}:result", str(number))
                transaction.publish(f"task:{one.task_id}:complete", "completed")
                killed, _, heard = await transaction.execute()
            assert (killed >= 1, heard) == (True, 0)
            assert await asyncio.wait_for(following[number], 10) == TaskOutcome(str(number))
        assert outages.told == []  # commands went through all the time
        await person.close()


async def test_a_flushed_server_is_named_and_the_state_put_back(redis: RedisPlace) -> None:
    container = await open_run(redis, a=1)
    await container.rpush(RUN, "list", "1")
    await redis.store.read_state(RUN)
    await redis.person.do("FLUSHALL")
    with pytest.raises(StateStoreError, match=f"the keys of run {RUN} were gone from Redis: flushed"):
        await redis.store.read_state(RUN)
    assert await redis.store.read_state(RUN) == {"a": 1, "list": [1]}


async def test_a_run_s_document_that_a_task_deletes_is_put_back_and_nothing_doubled(
    redis: RedisPlace,
) -> None:
    container = await open_run(redis, a=1)
    one = task(RUN)
    async with redis.store.completion(one.task_id):
        await redis.store.put_task(one, "agent")
        await container.rpush(RUN, "list", "1")
        await redis.store.read_state(RUN)
        await container.hset(RUN, "a", "2")
        await container.rpush(RUN, "list", "2")
        await container.do("DEL", f"workflow:{RUN}")
        assert await redis.store.read_state(RUN) == {"a": 2, "list": [1, 2]}
        assert await redis.store.read_state(RUN) == {"a": 2, "list": [1, 2]}
        assert await container.get(f"workflow:{RUN}") == '{"status":"running"}'
        assert await container.do("LRANGE", f"workflow:{RUN}:tasks", 0, -1) == [one.task_id.encode()]


async def test_a_value_that_is_too_large_for_redis_is_refused_before_it_is_sent(
    redis: RedisPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.state.values.VALUE_LIMIT", 1000)
    await open_run(redis, a=1)
    for act in (
        redis.store.write_state(RUN, StateChanges(set={"big": "x" * 1000})),
        redis.store.put_task(task(RUN, big="x" * 1000), "agent"),
        redis.store.announce(task(RUN).task_id, result='"' + "x" * 1000 + '"', error=None),
    ):
        with pytest.raises(
            StateStoreError, match=r"too large for Redis: \d+ bytes, at most 1000 are written"
        ):
            await act
    assert await redis.store.read_state(RUN) == {"a": 1}


async def test_an_evicted_state_is_put_back_when_its_run_is_opened_again(redis: RedisPlace) -> None:
    await open_run(redis, a=1)
    await redis.person.do("DEL", f"workflow:{RUN}:state")
    assert await redis.store.read_state(RUN) == {}
    await open_run(redis, a=2)
    assert await redis.store.read_state(RUN) == {"a": 2}


@pytest.mark.parametrize("script", ["while true do end", "redis.call('SET', KEYS[1], 1) while true do end"])
async def test_a_task_s_endless_script_does_not_stop_the_others(redis: RedisPlace, script: str) -> None:
    container = await open_run(redis, a=1)
    other = await open_run(redis, OTHER, b=2)

    async def occupy() -> None:
        with pytest.raises(RedisError):
            await container.do("EVAL", script, 1, f"workflow:{RUN}:state:key")

    occupying = asyncio.create_task(occupy())
    await asyncio.sleep(0.1)
    async with asyncio.timeout(14):
        await redis.store.write_state(OTHER, StateChanges(set={"c": 3}))
        assert await redis.store.read_state(OTHER) == {"b": 2, "c": 3}
    await occupying
    await other.reconnect()
    assert await other.get(f"workflow:{OTHER}")


async def test_a_server_that_stops_answering_is_replaced(
    redis: RedisPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_REPLY_SECONDS", 0.3)
    monkeypatch.setattr(server, "_CONNECT_SECONDS", 0.3)
    await open_run(redis, a=1)
    before = server_facts(redis.home)["pid"]
    os.kill(before, signal.SIGSTOP)
    assert await redis.store.read_state(RUN) == {"a": 1}
    assert server_facts(redis.home)["pid"] != before


async def test_when_nothing_can_be_started_calls_fail_in_time_and_it_is_tried_on(
    home: Path, binary: Binary
) -> None:
    programs = [binary]
    async with opened(RedisStateStore(home, binaries=lambda: programs)) as store:
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        outages = Outages(store)
        programs.clear()
        os.kill(server_facts(home)["pid"], signal.SIGKILL)
        await outages.are(False)
        with pytest.raises(
            StateStoreError, match=r"did not answer within 1 s: no Redis server could be started"
        ):
            await store._commands.run([("PING",)], seconds=1.0)
        programs.append(binary)
        assert await store.read_state(RUN) == {"a": 1}
        await outages.are(False, True)


async def test_a_full_server_refuses_with_advice_and_goes_on_when_there_is_room(redis: RedisPlace) -> None:
    await open_run(redis, a=1)
    await redis.person.do("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StateStoreError, match=f"Redis refused HSET workflow:{RUN}:state: OOM") as caught:
        await redis.store.write_state(RUN, StateChanges(set={"b": 2}))
    assert "memory limit" in caught.value.hint
    await redis.person.do("CONFIG", "SET", "maxmemory", "0")
    await redis.store.write_state(RUN, StateChanges(set={"b": 2}))
    assert await redis.store.read_state(RUN) == {"a": 1, "b": 2}


async def test_cancelled_calls_do_not_mix_up_the_answers_of_others(redis: RedisPlace) -> None:
    await open_run(redis, a=1)
    await open_run(redis, OTHER, b=2)
    for _ in range(100):
        doomed = [asyncio.create_task(redis.store.read_state(RUN)) for _ in range(5)]
        lucky = asyncio.create_task(redis.store.read_state(OTHER))
        await asyncio.sleep(0)
        for one in doomed:
            one.cancel()
        assert await lucky == {"b": 2}
        await asyncio.gather(*doomed, return_exceptions=True)
    assert await redis.store.read_state(RUN) == {"a": 1}


async def test_a_run_whose_keys_a_task_has_ruined_does_not_keep_the_others_from_coming_back(
    redis: RedisPlace,
) -> None:
    container = await open_run(redis, a=1)
    await open_run(redis, OTHER, b=2)
    await container.do("DEL", f"workflow:{RUN}")
    await container.set_key(f"workflow:{RUN}:state", b"not a hash")
    await redis.person.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await redis.store.read_state(OTHER) == {"b": 2}
    assert f"workflow:{RUN}:state in Redis holds a value of another type" in redis.store.describe()
    with pytest.raises(
        StateStoreError, match=f"workflow:{RUN}:state in Redis holds a string, expected a hash"
    ):
        await redis.store.read_state(RUN)


async def test_the_state_of_a_run_is_read_up_to_a_limit(
    redis: RedisPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.state.redis_store.STATE_LIMIT", 10_000)
    container = await open_run(redis, a=1)
    await container.rpush(RUN, "list", '"' + "x" * 20_000 + '"')
    with pytest.raises(
        StateStoreError, match=rf"workflow:{RUN}:state:list:list in Redis takes \d+ bytes, more"
    ):
        await redis.store.read_state(RUN)
    await container.do("DEL", f"workflow:{RUN}:state:list:list")
    await container.hset(RUN, "b", "x" * 20_000)
    with pytest.raises(StateStoreError, match=rf"workflow:{RUN}:state in Redis takes \d+ bytes, more"):
        await redis.store.read_state(RUN)


async def test_of_a_huge_result_only_the_beginning_is_taken(redis: RedisPlace) -> None:
    container = await open_run(redis)
    one = task(RUN)
    await container.set_key(f"task:{one.task_id}:result", b'"' + b"x" * (50 << 20) + b'"')
    outcome = await redis.store.read_outcome(one.task_id)
    assert outcome.result is None
    assert "holds 52428802 bytes, more than" in (outcome.problem or "")
    assert len(outcome.problem or "") < 500


async def test_keys_below_the_state_of_a_foreign_kind_are_no_trouble(redis: RedisPlace) -> None:
    container = await open_run(redis, a=1)
    await container.do("SET", f"workflow:{RUN}:state:else", "1")
    await container.do("ZADD", f"workflow:{RUN}:state:list:ranked", 1, "x")
    await container.do("RPUSH", b"workflow:" + RUN.encode() + b":state:list:\xff\xfe", "1")
    await container.do("HSET", f"workflow:{RUN}:state", b"\xff", b"\xff")
    with pytest.raises(StateStoreError, match=f"workflow:{RUN}:state:list:ranked in Redis holds a zset"):
        await redis.store.read_state(RUN)
    await container.do("DEL", f"workflow:{RUN}:state:list:ranked")
    assert await redis.store.read_state(RUN) == {"a": 1, "\\xff": "\ufffd", "\\xff\\xfe": [1]}


async def test_the_store_in_memory_can_be_switched_off() -> None:
    store = MemoryStateStore()
    outages = Outages(store)
    await store.open_run(RUN, {}, {"a": 1}, open_access=False)
    await asyncio.sleep(0)
    store.set_down(True)
    with pytest.raises(StateStoreError, match="does not answer"):
        await store.read_state(RUN)
    store.set_down(False)
    assert await store.read_state(RUN) == {"a": 1}
    await outages.are(False, True)


def test_the_store_in_memory_keeps_to_virtual_time() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        store = MemoryStateStore()
        await store.open_run(RUN, {}, {"a": 1}, open_access=False)
        one = task(RUN)
        async with store.completion(one.task_id) as completion:
            await store.put_task(one, "agent")
            waiting = asyncio.create_task(completion.wait())
            await asyncio.sleep(3600)
            await store.set_result(one.task_id, "1")
            assert await waiting == TaskOutcome("1")
            assert loop.time() == 3605
        await store.close_run(RUN)
        await asyncio.sleep(3599)
        assert await store.read_state(RUN) == {"a": 1}
        await asyncio.sleep(1)
        assert await store.read_state(RUN) == {}
        assert store.environment(RUN, RedisAccess.NONE, containerised=True) == {}

    run_virtual(main)
