"""Warm agents in Docker: containers whose process 1 is a shell that takes tasks over its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Literal

from engine.agents import resident
from engine.agents.backend import AgentIdentity, AgentSpec, Exit, LogSink, Stream, Usage
from engine.agents.docker import DockerBackend
from engine.agents.docker_container import CHILD_OOM, OOM_NOTICE, Container
from engine.agents.docker_spec import hostname
from engine.agents.warm import DiedError, UnfitError
from engine.errors import BackendError, Reason

_KILLED = 128 + 9
# Shells that images have, the likely one first.
_SHELLS = ("/bin/sh", "/busybox/sh")
# How long a shell may take to be ready, and to clean up, in seconds. Only broken ones take long.
_READY = 10.0
_CLEAN = 30.0
# How long after it has been handed over a task may take to begin, before it can be signalled.
_BEGIN = 1.0
_SIGNAL = re.compile(r"(?:SIG)?([A-Z][A-Z0-9]*|\d+)")


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about the programs that run in it."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    working_dir: str
    stop_signal: str

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ImageConfig:
        """From the engine's description of the image."""
        config = found.get("Config") or {}
        signal = _SIGNAL.fullmatch(config.get("StopSignal") or "SIGTERM")
        return cls(
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            working_dir=config.get("WorkingDir") or "/",
            stop_signal=signal[1] if signal else "",
        )

    def argv(self, command: tuple[str, ...] | str | None) -> tuple[str, ...]:
        """What Docker would execute for a task's command."""
        if isinstance(command, str):
            return "/bin/sh", "-c", command
        return (*self.entrypoint, *(self.command if command is None else command))


class DockerWarmMaker:
    """Makes warm agents on an engine, by the fastest way that the image allows."""

    def __init__(self, backend: DockerBackend) -> None:
        self._backend = backend
        self._images: dict[str, ImageConfig] = {}
        self._unfit: dict[str, str] = {}
        self._shells: dict[str, str] = {}

    async def make(self, spec: AgentSpec, name: str) -> ShellAgent:
        """See `WarmMaker`."""
        assert spec.image is not None, "checked when the task was prepared"
        if why := self._unfit.get(spec.image):
            raise UnfitError(why)
        image = await self._image(spec.image)
        known = self._shells.get(spec.image)
        for shell in (known,) if known else _SHELLS:
            agent = ShellAgent(self._backend, name, image, shell)
            try:
                await agent.open(spec)
            except UnfitError as error:
                if known:
                    raise
                self._unfit[spec.image] = str(error)
                continue
            self._unfit.pop(spec.image, None)
            self._shells[spec.image] = shell
            return agent
        raise UnfitError(self._unfit[spec.image])

    async def _image(self, digest: str) -> ImageConfig:
        if digest not in self._images:
            found = await self._backend.link.calls(f"look at the image {digest}", "inspect_image", digest)
            self._images[digest] = ImageConfig.of(found)
        return self._images[digest]


