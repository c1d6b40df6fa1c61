"""What an agent backend is: its life cycle, its error contract, and the values it exchanges.

Life of an agent, every call naming it by its deterministic `AgentSpec.name`:

    prepare(spec)      image present (pulled at most once at a time, shared by all waiters)
    create(spec, sink) the agent exists and its output is being captured; not yet running.
                       If an agent of that name exists already, it is adopted, never duplicated.
    start(name)        it runs
    wait(name)         returns its `Exit` once it has stopped and its output is complete; any number of
                       callers, at any time, also after the exit
    stop(name, grace)  ask (SIGTERM), wait `grace` seconds, insist (SIGKILL); returns when it has stopped
    kill(name)         insist at once; a `stop` in progress then returns early
    remove(name)       nothing of it is left

Contract:
    * All calls are safe to repeat. `stop`, `kill` and `remove` on something that is gone do nothing.
    * All calls have a deadline of their own; none hangs because a daemon does. `wait` alone may take as
      long as the agent runs, and learns of a vanished agent (`Exit.lost`).
    * Failures are `BackendError` with the reason for the attempt and whether trying again makes sense.
      No other exception crosses this interface.
    * Cancelling the awaiting task does not undo an effect: the caller must `stop` and `remove` by name,
      which also covers a `create` or `start` that was in flight.
    * A backend belongs to one event loop. Calls for different names may run at the same time; the backend
      bounds its own starts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from engine.agents.shells import Shell, ShellCopy

Stream = Literal["stdout", "stderr"]


class PullPolicy(StrEnum):
    """When an image is fetched."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of one agent; None is no limit."""

    nano_cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """Something mounted into an agent: an absolute host path, or a named volume."""

    source: str
    target: str
    read_only: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The pool whose warm agents a task is for, with its sizes as they are wanted now.

    Attributes:
        name: agents are shared by all tasks that name the same pool and are alike (`AgentSpec`).
        min_size: agents that stay, once there are some.
        max_size: agents at most.
        idle_timeout: seconds after which an idle agent beyond `min_size` goes.
        max_agent_uses: tasks after which an agent is replaced; 0 = no limit.
    """

    name: str
    min_size: int = 0
    max_size: int = 1
    idle_timeout: float = 300.0
    max_agent_uses: int = 0


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """Which attempt an agent serves; written on it (labels), so that it can be found after a crash."""

    instance: str
    workflow: str
    run_id: str
    step_id: str
    item: int | None
    attempt: int
    task_id: str


def namespace_holder(run_id: str) -> str:
    """Name of the container that holds the network namespace which the agents of a run share."""
    return f"agentainer-net-{run_id}"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """Everything needed to make one agent.

    Attributes:
        name: deterministic, unique in this home: `agentainer-<hash(run, step, item)>-<attempt>`.
        identity: whose attempt it serves.
        image: the container image; None only where the backend needs none (processes).
        command: argv, or one string that runs under a shell, or None for the image's own command.
        env: the whole environment the task is promised.
        limits: CPU, memory and GPU limits.
        network: `default` (agentainer-network), `none`, `host`, `run` (one network namespace for all agents
            of the run that say so), or the name of a Docker network that it joins besides
            agentainer-network. Inside the Docker backend also `container:<id>`: that one's namespace.
        pull_policy: when to fetch the image.
        digest: digest over the parts of the spec that make two agents alike; written as a label.
        mounts: what is mounted into it; sources are absolute host paths or names of volumes.
        working_dir: of the task; None is the image's own, or the engine's for a process.
        user: `uid[:gid]` or a name known to the image.
        privileged: whether it has all rights on the host.
        pool: whose warm agents may run the task, None for an agent of its own.
        run_bound: whether it is of use to its own run only, as one with that run's artifacts mounted.
        disposable: nobody will look at what the task leaves in it, not even for artifacts.
        resident: of a warm agent: the program that stays and reads its standard input, instead of the
            image's own and of `command`.
    """

    name: str
    identity: AgentIdentity
    image: str | None
    command: tuple[str, ...] | str | None
    env: Mapping[str, str]
    limits: Limits = Limits()
    network: str = "default"
    pull_policy: PullPolicy = PullPolicy.MISSING
    digest: str = ""
    mounts: tuple[Mount, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    privileged: bool = False
    pool: PoolSettings | None = None
    run_bound: bool = False
    disposable: bool = False
    resident: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """What an agent uses at one moment. Bytes; what is None is not known.

    Attributes:
        time: of the moment.
        cpu_seconds: CPU time since its start.
        memory: in use now, without the page cache.
        memory_peak: the most so far.
        network_in, network_out, block_read, block_write: since its start.
        pids: processes and threads now.
    """

    time: datetime
    cpu_seconds: float
    memory: int
    memory_peak: int | None = None
    network_in: int | None = None
    network_out: int | None = None
    block_read: int | None = None
    block_write: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a task used in all, seconds and bytes; what is None is not known.

    `sampled` says that it was looked at now and then, so it may have been more.
    """

    cpu_seconds: float | None = None
    memory_peak: int | None = None
    network_in: int | None = None
    network_out: int | None = None
    block_read: int | None = None
    block_write: int | None = None
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a running agent and did not end it.

    Attributes:
        kind: `unhealthy` and `healthy`: by the image's own health check; `paused` and `resumed`: by somebody.
        time: when.
        detail: for `unhealthy` the check's last output, bounded; as untrusted as any output.
    """

    kind: Literal["unhealthy", "healthy", "paused", "resumed"]
    time: datetime
    detail: str = ""


Listener = Callable[[Notice], None]


@dataclass(frozen=True, slots=True)
class Placement:
    """Which warm agent a task was given.

    Attributes:
        mode: how it runs there: `shell` = by the resident shell, `exec` = as a process of its own put into
            the container, `cold` = in a container of its own after all.
        agent: name of the container.
        reused: it was there already: warmed up, or from an earlier task.
        uses: tasks it has been given, this one included.
        why: for `cold`, why no warm agent could take it.
    """

    mode: Literal["shell", "exec", "cold"]
    agent: str
    reused: bool = False
    uses: int = 1
    why: str = ""


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool at this moment, and what became of it since the engine started.

    Attributes:
        name, min_size, max_size: as in `PoolSettings`.
        mode: how its tasks run, as in `Placement`; "" before the first agent is ready.
        images: of its agents.
        size: agents that exist: `busy` with a task, `idle`, `starting`, and those that are being cleaned.
        waiting: tasks that wait for an agent.
        hits, misses: tasks that an agent took which was there already, and those that needed a new one.
        tasks: that it has run.
        retired: agents that went, by why: `idle`, `uses`, `unclean`, `died`, `unhealthy`,
            `outdated`, `stopped`, `room`, `kept`, `run over`, `closed`.
        note: what a person should know, as why it does not work as configured.
    """

    name: str
    min_size: int
    max_size: int
    mode: str
    images: tuple[str, ...]
    size: int
    busy: int
    idle: int
    starting: int
    waiting: int
    hits: int
    misses: int
    tasks: int
    retired: Mapping[str, int]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How an agent ended.

    Attributes:
        code: exit code; 128+N after signal N; -1 when it is not known (`lost`).
        oom: it was killed for want of memory, as far as the backend can tell.
        lost: it vanished (removed by hand, a reboot): nothing more can be known.
        start_error: the backend's words where the entry point could not be started (exit 126/127).
        started_at, finished_at: the backend's own times, if known.
        note: something worth telling that did not decide the end, as a child killed for want of memory.
        usage: what it used, where the backend knows exactly.
    """

    code: int
    oom: bool = False
    lost: bool = False
    start_error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    note: str = ""
    usage: Usage | None = None


class AgentPhase(StrEnum):
    """Where an existing agent stands."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent that exists, as found by `list_agents` (through its labels).

    Attributes:
        name, agent_id, identity, phase, image, created_at, exit_code: what it is and where it stands.
        size_bytes: what it wrote to its own files.
        pool: the pool whose warm agent it is, which serves no attempt of its own.
        health: what the image's own health check says: `starting`, `healthy` or `unhealthy`.
        paused: somebody holds it: it does nothing until it is resumed.
        home, host: the home that made it and its machine, as far as they are written on it.
    """

    name: str
    agent_id: str
    identity: AgentIdentity
    phase: AgentPhase
    image: str | None = None
    created_at: datetime | None = None
    exit_code: int | None = None
    size_bytes: int | None = None
    pool: str | None = None
    health: str | None = None
    paused: bool = False
    home: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class BackendFacts:
    """What a backend is and what its machine can give.

    Attributes:
        name: `docker`, `process` or `memory`.
        version: of the thing behind it, for people.
        cpus, memory_bytes: what the machine has; 0 if unknown.
        gpus: how many can be given to agents; None = some, but it is not known how many.
        enforces_limits: whether `Limits` have an effect.
        gateway: the address under which agents reach services bound on this machine, None = loopback.
        notes: plain sentences for the header and `doctor`.
        sockets: paths on this machine where what is behind it listens: who has one of them has all agents.
    """

    name: str
    version: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    gpus: int | None = 0
    enforces_limits: bool = False
    gateway: str | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    sockets: Sequence[str] = field(default_factory=tuple)


class LogSink(Protocol):
    """Takes an agent's output as it comes. Never raises, never blocks for long."""

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """Some bytes of one stream, not line by line; `time` if the backend knows better than now."""
        ...

    def restart(self) -> None:
        """What was written so far is void: the backend will deliver the output again from its start."""
        ...


