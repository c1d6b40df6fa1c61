"""Figures over many runs. No figure is ever NaN: where there is nothing to count, it is None or 0."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from engine.clock import isoformat
from engine.events import RunStatus
from engine.history import rows
from engine.history.connection import ReadConnection
from engine.history.records import RunRecord, WorkflowStats
from engine.history.schema import DURATION

# Ended by themselves: what a person cancelled says nothing about the workflow.
_JUDGED = (RunStatus.COMPLETED.value, RunStatus.PARTIALLY_COMPLETED.value, RunStatus.FAILED.value)

_PERIOD = "created_at >= ? AND created_at < ?"

# `+` keeps SQLite from going through the index by workflow: reading the table in its own order and sorting
# takes a fifth of the time.
_BY_STATUS = f"""
    SELECT workflow, status, count(*), sum(retries), max(created_at)
    FROM runs WHERE {_PERIOD} GROUP BY +workflow, +status ORDER BY +workflow, +status
"""

# Nearest rank: the smallest duration with at least that share of all at or below it.
_DURATIONS = f"""
    SELECT workflow, avg(duration),
        min(duration) FILTER (WHERE place >= 0.5 * total), min(duration) FILTER (WHERE place >= 0.9 * total)
    FROM (
        SELECT workflow, duration,
            row_number() OVER (PARTITION BY workflow ORDER BY duration) AS place,
            count(*) OVER (PARTITION BY workflow) AS total
        FROM (
            SELECT +workflow AS workflow, {DURATION} AS duration
            FROM runs WHERE {_PERIOD} AND started_at IS NOT NULL AND status IN (?, ?, ?)
        )
    )
    GROUP BY workflow
"""

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


async def stats(
    connection: ReadConnection, since: datetime | None, until: datetime | None
) -> list[WorkflowStats]:
    """See `Reader.stats`."""
    period = (isoformat(since) if since else "", isoformat(until) if until else "~")
    async with connection.snapshot() as snapshot:
        counted = await snapshot.fetch(_BY_STATUS, period)
        timed = await snapshot.fetch(_DURATIONS, (*period, *_JUDGED))
    durations = {row[0]: row[1:] for row in timed}
    by_status: defaultdict[str, dict[str, int]] = defaultdict(dict)
    retries: defaultdict[str, int] = defaultdict(int)
    last: defaultdict[str, str] = defaultdict(str)
    for workflow, status, runs, tries, newest in counted:
        by_status[workflow][status] = runs
        retries[workflow] += tries
        last[workflow] = max(last[workflow], newest)
    figures = []
    for workflow, statuses in by_status.items():
        judged = sum(statuses.get(status, 0) for status in _JUDGED)
        average, p50, p90 = durations.get(workflow, (None, None, None))
        figures.append(
            WorkflowStats(
                workflow,
                runs=sum(statuses.values()),
                by_status=statuses,
                success_rate=statuses.get(RunStatus.COMPLETED.value, 0) / judged if judged else None,
                average=average,
                p50=p50,
                p90=p90,
                retries=retries[workflow],
                last_run_at=last[workflow],
            )
        )
    return figures


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
