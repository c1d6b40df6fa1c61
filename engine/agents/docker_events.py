"""One stream of the engine's events for all containers of an instance; it comes back when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.agents.docker_connection import Address
from engine.agents.docker_streams import EngineStream, open_stream
from engine.errors import BackendError

# Pauses between attempts to reach an engine that went away, in seconds; the last one repeats.
_PAUSES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)

_ACTIONS = ("start", "oom", "kill", "die", "destroy", "pause", "unpause", "health_status")


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """Something that happened to a container.

    `action` is `start`, `oom`, `kill`, `die`, `destroy`, `pause`, `unpause` or `health_status: …`.
    """

    action: str
    container_id: str
    time: datetime
    exit_code: int | None
    signal: int | None = None


class EventStream:
    """Follows the events.

    Args:
        address: where the engine is.
        label: `key=value` that the containers carry.
        on_event: called for each event, in the event loop.
        on_reconnect: called after each reconnection: events may have been missed, so look for yourself.
        deadline: seconds for the engine to accept the connection.

    `interruptions` counts how often the stream broke: while it does not change, the engine has been there.
    """

    def __init__(
        self,
        address: Address,
        label: str,
        *,
        on_event: Callable[[ContainerEvent], None],
        on_reconnect: Callable[[], None],
        deadline: float,
    ) -> None:
        self._address = address
        self._label = label
        self._on_event = on_event
        self._on_reconnect = on_reconnect
        self._deadline = deadline
        self._stream: EngineStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._since = ""
        self.interruptions = 0

    async def open(self) -> None:
        """Connect; from its return on, no event is missed without `on_reconnect` being called.

        Raises:
            BackendError: the engine cannot be reached.
        """
        self._stream = await self._connect()
        self._task = asyncio.create_task(self._follow(self._stream), name="docker-events")

    async def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def hang_up(self) -> None:
        """Break the connection, as a network would; it is made anew at once."""
        if self._stream is not None:
            self._stream.close()

    async def _connect(self) -> EngineStream:
        filters = {
            "type": ["container"],
            "label": [self._label],
            "event": list(_ACTIONS),
        }
        query = {"filters": json.dumps(filters)} | ({"since": self._since} if self._since else {})
        return await open_stream(
            self._address, "follow events", "GET", ("events",), query, deadline=self._deadline
        )

    async def _follow(self, stream: EngineStream) -> None:
        while True:
            try:
                # A broken connection is as good as an ended one: in both cases we connect again.
                with contextlib.suppress(OSError, ValueError):
                    async for line in stream.lines():
                        self._take(line)
            finally:
                stream.close()
            self.interruptions += 1
            stream = self._stream = await self._reconnect()
            self._on_reconnect()

    async def _reconnect(self) -> EngineStream:
        attempt = 0
        while True:
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            with contextlib.suppress(BackendError):
                return await self._connect()
            attempt += 1

    def _take(self, line: bytes) -> None:
        try:
            told = json.loads(line)
            nanoseconds = int(told["timeNano"])
            attributes = told["Actor"]["Attributes"]
            code, signal = attributes.get("exitCode"), attributes.get("signal")
            event = ContainerEvent(
                action=told["Action"],
                container_id=told["Actor"]["ID"],
                time=datetime.fromtimestamp(nanoseconds / 1e9, UTC),
                exit_code=int(code) if code is not None else None,
                signal=int(signal) if signal is not None else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return  # not an event of the kind that we asked for
        self._since = f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
        self._on_event(event)
