"""What a search for the reason of a failure begins with: the last run that went well."""

from __future__ import annotations

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.views import RunRow, row_of_record


class Failures(EngineLink):
    """Reads what a failure is compared with."""

    async def last_completed(self, workflow: str, before: int) -> RunRow | None:
        """The newest completed run of a workflow before another."""
        history = self._engine.history
        found = await self._call(history.runs(limit=1, before=before, workflow=workflow, status="completed"))
        return row_of_record(found[0]) if found else None
