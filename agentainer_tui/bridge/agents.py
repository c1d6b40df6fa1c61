"""Agents as they are at this moment: what they use, warm pools, what was kept, its removal, shells."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.bridge.stream import Stream

if TYPE_CHECKING:
    from engine.entering import Shell
    from engine.facade import KeptAgent, Roster
    from engine.inventory import Orphan, PoolReport, Sample


class Agents(EngineLink):
    """Reads about agents, opens shells in them, and removes those that were kept."""

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

    async def roster(self) -> Roster:
        """All agents of this home."""
        return await self._call(self._engine.roster())

    async def samples(self, agent: str) -> AsyncGenerator[Sequence[Sample], None]:
        """What a running agent uses."""
        stream = Stream(self._loop, lambda: self._engine.samples(agent))
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                yield batch

    async def orphans(self) -> tuple[tuple[Orphan, ...], tuple[str, ...]]:
        """Agents that belong to nothing any more."""
        from engine.inventory import find_orphans

        found, notes = await self._call(find_orphans(self._settings))
        return tuple(found), tuple(notes)

    async def remove_orphans(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove those of these that are orphans still."""
        from engine.inventory import remove_orphans

        return tuple(await self._call(remove_orphans(self._settings, names)))

    async def open_shell(self, agent: str) -> Shell:
        """A shell in an agent."""
        return await self._call(self._engine.open_shell(agent))

    async def close_shell(self, shell: Shell) -> None:
        """Remove what was made for a shell."""
        await self._call(self._engine.close_shell(shell))
