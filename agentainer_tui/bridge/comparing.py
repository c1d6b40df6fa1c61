"""What two runs were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentainer_tui.bridge.link import EngineLink

if TYPE_CHECKING:
    from engine.facade import PlanDiff


class Comparing(EngineLink):
    """Reads documents, as runs were started from them."""

    async def document(self, digest: str) -> str:
        """The text of a workflow document."""
        return await self._call(self._engine.history.document(digest))

    async def plan_changes(self, before: str, after: str) -> PlanDiff | None:
        """What the plan of one run changed against that of another."""
        from engine.upkeep import plan_changes

        return await self._call(plan_changes(self._engine.history, before, after))
