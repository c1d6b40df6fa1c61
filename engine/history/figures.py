"""What figures are made of: rows of runs, steps and tasks over a period, and of one run.

Sums over many runs come from `run_figures`, which has one narrow row for each run that is over. What is told
by steps and tasks is read from the newest runs of a period only, so that it costs the same in any history.
`engine.metrics` makes reports of all this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.clock import isoformat
from engine.events import RunStatus
from engine.history.connection import ReadConnection, Snapshot
from engine.history.schema import DURATION, NO_ITEM, TALLY

Rows = list[tuple[Any, ...]]

# Steps and tasks that are looked at one by one: those of the newest runs that have no more together.
_SAMPLE_RUNS = 2_000
_SAMPLE_ROWS = 40_000

_FAILURES = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs to look at: of one workflow (None: of all), created from `since` to before `until`."""

    workflow: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    children: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """The condition on `run_figures`, and its values."""
        conditions, values = ["1"], list[Any]()
        for condition, moment in (("created_at >= ?", self.since), ("created_at < ?", self.until)):
            if moment is not None:
                conditions.append(condition)
                values.append(isoformat(moment))
        if self.workflow is not None:
            conditions.append("workflow = ?")
            values.append(self.workflow)
        return " AND ".join(conditions), values


@dataclass(frozen=True, slots=True)
class PeriodRows:
    """What is known of a period; runs that are part of others are marked by `child`.

    Attributes:
        runs: `(workflow, child, status, created_at, duration)` of every run; of one that is not over, or
            never began, without a duration.
        sums: `(workflow, child, retries, steps, failed steps, tasks, new agents, pool hits, pool misses, CPU
            seconds, highest memory, network in, network out)` of the runs that are over.
        errors: `(workflow, child, reason, count, id of the newest run, its error, when it was created)` of
            runs that ended for a reason, by reason.
        sampled: the number of newest runs that the next two are of.
        steps: `(workflow, id, name, status, duration)` of their steps that began.
        tasks: `(workflow, step, queue, start-up, CPU seconds, highest memory, number of the try)` of their
            tasks; queue and start-up in seconds, None where that is not known.
    """

    runs: Rows = field(default_factory=list)
    sums: Rows = field(default_factory=list)
    errors: Rows = field(default_factory=list)
    sampled: int = 0
    steps: Rows = field(default_factory=list)
    tasks: Rows = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunRows:
    """What is known of one run.

    Attributes:
        run: `(id, workflow, status, reason, error, started_at, finished_at, duration, child)`.
        steps: `(id, name, type, status, reason, error, started_at, finished_at, duration, tries after a first
            one, last agent, pooled, tasks, new agents, pool hits, pool misses, CPU seconds, highest memory,
            network in, network out)` in document order.
        failures: `(step, item, reason, error, finished_at)`, the first ones; items instead of their steps.
        failed: how many there are.
    """

    run: tuple[Any, ...]
    steps: Rows
    failures: Rows
    failed: int


_OPEN = ", ".join(f"'{status.value}'" for status in RunStatus if not status.is_terminal)


async def period_rows(connection: ReadConnection, scope: Scope, *, details: bool = True) -> PeriodRows:
    """What is known of a period; without `details` nothing of steps and tasks."""
    where, values = scope.where()
    own = "1" if scope.children else "NOT child"
    async with connection.snapshot() as snapshot:
        runs = await snapshot.fetch(
            f"SELECT workflow, child, status, created_at, duration FROM run_figures WHERE {where}", values
        )
        live = await snapshot.fetch(
            "SELECT workflow, parent_run_id IS NOT NULL, status, created_at, NULL FROM runs"
            f" INDEXED BY runs_by_status WHERE status IN ({_OPEN}) AND {where}",
            values,
        )
        sums = await snapshot.fetch(
            "SELECT workflow, child, sum(retries), sum(steps), sum(failed_steps), sum(tasks), sum(deployed),"
            " sum(pool_hits), sum(pool_misses), total(cpu_seconds), max(memory_peak), sum(network_in),"
            f" sum(network_out) FROM run_figures WHERE {where} GROUP BY workflow, child",
            values,
        )
        errors = await snapshot.fetch(
            "SELECT f.workflow, child, f.reason, count, runs.id, runs.error, runs.created_at FROM ("
            " SELECT workflow, child, reason, count(*) AS count, max(seq) AS newest FROM run_figures"
            f" WHERE {where} AND {own} AND reason IS NOT NULL GROUP BY workflow, child, reason"
            ") AS f JOIN runs ON runs.seq = newest",
            values,
        )
        if not details:
            return PeriodRows([*live, *runs], sums, errors)
        sampled, steps, tasks = await _sample(snapshot, f"{where} AND {own}", values)
    return PeriodRows([*live, *runs], sums, errors, sampled, steps, tasks)


