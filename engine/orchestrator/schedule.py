"""The Scheduler: starts the workflows of the watched directory at the times that they name.

It goes by the wall clock, looked at often enough that a suspended machine or a clock that was set does no
harm: times that have gone by meanwhile are missed, however many they were, and come to one run at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from engine.clock import Clock, isoformat
from engine.errors import AgentainerError
from engine.history.reader import Reader
from engine.orchestrator.creation import SCHEDULE
from engine.orchestrator.manager import Orchestrator
from engine.workflows.catalog import WorkflowCatalog
from engine.workflows.params import resolve_params
from engine.workflows.plan import Missed, Overlap, Plan, SchedulePlan
from engine.workflows.schedules import times_after, times_between

_log = logging.getLogger("agentainer")

# The clock may be set, and a suspended machine does not count seconds: look at it at least this often (s).
_LOOK = 30.0
# So much later a time is still met: the machine may have been busy, or have just been looked away from.
_GRACE = timedelta(seconds=2 * _LOOK)
# A clock that is put back further than this was wrong before; what it had met by then may come again.
_WRONG = timedelta(days=1)
# Runs of one schedule that wait for the one before them; a schedule faster than its runs must not pile up.
_MOST_WAITING = 20
# Where to look for the latest of the times that have gone by: the nearest first, so that a schedule of every
# minute is not counted through a year.
_WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(weeks=5), timedelta(days=366 * 8))
_MOST_TIMES = 10_000
# Of the newest runs of a workflow, so many are looked through for one that its schedule started.
_LOOKED_THROUGH = 50


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A workflow that runs by itself.

    Attributes:
        workflow, path: which.
        cron, timezone: its schedule, as written.
        next_time: UTC; None while its file has errors, or if no time comes any more.
        last_run: the id of the run that its schedule started last, if any.
        problem: why it did not run at its last time, or does not run now; "" if nothing is wrong.
    """

    workflow: str
    path: Path
    cron: str
    timezone: str
    next_time: datetime | None
    last_run: str | None
    problem: str


@dataclass(slots=True)
class _Timer:
    """One workflow with a schedule, and where it stands."""

    plan: Plan
    schedule: SchedulePlan
    next_time: datetime | None = None
    met: datetime | None = None
    last_run: str | None = None
    problem: str = ""
    broken: bool = False

    def aim(self, now: datetime) -> None:
        """Look for the next time: after now, and after what was met already."""
        after = now
        if self.met is not None and now < self.met <= now + _WRONG:
            after = self.met
        self.next_time = None if self.broken else next(times_after(self.schedule, after), None)


