"""What the tests against a real Docker engine share."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.agents.docker import DockerBackend
from engine.agents.docker_calls import Deadlines
from tests import docker_images
from tests.docker.proxy import Proxy
from tests.docker.registry import Registry


@pytest.fixture
async def backend(instance: str) -> AsyncIterator[DockerBackend]:
    """A backend that is open; its containers are removed with the instance."""
    backend = DockerBackend(instance=instance, max_starts=4)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def proxy(instance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """DOCKER_HOST leads through it to the engine.

    It closes before the instance's containers are removed: an answer that nobody reads on would keep the
    engine from removing them.
    """
    proxy = Proxy(docker_images.socket_path())
    monkeypatch.setenv("DOCKER_HOST", await proxy.listen(tmp_path / "docker.sock"))
    yield proxy
    await proxy.close()


@pytest.fixture
async def proxied(proxy: Proxy, instance: str) -> AsyncIterator[DockerBackend]:
    """A backend behind the proxy, with short deadlines and a rare poll."""
    deadlines = Deadlines(connect=5, call=2, start=5, silence=2, drain=1, poll=3600)
    backend = DockerBackend(instance=instance, max_starts=2, deadlines=deadlines)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """A registry on the loopback, from which the engine pulls without TLS."""
    registry = Registry(secrets.token_hex(8))
    await registry.open()
    yield registry
    await registry.close()
