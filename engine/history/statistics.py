"""Short answers about many runs; figures over periods are in `figures`."""

from __future__ import annotations

from collections import defaultdict

from engine.events import RunStatus
from engine.history import rows
from engine.history.connection import ReadConnection
from engine.history.records import RunRecord

# The names are found by jumping along the index, not by reading all runs.
_LAST_RUNS = f"""
    WITH RECURSIVE names (workflow) AS (
        SELECT min(workflow) FROM runs
        UNION ALL
        SELECT (SELECT min(runs.workflow) FROM runs WHERE runs.workflow > names.workflow)
        FROM names WHERE names.workflow IS NOT NULL
    )
    SELECT {rows.RUN} FROM runs WHERE seq IN (
        SELECT recent.seq FROM names JOIN runs AS recent ON recent.seq IN (
            SELECT seq FROM runs WHERE workflow = names.workflow AND parent_run_id IS NULL
            ORDER BY seq DESC LIMIT ?
        )
    )
    ORDER BY workflow, seq DESC
"""


async def counts(connection: ReadConnection) -> dict[str, int]:
    """See `Reader.counts`."""
    found = await connection.fetch("SELECT status, count(*) FROM runs GROUP BY status")
    return {**dict.fromkeys((status.value for status in RunStatus), 0), **dict(found)}


async def last_runs_by_workflow(connection: ReadConnection, limit: int) -> dict[str, list[RunRecord]]:
    """See `Reader.last_runs_by_workflow`."""
    by_workflow: defaultdict[str, list[RunRecord]] = defaultdict(list)
    for row in await connection.fetch(_LAST_RUNS, (limit,)):
        run = rows.run_record(row)
        by_workflow[run.workflow].append(run)
    return dict(by_workflow)