async def _sample(snapshot: Snapshot, where: str, values: list[Any]) -> tuple[int, Rows, Rows]:
    """Steps and tasks of the newest runs."""
    newest = await snapshot.fetch(
        f"SELECT seq, steps + tasks FROM run_figures WHERE {where} ORDER BY created_at DESC LIMIT ?",
        (*values, _SAMPLE_RUNS),
    )
    chosen, size = list[int](), 0
    for seq, rows in newest:
        size += rows
        if chosen and size > _SAMPLE_ROWS:
            break
        chosen.append(seq)
    # As one JSON value: SQLite bounds how many there may be otherwise.
    among = "runs.seq IN (SELECT value FROM json_each(?))"
    seqs = (str(chosen),)
    steps = await snapshot.fetch(
        f"SELECT workflow, steps.id, name, steps.status, {_STEP_DURATION}"
        " FROM runs CROSS JOIN steps ON steps.run_id = runs.id"
        f" WHERE {among} AND steps.started_at IS NOT NULL AND NOT reused",
        seqs,
    )
    tasks = await snapshot.fetch(
        "SELECT workflow, step_id, json_extract(phases, '$.queue'),"
        " CASE WHEN json_extract(phases, '$.create') IS NULL AND json_extract(phases, '$.start') IS NULL"
        " THEN NULL ELSE coalesce(json_extract(phases, '$.image'), 0)"
        " + coalesce(json_extract(phases, '$.create'), 0) + coalesce(json_extract(phases, '$.start'), 0) END,"
        " json_extract(usage, '$.cpu_seconds'), json_extract(usage, '$.memory_peak'), number"
        f" FROM runs CROSS JOIN attempts ON attempts.run_id = runs.id WHERE {among} AND agent != ''",
        seqs,
    )
    return len(chosen), steps, tasks


_STEP_DURATION = (
    "coalesce(steps.duration, max(0.0, round((julianday(steps.finished_at)"
    " - julianday(steps.started_at)) * 86400.0, 3)))"
)

_RUN = (
    f"SELECT id, workflow, status, reason, error, started_at, finished_at, {DURATION},"
    " parent_run_id IS NOT NULL FROM runs WHERE id = ?"
)
_STEPS = f"""
    SELECT id, name, type, status, reason, error, started_at, finished_at, {DURATION},
        coalesce(again, 0),
        (SELECT coalesce(agent_id, agent) FROM attempts
         WHERE run_id = ?1 AND step_id = id AND agent != '' ORDER BY item DESC, number DESC LIMIT 1),
        coalesce(pooled, 0), coalesce(tasks, 0), coalesce(deployed, 0), coalesce(pool_hits, 0),
        coalesce(pool_misses, 0), cpu_seconds, memory_peak, network_in, network_out
    FROM steps
    LEFT JOIN (
        SELECT step_id, count(*) FILTER (WHERE number > 1) AS again,
            max(coalesce(json_extract(placement, '$.mode'), 'cold') != 'cold') AS pooled, {TALLY}
        FROM attempts WHERE run_id = ?1 GROUP BY step_id
    ) ON step_id = id
    WHERE run_id = ?1
    ORDER BY ordinal, id
"""
_FAILED = f"""
    SELECT id AS step_id, {NO_ITEM} AS item, reason, error, finished_at FROM steps
    WHERE run_id = ?1 AND status = 'failed' AND NOT EXISTS (
        SELECT 1 FROM items WHERE run_id = ?1 AND step_id = steps.id AND status = 'failed'
    )
    UNION ALL
    SELECT step_id, number, reason, error, finished_at FROM items WHERE run_id = ?1 AND status = 'failed'
"""


async def run_rows(connection: ReadConnection, run_id: str) -> RunRows | None:
    """What is known of one run; None where there is no such run."""
    async with connection.snapshot() as snapshot:
        run = await snapshot.fetch(_RUN, (run_id,))
        if not run:
            return None
        steps = await snapshot.fetch(_STEPS, (run_id,))
        failures = await snapshot.fetch(f"{_FAILED} ORDER BY finished_at, 1, 2 LIMIT {_FAILURES}", (run_id,))
        failed = len(failures)
        if failed == _FAILURES:
            ((failed,),) = await snapshot.fetch(f"SELECT count(*) FROM ({_FAILED})", (run_id,))
    named = [(step, None if item == NO_ITEM else item, *rest) for step, item, *rest in failures]
    return RunRows(run[0], steps, named, failed)


async def forgotten_rows(connection: ReadConnection) -> Rows:
    """All that counters count of runs that are over, deleted ones included, by workflow, status and child.

    `(workflow, status, child, runs, runs with a duration, their seconds, retries, steps, failed steps, tasks,
    new agents, pool hits, pool misses, CPU seconds, network in, network out)`
    """
    return await connection.fetch(
        f"""
        SELECT workflow, status, child, {", ".join(f"sum({name})" for name in COUNTERS)} FROM (
            {SUMMED.format(which="1")} GROUP BY workflow, child, status
            UNION ALL SELECT workflow, status, child, {", ".join(COUNTERS)} FROM forgotten
        ) GROUP BY workflow, status, child ORDER BY workflow, status, child
        """
    )


COUNTERS = (
    *("runs", "timed", "duration", "retries", "steps", "failed_steps", "tasks", "deployed", "pool_hits"),
    *("pool_misses", "cpu_seconds", "network_in", "network_out"),
)
"""The columns of `forgotten` that are added up."""

SUMMED = """
    SELECT workflow, status, child, count(*) AS runs, count(duration) AS timed, total(duration) AS duration,
        sum(retries) AS retries, sum(steps) AS steps, sum(failed_steps) AS failed_steps, sum(tasks) AS tasks,
        sum(deployed) AS deployed, sum(pool_hits) AS pool_hits, sum(pool_misses) AS pool_misses,
        total(cpu_seconds) AS cpu_seconds, coalesce(sum(network_in), 0) AS network_in,
        coalesce(sum(network_out), 0) AS network_out
    FROM run_figures WHERE {which}
"""
"""The same of `run_figures`; needs a GROUP BY over the first three."""
