"""A backend whose pooled tasks are run by warm agents, where that changes nothing but the time they take.

It looks like the backend below it: a pooled task is created, started, waited for, stopped and removed under
its own name. What no warm agent can run as it would run by itself runs in a container of its own, and so does
a task whose warm agent died under it.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any, Protocol

from engine.agents.backend import (
    AgentInfo,
    AgentSpec,
    Backend,
    BackendFacts,
    Exit,
    Listener,
    LogSink,
    Placement,
    PoolReport,
    PoolSettings,
    PullPolicy,
    Sample,
)
from engine.agents.docker_spec import check_name
from engine.agents.pool import Pool
from engine.agents.pool_members import Kind
from engine.agents.pooled_task import PooledTask
from engine.agents.shells import Shell, ShellCopy
from engine.agents.warm import WarmMaker
from engine.errors import BackendError, Reason


class RunNamespaces(Protocol):
    """Network namespaces that the agents of a run share."""

    async def join(self, spec: AgentSpec) -> str:
        """The network to make an agent with that says `network: run`."""
        ...

    def note(self, run_id: str) -> None:
        """A run of an engine that ended goes on."""
        ...

    def forget(self, run_id: str) -> None:
        """Something went wrong with a run's: look again before the next agent joins."""
        ...

    def forget_all(self) -> None:
        """The same for all runs."""
        ...

    def release(self, run_id: str) -> None:
        """A run is over: its namespace goes; returns at once."""
        ...

    async def close(self) -> None:
        """Let all of them go."""
        ...


