"""Calls to the Docker engine: in a few threads, each with a deadline, each failure a `BackendError`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from docker.errors import APIError, DockerException

from engine.errors import BackendError, Reason


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the engine may take, in seconds.

    Attributes:
        connect: until it answers at all, when the backend is opened.
        call: for an ordinary call.
        start: for the start of a container, which waits for others on a busy machine.
        silence: without any word while an image is pulled or a log is read.
        drain: for the last output of a container that has exited.
        poll: between looks at the waited-for containers, in case that an event was lost.
    """

    connect: float = 5.0
    call: float = 30.0
    start: float = 60.0
    silence: float = 60.0
    drain: float = 10.0
    poll: float = 7.0


class EngineRefusedError(BackendError):
    """The engine answered with an error: its HTTP status and its words."""

    def __init__(self, doing: str, status: int, words: str) -> None:
        super().__init__(
            Reason.INFRA_ERROR, f"{doing}: the Docker engine says: {words}", transient=status >= 500
        )
        self.status = status
        self.words = words


class EngineSilentError(BackendError):
    """The engine did not answer in time, or the connection to it broke: what was asked may yet happen."""

    def __init__(self, doing: str, why: str) -> None:
        super().__init__(
            Reason.INFRA_ERROR,
            f"{doing}: {why}",
            transient=True,
            hint="check `docker ps`; an engine that hangs has to be restarted",
        )


class DaemonThreads(Executor):
    """A bounded pool of daemon threads.

    The standard pool joins its threads when the interpreter ends, so one call to an engine that hangs would
    keep the whole program from ending.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it in one of the threads as soon as one is free."""
        future: Future[Any] = Future()
        self._work.put(partial(_carry_out, future, partial(fn, *args, **kwargs)))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """Let the threads end once they are done; never waits for them."""
        for _ in self._threads:
            self._work.put(None)

    def _serve(self) -> None:
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                self._idle.release()
                work = self._work.get()
            if work is None:
                return
            work()


def _carry_out(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


class Calls:
    """Runs methods of the SDK's `client` in `threads`."""

    def __init__(self, client: Any, deadlines: Deadlines, threads: DaemonThreads) -> None:
        self.client = client
        self._deadlines = deadlines
        self._threads = threads

    async def __call__(self, doing: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client, by its name; see `blocking`."""
        return await self.blocking(doing, getattr(self.client, method), *args, **kwargs)

    async def blocking(
        self,
        doing: str,
        function: Callable[..., Any],
        *args: Any,
        deadline: float | None = None,
        late: Callable[[Any], None] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run a function of the SDK in a thread.

        Args:
            doing: what it is for, in words that begin the error message.
            function: what to call.
            *args: its arguments.
            deadline: seconds, instead of the ordinary ones.
            late: is given the result, in the event loop, if the call succeeds after its deadline or after
                the awaiting task was cancelled.
            **kwargs: its arguments.

        Raises:
            EngineRefusedError: the engine said no.
            EngineSilentError: it did not answer in time.
        """
        limit = deadline or self._deadlines.call
        future = self._threads.submit(function, *args, **kwargs)
        answer = asyncio.wrap_future(future)
        try:
            done, _ = await asyncio.wait({answer}, timeout=limit)
        except asyncio.CancelledError:
            self._abandon(future, answer, late)
            raise
        if not done:
            self._abandon(future, answer, late)
            raise EngineSilentError(doing, f"the Docker engine did not answer within {limit:g} s")
        try:
            return answer.result()
        except APIError as error:
            words = str(error.explanation or error)
            raise EngineRefusedError(doing, error.status_code or 500, words) from None
        except (DockerException, OSError, ValueError) as error:  # what requests raises are OSErrors
            raise EngineSilentError(doing, f"the connection to the Docker engine broke: {error}") from None

    def close(self) -> None:
        """Close idle connections; threads end when their calls do."""
        self._threads.shutdown()
        self.client.close()

    def _abandon(
        self, future: Future[Any], answer: asyncio.Future[Any], late: Callable[[Any], None] | None
    ) -> None:
        if future.cancel():
            return

        def note(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None and late is not None:
                late(done.result())

        answer.add_done_callback(note)
