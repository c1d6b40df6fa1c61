"""A man in the middle between the backend and the Docker engine, to make the engine slow, silent or gone."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = re.compile(rb"^(GET|POST|DELETE|PUT|HEAD) (\S+) HTTP/1\.[01]\r\n")


@dataclass(eq=False)
class Connection:
    """One connection that goes through."""

    client: asyncio.StreamWriter
    engine: asyncio.StreamWriter
    request: str = ""
    answered: int = 0

    def cut(self) -> None:
        """Break it on both sides."""
        self.client.transport.abort()
        self.engine.transport.abort()


@dataclass
class Proxy:
    """Forwards everything, except what it was told to hold back.

    Attributes:
        requests: the first line of each request, in order.
        under_way: how many requests of each pattern in `watched` are unanswered; `most` the highest number.
    """

    engine_socket: str
    requests: list[str] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)
    _under_way: dict[str, set[Connection]] = field(default_factory=dict)
    _held_requests: dict[str, asyncio.Event] = field(default_factory=dict)
    _held_answers: dict[str, asyncio.Event] = field(default_factory=dict)
    _cut_after: dict[str, int] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _seen: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self, path: Path) -> str:
        """Serve on a socket; returns it as a `DOCKER_HOST`."""
        self._server = await asyncio.start_unix_server(self._serve, path)
        return f"unix://{path}"

    async def listen_tcp(self) -> str:
        """Serve on a port of the loopback; returns it as a `DOCKER_HOST`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop serving and break what is open."""
        for held in (*self._held_requests.values(), *self._held_answers.values()):
            held.set()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.cut()
        for _ in range(3):  # the loop closes what was aborted in its next rounds
            await asyncio.sleep(0)

    # -- faults ---------------------------------------------------------------------------------------

    def hold_requests(self, pattern: str) -> asyncio.Event:
        """Requests that match never reach the engine until the event is set."""
        return self._held_requests.setdefault(pattern, asyncio.Event())

    def hold_answers(self, pattern: str) -> asyncio.Event:
        """The engine gets them and acts, but its answers are withheld until the event is set."""
        return self._held_answers.setdefault(pattern, asyncio.Event())

    def cut_answers(self, pattern: str, after: int) -> None:
        """Break a connection in the middle of its answer, once so many bytes of it have come."""
        self._cut_after[pattern] = after

    def cut(self, pattern: str) -> int:
        """Break the connections whose last request matches; returns how many."""
        matching = [c for c in self.connections if re.search(pattern, c.request)]
        for connection in matching:
            connection.cut()
        return len(matching)

    def watch(self, pattern: str) -> None:
        """Count the unanswered requests that match, into `most`."""
        self.most[pattern] = 0
        self._under_way[pattern] = set()

    async def saw(self, pattern: str, times: int = 1) -> None:
        """Wait until so many matching requests have come."""
        async with asyncio.timeout(30), self._seen:
            await self._seen.wait_for(
                lambda: sum(bool(re.search(pattern, request)) for request in self.requests) >= times
            )

    # -- traffic --------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(self.engine_socket)
        connection = Connection(writer, engine_writer)
        self.connections.add(connection)
        both = (
            asyncio.create_task(self._requests(reader, connection)),
            asyncio.create_task(self._answers(engine_reader, connection)),
        )
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the test is over
                await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in both:
                task.cancel()
            self.connections.discard(connection)
            connection.cut()

    async def _requests(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if head := _HEAD.match(data):
                    connection.request = (head[1] + b" " + head[2]).decode()
                    await self._note(connection)
                    await self._hold(self._held_requests, connection)
                connection.engine.write(data)
                await connection.engine.drain()
            if connection.engine.can_write_eof():
                connection.engine.write_eof()

    async def _answers(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for waiting in self._under_way.values():
                    waiting.discard(connection)
                await self._hold(self._held_answers, connection)
                connection.client.write(data)
                await connection.client.drain()
                connection.answered += len(data)
                if any(
                    re.search(pattern, connection.request) and connection.answered > after
                    for pattern, after in self._cut_after.items()
                ):
                    connection.cut()  # the engine's side as well: it would wait for its answer to be read
                    return
        connection.client.close()

    async def _note(self, connection: Connection) -> None:
        for pattern, waiting in self._under_way.items():
            if re.search(pattern, connection.request):
                waiting.add(connection)
                self.most[pattern] = max(self.most[pattern], len(waiting))
        async with self._seen:
            self.requests.append(connection.request)
            self._seen.notify_all()

    async def _hold(self, held: dict[str, asyncio.Event], connection: Connection) -> None:
        for pattern, released in held.items():
            if re.search(pattern, connection.request):
                await released.wait()
