"""Which runs are old enough to go: the one answer that `prune` and the engine itself go by.

Only whole families that are over are found, by the run that is part of no other. Left alone is what has kept
agents anywhere in it, and what a run in progress takes results or artifacts from.
"""

from __future__ import annotations

from typing import Any

from engine.events import TERMINAL_RUN, RunStatus
from engine.history import rows
from engine.history.connection import ReadConnection, Snapshot
from engine.history.records import RunRecord

_OPEN = ", ".join(f"'{status.value}'" for status in RunStatus if status not in TERMINAL_RUN)

# By jumping along the key, without reading all runs.
_WORKFLOWS = """
    WITH RECURSIVE names (workflow) AS (
        SELECT min(workflow) FROM run_figures
        UNION ALL
        SELECT (SELECT min(workflow) FROM run_figures WHERE run_figures.workflow > names.workflow)
        FROM names WHERE names.workflow IS NOT NULL
    )
    SELECT workflow FROM names WHERE workflow IS NOT NULL
"""

_HELD = f"""
    WITH RECURSIVE held (id) AS (
        SELECT run_id FROM attempts WHERE kept = 1
        UNION
        SELECT retry_of FROM runs WHERE status IN ({_OPEN}) AND retry_of IS NOT NULL
        UNION
        SELECT json_extract(cached_from, '$.run_id') FROM runs JOIN steps ON steps.run_id = runs.id
        WHERE runs.status IN ({_OPEN}) AND cached_from IS NOT NULL
        UNION
        SELECT json_extract(cached_from, '$.run_id') FROM runs JOIN items ON items.run_id = runs.id
        WHERE runs.status IN ({_OPEN}) AND cached_from IS NOT NULL
        UNION
        SELECT parent_run_id FROM held JOIN runs ON runs.id = held.id WHERE parent_run_id IS NOT NULL
    )
    SELECT id FROM held
"""


async def expired(
    connection: ReadConnection, *, before: str | None, keep: int | None, limit: int | None = None
) -> list[RunRecord]:
    """Finished runs that may be deleted, oldest first. Runs that are part of others go with those.

    Args:
        connection: to ask.
        before: only runs that ended before this time (ISO 8601 UTC).
        keep: only runs that are not among the newest so many finished ones of their workflow.
        limit: about so many at most.
    """
    async with connection.snapshot() as snapshot:
        held = {run_id for (run_id,) in await snapshot.fetch(_HELD)}
        found: list[RunRecord] = []
        for (workflow,) in await snapshot.fetch(_WORKFLOWS):
            found += await _of_workflow(snapshot, workflow, before, keep, limit)
    may_go = sorted((run for run in found if run.id not in held), key=lambda run: run.seq)
    return may_go[:limit] if limit is not None else may_go


async def _of_workflow(
    snapshot: Snapshot, workflow: str, before: str | None, keep: int | None, limit: int | None
) -> list[RunRecord]:
    where, values = "workflow = ? AND child = 0", [workflow]
    if keep:
        oldest = await snapshot.fetch(
            f"SELECT created_at, seq FROM run_figures WHERE {where}"
            " ORDER BY created_at DESC, seq DESC LIMIT 1 OFFSET ?",
            (*values, keep - 1),
        )
        if not oldest:
            return []
        where, values = f"{where} AND (created_at, seq) < (?, ?)", [*values, *oldest[0]]
    if before is not None:
        where, values = f"{where} AND created_at < ?", [*values, before]
    ended, ends = ("coalesce(finished_at, created_at) < ?", [before]) if before else ("1", list[Any]())
    found = await snapshot.fetch(
        f"SELECT {rows.RUN} FROM runs WHERE {ended} AND seq IN"
        f" (SELECT seq FROM run_figures WHERE {where} ORDER BY created_at, seq) ORDER BY seq LIMIT ?",
        (*ends, *values, -1 if limit is None else limit),
    )
    return [rows.run_record(row) for row in found]
