"""One container's life, from its creation to its removal, whoever calls what and when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from engine.agents.backend import AgentInfo, AgentPhase, AgentSpec, Exit, LogSink
from engine.agents.docker_actions import init_failure, inspect, make_container, remove_container, start_error
from engine.agents.docker_calls import EngineRefusedError, EngineSilentError
from engine.agents.docker_events import ContainerEvent
from engine.agents.docker_link import EngineLink
from engine.agents.docker_network import check_network, join
from engine.agents.docker_notices import Notices
from engine.agents.docker_oom import KILLED, OOM_NOTICE, SIGKILL, Killing
from engine.agents.docker_output import Output
from engine.agents.docker_spec import INSTANCE_LABEL, JOINS_LABEL, SHARED, joined_network
from engine.agents.docker_stats import ContainerStats
from engine.agents.docker_streams import parse_time
from engine.errors import BackendError, Reason

T = TypeVar("T")

_NEVER_RAN = "it was stopped before it had been started"
# Between looks at a container that has been killed, in case that the event was lost, in seconds.
_LOOK_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class _End:
    """How it ended, before its output has been delivered."""

    code: int
    ran: bool = True
    lost: bool = False
    error: str = ""
    finished_at: datetime | None = None


class Container:
    """A container of ours. All calls may be repeated and may come at the same time."""

    def __init__(self, link: EngineLink, name: str) -> None:
        self.name = name
        self.id = ""
        self.image_id = ""
        self.started = False
        self.removed = False
        self.notices = Notices(link.calls)
        self.killing = Killing()
        self._link = link
        self._output: Output | None = None
        self._sink: LogSink | None = None
        self._creating = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._exited = asyncio.Event()
        self._end: _End | None = None
        self._done: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._stop_signal = "SIGTERM"
        self._joins = ""
        self._takes_input = False
        self._stopping = False
        self._own_network = True
        self._stats: ContainerStats | None = None
        self._started_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Started, and not known to have ended."""
        return self.started and not self._exited.is_set()

    @property
    def stats(self) -> ContainerStats:
        """What it uses; it must exist."""
        if self._stats is None:
            self._stats = ContainerStats(
                self._link, self.id, self._exited, self.killing, own_network=self._own_network
            )
        return self._stats

    def correct(self, info: AgentInfo) -> AgentInfo:
        """The engine tells of an exit a moment before its list shows it: what we know is newer."""
        if self._end is None or info.phase is AgentPhase.EXITED:
            return info
        return replace(info, phase=AgentPhase.EXITED, exit_code=self._end.code)

    # -- beginning ------------------------------------------------------------------------------------

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Create it, or take what exists under its name; returns its id. Its output goes into `sink`."""
        return await self._to_its_end(self._create(spec, sink))

    async def _create(self, spec: AgentSpec, sink: LogSink) -> str:
        async with self._creating:
            if not self.id:
                link = self._link
                try:
                    made = await make_container(link.calls, spec, link.traits, late=self._created_late)
                except BackendError as error:
                    if error.reason is Reason.IMAGE_ERROR:
                        link.images.forget(spec.image)
                    raise
                self._identify(made.id, link.images.stop_signal(spec.image), spec.limits.memory_bytes)
                self.image_id = await link.images.identity(spec.image)
                self._joins = joined_network(spec, link.traits)
                self._takes_input = bool(spec.resident)
                self._own_network = not spec.network.startswith(SHARED)
                if self.removed:
                    await remove_container(link.calls, self.id, link.deadlines.call)
                    raise self._withdrawn()
                if made.found is not None:
                    self.take_over(made.found)
            await self.deliver_to(sink)
            return self.id

    def _identify(self, container_id: str, stop_signal: str, memory: int | None) -> None:
        self.id = container_id
        self._link.by_id[container_id] = self
        self._stop_signal = stop_signal or "SIGTERM"
        self.killing.limited = bool(memory)

    def _created_late(self, made: Mapping[str, Any]) -> None:
        """The engine answered after all, when nobody waited any more."""
        if self.removed:
            self._spawn(remove_container(self._link.calls, made["Id"], self._link.deadlines.call))

    def take_over(self, found: Mapping[str, Any]) -> None:
        """It existed before: learn from the engine's description where it stands."""
        host = found["HostConfig"]
        self._identify(found["Id"], found["Config"].get("StopSignal") or "", host.get("Memory"))
        self.image_id = str(found.get("Image") or "")
        self._joins = (found["Config"]["Labels"] or {}).get(JOINS_LABEL, "")
        self._own_network = not str(host.get("NetworkMode") or "").startswith(SHARED)
        self._judge(found["State"])
        if self.running:
            self._spawn(self.look())  # it may have ended before events were for it

    async def deliver_to(self, sink: LogSink) -> None:
        """Send the output into `sink`: from now on if it has not run yet, else again from its beginning."""
        self._sink = sink
        if self._output is not None and not self.started:
            self._output.sink = sink
            return
        link = self._link
        if self._output is not None:
            await self._output.cancel()
        self._output = Output(link.address, self.id, sink, link.deadlines, link.interruptions, self.look)
        if not self.started:
            await self._output.attach(with_input=self._takes_input)
            return
        self._output.replay()
        if self._end is not None:
            if self._done.done():
                self._done = asyncio.get_running_loop().create_future()
            self._spawn(self._settle(self._end))

    async def send(self, data: bytes) -> None:
        """Write to its standard input.

        Raises:
            OSError: it takes none, or does not take it any more.
        """
        if self._output is None:
            raise ConnectionError(f"{self.name} has ended")
        await self._output.send(data)

    async def start(self) -> None:
        """Start it, when it is its turn. Nothing happens if it runs or has run."""
        if not self.id:
            raise BackendError(Reason.LOST, f"{self.name} was not created", transient=True)
        if not self.started:
            await self._to_its_end(self._start())

    async def _start(self) -> None:
        link = self._link
        async with link.starts:
            if self._stopping or self.removed:
                raise self._withdrawn()
            if self._output is None and self._sink is not None:
                await self.look()
                await self.deliver_to(self._sink)
            if not self.started:
                await self._launch()

    async def _launch(self) -> None:
        for restored in (False, True):
            try:
                await self._call_start()
                return
            except EngineRefusedError as error:
                await self._detach()
                network_gone = error.status == 404 and "network" in error.words
                if network_gone and self._joins:
                    await check_network(self._link.calls, self._joins)
                if restored or not network_gone or self._sink is None:
                    raise self._start_refused(error) from None
                await self._link.restore_network()
                await self.deliver_to(self._sink)
            except BackendError:
                await self._detach()
                raise

    async def _call_start(self) -> None:
        if self._joins:
            await join(self._link.calls, self.id, self._joins)
        deadline = self._link.deadlines.start
        await self._link.calls(f"start {self.name}", "start", self.id, deadline=deadline)
        self.started = True

    async def _detach(self) -> None:
        """A start that failed ended the attachment: the next one needs a new one."""
        await self.let_go()
        self._output = None

    def _start_refused(self, refused: EngineRefusedError) -> BackendError:
        if refused.status == 404 and "no such container" in refused.words.lower():
            self._ended(_End(-1, lost=True))
            return BackendError(Reason.LOST, f"{self.name} vanished before it was started", transient=True)
        error, code = start_error(self.name, refused)
        if code is not None:
            self.started = True
            self._ended(_End(code, ran=False, error=refused.words))
        return error

    def _withdrawn(self) -> BackendError:
        return BackendError(
            Reason.CANCELLED, f"{self.name} was stopped while it was being started", transient=False
        )

    # -- end ------------------------------------------------------------------------------------------

    async def wait(self) -> Exit:
        """Its end, once all of its output has been delivered."""
        if not self.id:
            await self._quiet()
            if not self.id:
                return Exit(-1, lost=True)
        return await asyncio.shield(self._done)

    def saw(self, event: ContainerEvent) -> None:
        """The engine tells of it."""
        match event.action:
            case "start":
                self.started = True
                self._started_at = event.time
            case "oom":
                self.killing.out_of_memory.set()
            case "kill" if event.signal == SIGKILL and not self.killing.by_us:
                self.killing.by_hand = True
            case "pause" | "unpause":
                self.notices.pausing(event)
            case "die" if event.exit_code == KILLED and not self.killing.by_us:
                # By hand, by the kernel, or on its way to being removed: only a look tells these apart.
                self._spawn(self.look())
            case "die" if event.exit_code is not None:
                self._ended(_End(event.exit_code, finished_at=event.time))
            case "destroy":
                self._ended(_End(-1, lost=True))
            case action if action.startswith("health_status"):
                self._spawn(self.notices.health_changed(event))

    async def look(self) -> None:
        """Ask the engine where it stands, and act on the answer."""
        found = await inspect(self._link.calls, self.id)
        if found and self.killing.is_open(found["State"]["ExitCode"]):
            await asyncio.sleep(OOM_NOTICE)
            found = await inspect(self._link.calls, self.id)
        self._judge(found["State"] if found else None)

    def _judge(self, state: Mapping[str, Any] | None) -> None:
        if state is None or state["Status"] in ("removing", "dead"):
            self._ended(_End(-1, lost=True))
            return
        self._started_at = parse_time(state["StartedAt"]) or self._started_at
        if state["OOMKilled"]:
            self.killing.out_of_memory.set()
        if state["Status"] == "created":
            return
        self.started = True
        self.notices.learn(state)
        if state["Status"] == "exited":
            self._ended(_End(state["ExitCode"], finished_at=parse_time(state["FinishedAt"])))

    def _ended(self, end: _End) -> None:
        """Note the end; the first that is known counts."""
        if self._end is None:
            self._end = end
            self._exited.set()
            self._spawn(self._settle(end))

    async def _settle(self, end: _End) -> None:
        error = end.error
        if not end.ran:
            await self.let_go()  # its output would never come to an end
        elif (output := self._output) is not None:
            await output.complete()
            if output is not self._output:
                return  # it is being delivered again to another sink; that settles it
            error = error or init_failure(end.code, output.stderr_head)
        self._output = self._sink = None
        # Docker takes these times at different places: a short life may end before it begins.
        finished_at = end.finished_at
        if finished_at is not None and self._started_at is not None:
            finished_at = max(finished_at, self._started_at)
        oom = self.killing.was_oom(end.code)
        if not self._done.done():
            self._done.set_result(
                Exit(
                    code=end.code,
                    oom=oom,
                    lost=end.lost,
                    start_error=error,
                    note="" if oom or end.lost else self.killing.note(end.code),
                    started_at=self._started_at,
                    finished_at=finished_at,
                )
            )

    async def stop(self, grace: float) -> None:
        """Ask it to end, wait `grace` seconds, insist."""
        if await self._can_be_signalled():
            await self._signal(self._stop_signal)
            if not await self._exits_within(grace):
                await self.kill()

    async def kill(self) -> None:
        """Insist; returns when it has ended."""
        if not await self._can_be_signalled():
            return
        self.killing.by_us = True
        await self._signal("SIGKILL")
        deadline = self._link.deadlines.call
        while not await self._exits_within(_LOOK_AGAIN):
            await self.look()
            deadline -= _LOOK_AGAIN
            if deadline <= 0:
                raise EngineSilentError(f"kill {self.name}", "it still runs after SIGKILL")

    async def _can_be_signalled(self) -> bool:
        """False if it has ended, or will never begin: from here on, no start gets through."""
        self._stopping = True
        await self._quiet()
        if self._exited.is_set() or not await self._exists():
            return False
        if not self.started:
            await self.look()  # an answer to `start` may have been lost
            if not self.started:
                self._ended(_End(-1, ran=False, error=_NEVER_RAN))
        return self.running

    async def _exists(self) -> bool:
        """Whether there is a container at all: the answer to its creation may have been lost."""
        if not self.id:
            found = await inspect(self._link.calls, self.name)
            written = (found["Config"]["Labels"] or {}) if found else {}
            if found and written.get(INSTANCE_LABEL) == self._link.instance:
                self.take_over(found)
        return bool(self.id)

    async def _signal(self, signal: str) -> None:
        doing = f"send {signal} to {self.name}"
        try:
            await self._link.calls(doing, "kill", self.id, signal=signal)
        except EngineRefusedError as error:
            if "paused" in error.words:
                await self._link.calls(f"unpause {self.name}", "unpause", self.id)
                await self._link.calls(doing, "kill", self.id, signal=signal)
            elif error.status in (404, 409):
                await self.look()  # it has ended in the meantime
            else:
                raise

    async def _exits_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    async def remove(self) -> None:
        """Remove it, whatever it does."""
        self._stopping = self.removed = True
        await self._quiet()
        if await self._exists():
            self.killing.by_us = True
            await remove_container(self._link.calls, self.id, self._link.deadlines.call)
            self._link.by_id.pop(self.id, None)
        await self.let_go()
        self._ended(_End(-1, lost=True))

    async def let_go(self) -> None:
        """Stop delivering output; the container is left as it is."""
        if self._output is not None:
            await self._output.cancel()

    async def abandon(self) -> None:
        """Stop everything that goes on here; the container is left as it is."""
        for task in self._tasks:
            task.cancel()
        await self.let_go()

    # -- work that must not be interrupted ------------------------------------------------------------

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on if the awaiting task is cancelled: half a creation would be lost."""
        task = self._spawn(work)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return await asyncio.shield(task)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=self.name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever awaits it; a look that failed is repeated by the poll

    async def _quiet(self) -> None:
        """Wait until no creation or start of ours is in flight; each has a deadline of its own."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)
