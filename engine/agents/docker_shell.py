"""Warm agents with a resident shell, the fast way: about a millisecond for a task; see `resident`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from engine.agents import resident
from engine.agents.backend import AgentSpec, Exit, LogSink, Stream, Usage
from engine.agents.docker import DockerBackend
from engine.agents.docker_oom import CHILD_OOM, OOM_NOTICE
from engine.agents.docker_resident import (
    CLEAN_SECONDS,
    ImageConfig,
    ResidentAgent,
    could_not_be_emptied,
)
from engine.agents.docker_spec import hostname
from engine.agents.warm import DiedError, UnfitError
from engine.errors import BackendError

_KILLED = 128 + 9
# How long after it has been handed over a task may take to begin, before it can be signalled.
_BEGIN = 1.0


class ShellAgent(ResidentAgent):
    """A container with a resident shell; see `WarmAgent` and `resident`."""

    mode: Literal["shell", "exec"] = "shell"

    def __init__(self, backend: DockerBackend, name: str, image: ImageConfig, shell: str) -> None:
        super().__init__(
            backend,
            name,
            image,
            (shell,),
            greeting=resident.prelude,
            cleaning=resident.clean_text,
        )
        self._shell = shell
        self._task: _Task | None = None

    def _note_end(self) -> None:
        super()._note_end()
        if self._task is not None:
            self._task.agent_ended()

    async def begin(self, spec: AgentSpec, sink: LogSink) -> None:
        """See `WarmAgent`."""
        argv = self._image.argv(spec.command)
        if not argv:
            raise UnfitError("neither the step nor the image names a command")
        env = {"HOSTNAME": hostname(spec), **spec.env}
        shell_task = resident.ShellTask(argv, env, spec.working_dir or self._image.working_dir)
        if why := resident.why_unfit(shell_task):
            raise UnfitError(why)
        task = self._task = _Task(argv[0], sink, spec.limits.memory_bytes is not None)
        self._oomed.clear()
        self._hear = task.hear
        if self.ended.is_set():
            task.agent_ended()
        text = resident.task_text(shell_task, task.mark)
        if spec.disposable:  # no need to wait for somebody to say so
            task.cleans = True
            text += resident.clean_text(task.mark)
        await self._send(text)

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
            cpu, self.spent = round(max(0.0, scanner.cpu - self.spent), 3), scanner.cpu
        start_error = ""
        if scanner.missing is not None:
            what = "No such file or directory" if scanner.missing == 127 else "Permission denied"
            start_error = f"exec {task.program} failed: {what}"
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

    async def clean(self) -> str:
        """See `WarmAgent`."""
        if self._task is None or not self._task.cleans:
            return await super().clean()
        try:
            async with asyncio.timeout(CLEAN_SECONDS):
                await self._task.cleaned.wait()
        except TimeoutError:
            return f"{self._shell} did not answer within {CLEAN_SECONDS:g} s"
        left = self._task.scanner.uncleaned
        return "it ended" if left is None else could_not_be_emptied(left)

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


class _Task:
    """A task that a shell runs, and what has come of it."""

    def __init__(self, program: str, sink: LogSink, memory_limited: bool) -> None:
        self.program = program
        self.mark = resident.new_mark()
        self.memory_limited = memory_limited
        self.started_at = datetime.now(UTC)
        self.finished_at: datetime | None = None
        self.begun = asyncio.Event()
        self.cleans = False  # the shell cleans up by itself when the task is over
        self.cleaned = asyncio.Event()
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
        if self.scanner.uncleaned is not None:
            self.cleaned.set()

    def agent_ended(self) -> None:
        """There will be no more."""
        if not self.done.done():
            self.scanner.flush()
            self.begun.set()
            self.done.set_result(None)
        self.cleaned.set()
