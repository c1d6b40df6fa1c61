"""Agents that exist only in memory, for tests of the engine: scripted, exact, and on the loop's time.

Each agent behaves as its `Script` says; what happened (starts, stops, most at once, what is left) is kept
for the invariants that the tests check. Nothing here uses threads or sockets, so it runs under virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from engine.agents.backend import (
    AgentInfo,
    AgentPhase,
    AgentSpec,
    BackendFacts,
    Exit,
    Listener,
    LogSink,
    Notice,
    Placement,
    PullPolicy,
    Sample,
    Usage,
)
from engine.agents.safe_copy import SafeCopy
from engine.agents.shells import Shell, ShellCopy
from engine.errors import BackendError, Reason

_KILLED = 137
_TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Script:
    """What one agent does.

    Attributes:
        exit_code: how it ends by itself.
        delay: seconds it runs; None = until it is stopped.
        stdout, stderr: what it prints when it starts.
        action: awaited while it "runs", before the delay; acts as the task's own code (Redis keys and so on).
        ignores_term: only a kill ends it.
        oom: it ends for want of memory.
        lost_after: seconds after which it vanishes.
        prepare_error, create_error, start_error: raised by these calls, the first `error_times` times.
        prepare_delay, create_delay, start_delay: seconds that these calls take.
        files: what it leaves, once it has been started: contents by path.
        samples: what it uses so many seconds after its start; None = that cannot be told.
        usage: what its end says that it used.
    """

    exit_code: int = 0
    delay: float | None = 0.0
    stdout: str = ""
    stderr: str = ""
    action: Callable[[AgentSpec], Awaitable[None]] | None = None
    ignores_term: bool = False
    oom: bool = False
    lost_after: float | None = None
    prepare_error: BackendError | None = None
    create_error: BackendError | None = None
    start_error: BackendError | None = None
    error_times: int = 1_000_000
    prepare_delay: float = 0.0
    create_delay: float = 0.0
    start_delay: float = 0.0
    files: Mapping[str, bytes] = field(default_factory=dict)
    samples: Callable[[float], Sample] | None = None
    usage: Usage | None = None


@dataclass
class MemoryAgent:
    """One agent and what became of it."""

    spec: AgentSpec
    script: Script
    sink: LogSink
    phase: AgentPhase = AgentPhase.CREATED
    exit: asyncio.Future[Exit] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[None] | None = None
    term: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = 0.0
    listener: Listener | None = None


Behaviour = Callable[[AgentSpec], Script]


class MemoryBackend:
    """The scripted backend. `behaviour` gives each agent its script.

    Attributes:
        agents: those that exist (not removed), by name.
        started: names in the order of their starts.
        running: how many run now; `most_running`: the most there ever were at once.
        digests: of images that are not to be identified by their names.
        looks: the `sample` calls: name, and seconds since its start; `streams`, `most_streams`: iterations
            of `samples` that are open, and the most there ever were at once.
    """

    name = "memory"

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._behaviour = behaviour or (lambda spec: Script())
        self.agents: dict[str, MemoryAgent] = {}
        self.started: list[str] = []
        self.removed: list[str] = []
        self.running = 0
        self.most_running = 0
        self.digests: dict[str, str] = {}
        self.looks: list[tuple[str, float]] = []
        self.streams = self.most_streams = 0
        self._errors: dict[tuple[str, str], int] = {}
        self._fetching: dict[str, tuple[float, float]] = {}

    async def open(self) -> BackendFacts:
        """There is nothing to connect to."""
        return BackendFacts("memory", cpus=64, memory_bytes=64 << 30, enforces_limits=True)

    async def close(self) -> None:
        """Agents go on, as they would."""

    async def prepare(self, spec: AgentSpec) -> None:
        """Fail or take time as scripted."""
        script = self._behaviour(spec)
        begin = asyncio.get_running_loop().time()
        if spec.image is not None and script.prepare_delay:
            self._fetching[spec.image] = (begin, script.prepare_delay)
        await asyncio.sleep(script.prepare_delay)
        self._fetching.pop(spec.image or "", None)
        self._fail(spec, "prepare", script, script.prepare_error)

    def fetched(self, image: str) -> int | None:
        """As much as of the scripted time has passed."""
        if image not in self._fetching:
            return None
        begin, delay = self._fetching[image]
        return int(100 * (asyncio.get_running_loop().time() - begin) / delay)

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Make it; an agent of that name is adopted."""
        script = self._behaviour(spec)
        await asyncio.sleep(script.create_delay)
        self._fail(spec, "create", script, script.create_error)
        if spec.name not in self.agents:
            self.agents[spec.name] = MemoryAgent(spec, script, sink)
        return f"memory-{spec.name}"

    async def start(self, name: str) -> None:
        """Run it."""
        agent = self._agent(name)
        if agent.phase is not AgentPhase.CREATED:
            return
        await asyncio.sleep(agent.script.start_delay)
        self._fail(agent.spec, "start", agent.script, agent.script.start_error)
        if agent.phase is not AgentPhase.CREATED or name not in self.agents:
            return
        agent.phase = AgentPhase.RUNNING
        agent.started = asyncio.get_running_loop().time()
        self.started.append(name)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        agent.task = asyncio.create_task(self._live(agent))

    async def wait(self, name: str) -> Exit:
        """Wait for the exit."""
        agent = self.agents.get(name)
        if agent is None:
            return Exit(-1, lost=True)
        return await asyncio.shield(agent.exit)

    async def stop(self, name: str, grace: float) -> None:
        """TERM, grace, KILL."""
        agent = self.agents.get(name)
        if agent is None or agent.exit.done():
            return
        if agent.phase is AgentPhase.CREATED:
            self._end(agent, Exit(_KILLED))
            return
        agent.term.set()
        if agent.script.ignores_term:
            await asyncio.wait({agent.exit}, timeout=grace)
            await self.kill(name)
        else:
            await asyncio.wait({agent.exit})

    async def kill(self, name: str) -> None:
        """End it now."""
        agent = self.agents.get(name)
        if agent is not None:
            self._end(agent, Exit(_KILLED))

    async def remove(self, name: str) -> None:
        """Forget it."""
        await self.kill(name)
        if self.agents.pop(name, None) is not None:
            self.removed.append(name)

    async def keep(self, name: str) -> None:
        """It stays by itself."""

    async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
        """Write what its script says it leaves at `path`, or below it."""
        agent = self._agent(name)
        if agent.phase is AgentPhase.CREATED:
            return None
        wanted = PurePosixPath(path).parts
        found = {
            parts[len(wanted) :]: content
            for file, content in agent.script.files.items()
            if (parts := PurePosixPath(file).parts)[: len(wanted)] == wanted
        }
        if not found:
            return None
        with SafeCopy(into, limit=limit, what=f"{path!r} of {name}") as copy:
            for parts, content in found.items():
                copy.file(parts, 0o644, len(content), io.BytesIO(content).read)
            return copy.finish()

    async def image_digest(self, image: str, policy: PullPolicy) -> str:
        """As a test has put it into `digests`, else the name."""
        return self.digests.get(image, image)

    async def adopt(self, name: str, sink: LogSink) -> AgentInfo | None:
        """Take over what an earlier engine left."""
        agent = self.agents.get(name)
        if agent is None:
            return None
        sink.restart()
        agent.sink = sink
        self._print(agent)
        return self._info(agent)

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """All that exist."""
        return [
            self._info(agent)
            for agent in self.agents.values()
            if instance is None or agent.spec.identity.instance == instance
        ]

    async def describe(self, name: str) -> dict[str, Any] | None:
        """Where it stands."""
        agent = self.agents.get(name)
        return {"state": {"status": self._info(agent).phase.value}} if agent is not None else None

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """There is nothing to enter."""
        raise BackendError(Reason.INPUT_ERROR, f"{name} has nothing to enter", transient=False)

    async def close_shell(self, shell: Shell) -> None:
        """None was opened."""

    async def shell_copies(self, instance: str | None = None) -> list[ShellCopy]:
        """None is ever made."""
        return []

    async def sweep_shells(self) -> list[str]:
        """None is ever left."""
        return []

    async def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """As scripted, once a second."""
        self.streams += 1
        self.most_streams = max(self.most_streams, self.streams)
        try:
            while (sample := self._sample(name)) is not None:
                yield sample
                await asyncio.sleep(1.0)
        finally:
            self.streams -= 1

    async def sample(self, name: str) -> Sample | None:
        """As scripted."""
        sample = self._sample(name)
        if (agent := self.agents.get(name)) is not None:
            self.looks.append((name, asyncio.get_running_loop().time() - agent.started))
        return sample

    def _sample(self, name: str) -> Sample | None:
        agent = self.agents.get(name)
        if agent is None or agent.phase is not AgentPhase.RUNNING or agent.script.samples is None:
            return None
        return agent.script.samples(asyncio.get_running_loop().time() - agent.started)

    def listen(self, name: str, listener: Listener) -> None:
        """Until a test calls `notice`."""
        if (agent := self.agents.get(name)) is not None:
            agent.listener = listener

    def image_id(self, name: str) -> str:
        """Images are names only."""
        return ""

    def placement(self, name: str) -> Placement | None:
        """Each task has an agent of its own."""
        return None

    # -- tests reach in here --------------------------------------------------------------------------

    def vanish(self, name: str) -> None:
        """The agent is gone, as if removed by hand."""
        self._end(self.agents.pop(name), Exit(-1, lost=True))

    def notice(self, name: str, notice: Notice) -> None:
        """Something happens to the agent."""
        if (listener := self.agents[name].listener) is not None:
            listener(notice)

    # -- inside ---------------------------------------------------------------------------------------

    def _agent(self, name: str) -> MemoryAgent:
        try:
            return self.agents[name]
        except KeyError:
            raise BackendError(Reason.LOST, f"agent {name} is gone", transient=True) from None

    def _fail(self, spec: AgentSpec, call: str, script: Script, error: BackendError | None) -> None:
        if error is None:
            return
        done = self._errors.get((spec.name, call), 0)
        self._errors[spec.name, call] = done + 1
        if done < script.error_times:
            raise error

    def _info(self, agent: MemoryAgent) -> AgentInfo:
        spec = agent.spec
        code = agent.exit.result().code if agent.exit.done() else None
        return AgentInfo(
            spec.name, f"memory-{spec.name}", spec.identity, agent.phase, spec.image, exit_code=code
        )

    def _print(self, agent: MemoryAgent) -> None:
        for stream, text in (("stdout", agent.script.stdout), ("stderr", agent.script.stderr)):
            if text:
                agent.sink.write("stdout" if stream == "stdout" else "stderr", text.encode())

    async def _live(self, agent: MemoryAgent) -> None:
        script = agent.script
        self._print(agent)
        if script.action is not None:
            await script.action(agent.spec)
        if script.lost_after is not None:
            await asyncio.sleep(script.lost_after)
            self.vanish(agent.spec.name)
            return
        if await self._is_stopped(agent):
            end = Exit(_TERMINATED)
        else:
            end = Exit(_KILLED if script.oom else script.exit_code, oom=script.oom, usage=script.usage)
        self._end(agent, end)

    async def _is_stopped(self, agent: MemoryAgent) -> bool:
        """Let it run for its time; True if it was told to end before that, and did."""
        heeds = not agent.script.ignores_term
        if agent.script.delay == 0:
            await asyncio.sleep(0)
            return heeds and agent.term.is_set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(agent.script.delay):
                await (agent.term if heeds else asyncio.Event()).wait()
                return True
        return False

    def _end(self, agent: MemoryAgent, end: Exit) -> None:
        if agent.exit.done():
            return
        if agent.phase is AgentPhase.RUNNING:
            self.running -= 1
        agent.phase = AgentPhase.EXITED
        agent.exit.set_result(end)
        if agent.task is not None and agent.task is not asyncio.current_task():
            agent.task.cancel()
