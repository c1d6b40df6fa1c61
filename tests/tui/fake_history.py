"""The history's part of the scripted port: pages, figures, profiles and deletion over told stories."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from agentainer_tui.client import HistoryPage
from agentainer_tui.history_rows import HistoryRow
from agentainer_tui.views import RunRow
from engine.facade import Aggregate, Insight, RunFilter
from engine.profiling import Profile


class FakeHistory:
    """`insights` and `profiles` are what the engine answers; `usual` durations by workflow."""

    _rows: Callable[[], list[RunRow]]
    _do: Callable[..., None]

    def __init__(self) -> None:
        super().__init__()
        self.insights: dict[str | None, Aggregate] = {}
        self.profiles: dict[str, Profile] = {}
        self.sizes: dict[str, int] = {}
        self.usual: dict[str, float] = {}
        self.deleted: set[str] = set()

    async def list_runs(self, wanted: RunFilter, *, limit: int, before: int | None) -> HistoryPage:
        self._do("list_runs", wanted, limit, before)
        rows = self._kept_rows()
        found = [row for row in rows if _fits(row, wanted)]
        found = [row for row in found if before is None or row.seq < before]
        page = tuple(self._history_row(row, rows) for row in found[:limit])
        return HistoryPage(page, page[-1].run.seq if len(found) > limit else None)

    def _kept_rows(self) -> list[RunRow]:
        return [row for row in self._rows() if row.id not in self.deleted]

    def _history_row(self, row: RunRow, rows: Sequence[RunRow]) -> HistoryRow:
        retries = [one for one in rows if one.retry_of == row.id]
        return HistoryRow(
            run=row,
            steps=row.total,
            completed=row.done,
            source="cli",
            retried_by=retries[0].id if retries else "",
            retried_status=retries[0].status.value if retries else "",
            children=sum(one.parent_run == row.id for one in rows),
            usual=self.usual.get(row.workflow),
        )

    async def count_runs(self) -> int:
        return sum(not row.parent_run for row in self._kept_rows())

    async def figures(self, workflow: str | None, since: datetime | None, *, details: bool) -> Insight:
        self._do("figures", workflow, since, details)
        until = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
        overall = self.insights.get(workflow, Aggregate(workflow, since, until))
        return Insight(overall, tuple(one for name, one in self.insights.items() if name is not None))

    async def profile(self, run_id: str) -> Profile:
        self._do("profile", run_id)
        return self.profiles[run_id]

    async def disk_use(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        return {run_id: self.sizes.get(run_id, 0) for run_id in run_ids}

    async def delete_runs(self, run_ids: Sequence[str]) -> None:
        self._do("delete_runs", tuple(run_ids))
        self.deleted |= set(run_ids)


def _fits(row: RunRow, wanted: RunFilter) -> bool:
    params: Mapping[str, Any] = row.params
    text = "\n".join((row.workflow, row.id, row.reason, row.error, json.dumps(params))).lower()
    words = wanted.text.lower().split()
    return (
        all(
            (word[1:] not in text) if word.startswith("!") and len(word) > 1 else word in text
            for word in words
        )
        and wanted.workflow in (None, row.workflow)
        and (not wanted.statuses or row.status.value in wanted.statuses)
        and (wanted.since is None or (row.created_at or 0.0) >= wanted.since.timestamp())
        and (wanted.children or not row.parent_run)
    )
