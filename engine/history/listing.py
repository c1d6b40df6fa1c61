"""The list of runs: pages of the newest, narrowed down, with what a row tells beside the run itself.

However long a history is and however little of it fits, one page costs a bounded amount of work: runs are
looked at in windows, newest first, and a page says where the next one goes on.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.clock import isoformat
from engine.events import TERMINAL_RUN, RunStatus
from engine.history import rows
from engine.history.connection import ReadConnection, Snapshot
from engine.history.records import ListedRun, RunFilter, RunPage, RunRecord

# Runs that one page looks at at most, besides a first look at twice as many as are asked for.
WINDOW = 5_000
# Steps of a run that are still counted one by one.
_COUNTED = 300
# Newest runs of a workflow whose median is what is usual.
_USUAL = 40
# Higher than any sequence number.
_BEYOND = 2**63 - 1

_ENDED_WELL = (RunStatus.COMPLETED.value, RunStatus.PARTIALLY_COMPLETED.value)
_OFTEN = frozenset(_ENDED_WELL[:1])


@dataclass(slots=True)
class _Search:
    """The conditions beside those that the window is made with."""

    conditions: list[str] = field(default_factory=lambda: ["1"])
    values: list[Any] = field(default_factory=list)

    def add(self, condition: str, *values: Any) -> None:
        self.conditions.append(condition)
        self.values += values


async def list_runs(
    connection: ReadConnection, wanted: RunFilter, *, limit: int, before: int | None = None
) -> RunPage:
    """A page of the runs that are wanted, of those whose `seq` is less than `before`."""
    search = _search(wanted)
    found = list[RunRecord]()
    at, looked_at = before if before is not None else _BEYOND, None
    async with connection.snapshot() as snapshot:
        for size in (2 * limit, WINDOW):
            seqs = await _window(snapshot, wanted, at, size)
            if not seqs:
                return RunPage(await _listed(snapshot, found), None, looked_at)
            found += await _matching(snapshot, search, seqs, limit + 1 - len(found))
            if len(found) > limit:
                del found[limit:]
                return RunPage(await _listed(snapshot, found), found[-1].seq, found[-1].created_at)
            at = seqs[-1]
            newest, looked_at = await _created(snapshot, seqs)
            too_old = wanted.since is not None and newest < isoformat(wanted.since)
            if len(seqs) < size or too_old:
                return RunPage(await _listed(snapshot, found), None, looked_at)
        return RunPage(await _listed(snapshot, found), at, looked_at)


async def count_own_runs(connection: ReadConnection) -> int:
    """How many runs there are that are not part of others."""
    found = await connection.fetch(
        "SELECT (SELECT count(*) FROM runs) - (SELECT count(*) FROM runs WHERE parent_run_id IS NOT NULL)"
    )
    return int(found[0][0]) if found else 0


_NAMES = (
    "lower(workflow || char(10) || id || char(10) || coalesce(reason, '') || char(10) || coalesce(error, ''))"
)


def _search(wanted: RunFilter) -> _Search:
    search = _Search()
    for word in wanted.text.split():
        inverse = word.startswith("!") and len(word) > 1
        text = word[1:] if inverse else word
        # Params are stored as JSON, with most letters of the world in escapes.
        escaped = json.dumps(text)[1:-1]
        found = (
            f"(instr({_NAMES}, lower(?)) OR instr(lower(params), lower(?)) OR instr(lower(params), lower(?)))"
        )
        search.add(f"NOT {found}" if inverse else found, text, text, escaped)
    if wanted.workflow is not None:
        search.add("workflow = ?", wanted.workflow)
    if wanted.statuses:
        search.add(f"status IN ({', '.join('?' * len(wanted.statuses))})", *wanted.statuses)
    if wanted.since is not None:
        search.add("created_at >= ?", isoformat(wanted.since))
    if not wanted.children:
        search.add("parent_run_id IS NULL")
    return search


async def _window(snapshot: Snapshot, wanted: RunFilter, before: int, size: int) -> list[int]:
    """The numbers of the next runs to look at, by the index that leaves the fewest."""
    sources: list[tuple[str, tuple[Any, ...]]] = [("seq < ?", (before,))]
    by_status = wanted.statuses and not _OFTEN.intersection(wanted.statuses)
    if wanted.workflow is not None and not by_status:
        sources = [("workflow = ? AND seq < ?", (wanted.workflow, before))]
    elif wanted.statuses:
        sources = [("status = ? AND seq < ?", (status, before)) for status in wanted.statuses]
    parts = [
        f"SELECT seq FROM (SELECT seq FROM runs WHERE {condition} ORDER BY seq DESC LIMIT {size})"
        for condition, _ in sources
    ]
    found = await snapshot.fetch(
        f"{' UNION ALL '.join(parts)} ORDER BY seq DESC LIMIT ?",
        (*(value for _, values in sources for value in values), size),
    )
    return [seq for (seq,) in found]


async def _matching(snapshot: Snapshot, search: _Search, seqs: Sequence[int], limit: int) -> list[RunRecord]:
    """Those of a window that are wanted, newest first."""
    found = await snapshot.fetch(
        f"SELECT {rows.RUN} FROM runs WHERE seq IN (SELECT value FROM json_each(?))"
        f" AND {' AND '.join(search.conditions)} ORDER BY seq DESC LIMIT ?",
        (json.dumps(seqs), *search.values, limit),
    )
    return [rows.run_record(row) for row in found]


async def _created(snapshot: Snapshot, seqs: Sequence[int]) -> tuple[str, str]:
    """When the newest and the oldest run of a window were created."""
    found = await snapshot.fetch(
        "SELECT created_at FROM runs WHERE seq IN (?, ?) ORDER BY seq DESC", (seqs[0], seqs[-1])
    )
    return str(found[0][0]), str(found[-1][0])


# -- what a row tells beside the run ------------------------------------------------------------------


async def _listed(snapshot: Snapshot, runs: Sequence[RunRecord]) -> tuple[ListedRun, ...]:
    if not runs:
        return ()
    steps = await _steps(snapshot, runs)
    retries = {
        retried: (run_id, status)
        for retried, run_id, status in await snapshot.fetch(
            "SELECT retry_of, id, status FROM runs WHERE retry_of IN (SELECT value FROM json_each(?))"
            " ORDER BY seq",
            (_ids(runs),),
        )
    }
    children: dict[str, int] = dict(
        await snapshot.fetch(
            "SELECT parent_run_id, count(*) FROM runs"
            " WHERE parent_run_id IN (SELECT value FROM json_each(?)) GROUP BY parent_run_id",
            (_ids(runs),),
        )
    )
    usual = await _usual(snapshot, {(run.workflow, run.parent is not None) for run in runs})
    listed = []
    for run in runs:
        total, completed = steps.get(run.id, (0, None))
        by, status = retries.get(run.id, (None, None))
        expected = usual.get((run.workflow, run.parent is not None))
        listed.append(ListedRun(run, total, completed, by, status, children.get(run.id, 0), expected))
    return tuple(listed)


def _ids(runs: Iterable[RunRecord]) -> str:
    return json.dumps([run.id for run in runs])


async def _steps(snapshot: Snapshot, runs: Sequence[RunRecord]) -> dict[str, tuple[int, int | None]]:
    """How many steps each run has, and how many of them are completed."""
    over = {run.seq: run.id for run in runs if run.status in TERMINAL_RUN}
    known = await snapshot.fetch(
        "SELECT seq, steps FROM run_figures WHERE seq IN (SELECT value FROM json_each(?))",
        (json.dumps(list(over)),),
    )
    found: dict[str, tuple[int, int | None]] = {
        over[seq]: (total, None) for seq, total in known if total > _COUNTED
    }
    rest = [run for run in runs if run.id not in found]
    counted = await snapshot.fetch(
        "SELECT run_id, count(*), count(*) FILTER (WHERE status = 'completed') FROM steps"
        " WHERE run_id IN (SELECT value FROM json_each(?)) GROUP BY run_id",
        (_ids(rest),),
    )
    return found | {run_id: (total, completed) for run_id, total, completed in counted}


async def _usual(snapshot: Snapshot, wanted: Collection[tuple[str, bool]]) -> dict[tuple[str, bool], float]:
    """The medians of the newest durations, by workflow and by whether its runs are parts of others."""
    found = await snapshot.fetch(
        "WITH wanted AS (SELECT json_extract(value, '$[0]') AS workflow, json_extract(value, '$[1]') AS child"
        " FROM json_each(?)) SELECT workflow, child, (SELECT json_group_array(duration) FROM ("
        " SELECT duration FROM run_figures AS known WHERE known.workflow = wanted.workflow"
        f" AND known.child = wanted.child AND status IN ({', '.join('?' * len(_ENDED_WELL))})"
        " AND duration IS NOT NULL ORDER BY created_at DESC LIMIT ?)) FROM wanted",
        (json.dumps([[workflow, int(child)] for workflow, child in wanted]), *_ENDED_WELL, _USUAL),
    )
    return {
        (workflow, bool(child)): statistics.median(durations)
        for workflow, child, text in found
        if (durations := json.loads(text))
    }
