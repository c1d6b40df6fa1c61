"""Live metrics: while a run is live, and exactly at its end, Redis has its metrics for others to watch.

`metrics:workflow:{id}` holds the report, `metrics:events` tells of it (contract section 3). Nothing waits for
this: the history is asked now and then, beside the runs, and at most a small part of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from engine.clock import Clock
from engine.errors import AgentainerError, StateStoreError
from engine.history.reader import Reader
from engine.insight import metrics_of_run
from engine.metrics.reports import event_message
from engine.state.store import StateStore

_log = logging.getLogger("agentainer")

# Seconds between two reports of a live run, and how many times as long as a report takes it has to be.
_INTERVAL = 1.0
_SPARING = 20


class Metering:
    """Tells Redis of the metrics of live runs.

    Args:
        history: the reports are made of it.
        store: where they are shown.
        clock: time.
        position: tells how far the journal is; while that stands still there is nothing new to tell.
    """

    def __init__(self, history: Reader, store: StateStore, clock: Clock, position: Callable[[], int]) -> None:
        self._history = history
        self._store = store
        self._clock = clock
        self._position = position
        self._live: dict[str, asyncio.Task[None]] = {}
        self._ends: set[asyncio.Task[None]] = set()

    def begin(self, run_id: str) -> None:
        """A run is live: tell of it now and then from now on."""
        if run_id not in self._live:
            self._live[run_id] = asyncio.create_task(self._follow(run_id), name=f"metrics {run_id}")

    def end(self, run_id: str) -> None:
        """The end of a run is in the history: tell of it for the last time."""
        following = self._live.pop(run_id, None)
        task = asyncio.create_task(self._conclude(run_id, following), name=f"last metrics {run_id}")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def close(self) -> None:
        """Stop telling; what has ended is told first."""
        following = list(self._live.values())
        self._live.clear()
        for task in following:
            task.cancel()
        await asyncio.gather(*following, *self._ends, return_exceptions=True)

    async def _follow(self, run_id: str) -> None:
        pause, told = _INTERVAL, -1
        while True:
            await self._clock.sleep(pause)
            if (position := self._position()) == told:
                continue
            begun = self._clock.monotonic()
            await self._tell(run_id)
            told, pause = position, max(_INTERVAL, _SPARING * (self._clock.monotonic() - begun))

    async def _conclude(self, run_id: str, following: asyncio.Task[None] | None) -> None:
        if following is not None:  # nothing older may be written after the last word
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        await self._tell(run_id, last=True)

    async def _tell(self, run_id: str, *, last: bool = False) -> None:
        now = self._clock.now()
        try:
            metrics = await metrics_of_run(self._history, run_id, now=now)
            await self._store.tell_metrics(run_id, metrics.to_json(), event_message(metrics, now), last=last)
        except StateStoreError as error:
            _log.info("the metrics of run %s could not be shown in Redis: %s", run_id, error)
        except AgentainerError as error:
            _log.warning("the metrics of run %s could not be made: %s", run_id, error)
        except Exception:
            _log.exception("the metrics of run %s could not be made", run_id)
