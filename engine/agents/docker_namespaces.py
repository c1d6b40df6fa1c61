"""`network: run`: the agents of one run share one network namespace, held by a container of ours.

Making a namespace is half of a container's start: agents that join one that exists start about twice as fast.
The holder is a container that does nothing; it outlives the agents, and a crash of the engine, so that what
still runs keeps its network. It goes when its run is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

from engine.agents.backend import AgentIdentity, AgentSpec, namespace_holder
from engine.agents.docker import DockerBackend
from engine.agents.docker_actions import inspect, remove_container
from engine.agents.docker_calls import EngineRefusedError
from engine.agents.docker_spec import INSTANCE_LABEL, container_config
from engine.errors import BackendError

_log = logging.getLogger("agentainer")

# What waits for an input that never comes, in the order in which images are likely to have it.
_IDLERS = (("/bin/sh",), ("/busybox/sh",), ("python3", "-c", "input()"), ("python", "-c", "input()"))


@dataclass
class _Namespace:
    """One run's: the holder's id once it is there, and who is making it."""

    holder: str = ""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)


class Namespaces:
    """The namespaces of the runs of one engine."""

    def __init__(self, backend: DockerBackend) -> None:
        self._backend = backend
        self._runs: dict[str, _Namespace] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def join(self, spec: AgentSpec) -> str:
        """The network that an agent with `network: run` is to be made with: its run's, made with the first.

        Where nothing in the agent's image can hold a namespace, and no other agent's image could before, it
        gets a namespace of its own.

        Raises:
            BackendError: the holder cannot be made now.
        """
        run = self._runs.setdefault(spec.identity.run_id, _Namespace())
        async with run.making:
            if not run.holder:
                run.holder = await asyncio.shield(self._hold(spec))
        return f"container:{run.holder}" if run.holder else "default"

    def note(self, run_id: str) -> None:
        """A run of an engine that ended goes on: it may have a namespace, which is to go with it."""
        self._runs.setdefault(run_id, _Namespace())

    def forget(self, run_id: str) -> None:
        """Something went wrong with it: look again before the next agent joins."""
        if run := self._runs.get(run_id):
            run.holder = ""

    def forget_all(self) -> None:
        """An agent could not be started, maybe for want of the namespace that it was to join."""
        for run_id in self._runs:
            self.forget(run_id)

    def release(self, run_id: str) -> None:
        """The run is over: its namespace goes; returns at once."""
        if self._runs.pop(run_id, None) is not None:
            leaving = asyncio.create_task(self._remove(run_id), name=f"network of {run_id}")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Let all of them go, and wait until they are gone."""
        for run_id in list(self._runs):
            self.release(run_id)
        if self._leaving:
            await asyncio.wait(self._leaving)

    # -- inside ---------------------------------------------------------------------------------------

    async def _hold(self, spec: AgentSpec) -> str:
        name, calls = namespace_holder(spec.identity.run_id), self._backend.link.calls
        found = await inspect(calls, name)
        if found is not None:
            if found["State"]["Running"] and self._is_ours(found):
                return str(found["Id"])
            await remove_container(calls, found["Id"])
        for idler in _IDLERS:
            if holder := await self._try(_config(spec, name, idler, self._backend), name):
                return holder
        _log.info("run %s: nothing in %s can hold a namespace", spec.identity.run_id, spec.image)
        return ""

    def _is_ours(self, found: dict[str, Any]) -> bool:
        written = found["Config"]["Labels"] or {}
        return bool(written.get(INSTANCE_LABEL) == self._backend.link.instance)

    async def _try(self, config: dict[str, Any], name: str) -> str:
        """Start the holder; returns its id, "" if the image has not what it is to run."""
        link = self._backend.link
        made = await link.calls(f"create {name}", "create_container_from_config", config, name)
        try:
            async with link.starts:
                await link.calls(f"start {name}", "start", made["Id"], deadline=link.deadlines.start)
        except EngineRefusedError as error:
            await remove_container(link.calls, made["Id"])
            if "network" in error.words and error.status == 404:
                await link.restore_network()
                raise
            return ""
        except BackendError:
            await remove_container(link.calls, made["Id"])
            raise
        return str(made["Id"])

    async def _remove(self, run_id: str) -> None:
        with contextlib.suppress(BackendError):
            await self._backend.remove(namespace_holder(run_id))


def _config(spec: AgentSpec, name: str, idler: tuple[str, ...], backend: DockerBackend) -> dict[str, Any]:
    identity = spec.identity
    holder = AgentSpec(
        name,
        AgentIdentity(identity.instance, identity.workflow, identity.run_id, "", None, 0, ""),
        spec.image,
        None,
        {},
        resident=idler,
    )
    # Its input stays open without anybody who writes, so that it waits for ever, also without an engine.
    return container_config(holder, backend.link.traits) | {"AttachStdin": False, "StdinOnce": False}
