"""What a task may do in Redis, tried by a client that is not ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.exceptions import RedisError

from engine.state import acl
from engine.state.store import RedisAccess
from tests.unit.state.places import RedisContainer, RedisPlace, eventually

RUN = "0a1b2c3d4e5f"
LONGER = RUN + "0"  # begins with the other's id
OTHER = "ffffffffffff"


async def open_run(place: RedisPlace, run_id: str = RUN, *, open_access: bool = False) -> None:
    await place.store.open_run(run_id, {"status": "running"}, {"a": 1}, open_access=open_access)


async def test_a_task_may_do_all_that_the_contract_says(redis: RedisPlace) -> None:
    await open_run(redis)
    container = await redis.container(RUN)
    task = f"task-{RUN}-fetch-1"
    assert await container.do("GET", f"workflow:{RUN}")
    assert await container.do("GET", f"task:{task}") is None
    assert await container.do("SET", f"task:{task}:result", "1", "EX", 3600)
    assert await container.do("SET", f"task:{task}:error", "no")
    assert await container.do("PUBLISH", f"task:{task}:complete", "completed") >= 1
    assert await container.do("HSET", f"workflow:{RUN}:state", "b", "2") == 1
    assert await container.do("HGETALL", f"workflow:{RUN}:state")
    assert await container.do("RPUSH", f"workflow:{RUN}:state:list:l", "1") == 1
    assert await container.do("LRANGE", f"workflow:{RUN}:state:list:l", 0, -1) == [b"1"]
    assert await container.do("SADD", f"workflow:{RUN}:state:set:s", "1") == 1
    assert await container.do("BLPOP", f"workflow:{RUN}:state:list:l", 1)
    assert await container.do("EVAL", "return redis.call('GET', KEYS[1])", 1, f"task:{task}:result") == b"1"
    assert await container.do("SCRIPT", "LOAD", "return 1")
    assert await container.do("PING")
    assert await container.do("CLIENT", "SETNAME", "me")
    assert await container.do("TIME")
    subscriber = container._client.pubsub()
    await subscriber.subscribe(f"task:{task}:complete")
    assert (await subscriber.get_message(timeout=5))["type"] == "subscribe"
    await subscriber.aclose()  # type: ignore[no-untyped-call]
    async with container._client.pipeline(transaction=True) as transaction:
        transaction.incr(f"workflow:{RUN}:state:counter")
        assert await transaction.execute() == [1]


@pytest.mark.parametrize("foreign", [LONGER, OTHER])
async def test_another_runs_keys_and_channels_are_closed(redis: RedisPlace, foreign: str) -> None:
    await open_run(redis)
    await open_run(redis, foreign)
    container = await redis.container(RUN)
    task = f"task-{foreign}-fetch-1"
    for command in (
        ("GET", f"workflow:{foreign}"),
        ("HGETALL", f"workflow:{foreign}:state"),
        ("HSET", f"workflow:{foreign}:state", "a", "2"),
        ("SET", f"task:{task}:result", "1"),
        ("GET", f"task:{task}"),
        ("PUBLISH", f"task:{task}:complete", "completed"),
        ("PUBLISH", "task:*:complete", "completed"),
        ("PUBLISH", "workflow:updates", "{}"),
        ("SUBSCRIBE", f"task:{task}:complete"),
        ("PSUBSCRIBE", "*"),
        ("PSUBSCRIBE", "task:*:complete"),
        ("SMEMBERS", "workflows:list"),
        ("DEL", "agents:list"),
        ("EVAL", f"return redis.call('GET', 'workflow:{foreign}')", 0),
        ("COPY", f"workflow:{foreign}", f"workflow:{RUN}:mine"),
    ):
        assert await container.refused(*command) or command[0] == "EVAL", command
    with pytest.raises(RedisError):
        await container.do("EVAL", f"return redis.call('GET', 'workflow:{foreign}')", 0)
    assert await redis.person.do("HGET", f"workflow:{foreign}:state", "a") == b"1"


DANGEROUS = [
    *(
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "SCAN 0",
        "RANDOMKEY",
        "DBSIZE",
        "CONFIG GET *",
        "CONFIG SET bind 0.0.0.0",
    ),
    *(
        "ACL LIST",
        "ACL SETUSER me on",
        "ACL GETUSER agentainer",
        "SHUTDOWN NOSAVE",
        "DEBUG SLEEP 1",
        "MONITOR",
    ),
    *(
        "CLIENT KILL TYPE pubsub",
        "CLIENT LIST",
        "CLIENT PAUSE 1000",
        "CLIENT TRACKING ON",
        "SWAPDB 0 1",
        "SAVE",
    ),
    *(
        "BGSAVE",
        "BGREWRITEAOF",
        "REPLICAOF NO ONE",
        "MIGRATE h 1 k 0 1",
        "INFO",
        "SLOWLOG GET",
        "LATENCY RESET",
    ),
    *(
        "MODULE LIST",
        "SCRIPT FLUSH",
        "SCRIPT KILL",
        "FUNCTION FLUSH",
        "PUBSUB CHANNELS",
        "MEMORY STATS",
        "SORT a",
    ),
]


@pytest.mark.parametrize("access", [RedisAccess.RUN, RedisAccess.OPEN])
async def test_dangerous_commands_are_refused(redis: RedisPlace, access: RedisAccess) -> None:
    await open_run(redis, open_access=True)
    container = await redis.container(RUN, access)
    granted = [command for command in DANGEROUS if not await container.refused(*command.split())]
    assert granted == []


async def test_nothing_of_the_server_that_is_called_dangerous_is_granted(redis: RedisPlace) -> None:
    await open_run(redis)
    (ours,) = [
        line.split()
        for line in map(bytes.decode, await redis.person.do("ACL", "LIST"))
        if line.startswith(f"user run-{RUN} ")
    ]
    assert not [part for part in ours if part.startswith("+@all") or part in ("~*", "&*", "allkeys")]
    for category in ("admin", "dangerous"):
        for command in map(bytes.decode, await redis.person.do("ACL", "CAT", category)):
            assert await verdict(redis, f"run-{RUN}", command) != b"OK", command


async def verdict(redis: RedisPlace, user: str, command: str) -> bytes | None:
    """What the server says of a command by that user, with as many arguments as it wants."""
    for count in range(8):
        try:
            answer: bytes = await redis.person.do("ACL", "DRYRUN", user, *command.split("|"), *["1"] * count)
        except RedisError as error:
            assert "wrong number of arguments" in str(error) or "not found" in str(error)
        else:
            return answer
    return None


async def test_the_default_user_is_off_unless_a_run_is_open_to_all(redis: RedisPlace) -> None:
    await open_run(redis)
    stranger = await redis.container(RUN, RedisAccess.OPEN)
    with pytest.raises(RedisError, match="HELLO must be called with the client already authenticated"):
        await stranger.do("GET", f"workflow:{RUN}")
    await open_run(redis, OTHER, open_access=True)
    welcome = await redis.container(OTHER, RedisAccess.OPEN)
    assert await welcome.do("GET", f"workflow:{OTHER}")
    assert await welcome.do("SET", f"task:task-{OTHER}-a-1:result", "1")
    assert await welcome.do("PUBLISH", f"task:task-{OTHER}-a-1:complete", "completed") >= 1
    assert await welcome.refused("GET", f"workflow:{RUN}")
    await open_run(redis, LONGER, open_access=True)
    assert await welcome.do("GET", f"workflow:{LONGER}")
    await redis.store.close_run(OTHER)
    assert await welcome.refused("GET", f"workflow:{OTHER}")
    assert await welcome.do("GET", f"workflow:{LONGER}")
    await redis.store.close_run(LONGER)
    with pytest.raises(RedisError):
        await welcome.do("GET", f"workflow:{LONGER}")


async def test_the_end_of_a_run_is_the_end_of_its_user(redis: RedisPlace) -> None:
    await open_run(redis)
    await open_run(redis, OTHER)
    container, survivor = await redis.container(RUN), await redis.container(OTHER)
    assert await container.do("GET", f"workflow:{RUN}")
    await redis.store.close_run(RUN)
    with pytest.raises(RedisError):
        await container.do("GET", f"workflow:{RUN}")
    assert await survivor.do("GET", f"workflow:{OTHER}")
    assert await redis.person.do("ACL", "GETUSER", f"run-{RUN}") is None


async def test_keys_of_a_closed_run_expire_within_the_hour(redis: RedisPlace) -> None:
    from tests.unit.state.places import task

    await open_run(redis)
    container = await redis.container(RUN)
    one = task(RUN)
    await redis.store.put_task(one, "agent-1")
    await container.set_result(one.task_id, "1")
    await container.do("PERSIST", f"task:{one.task_id}:result")
    await container.rpush(RUN, "list", "1")
    await redis.store.read_state(RUN)
    keys = {key.decode() for key in await redis.person.do("KEYS", "*")}
    lasting = {"workflows:list", "agents:list"}
    assert {key for key in keys if await redis.person.do("TTL", key) == -1} == keys
    await redis.store.close_run(RUN)
    for key in keys - lasting:
        assert 3590 < await redis.person.do("TTL", key) <= 3600, key
    await redis.store.update_run(RUN, {"status": "completed"})
    assert await redis.person.do("TTL", f"workflow:{RUN}") > 0
    await open_run(redis)  # recovered after all
    for key in (f"workflow:{RUN}", f"workflow:{RUN}:state", f"workflow:{RUN}:tasks"):
        assert await redis.person.do("TTL", key) == -1


async def test_metrics_are_the_engines_to_tell_and_only_the_last_ones_expire(redis: RedisPlace) -> None:
    await open_run(redis)
    container, key = await redis.container(RUN), f"metrics:workflow:{RUN}"
    for number, last in ((1, False), (2, True)):
        report, message = {"workflow_id": RUN, "duration": number}, {"type": "workflow_metrics", "n": number}
        await redis.store.tell_metrics(RUN, report, message, last=last)
        assert json.loads(await redis.person.get(key) or "") == report
        channel, text = (await redis.messages())[-1]
        assert (channel, json.loads(text)) == ("metrics:events", message)
        assert (await redis.person.do("TTL", key) > 3590) is last
    assert await container.refused("GET", key)
    assert await container.refused("PUBLISH", "metrics:events", "lies")


async def test_lists_of_runs_and_agents_do_not_grow_for_ever(redis: RedisPlace) -> None:
    await open_run(redis)
    await redis.person.do("SADD", "workflows:list", "long-gone")
    await redis.person.do("SADD", "agents:list", "gone-too")
    await open_run(redis, OTHER)
    await redis.store.close_run(OTHER)
    assert sorted(await redis.person.do("SMEMBERS", "workflows:list")) == [RUN.encode(), OTHER.encode()]
    assert not await redis.person.do("SMEMBERS", "agents:list")


@pytest.mark.parametrize("run_id", ["*", "a*", "a b", "a ~*", "", "a:b", "[a]"])
def test_an_id_that_could_widen_a_rule_is_refused(run_id: str) -> None:
    with pytest.raises(ValueError, match="not a run id"):
        acl.run_user(run_id, "secret", (7, 0))


def test_the_runs_open_to_all_are_read_from_both_forms_of_the_description() -> None:
    new: dict[bytes, Any] = {
        b"keys": b"~workflow:aa ~workflow:aa:* ~task:task-aa-* ~workflow:bb ~workflow:bb:*"
    }
    old: dict[bytes, Any] = {b"keys": [b"workflow:aa", b"workflow:aa:*", b"workflow:bb", b"workflow:bb:*"]}
    assert acl.runs_open_to_all(new) == acl.runs_open_to_all(old) == {"aa", "bb"}
    assert acl.runs_open_to_all({}) == set()


async def test_an_unmodified_container_works_with_host_and_port_only(redis: RedisPlace) -> None:
    from tests.unit.state.places import task

    await open_run(redis, open_access=True)
    one = task(RUN, urls=["a"])
    environment = redis.store.environment(RUN, RedisAccess.OPEN, containerised=False)
    async with redis.store.completion(one.task_id) as completion:
        await redis.store.put_task(one, "agent")
        container = RedisContainer(f"redis://{environment['REDIS_HOST']}:{environment['REDIS_PORT']}")
        assert json.loads(await container.get(f"task:{one.task_id}") or "")["input"] == {"urls": ["a"]}
        await container.hset(RUN, "summary", '{"words": 3}')
        await container.set_result(one.task_id, '{"ok": true}')
        await container.publish(one.task_id, "completed")
        assert (await completion.wait()).result == '{"ok": true}'
        await container.close()

    async def seen() -> bool:
        return (await redis.store.read_state(RUN)).get("summary") == {"words": 3}

    await eventually(seen)
