"""What is asked of the agents of a live engine: which there are, what they use, to enter and remove them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import BackendError, UnavailableError, UsageError

if TYPE_CHECKING:
    from engine.agents.backend import AgentInfo, PoolReport, Sample
    from engine.agents.shells import Shell
    from engine.assembly import Parts
    from engine.history.records import AttemptRecord


@dataclass(frozen=True, slots=True)
class KeptAgent:
    """An agent that was kept for inspection (cleanup policy) and can be removed by hand."""

    attempt: AttemptRecord
    workflow: str
    status: str
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        """The agent's name, by which it is removed."""
        return self.attempt.agent


@dataclass(frozen=True, slots=True)
class Roster:
    """The agents of a home: those that are made, or run, or wait for work, and those that were kept."""

    at_work: tuple[AgentInfo, ...] = ()
    kept: tuple[KeptAgent, ...] = ()


class EngineAgents:
    """The part of `Engine` that is about agents."""

    _parts: Parts

    def pools(self) -> list[PoolReport]:
        """The warm pools of this engine; none where the backend has none."""
        pools = self._parts.services.pools
        return pools.reports() if pools is not None else []

    async def kept_agents(self, ref: str | None = None) -> list[KeptAgent]:
        """Agents that were kept and still exist, of one run or of all, oldest first."""
        run_id = None if ref is None else (await self._parts.history.run(ref)).id
        return await self._kept(await self._existing_agents(), run_id)

    async def roster(self) -> Roster:
        """All agents of this home on the backend in use, as they are at this moment.

        Raises:
            UnavailableError: the backend cannot be asked.
        """
        there = await self._existing_agents()
        kept = await self._kept(there)
        names = {agent.name for agent in kept}
        at_work = (i for i in there.values() if i.name not in names and i.phase.value != "exited")
        return Roster(tuple(at_work), tuple(kept))

    async def cleanup(self, names: list[str]) -> list[str]:
        """Remove exactly the kept agents of these names; returns those that are gone now.

        Raises:
            UsageError: a name that is not a kept agent; nothing was removed.
            BackendError: one could not be removed.
        """
        from engine.orchestrator.leftovers import remove_agents

        kept = {agent.name: agent.attempt for agent in await self.kept_agents()}
        if unknown := [name for name in names if name not in kept]:
            raise UsageError(f"not a kept agent: {', '.join(unknown)}", hint="see `agentainer agents`")
        return await remove_agents(self._parts.services, [kept[name] for name in names])

    def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """What a running agent uses, about every second until it ends; close it (`aclosing`) when done.

        Several watchers of an agent share one stream, and without one there is none.
        """
        return self._parts.services.backend.samples(name)

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """A shell in a kept or running agent, to be run by the caller on a terminal, then closed.

        Args:
            name: the agent's.
            command: one command instead of a shell to type into.
            tty: whether it is for a terminal.

        Raises:
            BackendError: there is no such agent, or it cannot be entered.
        """
        return await self._parts.services.backend.open_shell(name, command, tty=tty)

    async def close_shell(self, shell: Shell) -> None:
        """Remove what was made for a shell. Repeatable."""
        await self._parts.services.backend.close_shell(shell)

    async def describe_agent(self, name: str) -> dict[str, Any] | None:
        """What the backend tells of an agent, never its variables nor its command; None if it is gone.

        Raises:
            UnavailableError: the backend does not answer, or the agent is another home's.
        """
        try:
            return await self._parts.services.backend.describe(name)
        except BackendError as error:
            raise UnavailableError(error.message, hint=error.hint) from error

    # -- inside ---------------------------------------------------------------------------------------

    async def _kept(self, there: Mapping[str, AgentInfo], run_id: str | None = None) -> list[KeptAgent]:
        kept = []
        for record in await self._parts.history.kept_agents():
            if (info := there.get(record.agent)) is None or run_id not in (None, record.run_id):
                continue
            if record.run_id in self._parts.orchestrator.active:
                continue
            kept.append(KeptAgent(record, info.identity.workflow, info.phase.value, info.size_bytes))
        return kept

    async def _existing_agents(self) -> dict[str, AgentInfo]:
        try:
            agents = await self._parts.services.backend.list_agents(self._parts.services.instance)
        except BackendError as error:
            raise UnavailableError(f"agents cannot be listed: {error.message}") from error
        return {info.name: info for info in agents}
