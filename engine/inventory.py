"""What agents exist at this moment, what they use, and which of them belong to nothing any more.

Asked from outside, also while an engine in another process holds the home.
"""

from __future__ import annotations

import asyncio
import platform
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.backends import instance_id, make_backend
from engine.errors import BackendError, UnavailableError
from engine.facade import open_history
from engine.history.lease import Lease
from engine.service.control import ask
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.agents.backend import AgentInfo as AgentInfo
    from engine.agents.backend import Backend
    from engine.agents.backend import PoolReport as PoolReport
    from engine.agents.backend import Sample as Sample

# Two samples take a second; an engine that is slower than this is not waited for.
_PATIENCE = 4.0


@dataclass(frozen=True, slots=True)
class AgentLoad:
    """What a running agent uses now: thousandths of a CPU, bytes without the page cache."""

    cpu_millicores: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """The agents of a home.

    Attributes:
        agents: by age.
        loads: what the running ones use, by name; not all may be known.
        problems: for each backend that could not be asked a sentence why.
    """

    agents: list[AgentInfo]
    loads: Mapping[str, AgentLoad]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Orphan:
    """An agent that belongs to nothing any more.

    Attributes:
        agent: it.
        backend: where it is.
        why: what became of what it belonged to.
        remedy: the command that removes it at once; empty where there is none.
    """

    agent: AgentInfo
    backend: str
    why: str
    remedy: tuple[str, ...]


async def take_inventory(settings: Settings, *, measured: bool = False) -> Inventory:
    """The agents of the home that exist now, on every backend that is asked for.

    Args:
        settings: of the home.
        measured: whether to find out what the running ones use, which takes a second or two.

    Raises:
        UnavailableError: the one backend that is asked for cannot be asked.
    """
    agents: list[AgentInfo] = []
    loads: dict[str, AgentLoad] = {}
    if not (settings.home / "instance").exists():
        return Inventory([], {}, [])  # no engine was ever here, and nothing has to be made to find nothing

    async def look(backend: Backend) -> None:
        found = await backend.list_agents(instance_id(settings.home))
        agents.extend(found)
        if measured:
            loads.update(await _loads(backend, found))

    problems = await _ask_each(settings, look)
    return Inventory(sorted(agents, key=_age), loads, problems)


async def live_pools(settings: Settings) -> list[PoolReport]:
    """The warm pools of the engine that holds the home at this moment; none without one."""
    if Lease.holder(settings.home) is None:
        return []
    from engine.agents.backend import PoolReport

    try:
        answer = await ask(settings.home, {"command": "pools"})
    except UnavailableError:
        return []  # it is just coming or going
    return [PoolReport(**{**pool, "images": tuple(pool["images"])}) for pool in answer["pools"]]


async def find_orphans(settings: Settings) -> tuple[list[Orphan], list[str]]:
    """Agents that belong to no run: of this home, and of homes of this machine that are gone.

    Returns:
        The agents by age, and sentences about what could not be asked or told.

    Raises:
        UnavailableError: the one backend that is asked for cannot be asked.
    """
    orphans: list[Orphan] = []
    unknown: list[AgentInfo] = []
    own = instance_id(settings.home) if (settings.home / "instance").exists() else None
    needed = await _needed(settings) if own is not None else frozenset()
    live = Lease.holder(settings.home) is not None

    async def look(backend: Backend) -> None:
        for copy in await backend.shell_copies():
            if copy.in_use is False:
                why = f"a copy of {copy.agent}, and the shell that it was made for is over"
                orphans.append(Orphan(copy.info, backend.name, why, _removal(backend, copy.info)))
        for agent in await backend.list_agents():
            if agent.identity.instance != own:
                fate = await asyncio.to_thread(_fate_of_home, agent)
                if fate is None:
                    unknown.append(agent)
            elif agent.name in needed or (live and agent.pool is not None):
                fate = ""
            else:
                fate = "no run of this home needs it; the next engine that opens the home removes it"
            if fate:
                orphans.append(Orphan(agent, backend.name, fate, _removal(backend, agent)))

    with tempfile.TemporaryDirectory() as place:
        home = settings.home if own is not None else Path(place)
        notes = await _ask_each(settings.model_copy(update={"home": home}), look)
    if unknown:
        notes.append(
            f"{len(unknown)} of other homes are left out: it cannot be told whether these still exist"
        )
    return sorted(orphans, key=lambda orphan: _age(orphan.agent)), notes


