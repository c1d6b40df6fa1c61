"""Retention: what is older than the settings say, or more than they allow, goes by itself, bit by bit."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from engine.clock import Clock, isoformat
from engine.errors import HistoryError, UsageError
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.history.records import RunRecord
from engine.history.retention import delete_run, give_back_space
from engine.settings import Settings

_log = logging.getLogger("agentainer")

_FIRST_DELAY = 5.0
_INTERVAL = 3600.0
_BITE = 50

# Of the time at most this part, so that runs do not notice.
_SPARING = 10

# What an engine that lives for seconds only does at its end, so that old runs go in such homes, too.
_AT_THE_END = 20


class Housekeeper:
    """Deletes what has had its time, from `open` to `close`.

    A run goes when it ended more than `keep_days` ago, or when there are `keep_runs` newer finished ones of
    its workflow. The newest finished run of a workflow always stays, so that this never deletes everything.
    """

    def __init__(self, journal: Journal, history: Reader, settings: Settings, clock: Clock) -> None:
        self._journal = journal
        self._history = history
        self._settings = settings
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Tidy up soon, and every hour after that."""
        self._task = asyncio.create_task(self._live(), name="housekeeping")

    async def close(self) -> None:
        """Stop; an engine that may have lived for seconds only does a little now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            await self._sweep(_AT_THE_END)

    async def sweep(self, most: int | None = None) -> int:
        """Delete what has had its time, `most` runs at most; returns how many went.

        Raises:
            HistoryError: the history cannot be read or changed.
        """
        gone = 0
        while most is None or gone < most:
            begun = self._clock.monotonic()
            runs = await expired_by(
                self._history, self._settings, self._clock, _BITE if most is None else min(_BITE, most - gone)
            )
            deleted = [run.id for run in runs if await self._delete(run.id)]
            if not deleted:
                break
            gone += len(deleted)
            await give_back_space(self._journal)
            if most is None:
                await self._rest(begun)
        begun = self._clock.monotonic()
        while most is None and await give_back_space(self._journal):
            await self._rest(begun)
            begun = self._clock.monotonic()
        if gone:
            _log.info("%d old runs deleted (keep_days, keep_runs)", gone)
        return gone

    async def _live(self) -> None:
        pause = _FIRST_DELAY
        while True:
            await self._clock.sleep(pause)
            await self._sweep()
            pause = _INTERVAL

    async def _sweep(self, most: int | None = None) -> None:
        """Sweep; what goes wrong must neither end an engine nor keep it from closing."""
        try:
            await self.sweep(most)
        except HistoryError as error:
            _log.warning("old runs could not be deleted: %s", error)
        except Exception:
            _log.exception("old runs could not be deleted")

    async def _rest(self, begun: float) -> None:
        await self._clock.sleep(_SPARING * (self._clock.monotonic() - begun))

    async def _delete(self, run_id: str) -> bool:
        try:
            await delete_run(self._journal, self._settings.logs, run_id, artifacts=self._settings.artifacts)
        except UsageError:
            return False  # something of it is needed again by now
        except HistoryError as error:
            _log.warning("old run %s could not be deleted: %s", run_id, error)
            return False
        await asyncio.sleep(0)
        return True


async def expired_by(
    history: Reader, settings: Settings, clock: Clock, limit: int | None = None
) -> list[RunRecord]:
    """The runs that go by the settings, oldest first; the newest finished one of each workflow never does.

    Raises:
        HistoryError: the history cannot be read.
    """
    found: dict[str, RunRecord] = {}
    if settings.keep_days:
        before = isoformat(clock.now() - timedelta(days=settings.keep_days))
        found |= {run.id: run for run in await history.expired(before=before, keep=1, limit=limit)}
    if settings.keep_runs:
        found |= {run.id: run for run in await history.expired(keep=settings.keep_runs, limit=limit)}
    return sorted(found.values(), key=lambda run: run.seq)[:limit]
