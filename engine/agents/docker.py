"""Agents as containers of a Docker engine.

One event stream tells when containers end; a slow look at all of them catches what it may have missed. Output
is read by the event loop through connections made before the start. Only short calls use threads.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.agents import docker_enter
from engine.agents.backend import (
    AgentInfo,
    AgentSpec,
    BackendFacts,
    Exit,
    Listener,
    LogSink,
    Placement,
    PullPolicy,
    Sample,
)
from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import Calls, DaemonThreads, Deadlines
from engine.agents.docker_collect import collect
from engine.agents.docker_connection import Address, check_reachable, find_address, make_client
from engine.agents.docker_container import Container
from engine.agents.docker_describe import describe
from engine.agents.docker_events import ContainerEvent, EventStream
from engine.agents.docker_images import Images
from engine.agents.docker_link import EngineLink
from engine.agents.docker_network import Block, bindable, check_network, ensure_network
from engine.agents.docker_spec import (
    INSTANCE_LABEL,
    Traits,
    check_name,
    info_of_inspect,
    info_of_listing,
    joined_network,
)
from engine.agents.host import check_limits, count_gpus
from engine.agents.shells import Shell, ShellCopy
from engine.agents.texts import check_texts
from engine.errors import BackendError, Reason, UnavailableError

NETWORK = "agentainer-network"

# 20.10, the first whose containers can resolve `host.docker.internal` on Linux.
_OLDEST_API = (1, 41)
# Threads beyond those in which containers start: for looks, kills and removals.
_SPARE_THREADS = 8
# A call that has missed its deadline keeps its thread so many seconds longer, for a late answer.
_AFTERLIFE = 10


class DockerBackend:
    """The Docker engine that the `docker` command would use.

    Args:
        instance: this home's id; containers of other homes are never touched.
        max_starts: containers started at the same time.
        network: the name of the network that agents share; made if it is not there.
        init: let `docker-init` be process 1 where the engine has it: it passes signals on to programs that
            would ignore them as process 1, and reaps what they leave.
        deadlines: how long the engine may take.
        home: the directory of this home, written on containers; "" if that is not to be told.
    """

    name = "docker"

    def __init__(
        self,
        *,
        instance: str,
        max_starts: int | None = None,
        network: str = NETWORK,
        init: bool = True,
        deadlines: Deadlines | None = None,
        home: str = "",
    ) -> None:
        self._instance = instance
        self._home = home
        self._max_starts = max_starts or 2 * (os.cpu_count() or 2)
        self._deadlines = deadlines or Deadlines()
        self._containers: dict[str, Container] = {}
        self._threads = DaemonThreads(self._max_starts + _SPARE_THREADS, "docker-call")
        self._info: dict[str, Any] = {}
        self._facts_known = BackendFacts(self.name)
        self._network = network
        self._init = init
        self._block = Block()
        self._link: EngineLink | None = None
        self._events: EventStream | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the connection -------------------------------------------------------------------------------

    async def open(self) -> BackendFacts:
        """Connect, look at what there is, make the network."""
        address = find_address()
        await check_reachable(address, self._deadlines.connect)
        address, calls = await self._connect(address)
        events = EventStream(
            address,
            f"{INSTANCE_LABEL}={self._instance}",
            on_event=self._dispatch,
            on_reconnect=lambda: self._spawn(self._look_at_all()),
            deadline=self._deadlines.connect,
        )
        self._events = events
        self._link = EngineLink(
            instance=self._instance,
            calls=calls,
            address=address,
            deadlines=self._deadlines,
            images=Images(calls, address, self._deadlines.silence),
            traits=Traits(self._network, init=False),
            starts=asyncio.Semaphore(self._max_starts),
            interruptions=lambda: events.interruptions,
            restore_network=self._ensure_network,
        )
        try:
            self._info = await calls("ask what it is", "info", deadline=self._deadlines.connect)
            self._check_engine(address)
            self._link.traits = await self._traits(calls)
            await self._ensure_network()
            await events.open()
        except BackendError as error:
            await self.close()
            raise UnavailableError(
                f"the Docker engine at {address} is not usable: {error.message}", hint=error.hint
            ) from None
        self._spawn(self._poll())
        self._facts_known = self._facts(address)
        return self._facts_known

    async def _connect(self, address: Address) -> tuple[Address, Calls]:
        limit = self._deadlines.connect
        connecting = self._threads.submit(
            make_client,
            address,
            timeout=self._deadlines.start + _AFTERLIFE,
            connections=self._max_starts + _SPARE_THREADS,
        )
        try:
            client = await asyncio.wait_for(asyncio.wrap_future(connecting), limit)
        except TimeoutError:
            raise UnavailableError(
                f"the Docker engine at {address} did not answer within {limit:g} s",
                hint="check `docker ps`; an engine that hangs has to be restarted",
            ) from None
        return replace(address, version=client.api_version), Calls(client, self._deadlines, self._threads)

    def _check_engine(self, address: Address) -> None:
        version = tuple(int(part) for part in address.version.split("."))
        if version < _OLDEST_API:
            raise BackendError(
                Reason.INFRA_ERROR,
                f"its version is {self._info.get('ServerVersion')}, expected 20.10 or later",
                transient=False,
            )
        if self._info.get("OSType") != "linux":
            raise BackendError(
                Reason.INFRA_ERROR,
                f"it runs {self._info.get('OSType')} containers, expected linux",
                transient=False,
                hint="switch Docker Desktop to Linux containers",
            )

    async def _traits(self, calls: Calls) -> Traits:
        version = await calls("ask for its version", "version")
        parts = {part.get("Name") for part in version.get("Components") or ()}
        return Traits(self._network, init=self._init and "docker-init" in parts, home=self._home)

    async def _ensure_network(self) -> None:
        self._block = await ensure_network(self.link.calls, self._network, self._block)

    def _facts(self, address: Address) -> BackendFacts:
        notes = []
        gateway = self._block.gateway if bindable(self._block.gateway) else None
        if not address.local:
            notes.append(f"The engine is on another machine ({address.url}): agents cannot reach this one.")
        elif gateway is None:
            notes.append(
                "The engine runs in a virtual machine: agents reach this one as host.docker.internal."
            )
        if not self._info.get("MemoryLimit", True):
            notes.append("The kernel does not enforce memory limits.")
        elif not self._info.get("SwapLimit", True):
            notes.append("The kernel does not limit swap: memory limits do not count it.")
        return BackendFacts(
            name=self.name,
            version=self._info.get("ServerVersion", ""),
            cpus=self._info.get("NCPU", 0),
            memory_bytes=self._info.get("MemTotal", 0),
            gpus=count_gpus(self._info, local=address.local),
            enforces_limits=True,
            gateway=gateway,
            notes=tuple(notes),
            sockets=address.sockets,
        )

    async def close(self) -> None:
        """Let go of the engine. Containers are left as they are."""
        for task in self._tasks:
            task.cancel()
        if self._events is not None:
            await self._events.close()
        for container in self._containers.values():
            await container.abandon()
        self._containers.clear()
        if self._link is not None:
            self._link.images.close()
            self._link.calls.close()
            self._link = None

    @property
    def link(self) -> EngineLink:
        """What every container needs of the open engine; for the warm agents that run on it, too."""
        if self._link is None:
            raise BackendError(Reason.INFRA_ERROR, "the Docker backend is not open", transient=False)
        return self._link

    # -- the life of agents ---------------------------------------------------------------------------

    async def prepare(self, spec: AgentSpec) -> None:
        """Hold the limits against the machine, get the image."""
        check_texts(spec)
        check_limits(spec.limits, self._facts_known)
        if spec.image is None:
            raise BackendError(
                Reason.INPUT_ERROR,
                "the step has no image, and a container needs one",
                transient=False,
                hint="give the step an `image`, or run it with --backend process",
            )
        if network := joined_network(spec, self.link.traits):
            await check_network(self.link.calls, network)
        await self.link.images.ensure(spec.image, spec.pull_policy)

    def fetched(self, image: str) -> int | None:
        """What the engine tells of the pull in progress."""
        return self.link.images.fetched(image)

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Create the container, attached to its output."""
        check_name(spec.name)
        container = self._containers.get(spec.name)
        if container is None or container.removed:
            container = self._containers[spec.name] = Container(self.link, spec.name)
        return await container.create(spec, sink)

    async def start(self, name: str) -> None:
        """Start it once fewer than `max_starts` others are starting."""
        container = await self.container(name)
        if container is None:
            raise BackendError(Reason.LOST, f"{name} vanished before it was started", transient=True)
        await container.start()

    async def wait(self, name: str) -> Exit:
        """Wait for its end and for the last of its output."""
        container = await self.container(name)
        return await container.wait() if container else Exit(-1, lost=True)

    async def stop(self, name: str, grace: float) -> None:
        """The image's stop signal (SIGTERM if it names none), `grace` seconds, SIGKILL."""
        if container := await self.container(name):
            await container.stop(grace)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        if container := await self.container(name):
            await container.kill()

    async def remove(self, name: str) -> None:
        """Remove the container by force."""
        if container := await self.container(name):
            await container.remove()
            if self._containers.get(name) is container:
                del self._containers[name]

    async def keep(self, name: str) -> None:
        """It stays by itself."""

    async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
        """Copy what the container has at `path`; a link there is followed within the container."""
        container = await self.container(name)
        if container is None or not container.id:
            raise BackendError(Reason.LOST, f"{name} is gone, and its files with it", transient=False)
        return await collect(self.link, name, path, into, limit)

    async def image_digest(self, image: str, policy: PullPolicy) -> str:
        """The image's id, asked for anew each time: names move."""
        return await self.link.images.digest(image, policy)

    async def adopt(self, name: str, sink: LogSink) -> AgentInfo | None:
        """Take a container over; its output comes again from its beginning, with Docker's times."""
        container = await self.container(name)
        found = await inspect(self.link.calls, container.id) if container else None
        if container is None or found is None:
            return None
        container.take_over(found)
        await container.deliver_to(sink)
        return info_of_inspect(found)

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """All containers with our labels, and the size of what they wrote."""
        wanted = INSTANCE_LABEL if instance is None else f"{INSTANCE_LABEL}={instance}"
        found = await self.link.calls(
            "list our containers", "containers", all=True, size=True, filters={"label": [wanted]}
        )
        known = self.link.by_id
        agents = [info_of_listing(container) for container in found]
        return [
            known[agent.agent_id].correct(agent) if agent.agent_id in known else agent
            for agent in agents
            if agent.identity.instance
        ]

    async def describe(self, name: str) -> dict[str, Any] | None:
        """What the engine tells of the container and of its image."""
        container = await self.container(name)
        return await describe(self.link.calls, container.id or name) if container is not None else None

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """In the running container, or, after its exit, in a copy of its files."""
        check_name(name)
        return await docker_enter.open_shell(self.link, name, command, tty=tty)

    async def close_shell(self, shell: Shell) -> None:
        """Remove the copy."""
        if shell.copy:
            await docker_enter.remove_copy(self.link.calls, shell.copy)

    async def shell_copies(self, instance: str | None = None) -> list[ShellCopy]:
        """Containers that were made to be entered."""
        return await docker_enter.shell_copies(self.link.calls, instance)

    async def sweep_shells(self) -> list[str]:
        """Copies, and images of copies, whose makers are gone."""
        return await docker_enter.sweep(self.link)

    async def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """From the engine's stats, one stream for all who watch it."""
        container = await self.container(name)
        if container is not None and container.running:
            async with aclosing(container.stats.watch()) as samples:
                async for sample in samples:
                    yield sample

    async def sample(self, name: str) -> Sample | None:
        """One look at the engine's stats, which takes it up to a second."""
        container = await self.container(name)
        return await container.stats.look() if container is not None and container.running else None

    def listen(self, name: str, listener: Listener) -> None:
        """Health checks and pauses."""
        if (container := self._containers.get(name)) is not None:
            container.notices.listen(listener)

    def image_id(self, name: str) -> str:
        """As the engine said when the container was made."""
        container = self._containers.get(name)
        return container.image_id if container is not None else ""

    def placement(self, name: str) -> Placement | None:
        """Each task has an agent of its own."""
        return None

    async def container(self, name: str) -> Container | None:
        """The container of that name, also one from before this backend; None if there is none.

        Raises:
            BackendError: it is another home's, or nobody's.
        """
        check_name(name)
        known = self._containers.get(name)
        if known is not None:
            return known
        found = await inspect(self.link.calls, name)
        if found is None:
            return None
        owner = (found["Config"]["Labels"] or {}).get(INSTANCE_LABEL)
        if owner != self._instance:
            raise BackendError(
                Reason.INPUT_ERROR,
                f"the container {name} is not of this home (found {owner!r}, expected {self._instance!r})",
                transient=False,
                hint="use the home that made it, or the docker command",
            )
        # Another call may have found it in the meantime.
        container = self._containers.setdefault(name, Container(self.link, name))
        if not container.id:
            container.take_over(found)
        return container

    # -- noticing ends --------------------------------------------------------------------------------

    def _dispatch(self, event: ContainerEvent) -> None:
        if self._link and (container := self._link.by_id.get(event.container_id)):
            container.saw(event)

    async def _poll(self) -> None:
        """The backstop for lost events. Asks nothing while nothing runs."""
        while True:
            await asyncio.sleep(self._deadlines.poll)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        waited_for = [container for container in self._containers.values() if container.running]
        if not waited_for or self._link is None:
            return
        try:
            listed = await self._link.calls(
                "look at our containers",
                "containers",
                filters={"label": [f"{INSTANCE_LABEL}={self._instance}"], "status": ["running", "paused"]},
            )
            alive = {found["Id"] for found in listed}
            for container in waited_for:
                if container.id not in alive and container.running:
                    await container.look()
        except BackendError:
            return  # an engine that does not answer is asked again; steps have timeouts of their own

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