class Backend(Protocol):
    """Where agents run. See the module's text for the life cycle and the error contract."""

    name: str

    async def open(self) -> BackendFacts:
        """Connect and find out what there is.

        Raises:
            UnavailableError: there is no such backend on this machine; the message says what was tried.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and threads. Running agents are left alone."""
        ...

    async def prepare(self, spec: AgentSpec) -> None:
        """Make sure that the image is there and the spec can run here (limits against the host)."""
        ...

    def fetched(self, image: str) -> int | None:
        """How much of an image that `prepare` is fetching is here, in percent; None if it fetches none."""
        ...

    async def create(self, spec: AgentSpec, sink: LogSink) -> str:
        """Make the agent, capture its output into `sink`; returns the backend's own id for it."""
        ...

    async def start(self, name: str) -> None:
        """Start it. Starting one that runs or has run already does nothing."""
        ...

    async def wait(self, name: str) -> Exit:
        """Wait until it has stopped and its output has been delivered."""
        ...

    async def stop(self, name: str, grace: float) -> None:
        """SIGTERM, `grace` seconds, SIGKILL. Returns when it no longer runs."""
        ...

    async def kill(self, name: str) -> None:
        """SIGKILL now."""
        ...

    async def remove(self, name: str) -> None:
        """Remove it and everything it left, forcibly."""
        ...

    async def keep(self, name: str) -> None:
        """It stays for a person to look at: its task is over, and nothing more is asked of it for now."""
        ...

    async def collect(self, name: str, path: str, into: Path, *, limit: int) -> int | None:
        """Copy a file or directory of an agent (running or not) to the host path `into`, which is new.

        Only what lies in the agent itself: no link leads out of `into` afterwards, no device is made.

        Args:
            name: the agent.
            path: absolute in the agent, or relative to its working directory.
            into: the file or directory to make; its parent exists.
            limit: bytes at most.

        Returns:
            The bytes copied; None if there is nothing at `path`.

        Raises:
            BackendError: `bad_result` if it is larger than `limit` or cannot be copied safely.
        """
        ...

    async def image_digest(self, image: str, policy: PullPolicy) -> str:
        """What identifies the content of an image (fetched first if need be); `image` itself if nothing does.

        Raises:
            BackendError: it cannot be had.
        """
        ...

    async def adopt(self, name: str, sink: LogSink) -> AgentInfo | None:
        """Take over an agent of an earlier engine: output from its beginning, `wait` works. None: gone."""
        ...

    async def list_agents(self, instance: str | None = None) -> list[AgentInfo]:
        """All agents with our labels, of one instance (home) or of all."""
        ...

    async def describe(self, name: str) -> dict[str, Any] | None:
        """What it is and where it stands, for a person to read; None if it is gone.

        Never its variables, nor its command: there may be secrets in them. Keys that all backends have:
        `state` with its `status`; those of containers besides: `image` (`id`, `digests`), `networks` (its
        address in each), `mounts`, and whatever the engine tells.
        """
        ...

    async def open_shell(self, name: str, command: str | None = None, *, tty: bool = True) -> Shell:
        """A shell in a kept or running agent, or one command in it; to be closed when it has ended.

        Raises:
            BackendError: there is no such agent, or it cannot be entered.
        """
        ...

    async def close_shell(self, shell: Shell) -> None:
        """Remove what was made for a shell. Repeatable."""
        ...

    async def shell_copies(self, instance: str | None = None) -> list[ShellCopy]:
        """The copies of agents that exist for shells, of one instance (home) or of all."""
        ...

    async def sweep_shells(self) -> list[str]:
        """Remove copies of this instance whose makers are gone; returns their names."""
        ...

    def samples(self, name: str) -> AsyncGenerator[Sample, None]:
        """What a running agent uses, about every second until it ends or the iterator is closed.

        Nothing at all where the backend cannot tell. Costs something only while it is iterated over, and no
        more where several do so. Close it (`contextlib.aclosing`) when it is no longer wanted. In a warm
        agent only what is the task's own counts, and what cannot be told apart is not known.
        """
        ...

    async def sample(self, name: str) -> Sample | None:
        """What a running agent uses at this moment; None if it has ended or the backend cannot tell."""
        ...

    def listen(self, name: str, listener: Listener) -> None:
        """Have `listener` called in the event loop for what happens to an agent until it ends.

        To be called once the agent exists; what holds by then already (it is paused) is told at once. Does
        nothing for an agent that is gone.
        """
        ...

    def image_id(self, name: str) -> str:
        """The id of the image that an agent was made from, whatever its name means by now; "" without one."""
        ...

    def placement(self, name: str) -> Placement | None:
        """Where a pooled task was put, once it has been created; None for other tasks."""
        ...


class Pools(Protocol):
    """Warm agents, beside the tasks that use them."""

    def warm_up(self, spec: AgentSpec, count: int) -> None:
        """Have `count` agents of the spec's pool ready soon, as far as its size allows; returns at once."""
        ...

    def release_run(self, run_id: str) -> None:
        """A run is over: agents that are of use to that run only may go."""
        ...

    def reports(self) -> list[PoolReport]:
        """All pools of this engine."""
        ...
