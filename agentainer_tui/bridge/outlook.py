"""What lies ahead of a run, as its past tells."""

from __future__ import annotations

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.estimate import PastRun, Usual, usual_of
from agentainer_tui.views import seconds
from engine.events import RunStatus

# Earlier runs that are looked at; more of them would tell of other days.
_RUNS = 10


class Outlook(EngineLink):
    """Reads; changes nothing."""

    async def usual_times(self, workflow: str, *, before: int | None) -> Usual:
        """How long a workflow and its steps usually take."""
        return await self._call(self._usual(workflow, before))

    async def _usual(self, workflow: str, before: int | None) -> Usual:
        history = self._engine.history
        past = []
        for run in await history.runs(
            limit=_RUNS, before=before, workflow=workflow, status=RunStatus.COMPLETED
        ):
            begun, ended = seconds(run.started_at), seconds(run.finished_at)
            if run.retry_of is not None or begun is None or ended is None:
                continue  # a retry leaves out what it takes over
            steps = {step.id: step.duration or 0.0 for step in await history.steps(run.id) if not step.reused}
            past.append(PastRun(ended - begun, steps))
        return usual_of(past)
