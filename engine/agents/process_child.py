"""One local process with its group: started, read from, noticed when it ends, and ended as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from engine.agents.backend import LogSink, Stream, Usage
from engine.agents.process_usage import memory_floor, usage_at_end
from engine.errors import BackendError, Reason

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_CHUNK = 64 * 1024
# How long the pipes may stay open after the process has exited, before what holds them is killed; and after.
_DRAIN = 0.25
_DRAIN_AFTER_KILL = 2.0
_SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Child:
    """A running process. Made by `start`; `ended` is set when it has exited and its output has been read.

    Args:
        process: it, in a session of its own, with pipes for its output.
        sink: where its output goes.
        kill_escaped: ends descendants that left the group; called in a thread, and only when the pipes stay
            open although the whole group is gone.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], sink: LogSink, kill_escaped: Callable[[], None]
    ) -> None:
        self.sink = sink
        self.started_at = datetime.now(UTC)
        self.finished_at: datetime | None = None
        self.code: int | None = None
        self.usage: Usage | None = None
        self.ended = asyncio.Event()
        self._process = process
        self._memory_floor = memory_floor()
        self._kill_escaped = kill_escaped
        self._loop = asyncio.get_running_loop()
        self._open: dict[IO[bytes], Stream] = {}
        self._drained = asyncio.Event()
        self._finishing: asyncio.Task[None] | None = None
        assert process.stdout is not None and process.stderr is not None
        self._watch_pipe(process.stdout, "stdout")
        self._watch_pipe(process.stderr, "stderr")
        self._watch_exit()

    @property
    def pid(self) -> int:
        """Its id, which is also that of its group."""
        return self._process.pid

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that stayed in its group."""
        # Once it has been waited for, its id may belong to somebody else.
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def let_go(self) -> None:
        """Stop reading and watching; the process is left as it is."""
        if self._finishing is not None:
            self._finishing.cancel()
        for pipe in list(self._open):
            self._close_pipe(pipe)

    # -- output ---------------------------------------------------------------------------------------

    def _watch_pipe(self, pipe: IO[bytes], name: Stream) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._open[pipe] = name
        self._loop.add_reader(pipe.fileno(), self._read, pipe)

    def _read(self, pipe: IO[bytes]) -> None:
        """One piece at a time, so that a flood from one agent does not starve the others."""
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.sink.write(self._open[pipe], data)
        else:
            self._close_pipe(pipe)

    def _close_pipe(self, pipe: IO[bytes]) -> None:
        if self._open.pop(pipe, None):
            self._loop.remove_reader(pipe.fileno())
            pipe.close()
        if not self._open:
            self._drained.set()

    # -- end ------------------------------------------------------------------------------------------

    def _watch_exit(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or an old one
            threading.Thread(target=self._wait_in_thread, name=f"wait-{self.pid}", daemon=True).start()
            return

        def exited() -> None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._exited()

        self._loop.add_reader(descriptor, exited)

    def _wait_in_thread(self) -> None:
        self._reap()
        with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits any more
            self._loop.call_soon_threadsafe(self._exited)

    def _exited(self) -> None:
        self.finished_at = datetime.now(UTC)
        self._finishing = asyncio.create_task(self._finish(), name=f"finish-{self.pid}")

    async def _finish(self) -> None:
        """Read what is left, end what is left. Until the process is waited for, its group's id is ours."""
        await self._drained_within(_DRAIN)
        self.signal_group(signal.SIGKILL)
        if self._process.returncode is None:
            self._reap()
        returned = self._process.returncode
        self.code = returned if returned >= 0 else 128 - returned
        if self._open and not await self._drained_within(_DRAIN):
            await asyncio.to_thread(self._kill_escaped)
            await self._drained_within(_DRAIN_AFTER_KILL)
        for pipe in list(self._open):
            self._close_pipe(pipe)
        self.ended.set()

    def _reap(self) -> None:
        """Wait for it, with the kernel's account of what it used; `Popen.wait` would not hand that on."""
        _, status, account = os.wait4(self.pid, 0)
        self.usage = usage_at_end(account, self._memory_floor)
        self._process.returncode = os.waitstatus_to_exitcode(status)

    async def _drained_within(self, seconds: float) -> bool:
        if self._drained.is_set():
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True


def spawn(command: Sequence[str], directory: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with nothing on its standard input.

    Raises:
        BackendError: it could not be started; `StartError` if that is the command's fault.
    """
    try:
        return subprocess.Popen(
            [_encoded(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={_encoded(name): _encoded(value) for name, value in env.items()},
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise _spawn_error(command[0], directory, env, error) from None


def _encoded(text: str) -> bytes:
    """As UTF-8, whatever the locale of the engine: what a task gets must not depend on that."""
    return text.encode("utf-8", "surrogateescape")


class StartError(BackendError):
    """The command is not there or cannot be executed; `code` is what a shell would exit with."""

    def __init__(self, message: str, code: int, hint: str) -> None:
        super().__init__(Reason.START_FAILED, message, transient=False, hint=hint)
        self.code = code


def _spawn_error(program: str, directory: Path, env: Mapping[str, str], error: OSError) -> BackendError:
    if error.errno in _SCARCE or error.filename == str(directory):
        return BackendError(Reason.INFRA_ERROR, f"{program!r} could not be started: {error}", transient=True)
    if error.errno == errno.E2BIG:
        return BackendError(
            Reason.INPUT_ERROR,
            f"{program!r} could not be started: its arguments and environment are too long",
            transient=False,
            hint="hand large data over through the state instead",
        )
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return StartError(
            f"command not found: {program!r}",
            NOT_FOUND,
            f"looked for in PATH={env.get('PATH', '')}; a command given as one string runs under a shell",
        )
    return StartError(
        f"{program!r} cannot be executed: {error.strerror}",
        NOT_EXECUTABLE,
        "check its permissions and format",
    )
