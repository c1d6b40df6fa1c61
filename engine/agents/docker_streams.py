"""Long answers of the Docker engine (output, logs, events), read by the event loop: no thread for each.

The SDK reads such answers with a blocking call, which would take a thread per container. They are plain HTTP:
a request head, an answer head, then bytes until the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

from engine.agents.backend import Stream
from engine.agents.docker_calls import EngineRefusedError, EngineSilentError
from engine.agents.docker_connection import Address

_CHUNK = 64 * 1024
_HEADER = 8
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}
# An answer's words for an error are short; more than this is not read.
_ERROR_LIMIT = 64 * 1024
# `2026-01-02T03:04:05.123456789Z` and a space, at the beginning of each frame of a log with times.
_TIME_LIMIT = 64


class EngineStream:
    """One open answer. Iterate over its bytes; close it when it is no longer wanted.

    Attributes:
        headers: of the answer, their names in lower case.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str]
    ) -> None:
        self.headers = headers
        self._reader = reader
        self._writer = writer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def read(self) -> bytes:
        """What has come; nothing at the end."""
        return await self._reader.read(_CHUNK)

    async def lines(self) -> AsyncIterator[bytes]:
        """Line by line, for events, which are short."""
        async for line in self._reader:
            yield line

    async def write(self, data: bytes) -> None:
        """Send, where the answer is a raw connection.

        Raises:
            OSError: it has ended.
        """
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()


async def open_stream(
    address: Address,
    doing: str,
    method: str,
    path: tuple[str, ...],
    query: Mapping[str, str],
    *,
    deadline: float,
    headers: Mapping[str, str] | None = None,
    upgrade: bool = False,
    body: bytes = b"",
) -> EngineStream:
    """Ask, and return the answer once its head has come.

    Args:
        address: where the engine is.
        doing: what it is for, for messages.
        method: `GET` or `POST`.
        path: the parts of the path; they are quoted here.
        query: the parameters.
        deadline: seconds until the head must have come.
        headers: more lines for the head.
        upgrade: ask for a raw connection, as attaching does.
        body: JSON to send along.

    Raises:
        EngineRefusedError: the engine said no.
        EngineSilentError: it could not be reached or did not answer in time.
    """
    parts = (f"v{address.version}", *path) if address.version else path
    target = "/" + "/".join(quote(part, safe="") for part in parts) + f"?{urlencode(query)}"
    # Without an upgrade, HTTP/1.0: the body then comes as it is, not in chunks.
    head = f"{method} {target} HTTP/{'1.1' if upgrade else '1.0'}\r\nHost: docker\r\n"
    head += f"Content-Length: {len(body)}\r\n"
    if body:
        head += "Content-Type: application/json\r\n"
    if upgrade:
        head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(deadline):
            reader, writer = await address.dial()
            writer.write(head.encode("ascii") + b"\r\n" + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(None, 2)[1])
            if status not in (101, 200):
                raise EngineRefusedError(doing, status, await _words(reader))
    except BaseException as error:
        if writer is not None:
            writer.transport.abort()
        if isinstance(error, TimeoutError):
            raise EngineSilentError(
                doing, f"the Docker engine did not answer within {deadline:g} s"
            ) from None
        if isinstance(error, (OSError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError)):
            raise EngineSilentError(doing, f"the connection to the Docker engine broke: {error}") from None
        raise
    return EngineStream(reader, writer, _headers(answer))


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value.strip() for name, separator, value in lines if separator}


async def _words(reader: asyncio.StreamReader) -> str:
    body = bytearray()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):  # a kept-alive answer has no end of its own
            while len(body) < _ERROR_LIMIT and (data := await reader.read(_CHUNK)):
                body += data
    text = body.decode("utf-8", errors="replace").strip()
    try:
        return str(json.loads(text[text.index("{") : text.rindex("}") + 1])["message"])
    except (ValueError, KeyError):
        return text


class FrameParser:
    """Docker's multiplexed output: 8 bytes of header (stream, 0, 0, 0, size), then that many bytes.

    Gives the bytes of a frame as they come, so a frame of any size takes no memory.
    """

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self._stream: Stream = "stdout"
        self.begins = False

    @property
    def at_boundary(self) -> bool:
        """Whether the last frame is whole."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes, datetime | None]]:
        """What is new: the stream and some of its bytes (`begins`: they begin a frame); there are no times.

        Raises:
            ValueError: this is not such a stream, or the engine reports an error in it.
        """
        view = memoryview(data)
        while view:
            if not self._left:
                view = self._take_header(view)
                continue
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            yield self._stream, bytes(piece), None
            self.begins = False

    def _take_header(self, view: memoryview) -> memoryview:
        missing = _HEADER - len(self._head)
        self._head += view[:missing]
        if len(self._head) == _HEADER:
            if self._head[0] not in _STREAMS or any(self._head[1:4]):
                raise ValueError(f"not a frame of output: {bytes(self._head)!r}")
            self._stream = _STREAMS[self._head[0]]
            self._left = int.from_bytes(self._head[4:], "big")
            self._head.clear()
            self.begins = True
        return view[missing:]


class TimedFrameParser:
    """The same for logs that carry a time at the beginning of each frame."""

    def __init__(self) -> None:
        self._frames = FrameParser()
        self._pending: bytes | None = None
        self._time: datetime | None = None

    @property
    def at_boundary(self) -> bool:
        """Whether the last frame is whole."""
        return self._frames.at_boundary

    def feed(self, data: bytes) -> Iterator[tuple[Stream, bytes, datetime | None]]:
        """What is new: the stream, some of its bytes, when Docker got them.

        Raises:
            ValueError: this is not such a stream, or the engine reports an error in it.
        """
        for stream, piece, _ in self._frames.feed(data):
            if self._frames.begins:
                self._pending = b""
            if self._pending is not None:
                self._pending += piece
                prefix, found, rest = self._pending.partition(b" ")
                if not found and len(self._pending) < _TIME_LIMIT:
                    continue
                self._time = _parse_time(prefix) if found else None
                piece = rest if self._time else self._pending
                self._pending = None
            if piece:
                yield stream, piece, self._time


def _parse_time(text: bytes) -> datetime | None:
    """Docker writes nanoseconds, which `fromisoformat` cuts to microseconds."""
    try:
        return datetime.fromisoformat(text.decode("ascii"))
    except ValueError:
        return None


def parse_time(text: str) -> datetime | None:
    """A time of the engine's inspect answers; None for `0001-01-01…`, its word for never."""
    if text.startswith("0001-"):
        return None
    return _parse_time(text.encode("ascii", errors="replace"))
