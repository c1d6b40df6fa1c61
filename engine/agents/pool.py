"""A pool: warm agents, the tasks that wait for them, and who comes and goes when.

Agents serve only tasks of their own kind (`Kind`): image, limits, mounts, user, network. A pool may hold
several kinds; its size bounds them together. Tasks are served in the order in which they came, except that a
ready agent never waits for a task of another kind that still has to wait.

Life of an agent: starting -> idle -> busy -> cleaning -> idle … -> leaving. It leaves after `max_agent_uses`
tasks, when it could not be cleaned, when it died or had to be stopped, when its image is outdated, when its
room is needed for another kind, and when it was idle for `idle_timeout` beyond `min_size`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from engine.agents.backend import AgentSpec, PoolReport, PoolSettings
from engine.agents.pool_members import Kind, Member, Waiter
from engine.agents.warm import UnfitError, WarmMaker
from engine.errors import BackendError, Reason

_log = logging.getLogger("agentainer")

# Agents of one pool that start at the same time: more of them only make the first one later.
_STARTS_AT_ONCE = 2
# Seconds that tasks get to be served, or to run, before they have to share the machine with another start.
_PATIENCE = 0.05
# Timers of the event loop may come this much too early, in seconds.
_TIMER_ERROR = 0.001
# Agents that are started ahead of the tasks where each serves only one, unless `min_size` says more.
_AHEAD = 2


class Pool:
    """The agents that share a name.

    Args:
        settings: its sizes; the newest that a task brings count.
        maker: makes agents.
        new_name: gives each a name.
    """

    def __init__(self, settings: PoolSettings, maker: WarmMaker, new_name: Callable[[], str]) -> None:
        self.settings = settings
        self._maker = maker
        self._new_name = new_name
        self._members: list[Member] = []
        self._starting: Counter[Kind] = Counter()
        self._waiting: deque[Waiter] = deque()
        self._starts = asyncio.Semaphore(_STARTS_AT_ONCE)
        self._unfit: dict[str, str] = {}
        self._hits = self._misses = self._tasks = 0
        self._retired: Counter[str] = Counter()
        self._mode = ""
        self._note = ""
        self._background: set[asyncio.Task[None]] = set()
        self._making: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    # -- what tasks do --------------------------------------------------------------------------------

    async def acquire(self, kind: Kind, spec: AgentSpec) -> tuple[Member, bool]:
        """An agent for a task, and whether it was there already; waits for its turn.

        Raises:
            UnfitError: agents of that kind cannot serve tasks.
            BackendError: none could be made.
        """
        if self._closed:
            closed = f"the pool {self.settings.name} is closed"
            raise BackendError(Reason.INFRA_ERROR, closed, transient=False)
        if why := self._unfit.get(kind.content):
            raise UnfitError(why)
        self._retire_outdated(kind)
        run_id, waited = spec.identity.run_id, False
        while True:
            member = self._idle_for(kind, run_id)
            if member is None:
                waited = True
                member = await self._wait_for_one(kind, spec)
            member.state = "busy"
            if await self._is_trusted(member, run_id):
                break
        ready = not waited or member.uses > 0
        member.uses += 1
        member.run_id, member.checked = run_id, False
        self._tasks += 1
        self._hits, self._misses = self._hits + ready, self._misses + (not ready)
        if self.settings.max_agent_uses == 1:
            self._spawn(self._replace_soon(kind, spec))
        return member, ready

    def release(self, member: Member) -> None:
        """Its task is over: clean the agent for the next one, or let it go."""
        if member.state != "busy":
            return
        limit = self.settings.max_agent_uses
        if limit and member.uses >= limit:
            self.retire(member, "uses")
        elif self._closed or member.agent.unusable.is_set():
            self.retire(member, self._why_gone(member))
        else:
            member.state = "cleaning"
            self._spawn(self._clean(member))

    def give_back(self, member: Member) -> None:
        """It was not given anything after all."""
        if member.state == "busy":
            self._offer(member)

    def retire(self, member: Member, why: str) -> None:
        """Let an agent go, and have another one started where one is wanted."""
        if member.state == "leaving":
            return
        member.state = "leaving"
        self._retired[why] += 1
        self._spawn(self._discard(member))

    def detach(self, member: Member) -> None:
        """Somebody else takes care of it from now on: it is no agent of this pool any more."""
        member.state = "leaving"
        self._retired["kept"] += 1
        self._forget(member)

    # -- what others do -------------------------------------------------------------------------------

    def warm_up(self, kind: Kind, spec: AgentSpec, count: int) -> None:
        """Have so many agents of a kind ready soon, the ones at work included."""
        if kind.content not in self._unfit and not self._closed:
            self._retire_outdated(kind)
            at_work = sum(member.state in ("busy", "cleaning") for member in self._of(kind))
            self._start_ahead(kind, spec, count - at_work)

    def release_run(self, run_id: str) -> None:
        """A run is over: what is of use to it alone goes, the others are looked at for the next run."""
        for member in [m for m in self._members if m.state == "idle"]:
            if member.kind.run_id == run_id:
                self.retire(member, "run over")
            elif member.run_id == run_id and not member.checked:
                member.state = "cleaning"
                self._spawn(self._check(member))

    def report(self) -> PoolReport:
        """See `PoolReport`."""
        states = Counter(member.state for member in self._members)
        return PoolReport(
            name=self.settings.name,
            min_size=self.settings.min_size,
            max_size=self.settings.max_size,
            mode=self._mode,
            images=tuple(sorted({member.kind.image for member in self._members})),
            size=len(self._members),
            busy=states["busy"],
            idle=states["idle"],
            starting=self._starting.total(),
            waiting=len(self._waiting),
            hits=self._hits,
            misses=self._misses,
            tasks=self._tasks,
            retired=dict(self._retired),
            note=self._note,
        )

    async def close(self) -> None:
        """Let all agents go, and wait until they are gone."""
        self._closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        for waiter in self._waiting:
            waiter.turn.cancel()
        self._waiting.clear()
        for making in self._making:
            making.cancel()
        while self._members or self._background:
            for member in list(self._members):
                self.retire(member, "closed")
            await asyncio.wait(self._background)

    # -- giving agents to tasks -----------------------------------------------------------------------

    def _of(self, kind: Kind) -> list[Member]:
        return [member for member in self._members if member.kind == kind]

    def _idle_for(self, kind: Kind, run_id: str) -> Member | None:
        """The idle agent that is best for a run: one that need not be looked at, then the last used."""
        ready = [m for m in self._of(kind) if m.state == "idle" and not m.agent.unusable.is_set()]
        return max(ready, key=lambda m: (m.checked or m.run_id == run_id, m.idle_since), default=None)

    async def _wait_for_one(self, kind: Kind, spec: AgentSpec) -> Member:
        waiter = Waiter(kind, spec)
        self._waiting.append(waiter)
        self._grow()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._offer(waiter.turn.result())  # it had just been given
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    async def _is_trusted(self, member: Member, run_id: str) -> bool:
        """Whether a task of a run may have the agent: nothing of another run is in it. Else it is let go."""
        if member.checked or member.run_id in (None, run_id):
            return True
        try:
            why = await member.agent.check()
        except asyncio.CancelledError:
            self._offer(member)
            raise
        if why:
            self._unclean(member, why)
        return not why

    def _offer(self, member: Member) -> None:
        """It is ready: the oldest task that it can serve gets it, else it is idle."""
        if self._closed or member.agent.unusable.is_set():
            self.retire(member, self._why_gone(member))
            return
        first = self._waiting[0] if self._waiting else None
        if first is not None and first.kind != member.kind and not self._starting[first.kind]:
            # Its room is needed: else a task of a rarer kind could wait for ever.
            self.retire(member, "room")
            return
        for waiter in self._waiting:
            if waiter.kind == member.kind:
                self._waiting.remove(waiter)
                member.state = "busy"
                waiter.turn.set_result(member)
                return
        member.state = "idle"
        member.idle_since = asyncio.get_running_loop().time()
        self._set_expiry()

    # -- coming ---------------------------------------------------------------------------------------

    @property
    def _staying(self) -> int:
        return sum(member.state != "leaving" for member in self._members)

    @property
    def _room(self) -> int:
        return self.settings.max_size - len(self._members) - self._starting.total()

    def _grow(self) -> None:
        """Start what the waiting tasks need; without room, an idle agent of another kind makes some."""
        wanted = Counter(waiter.kind for waiter in self._waiting)
        for waiter in list(self._waiting):
            if self._starting[waiter.kind] >= wanted[waiter.kind]:
                continue
            if self._room > 0:
                self._start(waiter.kind, waiter.spec)
            else:
                idle = [m for m in self._members if m.state == "idle" and m.kind != waiter.kind]
                if idle and not any(m.state == "leaving" for m in self._members):
                    self.retire(min(idle, key=lambda m: m.idle_since), "room")
                return

    def _start_ahead(self, kind: Kind, spec: AgentSpec, ready: int) -> None:
        """Have so many agents ready or starting, as far as there is room."""
        have = sum(member.state == "idle" for member in self._of(kind)) + self._starting[kind]
        for _ in range(min(ready - have, self._room)):
            self._start(kind, spec, ahead=True)

    async def _replace_soon(self, kind: Kind, spec: AgentSpec) -> None:
        """Start the successor of an agent that serves only one task, once that has had its chance to run."""
        await asyncio.sleep(_PATIENCE)
        if not self._closed:
            self._start_ahead(kind, spec, max(self.settings.min_size, _AHEAD))

    def _start(self, kind: Kind, spec: AgentSpec, *, ahead: bool = False) -> None:
        self._starting[kind] += 1
        making = self._spawn(self._make(kind, spec, ahead=ahead))
        self._making.add(making)
        making.add_done_callback(self._making.discard)

    async def _make(self, kind: Kind, spec: AgentSpec, *, ahead: bool) -> None:
        member: Member | None = None
        try:
            async with self._starts:
                if self._members and not ahead:
                    await asyncio.sleep(_PATIENCE)
                if self._closed or not (ahead or any(waiter.kind == kind for waiter in self._waiting)):
                    return  # others have served the tasks that it was for
                exact = replace(spec, image=kind.content)
                member = Member(await self._maker.make(exact, self._new_name()), kind, spec)
        except UnfitError as error:
            self._note = f"tasks of {kind.image} get containers of their own: {error}"
            self._unfit[kind.content] = str(error)
            self._refuse(kind, error, everyone=True)
        except BackendError as error:
            self._note = f"an agent could not be started: {error.message}"
            self._refuse(kind, error, everyone=False)
        finally:
            self._starting[kind] -= 1
            if member is not None:
                self._join(member)
            elif not self._closed:
                self._grow()

    def _join(self, member: Member) -> None:
        self._mode = member.agent.mode
        self._members.append(member)
        member.watch = asyncio.create_task(self._until_unusable(member))
        self._offer(member)

    def _refuse(self, kind: Kind, error: Exception, *, everyone: bool) -> None:
        for waiter in [waiter for waiter in self._waiting if waiter.kind == kind]:
            self._waiting.remove(waiter)
            waiter.turn.set_exception(error)
            if not everyone:
                return

    # -- between tasks, and going ---------------------------------------------------------------------

    async def _clean(self, member: Member) -> None:
        if why := await member.agent.clean():
            self._unclean(member, why)
        elif member.state == "cleaning":
            self._offer(member)

    async def _check(self, member: Member) -> None:
        if why := await member.agent.check():
            self._unclean(member, why)
        elif member.state == "cleaning":
            member.checked = True
            self._offer(member)

    def _unclean(self, member: Member, why: str) -> None:
        _log.info("warm agent %s goes: %s", member.agent.name, why)
        self.retire(member, "died" if member.agent.ended.is_set() else "unclean")

    async def _until_unusable(self, member: Member) -> None:
        await member.agent.unusable.wait()
        if member.state in ("idle", "cleaning"):
            self.retire(member, self._why_gone(member))

    def _why_gone(self, member: Member) -> str:
        if self._closed:
            return "closed"
        return "died" if member.agent.ended.is_set() else "unhealthy"

    async def _discard(self, member: Member) -> None:
        try:
            await member.agent.discard()
        except BackendError as error:
            # It is found by its labels when the next engine opens this home.
            _log.warning("warm agent %s could not be removed: %s", member.agent.name, error)
        finally:
            self._forget(member)

    def _forget(self, member: Member) -> None:
        """It is gone: somebody may have waited for its room."""
        if member.watch is not None:
            member.watch.cancel()
        if member in self._members:
            self._members.remove(member)
        if self._closed:
            return
        self._grow()
        missing = self.settings.min_size - len(self._members) - self._starting.total()
        if missing > 0 and member.kind.run_id is None and member.kind.content not in self._unfit:
            for _ in range(min(missing, self._room)):
                self._start(member.kind, member.spec, ahead=True)

    def _retire_outdated(self, kind: Kind) -> None:
        """Agents of the same image name, but not of what it means now, have had their time."""
        for member in self._members:
            outdated = member.kind.image == kind.image and member.kind.content != kind.content
            if member.state == "idle" and outdated:
                self.retire(member, "outdated")

    def _set_expiry(self) -> None:
        """Wake up when the next agent has been idle for long enough."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        idle = [member.idle_since for member in self._members if member.state == "idle"]
        if idle and self._staying > self.settings.min_size:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_at(min(idle) + self.settings.idle_timeout, self._expire)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        staying = self._staying
        for member in sorted(self._members, key=lambda m: m.idle_since):
            if staying <= self.settings.min_size:
                break
            idle = now - member.idle_since
            if member.state == "idle" and idle >= self.settings.idle_timeout - _TIMER_ERROR:
                staying -= 1
                self.retire(member, "idle")
        self._expiry = None
        self._set_expiry()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"pool {self.settings.name}")
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
