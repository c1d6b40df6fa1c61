"""What an attempt's agent uses and what happens to it, noted while it runs; nothing waits for this.

Of a profiled run every agent is followed second by second. Otherwise an agent is looked at now and then, less
and less often, so that what takes long has figures and what does not costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from engine.agents.backend import Backend, Exit, Notice, Sample, Usage
from engine.clock import Clock
from engine.errors import BackendError
from engine.orchestrator.series import Series

_log = logging.getLogger("agentainer")

_FIRST_LOOK = 1.0
_LONGEST_PAUSE = 30.0
# Tasks that are over sooner than this, in seconds, are not worth a stream of samples.
_PROFILED_AFTER = 0.1
# Looks that come to nothing, after which there are no more.
_VAIN_LOOKS = 3
# Less CPU time than this part of the time that went by is no activity: programs that wait wake up at times.
_IDLE = 0.01
_FIGURES = tuple(field.name for field in fields(Usage) if field.name != "sampled")


def look_pauses() -> Iterator[float]:
    """Seconds before each look: they come 1, 2, 4, 8, 16 and 32 s after the start, then every 30 s."""
    yield _FIRST_LOOK
    pause = _FIRST_LOOK
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


class AgentMonitor:
    """Watches the agent of one attempt from `begin` to `end`. No call here raises or waits.

    Args:
        backend: whose agent it is.
        clock: time.
        agent: its name.
        profiled: whether to keep a series of samples.
        silence: seconds without output and CPU time after which `warn` is called; 0 = never.
        warn: takes a sentence for the person who watches the run.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        agent: str,
        *,
        profiled: bool,
        silence: float,
        warn: Callable[[str], None],
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._agent = agent
        self._silence_limit = silence
        self._warn = warn
        self._series = Series() if profiled else None
        # These two are made once there is something to watch: most attempts are over before.
        self._tally: _Tally | None = None
        self._silence: _Silence | None = None
        self._written: Callable[[], int] | None = None
        self._began = 0.0
        self._paused = False
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, written: Callable[[], int], *, elapsed: float = 0.0) -> None:
        """The agent runs.

        Args:
            written: tells how much output has come so far.
            elapsed: how many seconds ago it started.
        """
        self._written = written
        self._began = self._clock.monotonic() - elapsed
        self._backend.listen(self._agent, self._noticed)
        first = _FIRST_LOOK if self._series is None else _PROFILED_AFTER
        if self._silence_limit:
            first = min(first, self._silence_limit)
        self._timer = asyncio.get_running_loop().call_later(first, self._watch, self._began + elapsed)

    def end(self) -> None:
        """The agent runs no more, or serves others now."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    @property
    def series(self) -> dict[str, Any] | None:
        """The samples of a profiled attempt, as `attempt.sampled` has them; None if there are none."""
        return self._series.to_json() if self._series is not None else None

    def usage(self, end: Exit | None) -> dict[str, Any] | None:
        """What it used in all: what the backend says at its `end`, and for the rest what was seen."""
        exact = end.usage if end is not None else None
        if exact is None and self._tally is None:
            return None
        exact = exact or Usage()
        seen = self._tally.usage if self._tally is not None else Usage()
        known: dict[str, Any] = {}
        sampled = exact.sampled
        for name in _FIGURES:
            value, estimate = getattr(exact, name), getattr(seen, name)
            sampled = sampled or (value is None and estimate is not None)
            if (value := estimate if value is None else value) is not None:
                known[name] = value
        return {**known, "sampled": sampled} if known else None

    # -- while it runs --------------------------------------------------------------------------------

    def _watch(self, since: float) -> None:
        tally = self._tally = _Tally()
        silence = self._silence = _Silence(self._silence_limit, since)
        self._task = asyncio.create_task(self._follow(tally, silence), name=f"monitor-{self._agent}")

    async def _follow(self, tally: _Tally, silence: _Silence) -> None:
        try:
            if self._series is None or not await self._stream(self._series, tally, silence):
                await self._look_now_and_then(tally, silence)
        except BackendError as error:
            _log.info("%s is not measured any more: %s", self._agent, error)
        except Exception:
            _log.exception("measuring %s failed", self._agent)

    async def _stream(self, series: Series, tally: _Tally, silence: _Silence) -> bool:
        """Every sample; False if the backend has none."""
        async with aclosing(self._backend.samples(self._agent)) as samples:
            async for sample in samples:
                series.add(self._clock.monotonic() - self._began, sample)
                tally.add(sample)
                self._listen_for(silence, sample)
        return tally.seen

    async def _look_now_and_then(self, tally: _Tally, silence: _Silence) -> None:
        pauses = look_pauses()
        next_look = self._began + next(pauses)
        vain = 0
        while True:
            due = min(next_look, silence.due)
            if due == math.inf:
                return
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            sample = await self._backend.sample(self._agent) if vain < _VAIN_LOOKS else None
            vain = 0 if sample is not None else vain + 1
            now = self._clock.monotonic()
            if vain >= _VAIN_LOOKS:
                next_look = math.inf
            while next_look <= now:
                next_look += next(pauses)
            if sample is not None:
                tally.add(sample)
            self._listen_for(silence, sample)

    def _listen_for(self, silence: _Silence, sample: Sample | None) -> None:
        now = self._clock.monotonic()
        written = self._written() if self._written is not None else 0
        if silence.note(now, written, sample) and not self._paused:
            idle = "" if sample is None else " and used next to no CPU"
            self._warn(
                f"{self._agent} has written nothing{idle} for {silence.lasted(now):.0f} s: it may be "
                "stuck, or wait for something (its timeout stays in force)"
            )

    def _noticed(self, notice: Notice) -> None:
        if self._over:
            return
        match notice.kind:
            case "unhealthy":
                said = f", its last check: {notice.detail}" if notice.detail else ""
                self._warn(
                    f"{self._agent} is unhealthy, as the health check of its image says{said} "
                    "(it goes on, and its timeout stays in force)"
                )
            case "healthy":
                self._warn(f"{self._agent} is healthy again")
            case "paused":
                self._paused = True
                self._warn(
                    f"{self._agent} is paused: it goes on after `docker unpause {self._agent}` "
                    "(its timeout stays in force)"
                )
            case "resumed":
                self._paused = False
                if self._silence is not None:
                    self._silence.stir(self._clock.monotonic())
                self._warn(f"{self._agent} goes on after a pause")


class _Tally:
    """Adds up what samples say."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._peak = 0

    @property
    def seen(self) -> bool:
        return self._last is not None

    def add(self, sample: Sample) -> None:
        if self._last is None or sample.cpu_seconds >= self._last.cpu_seconds:
            self._last = sample  # a tree of processes may shrink, and its account with it
        self._peak = max(self._peak, sample.memory, sample.memory_peak or 0)

    @property
    def usage(self) -> Usage:
        last = self._last
        if last is None:
            return Usage()
        return Usage(
            cpu_seconds=round(last.cpu_seconds, 6),
            memory_peak=self._peak,
            network_in=last.network_in,
            network_out=last.network_out,
            block_read=last.block_read,
            block_write=last.block_write,
            sampled=True,
        )


