"""The output of one container on its way into the sink: attached before the start, or read from its log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from engine.agents.backend import LogSink, Stream
from engine.agents.docker_calls import Deadlines, EngineRefusedError
from engine.agents.docker_connection import Address
from engine.agents.docker_streams import EngineStream, FrameParser, TimedFrameParser, open_stream
from engine.errors import BackendError

_log = logging.getLogger(__name__)

# What `docker-init` writes when it cannot start the entry point stands at the beginning of stderr.
_STDERR_HEAD = 1024
# The end of the output and the news of the exit come together; this much apart, in seconds, something is odd.
_TOGETHER = 0.25
# Between attempts to read a log, in seconds, and how many there are once the container has exited.
_PAUSE = 1.0
_TRIES_AFTER_EXIT = 3


class Output:
    """Delivers a container's output completely, in order, once.

    Attached before the start, it sees every byte without a log in between. When that connection ends although
    the container goes on, or when nobody can say whether it ended too early, everything is delivered again
    from the engine's log (`LogSink.restart`): while the container runs for those who watch, and once more
    after its exit.

    Args:
        address: where the engine is.
        container_id: whose output.
        sink: where it goes; may be replaced until the container is started.
        deadlines: of the engine.
        interruptions: how often the event stream broke. If that changes while the container runs, the engine
            may have gone away and taken the end of the output with it.
        look: asks the engine about the container; `complete` follows if it has exited.
    """

    def __init__(
        self,
        address: Address,
        container_id: str,
        sink: LogSink,
        deadlines: Deadlines,
        interruptions: Callable[[], int],
        look: Callable[[], Awaitable[None]],
    ) -> None:
        self.sink = sink
        self.stderr_head = b""
        self._address = address
        self._id = container_id
        self._deadlines = deadlines
        self._interruptions = interruptions
        self._look = look
        self._exited = asyncio.Event()
        self._delivered = 0
        self._stream: EngineStream | None = None
        self._cut = False
        self._following = False
        self._task: asyncio.Task[None] | None = None
        self._input: EngineStream | None = None

    async def attach(self, *, with_input: bool = False) -> None:
        """Be there before the first byte; to be called before the container is started."""
        query = {"stream": "1", "stdout": "1", "stderr": "1"} | ({"stdin": "1"} if with_input else {})
        stream = await open_stream(
            self._address,
            f"attach to {self._id[:12]}",
            "POST",
            ("containers", self._id, "attach"),
            query,
            deadline=self._deadlines.call,
            upgrade=True,
        )
        self._input = stream if with_input else None
        self._task = asyncio.create_task(self._run(stream), name=f"output-{self._id[:12]}")

    async def send(self, data: bytes) -> None:
        """Write to the container's standard input.

        Raises:
            OSError: it was not attached with its input, or that connection has ended.
        """
        if self._input is None:
            raise ConnectionError("its standard input is not connected")
        await self._input.write(data)

    def replay(self) -> None:
        """Deliver from the log: all of it so far, and what is still to come."""
        self._task = asyncio.create_task(self._run(None), name=f"output-{self._id[:12]}")

    async def complete(self) -> None:
        """The container has exited: returns when all that it wrote has been delivered."""
        self._exited.set()
        if self._following and self._stream is not None:
            self._stream.close()  # the log is read once more in any case
        while self._task is not None and not self._task.done():
            before = self._delivered
            await asyncio.wait({self._task}, timeout=self._deadlines.drain)
            if self._delivered == before and self._stream is not None and not self._task.done():
                self._cut = True  # nothing comes any more, and no end either
                self._stream.close()

    async def cancel(self) -> None:
        """Stop delivering."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, attached: EngineStream | None) -> None:
        if attached is not None:
            before = self._interruptions()
            if await self._copy(attached, FrameParser()) and await self._exit_known(before):
                return
        while not self._exited.is_set():
            # For those who watch. When the engine rotates a log that is being followed, lines can be missing.
            self._following = True
            await self._copy_log(follow=True)
            self._following = False
            await self._exit_within(_PAUSE)
        for _ in range(_TRIES_AFTER_EXIT):
            if await self._copy_log(follow=False):
                return
            await asyncio.sleep(_PAUSE)
        _log.warning("the output of container %s could not be read to its end", self._id[:12])

    async def _exit_known(self, interruptions: int) -> bool:
        """Whether the end of the output was the end of the container, and not that of a connection."""
        if not await self._exit_within(_TOGETHER):
            with contextlib.suppress(BackendError):
                await self._look()
            await asyncio.sleep(0)  # the look sets off `complete`
        return self._exited.is_set() and self._interruptions() == interruptions

    async def _exit_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True

    async def _copy_log(self, *, follow: bool) -> bool:
        self.sink.restart()
        self.stderr_head = b""
        try:
            stream = await open_stream(
                self._address,
                f"read the log of {self._id[:12]}",
                "GET",
                ("containers", self._id, "logs"),
                {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0"},
                deadline=self._deadlines.call,
            )
        except EngineRefusedError as error:
            # Gone, or going: there is no log any more, and asking again will not bring it back.
            return error.status in (404, 409)
        except BackendError:
            return False
        return await self._copy(stream, TimedFrameParser())

    async def _copy(self, stream: EngineStream, parser: FrameParser | TimedFrameParser) -> bool:
        """Everything from the stream into the sink; True if it came to its end without an error."""
        self._stream, self._cut = stream, False
        try:
            async for data in stream:
                self._delivered += len(data)
                for name, piece, time in parser.feed(data):
                    self._note_head(name, piece)
                    self.sink.write(name, piece, time)
        except (OSError, ValueError) as error:
            _log.info("output of %s broke off: %s", self._id[:12], error)
            return False
        finally:
            stream.close()
            self._stream = None
        return parser.at_boundary and not self._cut

    def _note_head(self, name: Stream, piece: bytes) -> None:
        if name == "stderr" and len(self.stderr_head) < _STDERR_HEAD:
            self.stderr_head += piece[: _STDERR_HEAD - len(self.stderr_head)]
