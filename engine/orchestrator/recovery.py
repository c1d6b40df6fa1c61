"""What a starting engine does about what an earlier one left: agents of nothing, runs without an end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from engine.errors import BackendError, DocumentError, Reason, UnavailableError
from engine.events import RunStatus
from engine.history.reader import Reader
from engine.history.records import RunDetail, RunRecord
from engine.orchestrator.closing import open_attempts
from engine.orchestrator.context import Services, Stop
from engine.orchestrator.creation import SCHEDULE
from engine.orchestrator.kept import plan_of
from engine.orchestrator.leftovers import reap
from engine.orchestrator.manager import Orchestrator

_log = logging.getLogger("agentainer")


class Recovery:
    """Goes on from the journal (design §4, Recovery).

    Args:
        orchestrator: takes the runs.
        services: of this engine.
        history: what was left.
        services_for: the services of the backend with that name, which need not be today's. Raises
            UnavailableError where it cannot be had.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        services: Services,
        history: Reader,
        services_for: Callable[[str], Awaitable[Services]],
    ) -> None:
        self._orchestrator = orchestrator
        self._services = services
        self._history = history
        self._services_for = services_for

    async def recover(self) -> list[str]:
        """Remove agents that belong to nothing, then go on with every run; returns notes for people."""
        notes = []
        try:
            await reap(self._services, self._history)
        except BackendError as error:
            notes.append(f"agents left by an earlier engine could not be listed: {error.message}")
        runs = await self._history.unfinished()
        for run in runs:
            if run.status != RunStatus.PENDING:  # before those that wait for room can take it
                self._orchestrator.queue.enter(
                    run.id,
                    run.workflow,
                    parent=run.parent.run_id if run.parent else None,
                    scheduled=run.source == SCHEDULE,
                    begun=True,
                )
        gone_on = set[str]()
        for run in runs:  # a parent is older than its children
            parent = run.parent
            if parent is None:
                await self.resume(run)
            elif parent.run_id not in gone_on:
                await self.resume(run, cancel_by=f"the end of its parent, run {parent.run_id}")
            # Else the attempt whose child it is goes on with it: it may not have got there yet.
            if (parent is not None and parent.run_id in gone_on) or self._orchestrator.is_live(run.id):
                gone_on.add(run.id)
        return notes

    async def resume(self, run: RunRecord, *, cancel_by: str | None = None, hurry: bool = False) -> None:
        """Go on with one run, or end it properly: where it was cancelled, or cannot be gone on with.

        `cancel_by` says who cancels it now, `hurry` whether without the grace.
        """
        detail = await self._history.detail(run.id)
        if RunStatus(detail.run.status).is_terminal:  # meanwhile
            return
        try:
            plan = await plan_of(run, self._history)
        except DocumentError as error:
            await self._remove_agents(detail)
            await self._orchestrator.give_up(run, Reason.INVALID_DEFINITION, str(error))
            return
        services, stop = self._services, self._orchestrator.parked(run)
        if stop is None:
            try:
                services = await self._services_for(run.backend)
            except UnavailableError as error:
                message = f"interrupted, and its backend cannot be had any more: {error.message}"
                stop = Stop(Reason.INFRA_ERROR, message)
        await self._orchestrator.resume(plan, detail, services, cancel_by=cancel_by, hurry=hurry, stop=stop)

    async def _remove_agents(self, detail: RunDetail) -> None:
        """Of a run that nobody goes on with. One that cannot be removed now is no run's at the next start."""
        try:
            services = await self._services_for(detail.run.backend)
            for attempt in open_attempts(detail):
                if attempt.agent:
                    await services.backend.remove(attempt.agent)
        except (BackendError, UnavailableError) as error:
            _log.warning("agents of run %s could not be removed: %s", detail.run.id, error)
