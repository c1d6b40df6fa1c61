"""Agents as processes of this machine, for machines without a Docker engine.

Nothing isolates them: they are processes of this user, and limits are not enforced. Each has a session and a
directory of its own, and ends as a whole, with all its descendants.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import platform
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from engine.agents.feed import SampleFeed
from engine.agents.process_child import Child, StartError, spawn
from engine.agents.process_collect import collect
from engine.agents.process_records import (
    MARKER,
    Record,
    Records,
    birth_of,
    is_alive,
    kill_marked,
    kill_orphan,
    marked,
    terminate_orphan,
)
from engine.agents.process_usage import measure
from engine.agents.shells import Shell, ShellCopy
from engine.agents.texts import check_texts
from engine.clock import isoformat
from engine.errors import BackendError, Reason, UnavailableError
from engine.trees import size_of

_log = logging.getLogger(__name__)

# What a task may rely on from outside, besides what it is promised.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_NEVER_RAN = Exit(-1, start_error="it was stopped before it had been started")
_LOST = Exit(-1, lost=True)
# A process that does not go after SIGKILL hangs in the kernel; seconds until that is said.
_KILL_DEADLINE = 10.0
_LOOK_AGAIN = 0.05
_SAMPLE_EVERY = 1.0


@dataclass
class _Agent:
    """An agent of this backend: `child` once it runs, `end` once `over` is set."""

    spec: AgentSpec
    record: Record
    sink: LogSink
    child: Child | None = None
    end: Exit | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    watching: asyncio.Task[None] | None = None

    def finish(self, end: Exit) -> None:
        """It is over."""
        self.end = end
        self.over.set()

    async def over_within(self, seconds: float) -> bool:
        """Whether it is over within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()
        return self.over.is_set()


