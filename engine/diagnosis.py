"""What `agentainer doctor` looks at: everything an engine stands on, each asked for real and by itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.backends import make_backend
from engine.errors import AgentainerError, UnavailableError
from engine.facade import open_history
from engine.upkeep import holder, live_status

if TYPE_CHECKING:
    from engine.agents.backend import BackendFacts
    from engine.settings import Settings

# Less than this and the first larger log fills the disk.
_LITTLE_SPACE = 200 << 20


class Health(StrEnum):
    """What a finding means for runs: fine, worth knowing, or in the way of every run."""

    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and what to do (empty: nothing)."""

    name: str
    health: Health
    found: str
    advice: str = ""


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the home, the engine that is live on it, history, Docker and Redis, in that order."""
    yield _home(settings)
    yield _lease(settings)
    yield await _history(settings)
    yield await _docker(settings)
    async for finding in _redis(settings):
        yield finding


def _home(settings: Settings) -> Finding:
    home = settings.home
    there = next(path for path in (home, *home.parents) if path.exists())
    if not there.is_dir():
        return Finding("home", Health.ERROR, f"{home}: {there} is not a directory", "choose another --home")
    if not os.access(there, os.W_OK | os.X_OK):
        what = (
            f"{home} cannot be written" if there == home else f"{home} cannot be made: {there} is not yours"
        )
        return Finding("home", Health.ERROR, what, "choose another one with --home or AGENTAINER_HOME")
    free = shutil.disk_usage(there).free
    found = f"{home}{'' if there == home else ' (made by the first run)'}, {free / 1e9:.1f} GB free"
    if free < _LITTLE_SPACE:
        return Finding("home", Health.WARNING, found, "make room: `agentainer prune`, `agentainer cleanup`")
    return Finding("home", Health.GOOD, found)


def _lease(settings: Settings) -> Finding:
    found = holder(settings)
    if found is None:
        return Finding("engine", Health.GOOD, "no engine is live on this home")
    return Finding(
        "engine",
        Health.GOOD,
        f"live in process {found.pid or '?'} on {found.host or 'this machine'}, since {found.since or '?'}",
        "a second engine needs another --home; what only reads works meanwhile",
    )


async def _history(settings: Settings) -> Finding:
    if not settings.database.exists():
        return Finding("history", Health.GOOD, f"{settings.database}: none yet")
    try:
        async with open_history(settings) as history:
            counts = await history.counts()
    except AgentainerError as error:
        return Finding("history", Health.ERROR, error.message, error.hint)
    size = settings.database.stat().st_size / 1e6
    return Finding("history", Health.GOOD, f"{settings.database}: {sum(counts.values())} runs, {size:.1f} MB")


async def _docker(settings: Settings) -> Finding:
    """Docker, as a run would meet it; its absence is in the way only of those who demand it."""
    missing = Health.ERROR if settings.backend == "docker" else Health.WARNING
    with tempfile.TemporaryDirectory() as place:
        backend = make_backend(settings.model_copy(update={"home": Path(place)}), "docker")
        try:
            facts = await backend.open()
        except UnavailableError as error:
            instead = "" if missing is Health.ERROR else "without it, runs use local processes"
            advice = "; ".join(part for part in (error.hint, instead) if part)
            return Finding("docker", missing, error.message, advice)
        finally:
            await backend.close()
    return Finding("docker", Health.GOOD, f"{facts.version}, {_machine(facts)}", " ".join(facts.notes))


def _machine(facts: BackendFacts) -> str:
    """Cores, memory and GPUs that tasks can be given."""
    gpus = "GPUs" if facts.gpus is None else "no GPU" if not facts.gpus else f"{facts.gpus} GPUs"
    return f"{facts.cpus} CPUs, {facts.memory_bytes / 1e9:.1f} GB of memory, {gpus}"


async def _redis(settings: Settings) -> AsyncIterator[Finding]:
    from engine.state.redis_store import RedisStateStore

    if holder(settings) is not None:
        try:
            live = await live_status(settings)
        except UnavailableError as error:
            yield Finding("redis", Health.WARNING, error.message, "is that process still starting, or stuck?")
            return
        yield Finding("redis", Health.GOOD, str(live["redis"]), f"redis-cli -u '{live['redis_url']}'")
        return
    with tempfile.TemporaryDirectory() as place:
        # A server of our own is started for real, but where it disturbs nobody.
        store = RedisStateStore(Path(place), redis_url=settings.redis_url)
        try:
            await store.open()
            found, url = store.describe(), store.connection_url()
        except AgentainerError as error:
            yield Finding("redis", Health.ERROR, error.message, error.hint)
            return
        finally:
            await store.close()
    if settings.redis_url:
        yield Finding("redis", Health.GOOD, found, f"redis-cli -u '{url}'")
    else:
        yield Finding(
            "redis",
            Health.GOOD,
            f"{found} for this look; every engine starts one of its own",
            "while a run or the dashboard is live, this shows the `redis-cli -u` line",
        )
