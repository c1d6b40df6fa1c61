"""One connection to a Redis server: many callers, one socket, replies in order, pushes set aside.

`hiredis` writes and parses the protocol. What is added is what an engine with thousands of tasks needs:
commands of all callers go out together without waiting for one another, and a push (a message, a changed
key) is handled before any reply that the server sent after it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlsplit

import hiredis

from engine.errors import UsageError

Argument = str | bytes | int
Command = tuple[Argument, ...]
PushHandler = Callable[[list[Any]], None]

_INCOMPLETE = object()
_pack = cast(Callable[[Command], bytes], hiredis.pack_command)  # its stub knows tuples of one only


class CommandError(Exception):
    """The server answered a command with an error. `code` is its first word, such as `WRONGTYPE`."""

    @property
    def code(self) -> str:
        """The kind of error."""
        return str(self).partition(" ")[0]


class LinkLostError(ConnectionError):
    """The connection is gone, or could not be made."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis server is and who we are to it.

    Attributes:
        host, port: where it listens.
        username, password: empty where none is needed.
        db: the number of the database.
        tls: whether to speak TLS; `verify` whether to check the certificate, against `ca_file` if given.
    """

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: bool = False
    verify: bool = True
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS.

        Raises:
            UsageError: it is not such a URL.
        """
        # Only here, where someone else's server is used: importing it takes longer than starting our own.
        from redis.connection import parse_url

        text = url.strip()
        try:
            options = parse_url(text)  # type: ignore[no-untyped-call]
            if text.startswith("unix:") or not options.get("host"):
                raise ValueError("no host")
            return cls(
                options["host"],
                options.get("port", 6379),
                options.get("username") or "",
                options.get("password") or "",
                int(options.get("db", urlsplit(text).path.strip("/") or 0)),
                tls=text.startswith("rediss:"),
                verify=options.get("ssl_cert_reqs", "required") != "none",
                ca_file=options.get("ssl_ca_certs"),
            )
        except (ValueError, TypeError):
            raise UsageError(
                "setting redis_url is not the URL of a Redis server (not shown: it may hold a password)",
                hint="expected redis://[user:password@]host[:port][/db], or rediss:// for TLS",
            ) from None

    @property
    def place(self) -> str:
        """`host:port`, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole of it as a URL, with the password."""
        scheme = "rediss" if self.tls else "redis"
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        options = "" if self.verify or not self.tls else "?ssl_cert_reqs=none"
        return f"{scheme}://{login}{self.place}/{self.db}{options}"

    def tls_context(self) -> ssl.SSLContext | None:
        """How to speak TLS, None if not at all."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(slots=True)
class _Batch:
    """Commands that were sent together and whose replies are awaited together."""

    missing: int
    answered: asyncio.Future[list[Any]]
    replies: list[Any] = field(default_factory=list)


class Link(asyncio.Protocol):
    """The connection. Make it with `connect`.

    Attributes:
        lost: done when the connection is gone, whatever the cause.
        server, version, mode: what the server says it is, such as `redis`, `(7, 0, 15)` and `standalone`.
    """

    def __init__(self, on_push: PushHandler) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.server = ""
        self.version: tuple[int, ...] = ()
        self.mode = ""
        self._on_push = on_push
        self._reader = hiredis.Reader(replyError=CommandError, notEnoughData=_INCOMPLETE)
        self._pending: deque[_Batch] = deque()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, address: Address, on_push: PushHandler, *, timeout: float) -> Link:
        """Connect and log in, within `timeout` seconds.

        Raises:
            LinkLostError: nobody answers there, or not in time, or not as Redis does.
            CommandError: the server refuses us.
        """
        loop = asyncio.get_running_loop()
        link = cls(on_push)
        try:
            async with asyncio.timeout(timeout):
                await loop.create_connection(
                    lambda: link, address.host, address.port, ssl=address.tls_context()
                )
                await link._log_in(address)
        except (OSError, TimeoutError) as error:
            link.abort()
            if isinstance(error, LinkLostError):
                raise
            reason = str(error) or f"no answer within {timeout:g} s"
            raise LinkLostError(f"{address.place}: {reason}") from error
        except BaseException:
            link.abort()
            raise
        return link

    def send(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands in one go; the future gives their replies in order.

        Errors of the server are `CommandError` values among them. The future fails with `LinkLostError` if
        the connection goes before all replies came; cancelling it does not undo what was sent.
        """
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if self.lost.done() or self._transport is None:
            answered.set_exception(LinkLostError("the connection to Redis is gone"))
            return answered
        if not commands:
            answered.set_result([])
            return answered
        self._pending.append(_Batch(len(commands), answered))
        self._transport.write(b"".join(map(_pack, commands)))
        return answered

    def subscribe(self, pattern: str) -> asyncio.Future[list[Any]]:
        """Subscribe to a pattern of channels; done when the subscription stands.

        Its confirmation is a push; the answer awaited is that to a PING behind it.
        """
        if self._transport is not None:
            self._transport.write(_pack(("PSUBSCRIBE", pattern)))
        return self.send([("PING",)])

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
        self._end(None)

    # -- asyncio.Protocol -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on replies and pushes in the order in which they came."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self._end(LinkLostError(f"what answers is not Redis: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._end(exc)

    # -- inside -----------------------------------------------------------------------------------------

    async def _log_in(self, address: Address) -> None:
        hello: list[Argument] = ["HELLO", 3]
        if address.password:
            hello += ["AUTH", address.username or "default", address.password]
        commands: list[Command] = [(*hello, "SETNAME", "agentainer")]
        if address.db:
            commands.append(("SELECT", address.db))
        replies = await self.send(commands)
        for reply in replies:
            if isinstance(reply, CommandError):
                raise reply
        if not isinstance(replies[0], dict):
            raise LinkLostError(f"{address.place}: what answers is not Redis")
        facts = {
            key: value.decode("ascii", errors="replace")
            for key, value in replies[0].items()
            if isinstance(value, bytes)
        }
        self.server, self.mode = facts.get(b"server", "redis"), facts.get(b"mode", "standalone")
        self.version = tuple(int(part) for part in facts.get(b"version", "0").split(".") if part.isdigit())

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            self._on_push(reply)
            return
        if not self._pending:
            raise hiredis.ProtocolError("a reply that nobody asked for")
        batch = self._pending[0]
        batch.replies.append(reply)
        batch.missing -= 1
        if not batch.missing:
            self._pending.popleft()
            if not batch.answered.done():
                batch.answered.set_result(batch.replies)

    def _end(self, cause: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        error = LinkLostError(f"the connection to Redis was lost{f': {cause}' if cause else ''}")
        while self._pending:
            batch = self._pending.popleft()
            if not batch.answered.done():
                batch.answered.set_exception(error)
                batch.answered.exception()  # the caller may have gone; asyncio would complain about it
