"""Runs as files, beside whatever the engine does meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.bridge.link import EngineLink

if TYPE_CHECKING:
    from engine.recordings import Exported


class Exporting(EngineLink):
    """Writes files; changes nothing in the history."""

    async def export_run(self, run_id: str, folder: Path) -> Exported:
        """Write a run into a new file in a directory."""
        from engine.recordings import export_run

        history = self._engine.history
        return await self._call(export_run(history, self._settings, run_id, folder, numbered=True))
