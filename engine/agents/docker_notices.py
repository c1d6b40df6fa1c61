"""What happens to a running container and does not end it: its health check, somebody who pauses it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from engine.agents.backend import Listener, Notice
from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import Calls
from engine.agents.docker_events import ContainerEvent

# Of the output of a health check; Docker itself keeps 4096 bytes.
_DETAIL_LIMIT = 1000


class Notices:
    """Hands on what happens to one container to whoever listens."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._listener: Listener | None = None
        self._unhealthy = self._paused = False

    def listen(self, listener: Listener) -> None:
        """Have it told from now on, and what holds already."""
        self._listener = listener
        if self._paused:
            self._tell(Notice("paused", datetime.now(UTC)))

    def learn(self, state: Mapping[str, Any]) -> None:
        """The engine describes the container: tell what was missed."""
        self._note_paused(bool(state.get("Paused")), datetime.now(UTC))
        health = state.get("Health") or {}
        self._note_health(health.get("Status") == "unhealthy", health, datetime.now(UTC))

    def pausing(self, event: ContainerEvent) -> None:
        """It has been paused, or goes on."""
        self._note_paused(event.action == "pause", event.time)

    async def health_changed(self, event: ContainerEvent) -> None:
        """Its health check judges it anew; what the check printed has to be asked for."""
        unhealthy = event.action.endswith("unhealthy")
        found = await inspect(self._calls, event.container_id) if unhealthy else None
        health = (found["State"].get("Health") or {}) if found else {}
        self._note_health(unhealthy, health, event.time)

    def _note_paused(self, paused: bool, time: datetime) -> None:
        if paused is not self._paused:
            self._paused = paused
            self._tell(Notice("paused" if paused else "resumed", time))

    def _note_health(self, unhealthy: bool, health: Mapping[str, Any], time: datetime) -> None:
        if unhealthy is not self._unhealthy:
            self._unhealthy = unhealthy
            self._tell(Notice("unhealthy" if unhealthy else "healthy", time, last_output(health)))

    def _tell(self, notice: Notice) -> None:
        if self._listener is not None:
            self._listener(notice)


def last_output(health: Mapping[str, Any]) -> str:
    """What the last health check printed, from the engine's description; its end, where that is long."""
    log = health.get("Log") or ()
    if not log:
        return ""
    words = str(log[-1].get("Output") or "").strip()
    words = words if len(words) <= _DETAIL_LIMIT else f"…{words[-_DETAIL_LIMIT:]}"
    return f"exit code {log[-1].get('ExitCode')}" + (f": {words}" if words else "")
