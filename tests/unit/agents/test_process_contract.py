"""Local processes keep the contract of backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.agents.process import ProcessBackend
from tests.backend_contract import BackendContract


@pytest.fixture
async def backend(tmp_path: Path, instance: str) -> AsyncIterator[ProcessBackend]:
    backend = ProcessBackend(home=tmp_path, instance=instance)
    await backend.open()
    yield backend
    for agent in await backend.list_agents():
        await backend.remove(agent.name)
    await backend.close()


@pytest.fixture
def image() -> None:
    return None


class TestProcessContract(BackendContract):
    """Every case, run on local processes."""