class ShellAgent:
    """A container with a resident shell; see `WarmAgent` and `resident`."""

    mode: Literal["shell", "exec"] = "shell"

    def __init__(self, backend: DockerBackend, name: str, image: ImageConfig, shell: str) -> None:
        self.name = name
        self.agent_id = ""
        self.ended = asyncio.Event()
        self._backend = backend
        self._image = image
        self._shell = shell
        self._allowed: frozenset[str] = frozenset()
        self._container: Container | None = None
        self._oomed = asyncio.Event()
        self._end = Exit(-1, lost=True)
        self._hear: Callable[[Stream, bytes], None] = _ignore
        self._task: _Task | None = None
        self._stopped = False
        self._cpu = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._ending: asyncio.Future[None] | None = None

    # -- the container --------------------------------------------------------------------------------

    async def open(self, spec: AgentSpec) -> None:
        """Start it and wait until the shell is ready; see `WarmMaker.make`."""
        try:
            await self._start(_resident_spec(spec, self.name, self._shell))
            mark = resident.new_mark()
            await self._exchange(resident.prelude(mark), mark, "R", _READY)
        except BaseException:
            await asyncio.shield(self._give_up())
            raise
        self._allowed = _paths_down_to(mount.target for mount in spec.mounts)

    async def _start(self, spec: AgentSpec) -> None:
        try:
            self.agent_id = await self._backend.create(spec, self)
            await self._backend.start(self.name)
        except BackendError as error:
            if error.reason is Reason.START_FAILED:
                raise UnfitError(f"the image has no usable shell ({self._shell}: {error.message})") from None
            raise
        self._container = await self._backend.container(self.name)
        if self._container is not None:
            self._oomed = self._container.oomed
        self._watch = asyncio.create_task(self._until_end(), name=f"warm {self.name}")

    async def _until_end(self) -> None:
        with contextlib.suppress(BackendError):
            self._end = await self._backend.wait(self.name)
        self.ended.set()
        if self._task is not None:
            self._task.agent_ended()

    async def _give_up(self) -> None:
        with contextlib.suppress(BackendError):
            await self.discard()

    async def discard(self) -> None:
        """See `WarmAgent`."""
        try:
            await self._backend.remove(self.name)
        finally:
            self.ended.set()
            if self._watch is not None:
                self._watch.cancel()
            if self._task is not None:
                self._task.agent_ended()

    async def keep(self, name: str) -> None:
        """See `WarmAgent`; its input stays connected, so it goes on as long as the engine does."""
        await self._backend.link.calls(f"rename {self.name}", "rename", self.agent_id, name)
        self.name = name

    # -- as the sink of the container's output --------------------------------------------------------

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """What comes from the container: a task's output, or what the shell tells."""
        self._hear(stream, data)

    def restart(self) -> None:
        """The connection broke: what the shell told since then is lost, and the agent of no use."""
        self._hear = _ignore
        self._ending = asyncio.ensure_future(self._broken())

    async def _broken(self) -> None:
        with contextlib.suppress(BackendError):
            await self._backend.kill(self.name)

    # -- tasks ----------------------------------------------------------------------------------------

    async def begin(self, spec: AgentSpec, sink: LogSink) -> None:
        """See `WarmAgent`."""
        argv = self._image.argv(spec.command)
        if not argv:
            raise UnfitError("neither the step nor the image names a command")
        env = {"HOSTNAME": hostname(spec), **spec.env}
        shell_task = resident.ShellTask(argv, env, spec.working_dir or self._image.working_dir)
        if why := resident.why_unfit(shell_task):
            raise UnfitError(why)
        task = self._task = _Task(sink, spec.limits.memory_bytes is not None)
        self._oomed.clear()
        self._hear = task.hear
        if self.ended.is_set():
            task.agent_ended()
        await self._send(resident.task_text(shell_task, task.mark))

    async def wait(self) -> Exit:
        """See `WarmAgent`."""
        task = self._task
        assert task is not None, "begun before"
        await asyncio.shield(task.done)
        if not task.scanner.over:
            raise DiedError(replace(self._end, started_at=task.started_at))
        if not task.scanner.began:
            raise UnfitError("its working directory could not be entered, or a variable not be set")
        return await self._judged(task)

    async def _judged(self, task: _Task) -> Exit:
        scanner = task.scanner
        assert scanner.code is not None, "told with the end"
        if scanner.code == _KILLED and task.memory_limited and not self._stopped:
            await self._oom_told()
        oom = self._oomed.is_set()
        cpu = None
        if scanner.cpu is not None:
            cpu, self._cpu = round(max(0.0, scanner.cpu - self._cpu), 3), scanner.cpu
        start_error = ""
        if scanner.missing is not None:
            what = "No such file or directory" if scanner.missing == 127 else "Permission denied"
            start_error = f"exec failed: {what}"
        return Exit(
            scanner.code,
            oom=oom and scanner.code == _KILLED,
            start_error=start_error,
            started_at=task.started_at,
            finished_at=task.finished_at,
            note=CHILD_OOM if oom and scanner.code != _KILLED else "",
            usage=Usage(cpu_seconds=cpu) if cpu is not None else None,
        )

    async def _oom_told(self) -> None:
        """Docker may tell of a lack of memory a moment after the shell tells of the exit."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OOM_NOTICE):
                await self._oomed.wait()

    async def stop(self, grace: float) -> None:
        """See `WarmAgent`."""
        task = self._task
        if task is None or task.done.done():
            return
        self._stopped = True
        if grace > 0 and self._image.stop_signal and await self._ask_to_end(task):
            await asyncio.wait({task.done}, timeout=grace)
        if not task.done.done():
            await self.kill()

    async def _ask_to_end(self, task: _Task) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN):
                await task.begun.wait()
        if task.scanner.pid is None:
            return False
        command = [self._shell, "-c", f"kill -{self._image.stop_signal} {task.scanner.pid}"]
        calls, doing = self._backend.link.calls, f"signal the task of {self.name}"
        try:
            made = await calls(doing, "exec_create", self.agent_id, command, stdout=False, stderr=False)
            await calls(doing, "exec_start", made["Id"], detach=True)
        except BackendError:
            return False
        return True

    async def kill(self) -> None:
        """See `WarmAgent`."""
        self._stopped = True
        await self._backend.kill(self.name)
        if self._watch is not None:
            await asyncio.wait({self._watch})

    # -- between tasks --------------------------------------------------------------------------------

    async def clean(self) -> str:
        """See `WarmAgent`."""
        mark = resident.new_mark()
        try:
            told = await self._exchange(resident.clean_text(mark), mark, "C", _CLEAN)
        except (UnfitError, DiedError) as error:
            return str(error)
        return f"{told.strip()} could not be emptied" if told.strip() else ""

    async def check(self) -> str:
        """See `WarmAgent`."""
        try:
            found = await self._backend.link.calls(f"compare {self.name}", "diff", self.agent_id)
        except BackendError as error:
            return error.message
        changed = _changed_files(found or (), self._allowed)
        return f"{changed[0]} and {len(changed) - 1} more were changed" if changed else ""

    # -- inside ---------------------------------------------------------------------------------------

    async def _exchange(self, text: bytes, mark: str, letter: str, deadline: float) -> str:
        """Have the shell do something and wait until it tells so; returns what it tells.

        Raises:
            UnfitError: it does not answer.
            DiedError: it is gone.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        scanner = resident.MarkScanner(mark)

        def hear(stream: Stream, data: bytes) -> None:
            if stream == "stdout":
                for piece in scanner.feed(data):
                    told = isinstance(piece, resident.Told) and piece.letter == letter
                    if told and not answer.done():
                        assert isinstance(piece, resident.Told)
                        answer.set_result(piece.value)

        self._hear = hear
        await self._send(text)
        gone: asyncio.Future[Any] = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({answer, gone}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            self._hear = _ignore
        if answer.done():
            return str(answer.result())
        if self.ended.is_set():
            raise DiedError(self._end)
        raise UnfitError(f"its shell ({self._shell}) did not answer within {deadline:g} s")

    async def _send(self, text: bytes) -> None:
        try:
            if self._container is None:
                raise ConnectionError("it was not started")
            await self._container.send(text)
        except OSError:
            raise DiedError(self._end) from None


class _Task:
    """A task that a shell runs, and what has come of it."""

    def __init__(self, sink: LogSink, memory_limited: bool) -> None:
        self.mark = resident.new_mark()
        self.memory_limited = memory_limited
        self.started_at = datetime.now(UTC)
        self.finished_at: datetime | None = None
        self.begun = asyncio.Event()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.scanner = resident.TaskScanner(self.mark, sink.write)

    def hear(self, stream: Stream, data: bytes) -> None:
        """Some output of the container."""
        self.scanner.feed(stream, data)
        if self.scanner.began:
            self.begun.set()
        if self.scanner.over and not self.done.done():
            self.finished_at = datetime.now(UTC)
            self.done.set_result(None)

    def agent_ended(self) -> None:
        """There will be no more."""
        if not self.done.done():
            self.scanner.flush()
            self.begun.set()
            self.done.set_result(None)


def _ignore(stream: Stream, data: bytes) -> None:
    """Output that belongs to nobody."""


def _resident_spec(spec: AgentSpec, name: str, shell: str) -> AgentSpec:
    """The container that serves tasks like that of `spec`: what is a task's own is left out."""
    nobody = AgentIdentity(spec.identity.instance, "", "", "", None, 0, "")
    return replace(
        spec, name=name, identity=nobody, env={}, command=None, working_dir=None, resident=(shell,)
    )


def _paths_down_to(targets: Any) -> frozenset[str]:
    """Mount points and what leads to them: Docker makes what is not there."""
    paths: set[str] = set()
    for target in targets:
        path = PurePosixPath(target)
        paths.update(map(str, (path, *path.parents)))
    return frozenset(paths)


def _changed_files(found: Sequence[Mapping[str, Any]], allowed: frozenset[str]) -> list[str]:
    """What is not as in the image. A directory above a change is listed, too, and is none itself."""
    paths = {change["Path"] for change in found}
    above = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(
        change["Path"]
        for change in found
        if change["Path"] not in allowed and not (change["Kind"] == 0 and change["Path"] in above)
    )
