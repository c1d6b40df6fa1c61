"""Where the seconds of one attempt go, on the monotonic clock."""

from __future__ import annotations

from engine.clock import Clock


class Phases:
    """Adds up the time in each phase of an attempt; at most one is open at a time.

    A phase that is entered again (the platform tried once more) goes on where it was.
    """

    __slots__ = ("_clock", "_open", "_seconds", "_since")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._open: str | None = None
        self._since = 0.0

    def enter(self, name: str | None) -> None:
        """From now on it is in phase `name`; None: in none that anybody asks for."""
        now = self._clock.monotonic()
        if self._open is not None:
            self._seconds[self._open] = self._seconds.get(self._open, 0.0) + now - self._since
        self._open, self._since = name, now

    def close(self) -> dict[str, float] | None:
        """Leave the open phase; the seconds of those that took time, None if none did."""
        self.enter(None)
        return {name: round(seconds, 6) for name, seconds in self._seconds.items() if seconds > 5e-7} or None
