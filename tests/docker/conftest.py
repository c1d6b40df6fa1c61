"""What the tests against a real Docker engine share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.agents.docker import DockerBackend


@pytest.fixture
async def backend(instance: str) -> AsyncIterator[DockerBackend]:
    """A backend that is open; its containers are removed with the instance."""
    backend = DockerBackend(instance=instance, max_starts=4)
    await backend.open()
    yield backend
    await backend.close()
