"""A pooled task under its own name: at a warm agent, or in a container of its own after all."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Callable
from dataclasses import replace

from engine.agents.backend import AgentInfo, AgentPhase, AgentSpec, Backend, Exit, LogSink, Placement, Sample
from engine.agents.pool import Pool
from engine.agents.pool_members import Kind, Member
from engine.agents.warm import DiedError, UnfitError
from engine.errors import BackendError, Reason

_KILLED = 128 + 9
# How many agents may turn out to be dead when a task is handed over before it gets a container of its own.
_TRIES = 3
_NEVER_RAN = Exit(-1, start_error="it was stopped before it had been started")
_RERUN = "its warm agent ended under it; it was run again in a container of its own"

CreateOwn = Callable[[AgentSpec, LogSink], Awaitable[str]]


class PooledTask:
    """One task, from its creation to its removal.

    Args:
        spec: of the task.
        sink: takes its output; may be replaced until it is started.
        pool, kind: whose agents may run it.
        below: where a container of its own is; `create_own` makes that.

    Attributes:
        member: the warm agent that it has, if it has one.
        placement: where it is, None before it has been created.
        done: its end.
    """

    def __init__(
        self,
        spec: AgentSpec,
        sink: LogSink,
        pool: Pool,
        kind: Kind,
        *,
        below: Backend,
        create_own: CreateOwn,
    ) -> None:
        self.spec = spec
        self.sink = sink
        self.member: Member | None = None
        self.placement: Placement | None = None
        self.done: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._pool = pool
        self._kind = kind
        self._below = below
        self._create_own_container = create_own
        self._running: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def container(self) -> str:
        """Name of the container where it is."""
        return self.member.agent.name if self.member is not None else self.spec.name

    # -- beginning ------------------------------------------------------------------------------------

    async def create(self) -> str:
        """Wait for an agent, or create the task's own container; returns the backend's id of it."""
        try:
            member = await self._take_agent()
        except UnfitError as error:
            return await self._create_own(str(error))
        return member.agent.agent_id

    async def _take_agent(self) -> Member:
        member, ready = await self._pool.acquire(self._kind, self.spec)
        self.member = member
        self.placement = Placement(member.agent.mode, member.agent.name, reused=ready, uses=member.uses)
        return member

    async def _create_own(self, why: str) -> str:
        self.placement = Placement("cold", self.spec.name, why=why)
        return await self._create_own_container(self.spec, self.sink)

    async def start(self) -> None:
        """Hand it to its agent, or start its own container. Nothing happens if it runs or has run."""
        if self._running is not None:
            return
        if self._stopped:
            raise BackendError(
                Reason.CANCELLED, f"{self.spec.name} was stopped before it was started", transient=False
            )
        if self.member is not None:
            await self._hand_over()
        if self.member is None:
            await self._below.start(self.spec.name)
        self._running = asyncio.create_task(self._see_through(), name=self.spec.name)

    async def _hand_over(self) -> None:
        """Begin it at a warm agent; without one at the end, its own container has been created."""
        why = "its warm agents died before they had begun"
        for _ in range(_TRIES):
            try:
                member = self.member or await self._take_agent()
                await member.agent.begin(self.spec, self.sink)
                return
            except DiedError:
                self._give_up_agent("died")
            except UnfitError as error:
                why = str(error)
                break
        self._give_back_agent()
        await self._create_own(why)

    # -- end ------------------------------------------------------------------------------------------

    async def _see_through(self) -> None:
        try:
            end = await self._end()
        except BackendError as error:
            end = Exit(-1, lost=True, note=error.message)
        self._settle(end)

    async def _end(self) -> Exit:
        if self.member is None:
            return await self._below.wait(self.spec.name)
        try:
            return await self.member.agent.wait()
        except UnfitError as error:
            self._pool.release(self.member)
            self.member = None
            return await self._run_own(str(error))
        except DiedError as error:
            if self._stopped:
                return replace(error.end, code=_KILLED, lost=False)
            self._give_up_agent("died")
            if error.end.oom:
                return error.end
            self.sink.restart()
            end = await self._run_own(_RERUN)
            return replace(end, note="; ".join(filter(None, (_RERUN, end.note))))

    async def _run_own(self, why: str) -> Exit:
        await self._create_own(why)
        if self._stopped:
            return _NEVER_RAN
        await self._below.start(self.spec.name)
        return await self._below.wait(self.spec.name)

    def _settle(self, end: Exit) -> None:
        if not self.done.done():
            self.done.set_result(end)

    async def stop(self, grace: float) -> None:
        """Ask it to end, wait, insist; its agent is not used again."""
        self._stopped = True
        if self._running is None:
            self._never_begins()
        elif self.member is not None:
            await self.member.agent.stop(grace)
        else:
            await self._below.stop(self.spec.name, grace)
        await self._ended()

    async def kill(self) -> None:
        """End it now, and its agent with it."""
        self._stopped = True
        if self._running is None:
            self._never_begins()
        elif self.member is not None and not self.done.done():
            await self.member.agent.kill()
        elif self.member is None:
            await self._below.kill(self.spec.name)
        await self._ended()

    def _never_begins(self) -> None:
        self._give_back_agent()
        self._settle(_NEVER_RAN)

    async def _ended(self) -> None:
        """It may have moved to a container of its own just as it was stopped."""
        while not self.done.done():
            if self.member is None:
                await self._below.kill(self.spec.name)
            await asyncio.wait({self.done}, timeout=1.0)

    async def remove(self) -> None:
        """Nothing is left of it: its agent is cleaned for the next task, or goes."""
        if not self.done.done():
            await self.kill()
        if self.member is None:
            await self._below.remove(self.spec.name)
        elif self._stopped:
            self._give_up_agent("stopped")
        else:
            self._pool.release(self.member)
            self.member = None

    async def keep(self) -> None:
        """Its agent leaves the pool as it is, and is from now on the container of the task's name."""
        member, self.member = self.member, None
        if member is not None:
            self._pool.detach(member)
            await member.agent.keep(self.spec.name)

    def _give_up_agent(self, why: str) -> None:
        member, self.member = self.member, None
        if member is not None:
            self._pool.retire(member, why)

    def _give_back_agent(self) -> None:
        member, self.member = self.member, None
        if member is not None:
            self._pool.give_back(member)

    # -- what is asked about it -----------------------------------------------------------------------

    def path(self, path: str) -> str:
        """A path that is relative to its working directory, within the container."""
        return posixpath.join(self.spec.working_dir, path) if self.spec.working_dir is not None else path

    @property
    def is_running(self) -> bool:
        """Started, and not over."""
        return self._running is not None and not self.done.done()

    def info(self, found: AgentInfo) -> AgentInfo:
        """Its container as the agent that it is at the moment."""
        phase = AgentPhase.CREATED if self._running is None else AgentPhase.RUNNING
        code = None
        if self.done.done():
            phase, code = AgentPhase.EXITED, self.done.result().code
        spec = self.spec
        return replace(found, name=spec.name, identity=spec.identity, phase=phase, exit_code=code, pool=None)

    def own_part(self, sample: Sample) -> Sample:
        """A sample of its container without what earlier tasks used there, as far as that is known."""
        if self.member is None or self.member.uses == 1:
            return sample
        return replace(
            sample,
            cpu_seconds=max(0.0, sample.cpu_seconds - self.member.agent.spent),
            memory_peak=None,
            network_in=None,
            network_out=None,
            block_read=None,
            block_write=None,
        )
