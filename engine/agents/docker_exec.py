"""Warm agents without a shell: each task is a process that the engine puts into the container.

That takes some 70 ms instead of one or two. Something has to stay in the container, to pass signals on and to
clean up between tasks: a little Python program (`holder`), so this is for images that have Python and no
shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from engine.agents import holder, resident
from engine.agents.backend import AgentSpec, Exit, LogSink
from engine.agents.docker import DockerBackend
from engine.agents.docker_calls import EngineRefusedError
from engine.agents.docker_oom import CHILD_OOM, OOM_NOTICE
from engine.agents.docker_resident import ImageConfig, ResidentAgent
from engine.agents.docker_spec import hostname
from engine.agents.docker_streams import EngineStream, FrameParser, open_stream
from engine.agents.warm import DiedError, UnfitError
from engine.errors import BackendError

_KILLED = 128 + 9
_NOT_STARTED = (126, 127)
# The engine's words, in the place of output, for a program that it could not start.
_REFUSED = b"OCI runtime exec failed"
# Between looks whether the task is over, while its output goes on: it may have left processes behind.
_LOOK = 0.5
_PREPARE = 10.0


class ExecAgent(ResidentAgent):
    """A container into which tasks are put; see `WarmAgent`."""

    mode: Literal["shell", "exec"] = "exec"

    def __init__(self, backend: DockerBackend, name: str, image: ImageConfig, python: str) -> None:
        super().__init__(
            backend,
            name,
            image,
            (python, "-u", "-c", Path(holder.__file__).read_text(encoding="utf-8")),
            greeting=lambda mark: _line(do="ready", mark=mark),
            cleaning=lambda mark: _line(do="clean", mark=mark),
        )
        self._task: asyncio.Task[Exit] | None = None

    async def begin(self, spec: AgentSpec, sink: LogSink) -> None:
        """See `WarmAgent`."""
        argv = self._image.argv(spec.command)
        if not argv:
            raise UnfitError("neither the step nor the image names a command")
        cwd = spec.working_dir or self._image.working_dir
        mark = resident.new_mark()
        if problem := await self._exchange(_line(do="prepare", mark=mark, cwd=cwd), mark, "P", _PREPARE):
            raise UnfitError(f"its working directory cannot be had: {problem}")
        calls, env = self._backend.link.calls, {"HOSTNAME": hostname(spec), **spec.env}
        try:
            made = await calls(
                f"put a task into {self.name}",
                "exec_create",
                self.agent_id,
                list(argv),
                environment=[f"{name}={value}" for name, value in env.items()],
                workdir=cwd,
            )
            stream = await self._open(made["Id"])
        except EngineRefusedError as error:
            raise UnfitError(error.message) from None
        except BackendError:
            raise DiedError(self._end) from None
        self._oomed.clear()
        limited = spec.limits.memory_bytes is not None
        self._task = asyncio.create_task(self._run(made["Id"], stream, sink, limited), name=spec.name)

    async def _open(self, exec_id: str) -> EngineStream:
        link = self._backend.link
        return await open_stream(
            link.address,
            f"start a task in {self.name}",
            "POST",
            ("exec", exec_id, "start"),
            {},
            deadline=link.deadlines.start,
            upgrade=True,
            body=b'{"Detach":false,"Tty":false}',
        )

    async def _run(self, exec_id: str, stream: EngineStream, sink: LogSink, limited: bool) -> Exit:
        started_at = datetime.now(UTC)
        head = bytearray()
        copying = asyncio.create_task(_copy(stream, sink, head))
        gone = asyncio.ensure_future(self.ended.wait())
        waits: set[asyncio.Future[Any]] = {copying, gone}
        try:
            while not copying.done() and not gone.done():
                await asyncio.wait(waits, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
                if not copying.done() and not gone.done() and not await self._is_running(exec_id):
                    # What it left behind holds its output open; that ends now, as it would with a container.
                    await self.clean()
                    await asyncio.wait({copying}, timeout=_PREPARE)
                    break
            if gone.done():
                raise DiedError(replace(self._end, started_at=started_at))
            code = await self._exit_code(exec_id)
        finally:
            gone.cancel()
            copying.cancel()
            stream.close()
        return await self._judged(code, bytes(head), started_at, limited)

    async def _is_running(self, exec_id: str) -> bool:
        return bool((await self._look(exec_id)).get("Running"))

    async def _exit_code(self, exec_id: str) -> int:
        code = (await self._look(exec_id)).get("ExitCode")
        return -1 if code is None else int(code)

    async def _look(self, exec_id: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._backend.link.calls(
                f"look at a task in {self.name}", "exec_inspect", exec_id
            )
        except BackendError:
            raise DiedError(self._end) from None
        return found

    async def _judged(self, code: int, head: bytes, started_at: datetime, limited: bool) -> Exit:
        if code == _KILLED and limited and not self._stopped:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OOM_NOTICE):
                    await self._oomed.wait()
        oom = self._oomed.is_set()
        refused = code in _NOT_STARTED and head.startswith(_REFUSED)
        if refused:
            code = 127 if b"not found" in head or b"no such file" in head else 126
        return Exit(
            code,
            oom=oom and code == _KILLED,
            start_error=head.decode("utf-8", "replace").strip() if refused else "",
            started_at=started_at,
            finished_at=datetime.now(UTC),
            note=CHILD_OOM if oom and code != _KILLED else "",
        )

    async def wait(self) -> Exit:
        """See `WarmAgent`."""
        assert self._task is not None, "begun before"
        return await asyncio.shield(self._task)

    async def stop(self, grace: float) -> None:
        """See `WarmAgent`."""
        if self._task is None or self._task.done():
            return
        self._stopped = True
        number = self._signal_number()
        if grace > 0 and number is not None:
            with contextlib.suppress(DiedError):
                await self._send(_line(do="signal", number=number))
                await asyncio.wait({self._task}, timeout=grace)
        if not self._task.done():
            await self.kill()

    def _signal_number(self) -> int | None:
        name = self._image.stop_signal
        if name.isdigit():
            return int(name)
        found = getattr(signal, f"SIG{name}", None)
        return int(found) if found is not None else None


async def _copy(stream: EngineStream, sink: LogSink, head: bytearray) -> None:
    parser = FrameParser()
    with contextlib.suppress(OSError, ValueError):
        async for data in stream:
            for name, piece, time in parser.feed(data):
                head += piece[: max(0, 1024 - len(head))]
                sink.write(name, piece, time)


def _line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"
