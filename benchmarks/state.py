"""What the State Manager costs: start of our own Redis, a completion on its way, a task's round trips.

The floors do the same with the server program and with `redis-py` alone, and nothing else.
`python -m benchmarks.state` prints these figures alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis.asyncio as redis_client

from benchmarks.figures import HEADER, Figure
from engine.state.binaries import Binary, find_binaries
from engine.state.redis_store import RedisStateStore
from engine.state.store import RedisAccess, TaskRecord

RUN = "0a1b2c3d4e5f"
AT_ONCE = 8  # agents, as in the figure of the pool


def started_raw(binary: Binary) -> float:
    """Seconds from starting the program to its first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [binary.path, "--port", str(port), "--save", "", "--bind", "127.0.0.1"],
            cwd=directory,
            stdout=subprocess.DEVNULL,
        )
        try:
            while True:
                with (
                    contextlib.suppress(ConnectionError),
                    socket.create_connection(("127.0.0.1", port)) as one,
                ):
                    one.sendall(b"PING\r\n")
                    assert one.recv(7) == b"+PONG\r\n"
                    return time.perf_counter() - begun
                time.sleep(0.0005)
        finally:
            process.kill()
            process.wait()


async def started(binary: Binary) -> float:
    """Seconds from nothing to a store that is open: server, users, subscription."""
    with tempfile.TemporaryDirectory() as directory:
        begun = time.perf_counter()
        store = RedisStateStore(Path(directory), binaries=lambda: [binary])
        await store.open()
        taken = time.perf_counter() - begun
        await store.close()
    return taken


def task(number: int) -> TaskRecord:
    """One task of many."""
    name = f"s{number}"
    return TaskRecord(
        f"task-{RUN}-{name}-1", RUN, name, name, "", '{"urls": ["a", "b"]}', "2026-01-01T00:00:00Z"
    )


async def heard(store: RedisStateStore, times: int) -> float:
    """Median seconds from a container's SET and PUBLISH, in one go, to the result in the engine's hands."""
    url = store.environment(RUN, RedisAccess.RUN, containerised=False)["REDIS_URL"]
    container = redis_client.Redis.from_url(url)
    taken = []
    for number in range(times):
        one = task(number)
        async with store.completion(one.task_id) as completion:
            await store.put_task(one, "agent")
            waiting = asyncio.ensure_future(completion.wait())
            await asyncio.sleep(0.002)
            pipeline = container.pipeline(transaction=False)
            pipeline.set(f"task:{one.task_id}:result", '{"a": 1}', ex=3600)
            pipeline.publish(f"task:{one.task_id}:complete", "completed")
            begun = time.perf_counter()
            sending = asyncio.ensure_future(pipeline.execute())
            await waiting
            taken.append(time.perf_counter() - begun)
            await sending
    await container.aclose()
    return statistics.median(taken)


async def heard_raw(store: RedisStateStore, times: int) -> float:
    """The same with `redis-py` at both ends, and the key read when the message has come."""
    container = redis_client.Redis.from_url(store.connection_url())
    engine = redis_client.Redis.from_url(store.connection_url())
    ear = engine.pubsub(ignore_subscribe_messages=True)
    await ear.psubscribe("task:*:complete")
    await ear.get_message(timeout=1)
    taken = []
    for number in range(times):
        name = f"task:raw-{number}"
        await asyncio.sleep(0.002)
        pipeline = container.pipeline(transaction=False)
        pipeline.set(f"{name}:result", '{"a": 1}', ex=3600)
        pipeline.publish(f"{name}:complete", "completed")
        begun = time.perf_counter()
        sending = asyncio.ensure_future(pipeline.execute())
        while await ear.get_message(timeout=5) is None:
            pass
        await engine.get(f"{name}:result")
        taken.append(time.perf_counter() - begun)
        await sending
    for one in (ear, container, engine):
        await one.aclose()
    return statistics.median(taken)


async def tasks(store: RedisStateStore, count: int) -> float:
    """Tasks/s of the store's part of a task's life, from input to announcement and state, eight at once."""

    async def serve(first: int) -> None:
        for number in range(first, count, AT_ONCE):
            one = task(number)
            async with store.completion(one.task_id) as completion:
                await store.put_task(one, f"agent-{first}")
                await store.announce(one.task_id, result='{"a": 1}', error=None)
                await completion.wait()
            await store.read_state(RUN)

    begun = time.perf_counter()
    await asyncio.gather(*(serve(first) for first in range(AT_ONCE)))
    return count / (time.perf_counter() - begun)


async def tasks_raw(store: RedisStateStore, count: int) -> float:
    """The same commands with `redis-py`: one pipeline where the store makes one round trip."""
    pool = redis_client.BlockingConnectionPool.from_url(store.connection_url(), max_connections=AT_ONCE)
    client = redis_client.Redis.from_pool(pool)

    async def serve(first: int) -> None:
        for number in range(first, count, AT_ONCE):
            name = f"task:raw-{number}"
            put = client.pipeline(transaction=False)
            put.delete(f"{name}:result", f"{name}:error")
            put.set(name, "{}")
            put.rpush("raw:tasks", name)
            put.sadd("raw:jobs", "agent")
            put.set("agent:raw", "{}")
            put.sadd("agents:list", "agent")
            await put.execute()
            tell = client.pipeline(transaction=False)
            tell.set(f"{name}:result", '{"a": 1}', nx=True)
            for key in (f"{name}:result", f"{name}:error", name):
                tell.expire(key, 3600)
            for channel in (f"{name}:complete", "task:*:complete"):
                tell.publish(channel, name)
            await tell.execute()
            read = client.pipeline(transaction=False)
            read.get(f"{name}:result")
            read.get(f"{name}:error")
            await read.execute()
            await client.hgetall("raw:state")

    begun = time.perf_counter()
    await asyncio.gather(*(serve(first) for first in range(AT_ONCE)))
    rate = count / (time.perf_counter() - begun)
    await client.aclose()
    return rate


def state_figures(*, passes: int = 7) -> Iterator[Figure]:
    """The figures, each the median of interleaved passes."""
    for binary in find_binaries():
        ours, floor = [], []
        for _ in range(passes):
            ours.append(asyncio.run(started(binary)))
            floor.append(started_raw(binary))
        name = f"own Redis, started and open ({binary.path.name})"
        yield Figure(name, statistics.median(ours), "the program alone", statistics.median(floor))
    yield from asyncio.run(_live_figures(passes))


async def _live_figures(passes: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        store = RedisStateStore(Path(directory))
        await store.open()
        await store.open_run(RUN, {"status": "running"}, {"urls": ["a", "b"]}, open_access=False)
        delays, raw_delays, rates, raw_rates = [], [], [], []
        for _ in range(passes):
            delays.append(await heard(store, 200))
            raw_delays.append(await heard_raw(store, 200))
            rates.append(await tasks(store, 2_000))
            raw_rates.append(await tasks_raw(store, 2_000))
        await store.close()
    median = statistics.median
    return [
        Figure(
            "completion, SET+PUBLISH to result",
            median(delays) * 1e3,
            "redis-py",
            median(raw_delays) * 1e3,
            "ms",
        ),
        Figure("a task's part in Redis, 8 at once", median(rates), "redis-py", median(raw_rates), "tasks/s"),
    ]


if __name__ == "__main__":
    print(HEADER)
    for figure in state_figures():
        print(figure.line(), flush=True)
