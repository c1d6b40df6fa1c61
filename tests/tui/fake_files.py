"""The scripted port's files: runs that are exported, documents that runs were started from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import HistoryError
from engine.facade import PlanDiff
from engine.history.recording_format import Manifest, RecordedRun
from engine.history.recording_writer import Exported


class FakeFiles:
    """`documents` holds texts by digest; an export writes nothing, but is noted like every command."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, str] = {}
        self.plan_diff: PlanDiff | None = None

    def _do(self, *call: Any) -> None:
        raise NotImplementedError

    async def export_run(self, run_id: str, folder: Path) -> Exported:
        self._do("export_run", run_id, folder)
        manifest = Manifest(
            "1.0", "2026-01-01T12:00:00Z", run_id, "w", "failed", (RecordedRun(run_id, 9),), ()
        )
        return Exported(folder / f"w-{run_id}.agentainer", 2048, 9, manifest)

    async def plan_changes(self, before: str, after: str) -> PlanDiff | None:
        return self.plan_diff

    async def document(self, digest: str) -> str:
        if digest not in self.documents:
            raise HistoryError(f"the history database has no document with digest {digest!r}")
        return self.documents[digest]
