"""What warm agents in Docker have in common: a container whose process 1 stays and takes commands."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from engine.agents import resident
from engine.agents.backend import AgentIdentity, AgentSpec, Exit, Notice, Stream
from engine.agents.docker import DockerBackend
from engine.agents.docker_container import Container
from engine.agents.warm import DiedError, UnfitError
from engine.errors import BackendError, Reason

# How long a resident program may take to be ready, and to clean up, in seconds. Only broken ones take long.
_READY = 10.0
CLEAN_SECONDS = 30.0
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


class ResidentAgent:
    """The container of a warm agent; subclasses run tasks in it, see `WarmAgent`.

    Args:
        backend: where it is.
        name: of the container.
        image: what its image says.
        program: what stays in it.
        greeting: makes, with a mark, what the program is told first; it answers `MARK:R:` when it is ready.
        cleaning: makes what it is told between tasks; it answers `MARK:C:` and what it could not clean.
    """

    def __init__(
        self,
        backend: DockerBackend,
        name: str,
        image: ImageConfig,
        program: tuple[str, ...],
        *,
        greeting: Callable[[str], bytes],
        cleaning: Callable[[str], bytes],
    ) -> None:
        self.name = name
        self.agent_id = ""
        self.spent = 0.0
        self.ended = asyncio.Event()
        self.unusable = asyncio.Event()
        self._backend = backend
        self._image = image
        self._program = program
        self._greeting = greeting
        self._cleaning = cleaning
        self._allowed: frozenset[str] = frozenset()
        self._container: Container | None = None
        self._oomed = asyncio.Event()
        self._end = Exit(-1, lost=True)
        self._hear: Callable[[Stream, bytes], None] = _ignore
        self._stopped = False
        self._watch: asyncio.Task[None] | None = None
        self._ending: asyncio.Future[None] | None = None

    # -- the container --------------------------------------------------------------------------------

    async def open(self, spec: AgentSpec) -> None:
        """Start it and wait until its program is ready; see `WarmMaker.make`."""
        try:
            await self._start(_resident_spec(spec, self.name, self._program))
            mark = resident.new_mark()
            await self._exchange(self._greeting(mark), mark, "R", _READY)
        except BaseException as error:
            await asyncio.shield(self._give_up())
            if isinstance(error, DiedError):
                raise UnfitError(f"{self._program[0]} ended at once in it") from None
            raise
        self._allowed = _paths_down_to(mount.target for mount in spec.mounts)

    async def _start(self, spec: AgentSpec) -> None:
        try:
            self.agent_id = await self._backend.create(spec, self)
            await self._backend.start(self.name)
        except BackendError as error:
            if error.reason is Reason.START_FAILED:
                raise UnfitError(f"{self._program[0]} cannot be run in it: {error.message}") from None
            raise
        self._container = await self._backend.container(self.name)
        if self._container is not None:
            self._oomed = self._container.killing.out_of_memory
        self._backend.listen(self.name, self._notice)
        self._watch = asyncio.create_task(self._until_end(), name=f"warm {self.name}")

    async def _until_end(self) -> None:
        with contextlib.suppress(BackendError):
            self._end = await self._backend.wait(self.name)
        self._note_end()

    def _note_end(self) -> None:
        """Nothing more will come of it."""
        self.ended.set()
        self.unusable.set()

    def _notice(self, notice: Notice) -> None:
        if notice.kind == "unhealthy":
            self.unusable.set()

    async def _give_up(self) -> None:
        with contextlib.suppress(BackendError):
            await self.discard()

    async def discard(self) -> None:
        """See `WarmAgent`."""
        try:
            await self._backend.remove(self.name)
        finally:
            if self._watch is not None:
                self._watch.cancel()
            self._note_end()

    async def keep(self, name: str) -> None:
        """See `WarmAgent`; its input stays connected, so it goes on as long as the engine does."""
        await self._backend.link.calls(f"rename {self.name}", "rename", self.agent_id, name)
        self.name = name

    # -- as the sink of the container's output --------------------------------------------------------

    def write(self, stream: Stream, data: bytes, time: datetime | None = None) -> None:
        """What comes from the container: a task's output, or what the program tells."""
        self._hear(stream, data)

    def restart(self) -> None:
        """The connection broke: what the program told since then is lost, and the agent of no use."""
        self._hear = _ignore
        self._ending = asyncio.ensure_future(self._broken())

    async def _broken(self) -> None:
        with contextlib.suppress(BackendError):
            await self._backend.kill(self.name)

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
            told = await self._exchange(self._cleaning(mark), mark, "C", CLEAN_SECONDS)
        except (UnfitError, DiedError) as error:
            return str(error)
        return could_not_be_emptied(told.strip())

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
        """Have the program do something and wait until it tells so; returns what it tells.

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
        raise UnfitError(f"{self._program[0]} did not answer within {deadline:g} s")

    async def _send(self, text: bytes) -> None:
        try:
            if self._container is None:
                raise ConnectionError("it was not started")
            await self._container.send(text)
        except OSError:
            raise DiedError(self._end) from None


def could_not_be_emptied(names: str) -> str:
    """What is wrong with an agent in which these directories are not clean; "" for none."""
    return f"{names} could not be emptied" if names else ""


def _ignore(stream: Stream, data: bytes) -> None:
    """Output that belongs to nobody."""


def _resident_spec(spec: AgentSpec, name: str, program: tuple[str, ...]) -> AgentSpec:
    """The container that serves tasks like that of `spec`: what is a task's own is left out."""
    run_id = spec.identity.run_id if spec.run_bound else ""
    nobody = AgentIdentity(spec.identity.instance, "", run_id, "", None, 0, "")
    return replace(spec, name=name, identity=nobody, env={}, command=None, working_dir=None, resident=program)


def _paths_down_to(targets: Iterable[str]) -> frozenset[str]:
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
