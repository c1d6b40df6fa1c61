"""Time as the engine sees it: wall time for records, monotonic seconds for durations and waiting.

Tests run the same code under virtual time by running it on an event loop whose `time()` jumps; therefore
everything that waits does so through asyncio, and `monotonic()` is the running loop's time.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where the engine takes its time from."""

    def now(self) -> datetime:
        """Wall time, UTC, for records people read. Never subtracted to get a duration."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward, for durations, deadlines and back-off."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, cancellably."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """UTC wall time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, cancellably."""
        await asyncio.sleep(seconds)


class LoopClock:
    """The running event loop's time; wall time is `epoch` plus the loop's time. For virtual-time loops."""

    def __init__(self, epoch: datetime | None = None) -> None:
        self._epoch = epoch or datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """`epoch` plus the loop's time."""
        return self._epoch + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """The running loop's time, in seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of the loop's time, cancellably."""
        await asyncio.sleep(seconds)


def isoformat(moment: datetime) -> str:
    """ISO 8601 UTC with microseconds and a `Z`, the one form in which times are stored and shown."""
    # Not strftime, which takes ten times as long; there are two of these in every event.
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> datetime:
    """The inverse of `isoformat`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