class _Silence:
    """Judges whether an agent still does something."""

    def __init__(self, limit: float, now: float) -> None:
        self._limit = limit or math.inf
        self._since = now
        self._warned_at: float | None = None
        self._written = 0
        self._cpu: tuple[float, float] | None = None  # when, and how much

    @property
    def due(self) -> float:
        """When it has to be looked at again at the latest."""
        return (self._since if self._warned_at is None else self._warned_at) + self._limit

    def stir(self, now: float) -> None:
        """It does something."""
        self._since, self._warned_at = now, None

    def note(self, now: float, written: int, sample: Sample | None) -> bool:
        """Take in what is known; True if it has been silent for too long, and that was not said yet."""
        if written != self._written or self._has_worked(now, sample):
            self.stir(now)
        self._written = written
        if now - self._since < self._limit:
            return False
        first, self._warned_at = self._warned_at is None, now
        return first

    def lasted(self, now: float) -> float:
        """For how many seconds it has been silent."""
        return now - self._since

    def _has_worked(self, now: float, sample: Sample | None) -> bool:
        if sample is None:
            return False
        earlier, self._cpu = self._cpu, (now, sample.cpu_seconds)
        if earlier is None:
            return False
        return sample.cpu_seconds - earlier[1] > _IDLE * (now - earlier[0])