class PooledBackend:
    """Warm agents in front of `below`; see `Backend` and `Pools`.

    Args:
        below: runs tasks that are not pooled, and holds the containers of the warm agents.
        maker: makes warm agents there.
        namespaces: makes the network namespaces that agents of a run share.
    """

    def __init__(self, below: Backend, maker: WarmMaker, namespaces: RunNamespaces) -> None:
        self.name = below.name
        self._below = below
        self._maker = maker
        self._namespaces = namespaces
        self._tasks: dict[str, PooledTask] = {}
        self._pools: dict[str, Pool] = {}
        self._contents: dict[tuple[str, str], str] = {}
        self._numbers = itertools.count(1)
        self._prefix = f"agentainer-warm-{secrets.token_hex(4)}"
        self._warming: set[asyncio.Task[None]] = set()

    async def open(self) -> BackendFacts:
        """Open what is below."""
        return await self._below.open()

    async def close(self) -> None:
        """Remove all warm agents, then let go of what is below."""
        for warming in self._warming:
            warming.cancel()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await self._namespaces.close()
        await self._below.close()

    # -- pools ----------------------------------------------------------------------------------------

    def warm_up(self, spec: AgentSpec, count: int) -> None:
        """See `Pools`; what goes wrong is told when a task needs an agent."""
        if spec.pool is None or spec.image is None:
            return
        warming = asyncio.create_task(self._warm_up(spec, self._pool(spec.pool), count), name="warm up")
        self._warming.add(warming)
        warming.add_done_callback(self._warming.discard)

    async def _warm_up(self, spec: AgentSpec, pool: Pool, count: int) -> None:
        try:
            await self._below.prepare(spec)
            kind = await self._kind(spec)
            spec = await self._joined(spec)
        except BackendError:
            return
        pool.warm_up(kind, spec, count)

    def release_run(self, run_id: str) -> None:
        """See `Pools`."""
        for key in [key for key in self._contents if key[0] == run_id]:
            del self._contents[key]
        for pool in self._pools.values():
            pool.release_run(run_id)
        self._namespaces.release(run_id)

    def reports(self) -> list[PoolReport]:
        """See `Pools`."""
        return [pool.report() for pool in self._pools.values()]

    def _pool(self, settings: PoolSettings) -> Pool:
        pool = self._pools.get(settings.name)
        if pool is None:
            pool = self._pools[settings.name] = Pool(settings, self._maker, self._new_name)
        pool.settings = settings
        return pool

    def _new_name(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    async def _kind(self, spec: AgentSpec) -> Kind:
        assert spec.image is not None, "checked by prepare"
        content = await self._content(spec)
        alike = [
            astuple(spec.limits),
            spec.network,
            [astuple(mount) for mount in spec.mounts],
            spec.user,
            spec.privileged,
        ]
        digest = hashlib.sha256(json.dumps(alike).encode()).hexdigest()[:16]
        return Kind(digest, spec.image, content, spec.identity.run_id if spec.run_bound else None)

    async def _content(self, spec: AgentSpec) -> str:
        """What the image's name means: found out once for each run."""
        assert spec.image is not None, "checked by prepare"
        key = spec.identity.run_id, spec.image
        if key not in self._contents:
            self._contents[key] = await self._below.image_digest(spec.image, spec.pull_policy)
        return self._contents[key]

    # -- the life of a task ---------------------------------------------------------------------------

    async def prepare(self, spec: AgentSpec) -> None:
        """As below; a pooled task's image is got once for each run, whatever its pull policy."""
        if spec.pool is not None and (spec.identity.run_id, spec.image) in self._contents:
            spec = replace(spec, pull_policy=PullPolicy.MISSING)
        await self._below.prepare(spec)

    def fetched(self, image: str) -> int | None:
        """As below."""
        return self._below.fetched(image)

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Wait for a warm agent, or create the task's own container."""
        if spec.pool is None:
            return await self._create_below(spec, sink)
        check_name(spec.name)
        known = self._tasks.get(spec.name)
        if known is not None and known.member is not None:
            known.sink = sink
            return known.member.agent.agent_id
        pool = self._pool(spec.pool)
        try:
            kind = await self._kind(spec)
            task = PooledTask(
                await self._joined(spec),
                sink,
                pool,
                kind,
                below=self._below,
                create_own=self._create_below,
            )
            agent_id = await task.create()
        except BackendError as error:
            if error.reason is Reason.IMAGE_ERROR:
                self._contents.pop((spec.identity.run_id, spec.image or ""), None)
            raise
        self._tasks[spec.name] = task
        return agent_id

    async def _create_below(self, spec: AgentSpec, sink: LogSink) -> str:
        try:
            return await self._below.create(await self._joined(spec), sink)
        except BackendError:
            self._namespaces.forget(spec.identity.run_id)
            raise

    async def _joined(self, spec: AgentSpec) -> AgentSpec:
        """The spec with its run's network namespace in it, where it asks for that."""
        if spec.network != "run":
            return spec
        return replace(spec, network=await self._namespaces.join(spec))

    async def start(self, name: str) -> None:
        """Hand the task to its agent, or start its own container."""
        try:
            if (task := self._tasks.get(name)) is not None:
                await task.start()
            else:
                await self._below.start(name)
        except BackendError:
            self._namespaces.forget_all()
            raise

    async def wait(self, name: str) -> Exit:
        """The end of the task."""
        if (task := self._tasks.get(name)) is not None:
            return await asyncio.shield(task.done)
        return await self._below.wait(name)

    async def stop(self, name: str, grace: float) -> None:
        """Stop the task; the agent is not used again."""
        if (task := self._tasks.get(name)) is not None:
            await task.stop(grace)
        else:
            await self._below.stop(name, grace)

    async def kill(self, name: str) -> None:
        """Kill the task, and its agent with it."""
        if (task := self._tasks.get(name)) is not None:
            await task.kill()
        else:
            await self._below.kill(name)

    async def remove(self, name: str) -> None:
        """The task is over and done with: its agent is cleaned for the next one."""
        if (task := self._tasks.get(name)) is not None:
            await task.remove()
            self._tasks.pop(name, None)
        else:
            await self._below.remove(name)

    async def keep(self, name: str) -> None:
        """Its agent leaves the pool as it is, and is from now on the container of that name."""
        if (task := self._tasks.pop(name, None)) is not None:
            await task.keep()

    # -- what is asked about tasks --------------------------------------------------------------------

    async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
        """From the agent's container; relative paths are the task's."""
        if (task := self._tasks.get(name)) is not None:
            return await self._below.collect(task.container, task.path(path), into, limit=limit)
        return await self._below.collect(name, path, into, limit=limit)

    async def image_digest(self, image: str, policy: PullPolicy) -> str:
        """As below."""
        return await self._below.image_digest(image, policy)

    async def adopt(self, name: str, sink: LogSink) -> AgentInfo | None:
        """Tasks of warm agents cannot be taken over: their output went with the engine that read it."""
        info = await self._below.adopt(name, sink)
        if info is not None:
            self._namespaces.note(info.identity.run_id)
        return info

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """As below; a warm agent that has a task is listed as that task's agent."""
        at_work = {task.container: task for task in self._tasks.values() if task.member is not None}
        found = await self._below.list_agents(instance)
        return [at_work[info.name].info(info) if info.name in at_work else info for info in found]

    async def describe(self, name: str) -> dict[str, Any] | None:
        """The container where the task is."""
        return await self._below.describe(self._container(name))

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """In the container where the task is."""
        shell = await self._below.open_shell(self._container(name), command, tty=tty)
        return replace(shell, agent=name)

    async def close_shell(self, shell: Shell) -> None:
        """As below."""
        await self._below.close_shell(shell)

    async def shell_copies(self, instance: str | None = None) -> list[ShellCopy]:
        """As below."""
        return await self._below.shell_copies(instance)

    async def sweep_shells(self) -> list[str]:
        """As below."""
        return await self._below.sweep_shells()

    async def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """Of the container where the task is, for as long as it has the task."""
        task = self._tasks.get(name)
        async with aclosing(self._below.samples(self._container(name))) as samples:
            if task is not None and not task.is_running:
                return
            async for sample in samples:
                if task is not None and not task.is_running:
                    return
                yield task.own_part(sample) if task is not None else sample

    async def sample(self, name: str) -> Sample | None:
        """Of the container where the task is."""
        task = self._tasks.get(name)
        if task is None:
            return await self._below.sample(name)
        sample = await self._below.sample(task.container) if task.is_running else None
        return task.own_part(sample) if sample is not None and task.is_running else None

    def listen(self, name: str, listener: Listener) -> None:
        """To the container where the task is."""
        self._below.listen(self._container(name), listener)

    def image_id(self, name: str) -> str:
        """That of the container where the task is."""
        return self._below.image_id(self._container(name))

    def placement(self, name: str) -> Placement | None:
        """Where a pooled task is."""
        task = self._tasks.get(name)
        return task.placement if task is not None else None

    def _container(self, name: str) -> str:
        task = self._tasks.get(name)
        return task.container if task is not None else name
