"""What a person sees who watches with `redis-cli` and the URL that `agentainer doctor` prints."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.unit.state.places import RedisPlace, task

RUN = "0a1b2c3d4e5f"


@asynccontextmanager
async def redis_cli(place: RedisPlace, *words: str) -> AsyncIterator[asyncio.StreamReader]:
    """The real program, connected to our server; yields its output."""
    program = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if program is None:
        pytest.skip("neither redis-cli nor valkey-cli is on PATH")
    process = await asyncio.create_subprocess_exec(
        *(program, "--no-auth-warning", "-u", place.store.connection_url(), *words),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def words(output: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(20):
        return [(await output.readline()).decode().strip() for _ in range(count)]


@pytest.mark.parametrize("command", ["SUBSCRIBE", "PSUBSCRIBE"])
async def test_the_documented_command_shows_every_completion(redis: RedisPlace, command: str) -> None:
    await redis.store.open_run(RUN, {}, {}, open_access=False)
    async with redis_cli(redis, command, "task:*:complete") as output:
        assert await words(output, 3) == [command.lower(), "task:*:complete", "1"]
        tasks = [task(RUN, step) for step in ("a", "b")]
        for one, error in zip(tasks, (None, "no"), strict=True):
            await redis.store.put_task(one, "agent")
            await redis.store.announce(one.task_id, result=None if error else "1", error=error)
        literal = [
            ["message", "task:*:complete", f"{tasks[0].task_id} completed"],
            ["message", "task:*:complete", f"{tasks[1].task_id} error"],
        ]
        if command == "SUBSCRIBE":
            assert [await words(output, 3) for _ in literal] == literal
            return
        seen = [(await words(output, 4))[2:] for _ in range(4)]
        assert seen == [
            [f"task:{tasks[0].task_id}:complete", "completed"],
            literal[0][1:],
            [f"task:{tasks[1].task_id}:complete", "error"],
            literal[1][1:],
        ]


async def test_the_state_of_a_live_run_can_be_looked_at(redis: RedisPlace) -> None:
    await redis.store.open_run(RUN, {"status": "running"}, {"urls": ["ä"]}, open_access=False)
    async with redis_cli(redis, "HGETALL", f"workflow:{RUN}:state") as output:
        assert await words(output, 2) == ["urls", '["ä"]']
    async with redis_cli(redis, "GET", f"workflow:{RUN}") as output:
        assert json.loads((await words(output, 1))[0]) == {"status": "running"}
    async with redis_cli(redis, "SMEMBERS", "workflows:list") as output:
        assert await words(output, 1) == [RUN]