class Scheduler:
    """Keeps the times of all workflows of a catalog.

    Args:
        catalog: the watched directory.
        orchestrator: takes the runs.
        history: knows what was started before.
        clock: whose wall time the schedules go by.
    """

    def __init__(
        self, catalog: WorkflowCatalog, orchestrator: Orchestrator, history: Reader, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._orchestrator = orchestrator
        self._history = history
        self._clock = clock
        self._timers: dict[Path, _Timer] = {}
        self._changed = asyncio.Event()
        self._told: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Catch up with what was missed while no engine was there, where schedules want that; keep time."""
        self.refresh()
        now = self._clock.now()
        for timer in self._timers.values():
            await self._remember(timer)
            if timer.met is not None and timer.next_time is not None:
                await self._meet(timer, timer.met, now)
        self._tasks = [
            asyncio.create_task(self._keep_time(), name="schedules"),
            asyncio.create_task(self._follow(), name="schedules of changed workflows"),
        ]

    async def close(self) -> None:
        """Start nothing more. What was started goes on."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def schedules(self) -> list[Scheduled]:
        """The workflows with a schedule, the next one first."""
        found = [
            Scheduled(
                timer.plan.workflow,
                path,
                timer.schedule.cron,
                timer.schedule.timezone,
                timer.next_time,
                timer.last_run,
                timer.problem,
            )
            for path, timer in self._timers.items()
        ]
        return sorted(found, key=lambda one: (one.next_time is None, one.next_time, one.workflow))

    async def changed(self) -> None:
        """Wait until `schedules` has something new to say."""
        if self._told is None or self._told.done():
            self._told = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._told)

    def refresh(self) -> None:
        """Take over what the catalog says now: new, changed and removed schedules."""
        now = self._clock.now()
        timers: dict[Path, _Timer] = {}
        for entry in self._catalog.entries:
            if entry.plan is None or entry.plan.schedule is None:
                continue
            timer = self._timers.get(entry.path)
            if timer is None or timer.schedule != entry.plan.schedule or timer.broken != entry.broken:
                timer = _Timer(
                    entry.plan,
                    entry.plan.schedule,
                    met=timer.met if timer else None,
                    last_run=timer.last_run if timer else None,
                    broken=entry.broken,
                    problem="its file has errors: it does not run before they are put right"
                    if entry.broken
                    else "",
                )
                timer.aim(now)
            timer.plan = entry.plan
            timers[entry.path] = timer
        self._timers = timers
        self._changed.set()
        self._tell()

    # -- inside ---------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        async for _ in self._catalog.changes():
            self.refresh()

    async def _keep_time(self) -> None:
        seen = self._clock.now()
        while True:
            now = self._clock.now()
            if now < seen - _GRACE:  # the clock was put back
                for timer in self._timers.values():
                    timer.aim(now)
                self._tell()
            seen = now
            for timer in list(self._timers.values()):
                if timer.next_time is not None and timer.next_time <= now:
                    await self._meet(timer, timer.next_time - timedelta(microseconds=1), now)
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._changed.wait()

    def _pause(self) -> float:
        """Seconds until the next time, or the next look at the clock."""
        now = self._clock.now()
        times = [timer.next_time for timer in self._timers.values() if timer.next_time is not None]
        return max(0.0, min([_LOOK, *((time - now).total_seconds() for time in times)]))

    async def _remember(self, timer: _Timer) -> None:
        timer.met = await self._history.last_scheduled(timer.plan.workflow)
        newest = await self._history.runs(workflow=timer.plan.workflow, limit=_LOOKED_THROUGH)
        timer.last_run = next((run.id for run in newest if run.scheduled_for is not None), None)

    async def _meet(self, timer: _Timer, after: datetime, now: datetime) -> None:
        """Act on the times that have come since `after`; all of them together are one."""
        time = _latest(timer.schedule, after, now)
        if time is not None:
            timer.met = time
            if now - time <= _GRACE or timer.schedule.missed is Missed.RUN_ONCE:
                await self._start(timer, time)
            else:
                self._complain(timer, f"missed its time {isoformat(time)}: the engine was away")
        timer.aim(now)
        self._tell()

    async def _start(self, timer: _Timer, time: datetime) -> None:
        """Start a run for a time, unless earlier ones of the schedule are in its way."""
        plan, overlap = timer.plan, timer.schedule.overlap
        active, waiting = self._orchestrator.queue.scheduled(plan.workflow)
        busy = [*active, *waiting]
        if busy and overlap is Overlap.SKIP:
            self._complain(timer, f"did not run at {isoformat(time)}: run {busy[0]} had not ended")
            return
        if overlap is Overlap.QUEUE and len(waiting) >= _MOST_WAITING:
            self._complain(timer, f"did not run at {isoformat(time)}: {len(waiting)} runs of it wait already")
            return
        timer.problem = ""
        try:
            if overlap is Overlap.CANCEL_PREVIOUS:
                for run_id in busy:
                    await self._orchestrator.cancel(run_id, by="its schedule, whose next time has come")
            params = resolve_params(plan, timer.schedule.params)
            timer.last_run = await self._orchestrator.start(plan, params, source=SCHEDULE, scheduled_for=time)
        except AgentainerError as error:
            self._complain(timer, f"could not be started at {isoformat(time)}: {error}")
        except Exception as error:
            # The other schedules must not suffer from it.
            self._complain(
                timer, f"could not be started at {isoformat(time)}: {type(error).__name__}: {error}"
            )

    def _tell(self) -> None:
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    def _complain(self, timer: _Timer, what: str) -> None:
        timer.problem = what
        _log.warning("workflow %s %s", timer.plan.workflow, what)


def _latest(schedule: SchedulePlan, after: datetime, now: datetime) -> datetime | None:
    """The last time of a schedule in `(after, now]`, None if there is none."""
    for window in _WINDOWS:
        begin = max(after, now - window)
        if times := times_between(schedule, begin, now, _MOST_TIMES):
            return times[-1]
        if begin == after:
            break
    return None
