"""What a starting engine does about what an earlier one left: agents of nothing, runs without an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.errors import BackendError, DocumentError, Reason, UnavailableError
from engine.history.reader import Reader
from engine.history.records import RunRecord
from engine.orchestrator.context import Services, Stop
from engine.orchestrator.manager import Orchestrator
from engine.workflows.loader import load_text
from engine.workflows.plan import Plan


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
            await self._orchestrator.reap(self._services)
        except BackendError as error:
            notes.append(f"agents left by an earlier engine could not be listed: {error.message}")
        for run in await self._history.unfinished():
            await self.resume(run)
        return notes

    async def resume(self, run: RunRecord, *, cancel_by: str | None = None) -> None:
        """Go on with one run, or end it properly: where it was cancelled, or cannot be gone on with."""
        try:
            plan = await self.plan_of(run)
        except DocumentError as error:
            await self._orchestrator.give_up(run, Reason.INVALID_DEFINITION, str(error))
            return
        services, stop = self._services, None
        if run.recoveries >= services.settings.max_recoveries:
            stop = Stop(
                Reason.INFRA_ERROR,
                f"parked: the engine ended abnormally {run.recoveries} times while this run was live",
            )
        else:
            try:
                services = await self._services_for(run.backend)
            except UnavailableError as error:
                message = f"interrupted, and its backend cannot be had any more: {error.message}"
                stop = Stop(Reason.INFRA_ERROR, message)
        detail = await self._history.detail(run.id)
        await self._orchestrator.resume(plan, detail, services, cancel_by=cancel_by, stop=stop)

    async def plan_of(self, run: RunRecord) -> Plan:
        """The plan of a run, made again from the document that it keeps.

        Raises:
            DocumentError: the document is not valid any more.
        """
        text = await self._history.document(run.digest)
        return load_text(text, run.path or run.workflow).require()
