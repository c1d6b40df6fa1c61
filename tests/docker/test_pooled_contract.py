"""Tasks of warm agents keep the contract of backends: a pool changes nothing but the time that they take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from engine.agents.backend import AgentInfo, AgentSpec, LogSink, PoolSettings
from engine.agents.docker import DockerBackend
from engine.agents.docker_namespaces import Namespaces
from engine.agents.docker_warm import DockerWarmMaker
from engine.agents.pooled import PooledBackend
from tests.backend_contract import BackendContract

pytestmark = pytest.mark.docker


class AlwaysPooled(PooledBackend):
    """Gives every task to a pool."""

    uses = 0

    async def prepare(self, spec: AgentSpec) -> None:
        await super().prepare(self._pooled(spec))

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        return await super().create(self._pooled(spec), sink)

    def _pooled(self, spec: AgentSpec) -> AgentSpec:
        settings = PoolSettings("contract", max_size=4, max_agent_uses=self.uses)
        return replace(spec, pool=settings)

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """Without those that have no task: they are nobody's agents."""
        return [info for info in await super().list_agents(instance) if info.pool is None]


@pytest.fixture
async def backend(instance: str, uses: int) -> AsyncIterator[AlwaysPooled]:
    docker = DockerBackend(instance=instance, max_starts=4)
    backend = AlwaysPooled(docker, DockerWarmMaker(docker), Namespaces(docker))
    backend.uses = uses
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
def uses() -> int:
    return 0


@pytest.fixture
def image(busybox_image: str) -> str:
    return busybox_image


class TestPooledContract(BackendContract):
    """Every case, run by warm agents."""


class TestSingleUse:
    """What could differ where each agent serves one task only."""

    end_of = BackendContract.end_of
    test_output = BackendContract.test_output_is_complete_when_wait_returns_however_short_the_agent_lives
    test_exit_codes = BackendContract.test_exit_codes_and_signals
    test_stopping = BackendContract.test_stop_lets_the_agent_end_in_its_own_way
    test_killing = BackendContract.test_stop_kills_what_ignores_sigterm_after_the_grace
    test_removal = BackendContract.test_removing_a_running_agent_leaves_nothing
    test_files = BackendContract.test_files_are_collected_from_an_agent_that_runs_and_from_one_that_has_ended

    @pytest.fixture
    def uses(self) -> int:
        return 1
