"""Which run a person means: an id, the beginning of one, or `last`."""

from __future__ import annotations

from engine.errors import UsageError
from engine.history import rows
from engine.history.connection import Snapshot
from engine.history.records import RunRecord

# Candidates named when a run's prefix fits several.
_CANDIDATES = 8


async def find(snapshot: Snapshot, ref: str) -> RunRecord:
    """The run that `ref` means.

    Raises:
        UsageError: no run, or several; names the candidates.
    """
    if ref == "last":
        found = await snapshot.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE parent_run_id IS NULL ORDER BY seq DESC LIMIT 1"
        )
    else:
        # The exact id first: it may be the beginning of another.
        found = await snapshot.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE id >= ? AND id < ? ORDER BY id != ?, seq DESC LIMIT ?",
            (ref, f"{ref}\U0010ffff", ref, _CANDIDATES + 1),
        )
    runs = [rows.run_record(row) for row in found]
    if len(runs) == 1 or (runs and runs[0].id == ref):
        return runs[0]
    raise await _not_one(snapshot, ref, runs)


async def _not_one(snapshot: Snapshot, ref: str, runs: list[RunRecord]) -> UsageError:
    if runs and ref:
        listed, message = runs, f"{ref!r} is the beginning of several run ids"
    else:
        newest = await snapshot.fetch(f"SELECT {rows.RUN} FROM runs ORDER BY seq DESC LIMIT {_CANDIDATES}")
        listed = [rows.run_record(row) for row in newest]
        message = "a run is named by the beginning of its id" if not ref else f"there is no run {ref!r}"
    if not listed:
        return UsageError(f"there is no run {ref!r}: nothing has been run yet", hint="see 'agentainer run'")
    lines = [f"{run.id}  {run.workflow}  {run.status}  {run.created_at}" for run in listed[:_CANDIDATES]]
    more = ["…"] if len(listed) > _CANDIDATES else []
    return UsageError(message, hint="\n  ".join([f"runs, newest first, or {'last'!r}:", *lines, *more]))
