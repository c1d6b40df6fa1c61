"""Agents as they are at this moment: warm pools, what was kept, its removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentainer_tui.bridge.link import EngineLink

if TYPE_CHECKING:
    from engine.facade import KeptAgent
    from engine.inventory import PoolReport


class Agents(EngineLink):
    """Reads about agents, and removes those that were kept."""

    async def pools(self) -> tuple[PoolReport, ...]:
        """The warm pools as they are at this moment."""

        async def reports() -> tuple[PoolReport, ...]:
            return tuple(self._engine.pools())

        return await self._call(reports())

    async def kept_agents(self, run_id: str | None = None) -> tuple[KeptAgent, ...]:
        """Agents that were kept and still exist."""
        return tuple(await self._call(self._engine.kept_agents(run_id)))

    async def describe_agent(self, name: str) -> Mapping[str, Any] | None:
        """What the backend says of an agent now."""
        return await self._call(self._engine.describe_agent(name))

    async def cleanup(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove exactly these kept agents."""
        return tuple(await self._call(self._engine.cleanup(list(names))))
