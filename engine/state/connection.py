"""A connection that is kept: made again with growing pauses for as long as it is wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from engine.errors import AgentainerError, StateStoreError
from engine.state.link import Command, CommandError, Link, LinkLostError

_log = logging.getLogger("agentainer")

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 2.0
_REPLY_SECONDS = 5.0  # a server that is silent for so long is taken for gone

DEADLINE = 15.0
"""Seconds that a call may take, with all reconnecting in between."""

_ADVICE = {
    "NOPERM": "the user in redis_url needs more rights: reading, writing, scripts, pub/sub on all channels",
    "OOM": "Redis has reached its memory limit; finish or cancel runs with large results or inputs",
    "MISCONF": "the Redis server cannot save to its disk and refuses writes; look at its log",
    "READONLY": "redis_url names a replica; give the address of the primary",
    "LOADING": "the Redis server is still loading its data; try again when it is ready",
    "BUSY": "a script occupies the Redis server; it is served again when the script ends",
}


def store_error(command: Command, error: CommandError) -> StateStoreError:
    """What a server's refusal of a command means, naming the key that it was about."""
    name = str(command[0])
    # EVAL script numkeys key … against COMMAND key …
    about = command[3 : 3 + int(command[2])] if name == "EVAL" else command[1:2]
    key = " or ".join(map(str, about))
    if "WRONGTYPE" in str(error):
        return StateStoreError(
            f"{key} in Redis holds a value of another type than it should ({name} was refused)",
            hint="a task has overwritten it; tasks change single fields with HSET, RPUSH and SADD",
        )
    return StateStoreError(f"Redis refused {name} {key}: {error}", hint=_ADVICE.get(error.code, ""))


def all_granted(commands: Sequence[Command], replies: list[Any]) -> list[Any]:
    """The replies, none of which is an error.

    Raises:
        StateStoreError: the server refused one of the commands.
    """
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, CommandError):
            raise store_error(command, reply)
    return replies


class Connection:
    """One kept connection.

    Args:
        connect: makes a link.
        prepare: makes a fresh link ready (log in, subscribe, restore); only then others may use it.
        on_busy: called when a script occupies the server; the command is tried again afterwards.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Link]],
        prepare: Callable[[Link], Awaitable[None]],
        *,
        on_busy: Callable[[Link], Awaitable[None]] | None = None,
    ) -> None:
        self.up = asyncio.Event()
        self.link: Link | None = None
        self._connect = connect
        self._prepare = prepare
        self._on_busy = on_busy
        self._keeping: asyncio.Task[None] | None = None
        self._listeners: set[asyncio.Queue[bool]] = set()
        self._trouble = ""

    async def open(self) -> None:
        """Connect for the first time; what is raised is what `connect` and `prepare` raise."""
        await self._establish()
        self._keeping = asyncio.create_task(self._keep(), name="connection to Redis")

    async def release(self) -> Link | None:
        """Stop keeping it; the link, should there be one, is the caller's now."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        return self.link

    async def close(self) -> None:
        """Stop keeping it, and drop it."""
        if (link := await self.release()) is not None:
            link.abort()

    async def standing(self, *, seconds: float = DEADLINE) -> Link:
        """The link, once it stands.

        Raises:
            StateStoreError: it did not within `seconds`.
        """
        if (link := self._standing_now()) is not None:
            return link
        try:
            async with asyncio.timeout(seconds):
                while (link := self._standing_now()) is None:
                    await self.up.wait()
                    await asyncio.sleep(0)  # a loss is known at once, but `up` hears of it from the loop
        except TimeoutError:
            raise self._no_answer(seconds) from None
        return link

    async def run(self, commands: Sequence[Command], *, seconds: float = DEADLINE) -> list[Any]:
        """Send commands together; returns their replies, with errors of the server as `CommandError` values.

        Waits for a connection that is just being made again, and sends again what went unanswered, so a
        command may take effect twice.

        Raises:
            StateStoreError: there was no answer within `seconds`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0:
            link = await self.standing(seconds=left)
            try:
                async with asyncio.timeout(_REPLY_SECONDS):
                    replies = await link.send(commands)
                    if self._on_busy is None or not any(map(_is_busy, replies)):
                        return replies
                    await self._on_busy(link)
            except TimeoutError:
                self._trouble = f"it was silent for {_REPLY_SECONDS:g} s"
                link.abort()
            except LinkLostError as error:
                self._trouble = str(error)
        raise self._no_answer(seconds)

    async def demand(self, commands: Sequence[Command], *, seconds: float = DEADLINE) -> list[Any]:
        """As `run`, for commands that must succeed.

        Raises:
            StateStoreError: no answer, or the server refused one of them; names the key.
        """
        return all_granted(commands, await self.run(commands, seconds=seconds))

    async def changes(self) -> AsyncIterator[bool]:
        """False whenever the connection is lost, True whenever it is back."""
        queue: asyncio.Queue[bool] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    # -- inside -----------------------------------------------------------------------------------------

    def _standing_now(self) -> Link | None:
        link = self.link
        return link if link is not None and self.up.is_set() and not link.lost.done() else None

    async def _establish(self) -> None:
        link = self.link = await self._connect()
        try:
            await self._prepare(link)
        except BaseException:
            link.abort()
            raise
        link.lost.add_done_callback(lambda _: self.up.clear())
        if not link.lost.done():
            self.up.set()

    async def _keep(self) -> None:
        while True:
            assert self.link is not None
            await asyncio.shield(self.link.lost)
            self._tell(False)
            await self._come_back()
            self._tell(True)

    async def _come_back(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._establish()
            except (AgentainerError, CommandError, OSError) as error:
                self._trouble = str(error)
            except Exception as error:
                self._trouble = f"internal error: {type(error).__name__}: {error}"
                _log.exception("connecting to Redis again")
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _no_answer(self, seconds: float) -> StateStoreError:
        trouble = self._trouble or "it is being connected to again"
        return StateStoreError(
            f"Redis did not answer within {seconds:.0f} s: {trouble}",
            hint="it is tried again all the time; `agentainer doctor` says which server it is",
        )

    def _tell(self, is_up: bool) -> None:
        for queue in self._listeners:
            queue.put_nowait(is_up)


def _is_busy(reply: Any) -> bool:
    return isinstance(reply, CommandError) and reply.code == "BUSY"
