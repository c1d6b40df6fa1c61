"""Warm pools on a real engine, for the tests that compare them with containers of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from engine.agents.backend import AgentSpec, Exit, PoolSettings
from engine.agents.docker import DockerBackend
from engine.agents.docker_namespaces import Namespaces
from engine.agents.docker_warm import DockerWarmMaker
from engine.agents.pooled import PooledBackend
from engine.errors import BackendError
from tests.backend_contract import Recording, soon

POOL = PoolSettings("pool", max_size=2)


@asynccontextmanager
async def pooled_backend(instance: str) -> AsyncIterator[PooledBackend]:
    """An open backend with pools; its agents are gone when the block is left."""
    docker = DockerBackend(instance=instance, max_starts=4)
    backend = PooledBackend(docker, DockerWarmMaker(docker), Namespaces(docker))
    await backend.open()
    try:
        yield backend
    finally:
        await soon(backend.close())


@dataclass(frozen=True, slots=True)
class Ending:
    """What a task came to, as far as its user can tell."""

    code: int
    oom: bool
    failed_to_start: bool
    stdout: bytes
    stderr: bytes


async def ending_of(backend: PooledBackend, spec: AgentSpec) -> Ending:
    """Run a task to its end, and remove its agent."""
    sink, failed = Recording(), False
    try:
        await soon(backend.prepare(spec))
        await soon(backend.create(spec, sink))
        await soon(backend.start(spec.name))
    except BackendError:
        failed = True
    end: Exit = await soon(backend.wait(spec.name))
    await soon(backend.remove(spec.name))
    return Ending(
        end.code, end.oom, failed or bool(end.start_error), sink.text("stdout"), sink.text("stderr")
    )


def pooled(spec: AgentSpec, settings: PoolSettings = POOL) -> AgentSpec:
    """The same task for a pool."""
    return replace(spec, pool=settings)


async def text_of(backend: PooledBackend, spec: AgentSpec) -> str:
    """What a task prints."""
    return (await ending_of(backend, spec)).stdout.decode()


def environment(text: str) -> Mapping[str, str]:
    """What `env -0` printed, without what differs by nature: each shell counts how deep it is."""
    pairs = (entry.partition("=") for entry in text.split("\0") if entry)
    return {name: value for name, _, value in pairs if name not in ("SHLVL", "_")}