async def remove_orphans(settings: Settings, names: Sequence[str]) -> list[str]:
    """Remove those of these agents that are orphans still, by their remedies; returns which are gone now.

    Raises:
        UnavailableError: they cannot be asked for, or a remedy does not work.
    """
    found, _ = await find_orphans(settings)
    gone = []
    for orphan in found:
        if orphan.agent.name not in names or not orphan.remedy:
            continue
        try:
            ended = await asyncio.create_subprocess_exec(
                *orphan.remedy, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
            )
        except OSError as error:
            raise UnavailableError(f"{orphan.remedy[0]} cannot be started: {error.strerror}") from error
        _, said = await ended.communicate()
        if ended.returncode:
            words = said.decode(errors="replace").strip() or f"exit code {ended.returncode}"
            raise UnavailableError(f"{orphan.agent.name} could not be removed: {words}")
        gone.append(orphan.agent.name)
    return gone


async def _ask_each(settings: Settings, ask: Callable[[Backend], Awaitable[None]]) -> list[str]:
    """Ask every backend that the settings name; returns why some of several could not be asked.

    Raises:
        UnavailableError: the only one could not be.
    """
    problems = []
    for name in ("docker", "process") if settings.backend == "auto" else (settings.backend,):
        backend = make_backend(settings, name)
        try:
            await backend.open()
            await ask(backend)
        except (UnavailableError, BackendError) as error:
            if settings.backend != "auto":
                message = f"agents cannot be listed: {error.message}"
                raise UnavailableError(message, hint=error.hint) from error
            problems.append(error.message)
        finally:
            await backend.close()
    return problems


async def _loads(backend: Backend, agents: Sequence[AgentInfo]) -> dict[str, AgentLoad]:
    """What the running ones use; those that do not say so in time are left out."""
    running = [agent.name for agent in agents if agent.phase.value == "running"]
    found = await asyncio.gather(*(_load(backend, name) for name in running))
    return {name: load for name, load in zip(running, found, strict=True) if load is not None}


async def _load(backend: Backend, name: str) -> AgentLoad | None:
    first: Sample | None = None
    try:
        async with asyncio.timeout(_PATIENCE), aclosing(backend.samples(name)) as samples:
            async for sample in samples:
                if first is None:
                    first = sample
                elif (passed := (sample.time - first.time).total_seconds()) > 0:
                    used = max(0.0, sample.cpu_seconds - first.cpu_seconds)
                    return AgentLoad(round(1000 * used / passed, 1), sample.memory)
    except (TimeoutError, BackendError):
        pass
    return None


async def _needed(settings: Settings) -> frozenset[str]:
    """Names of the agents that were kept, or that unfinished runs still have use for."""
    from engine.orchestrator.leftovers import needed_agents

    async with open_history(settings) as history:
        return frozenset(await needed_agents(history))


def _fate_of_home(agent: AgentInfo) -> str | None:
    """What became of the home that made an agent: "" if it is there, None if that cannot be told."""
    if not agent.home or agent.host != platform.node():
        return None
    try:
        found = Path(agent.home, "instance").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return f"its home {agent.home} is gone, or was moved"
    except (OSError, ValueError):
        return None
    return "" if found == agent.identity.instance else f"its home {agent.home} has been made anew since"


def _removal(backend: Backend, agent: AgentInfo) -> tuple[str, ...]:
    return ("docker", "rm", "-f", "-v", agent.name) if backend.name == "docker" else ()


def _age(agent: AgentInfo) -> tuple[bool, str]:
    return agent.created_at is None, str(agent.created_at)
