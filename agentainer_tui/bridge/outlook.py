"""What lies ahead of a run, as its past tells."""

from __future__ import annotations

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.estimate import PastRun, Usual, usual_of
from agentainer_tui.views import seconds
from engine.events import RunStatus

# Earlier runs that count, and among how many they are looked for; more of them would tell of other days.
_RUNS, _LOOKED_AT = 10, 40
_WHOLE = (RunStatus.COMPLETED, RunStatus.PARTIALLY_COMPLETED)


class Outlook(EngineLink):
    """Reads; changes nothing."""

    async def usual_times(self, workflow: str, *, before: int | None) -> Usual:
        """How long a workflow and its steps usually take."""
        return await self._call(self._usual(workflow, before))

    async def _usual(self, workflow: str, before: int | None) -> Usual:
        history = self._engine.history
        past = []
        for run in await history.runs(limit=_LOOKED_AT, before=before, workflow=workflow):
            begun, ended = seconds(run.started_at), seconds(run.finished_at)
            if run.status not in _WHOLE or run.retry_of is not None or begun is None or ended is None:
                continue  # what failed ended early, and a retry leaves out what it takes over
            steps = {step.id: step.duration or 0.0 for step in await history.steps(run.id) if not step.reused}
            past.append(PastRun(ended - begun, steps))
            if len(past) == _RUNS:
                break
        return usual_of(past)