class ProcessBackend:
    """Runs agents as local processes.

    Args:
        home: agents work in `<home>/work/<name>`.
        instance: this home's id.
    """

    name = "process"

    def __init__(self, *, home: Path, instance: str) -> None:
        self._records = Records(home)
        self._instance = instance
        self._agents: dict[str, _Agent] = {}
        self._sweeper = _Sweeper()
        self._feeds: dict[str, SampleFeed] = {}

    async def open(self) -> BackendFacts:
        """See that there is a place to work in."""
        if os.name != "posix":
            raise UnavailableError(
                f"local processes are not supported on {platform.system()}", hint="use --backend docker"
            )
        try:
            self._records.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"agents cannot work in {self._records.root}: {error}", hint="choose another --home"
            ) from None
        return BackendFacts(
            name=self.name,
            version=f"{platform.system()} {platform.release()}",
            cpus=os.cpu_count() or 0,
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            notes=("Agents are local processes: not isolated, limits are not enforced.",),
        )

    async def close(self) -> None:
        """Let go of the agents; those that run are left alone, but nobody reads their output any more."""
        for agent in self._agents.values():
            if agent.watching is not None:
                agent.watching.cancel()
            if agent.child is not None:
                agent.child.let_go()
        self._agents.clear()
        await self._sweeper.close()

    # -- the life of agents ---------------------------------------------------------------------------

    async def prepare(self, spec: AgentSpec) -> None:
        """Check that there is a command that can be run; images and limits mean nothing here."""
        if spec.command is None:
            raise _input_error(
                "a local process needs a command",
                "give the step a `command`, or run it with --backend docker, where the image has one",
            )
        if not spec.command or not spec.command[0]:
            raise _input_error("the command is empty", "give the step a `command`")
        check_texts(spec)
        if spec.mounts:
            raise _input_error(
                "the step has volumes, and nothing can be mounted into a local process",
                "run it with --backend docker",
            )
        if spec.working_dir and not await asyncio.to_thread(Path(spec.working_dir).is_dir):
            raise _input_error(
                f"the working directory {spec.working_dir!r} is not there", "make it, or change `working_dir`"
            )

    def fetched(self, image: str) -> int | None:
        """Local processes have no images."""
        return None

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Make its directory and its record; returns its name, which is its id here.

        What a crashed engine left under the name is ended first: it cannot be read from any more.
        """
        known = self._agents.get(spec.name)
        if known is not None:
            known.sink = sink
            if known.child is not None:
                known.child.sink = sink
            return spec.name
        await self.prepare(spec)
        record = Record(spec.name, spec.identity, datetime.now(UTC))
        if self._records.read(spec.name) is not None:
            await asyncio.to_thread(kill_orphan, record)
        self._records.make_directory(spec.name)
        self._records.begin(record)
        self._agents[spec.name] = _Agent(spec, record, sink)
        return spec.name

    async def start(self, name: str) -> None:
        """Start the process."""
        agent = self._agents.get(name)
        if agent is None:
            if self._records.read(name) is None:
                raise BackendError(Reason.LOST, f"{name} vanished before it was started", transient=True)
            return  # an orphan: it runs or has run
        if agent.child is not None or agent.end is not None:
            return
        command = agent.spec.command
        argv = ("/bin/sh", "-c", command) if isinstance(command, str) else command or ()
        try:
            process = spawn(argv, self._working_dir(agent.spec), self._environment(agent))
        except StartError as error:
            agent.finish(Exit(error.code, start_error=error.message))
            raise
        marker = agent.record.marker
        agent.child = Child(process, agent.sink, lambda: kill_marked([marker]))
        agent.watching = asyncio.create_task(self._watch(agent, agent.child), name=f"watch-{name}")
        agent.record = replace(agent.record, pid=process.pid, birth=birth_of(process.pid))
        self._records.note(name, pid=process.pid, birth=agent.record.birth)

    def _working_dir(self, spec: AgentSpec) -> Path:
        return Path(spec.working_dir) if spec.working_dir else self._records.directory(spec.name)

    def _environment(self, agent: _Agent) -> dict[str, str]:
        theirs = ((name, os.environb.get(name.encode())) for name in _INHERITED)
        inherited = {
            name: value.decode("utf-8", "surrogateescape") for name, value in theirs if value is not None
        }
        return {**inherited, **agent.spec.env, MARKER: agent.record.marker}

    async def _watch(self, agent: _Agent, child: Child) -> None:
        await child.ended.wait()
        code = child.code if child.code is not None else -1
        agent.record = replace(agent.record, exit_code=code)
        try:
            self._records.note(agent.record.name, exit_code=code)
        except BackendError as error:
            _log.warning("%s", error)  # it only matters to those who list what was kept
        self._sweeper.sweep(agent.record.marker)
        agent.finish(
            Exit(code, started_at=child.started_at, finished_at=child.finished_at, usage=child.usage)
        )

    async def wait(self, name: str) -> Exit:
        """Wait for its end. Of an agent of a crashed engine nothing can be known: it is lost at once."""
        agent = self._agents.get(name)
        if agent is None:
            return _LOST
        await agent.over.wait()
        return agent.end or _LOST

    async def stop(self, name: str, grace: float) -> None:
        """SIGTERM to its group, `grace` seconds, SIGKILL to all its descendants."""
        agent = self._agents.get(name)
        if agent is None:
            await self._stop_orphan(name, grace)
        elif agent.child is None:
            agent.finish(agent.end or _NEVER_RAN)
        elif not agent.over.is_set():
            agent.child.signal_group(signal.SIGTERM)
            if not await agent.over_within(grace):
                await self.kill(name)
            await self._sweeper.sweep(agent.record.marker)

    async def kill(self, name: str) -> None:
        """SIGKILL to all its descendants; returns when they are gone."""
        agent = self._agents.get(name)
        if agent is None:
            await self._stop_orphan(name, 0)
        elif agent.child is None:
            agent.finish(agent.end or _NEVER_RAN)
        elif not agent.over.is_set():
            agent.child.signal_group(signal.SIGKILL)
            await self._sweeper.sweep(agent.record.marker)
            if not await agent.over_within(_KILL_DEADLINE):
                raise BackendError(
                    Reason.INFRA_ERROR,
                    f"{name} (process {agent.child.pid}) still runs after SIGKILL",
                    transient=True,
                )

    async def _stop_orphan(self, name: str, grace: float) -> None:
        record = self._records.read(name)
        if record is None:
            return
        if grace and is_alive(record):
            terminate_orphan(record)
            for _ in range(math.ceil(grace / _LOOK_AGAIN)):
                await asyncio.sleep(_LOOK_AGAIN)
                if not is_alive(record):
                    break
        await asyncio.to_thread(kill_orphan, record)

    async def remove(self, name: str) -> None:
        """End it if it runs, remove its directory and its record."""
        await self.kill(name)
        agent = self._agents.pop(name, None)
        if agent is not None:
            agent.finish(agent.end or _LOST)
            if agent.child is not None:
                await self._sweeper.sweep(agent.record.marker)
        await asyncio.to_thread(self._records.remove, name)

    async def keep(self, name: str) -> None:
        """It stays by itself."""

    async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
        """Copy what is at `path`, which must lie in its working directory or in the directory of its own."""
        agent = self._agents.get(name)
        own = self._records.directory(name)
        if agent is None and self._records.read(name) is None:
            raise BackendError(Reason.LOST, f"{name} is gone, and its files with it", transient=False)
        working_dir = self._working_dir(agent.spec) if agent else own
        return await collect(name, path, into, limit, working_dir=working_dir, within=(working_dir, own))

    async def image_digest(self, image: str, policy: PullPolicy) -> str:
        """The name: images mean nothing here."""
        return image

    async def adopt(self, name: str, sink: LogSink) -> AgentInfo | None:
        """Tell where an agent of an earlier engine stands.

        It cannot really be taken over: its pipes ended with that engine, and its exit code went to another
        parent. So `start` does nothing with it, `wait` returns `Exit.lost` at once, and the caller stops,
        removes and tries again, as after any platform failure.
        """
        agent = self._agents.get(name)
        if agent is not None:
            agent.sink = sink
            if agent.child is not None:
                agent.child.sink = sink
            alive = agent.child is not None and not agent.over.is_set()
            return agent.record.info(alive=alive)
        record = self._records.read(name)
        return record.info(alive=is_alive(record)) if record else None

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """All agents of this home; those of other homes cannot be seen from here."""
        if instance not in (None, self._instance):
            return []
        return await asyncio.to_thread(self._list)

    def _list(self) -> list[AgentInfo]:
        records = [record for record in self._records.all() if record.identity.instance == self._instance]
        found = marked(record.marker for record in records)
        return [
            record.info(
                alive=record.marker in found or is_alive(record),
                size_bytes=size_of(self._records.directory(record.name)),
            )
            for record in records
        ]

    async def describe(self, name: str) -> dict[str, Any] | None:
        """Its process, and its directory with what that takes."""
        directory = self._records.directory(name)
        record = await asyncio.to_thread(self._records.read, name)
        if record is None or record.identity.instance != self._instance:
            return None
        alive = await asyncio.to_thread(is_alive, record)
        info = record.info(alive=alive)
        return {
            "state": {"status": info.phase.value, "pid": record.pid, "exit_code": record.exit_code},
            "directory": str(directory),
            "directory_bytes": await asyncio.to_thread(size_of, directory),
            "created_at": isoformat(record.created_at),
        }

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """A shell of this machine in the agent's directory."""
        directory = self._records.directory(name)
        if not await asyncio.to_thread(directory.is_dir):
            raise _input_error(f"{name} is gone, and its directory with it", "see `agentainer agents`")
        script = '"${SHELL:-/bin/sh}"' if command is None else '/bin/sh -c "$2"'
        words = (f'cd -- "$1" && exec {script}', "agentainer-shell", str(directory), command or "")
        note = "This is the agent's working directory, as it left it."
        return Shell(name, ("/bin/sh", "-c", *words), note=note)

    async def close_shell(self, shell: Shell) -> None:
        """Nothing was made for it."""

    async def shell_copies(self, instance: str | None = None) -> list[ShellCopy]:
        """None is ever made."""
        return []

    async def sweep_shells(self) -> list[str]:
        """None is ever left."""
        return []

    async def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """Its whole tree once a second, on Linux."""
        feed = self._feeds.setdefault(name, SampleFeed(lambda: self._measure(name)))
        async with contextlib.aclosing(feed.watch()) as samples:
            async for sample in samples:
                yield sample

    async def _measure(self, name: str) -> AsyncGenerator[Sample, None]:
        try:
            while (sample := await self.sample(name)) is not None:
                yield sample
                await asyncio.sleep(_SAMPLE_EVERY)
        finally:
            self._feeds.pop(name, None)

    async def sample(self, name: str) -> Sample | None:
        """Its whole tree now; also one of an earlier engine, or of one in another process."""
        agent = self._agents.get(name)
        record = agent.record if agent is not None else self._records.read(name)
        if record is None or (agent is not None and agent.over.is_set()):
            return None
        return await asyncio.to_thread(lambda: measure(marked([record.marker]).get(record.marker, ())))

    def listen(self, name: str, listener: Listener) -> None:
        """Nothing happens to a process that it does not see itself."""

    def image_id(self, name: str) -> str:
        """There are no images."""
        return ""

    def placement(self, name: str) -> Placement | None:
        """Each task has an agent of its own."""
        return None


class _Sweeper:
    """Kills descendants that outlived their agents, many agents in one pass over the machine's processes.

    A pass takes about a millisecond per hundred processes, in a thread: nobody waits for it but those who
    want to be sure.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def sweep(self, marker: str) -> asyncio.Future[None]:
        """Have the agent's processes killed in the next pass; await the answer to know that it is done."""
        swept = self._waiting.get(marker)
        if swept is None:
            swept = self._waiting[marker] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="sweep")
        return asyncio.shield(swept)

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                await asyncio.to_thread(kill_marked, batch)
            finally:
                for swept in batch.values():
                    if not swept.done():
                        swept.set_result(None)

    async def close(self) -> None:
        """Finish the passes that were asked for."""
        if self._task is not None:
            await asyncio.wait({self._task})


def _input_error(message: str, hint: str) -> BackendError:
    return BackendError(Reason.INPUT_ERROR, message, transient=False, hint=hint)
