"""Reading the history: runs, their steps, items and attempts, events, state as of any event.

A `Reader` only reads. It works beside an active `Journal`, in the same or in another process, and on a
home that has no database yet, where it finds nothing and creates nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.clock import parse_time
from engine.errors import HistoryError, UsageError
from engine.events import TERMINAL_RUN, Event, RunStatus
from engine.history import expiry, figures, listing, recall, rows, statistics
from engine.history.connection import ReadConnection, Snapshot
from engine.history.figures import PeriodRows, RunRows, Scope
from engine.history.lookup import find
from engine.history.projection import EVENT_COLUMNS, event_from_row
from engine.history.records import (
    AttemptRecord,
    ItemRecord,
    Remembered,
    RunDetail,
    RunFilter,
    RunPage,
    RunRecord,
    StateChange,
    StepRecord,
)
from engine.history.schema import NO_ITEM


def utc_now() -> datetime:
    """The wall time."""
    return datetime.now(UTC)


_UNFINISHED = tuple(status.value for status in RunStatus if status not in TERMINAL_RUN)


class Reader:
    """Queries on the history database at `path`. Opens itself when first asked; close it in the end.

    Every method raises HistoryError when the database cannot be read.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._now = now
        self._connection = ReadConnection(path)
        # Figures over all runs take long enough that nobody else should stand behind them.
        self._figures = ReadConnection(path)

    async def close(self) -> None:
        """Let go of the database. Repeatable."""
        await self._connection.close()
        await self._figures.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- runs -----------------------------------------------------------------------------------------

    async def runs(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        workflow: str | None = None,
        status: str | None = None,
        children: bool = True,
    ) -> list[RunRecord]:
        """Runs, newest first; for the next page, `before` is the `seq` of the last one of this page.

        Without `children`, runs that are part of another are left out.
        """
        conditions, values = ["1" if children else "parent_run_id IS NULL"], list[Any]()
        for condition, value in (("seq < ?", before), ("workflow = ?", workflow), ("status = ?", status)):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        found = await self._connection.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?",
            (*values, limit),
        )
        return [rows.run_record(row) for row in found]

    async def list_runs(self, wanted: RunFilter, *, limit: int, before: int | None = None) -> RunPage:
        """A page of the runs that are wanted, newest first, as lists show them (`listing`)."""
        return await listing.list_runs(self._connection, wanted, limit=limit, before=before)

    async def count_own_runs(self) -> int:
        """How many runs there are that are not part of others."""
        return await listing.count_own_runs(self._connection)

    async def run(self, ref: str) -> RunRecord:
        """The run that `ref` means: its id, a unique beginning of it, or `last`.

        Raises:
            UsageError: no run, or several; names the candidates.
        """
        async with self._connection.snapshot() as snapshot:
            return await find(snapshot, ref)

    async def expired(
        self, *, before: str | None = None, keep: int | None = None, limit: int | None = None
    ) -> list[RunRecord]:
        """Finished runs that may be deleted, oldest first: those that both bounds let go (`expiry`)."""
        return await expiry.expired(self._connection, before=before, keep=keep, limit=limit)

    async def unfinished(self) -> list[RunRecord]:
        """Runs that have not reached a terminal status, oldest first."""
        places = ", ".join("?" * len(_UNFINISHED))
        found = await self._connection.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE status IN ({places}) ORDER BY seq", _UNFINISHED
        )
        return [rows.run_record(row) for row in found]

    async def children(self, run_id: str) -> list[RunRecord]:
        """The child runs of a run, oldest first."""
        found = await self._connection.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE parent_run_id = ? ORDER BY seq", (run_id,)
        )
        return [rows.run_record(row) for row in found]

    async def families(self, run_ids: Sequence[str]) -> dict[str, list[str]]:
        """Each of the runs with all that are part of it, itself first."""
        links = await self._connection.fetch(
            "SELECT parent_run_id, id FROM runs WHERE parent_run_id IS NOT NULL ORDER BY seq"
        )
        children: defaultdict[str, list[str]] = defaultdict(list)
        for parent, child in links:
            children[parent].append(child)
        found: dict[str, list[str]] = {}
        for run_id in run_ids:
            family = [run_id]
            for member in family:  # grows while it is gone through
                family += children.get(member, ())
            found[run_id] = family
        return found

    async def children_documents(self, run_id: str) -> dict[str, tuple[str, str | None]]:
        """The workflows that the steps of a run run, as it began with them: text and path by name."""
        found = await self._connection.fetch(
            "SELECT c.name, d.text, c.path FROM run_children AS c JOIN documents AS d ON d.digest = c.digest"
            " WHERE c.run_id = ? ORDER BY c.name",
            (run_id,),
        )
        return {name: (text, path) for name, text, path in found}

    async def last_scheduled(self, workflow: str) -> datetime | None:
        """The newest time of its schedule at which a workflow was started, None if there is none."""
        found = await self._connection.fetch(
            "SELECT max(scheduled_for) FROM runs WHERE workflow = ? AND scheduled_for IS NOT NULL",
            (workflow,),
        )
        return parse_time(found[0][0]) if found and found[0][0] is not None else None

    async def waiting_gates(self, run_id: str) -> list[StepRecord]:
        """Steps of a run, and of the runs that are part of it, that wait for a person, longest first."""
        found = await self._connection.fetch(
            f"{_FAMILY} SELECT {rows.STEP} FROM steps WHERE run_id IN (SELECT id FROM family)"
            " AND status = 'running' AND json_extract(waiting, '$.why') = 'approval' ORDER BY started_seq",
            (run_id,),
        )
        return [rows.step_record(row) for row in found]

    async def recall(self, key: str, max_age: float | None = None) -> Remembered | None:
        """The newest result of completed work under a cache key, unless older than `max_age` seconds."""
        return await recall.recall(self._connection, key, max_age, self._now())

    async def retries(self, run_id: str) -> list[RunRecord]:
        """The runs that are retries of a run, oldest first."""
        found = await self._connection.fetch(
            f"SELECT {rows.RUN} FROM runs WHERE retry_of = ? ORDER BY seq", (run_id,)
        )
        return [rows.run_record(row) for row in found]

    async def last_runs_by_workflow(self, limit: int) -> dict[str, list[RunRecord]]:
        """The newest `limit` runs of every workflow, newest first, by its name; without parts of others."""
        return await statistics.last_runs_by_workflow(self._connection, limit)

    async def period_rows(self, scope: Scope, *, details: bool = True) -> PeriodRows:
        """What figures over the runs of a period are made of; without `details` nothing of steps and tasks.

        Over a long history this takes a moment; other questions are answered meanwhile.
        """
        return await figures.period_rows(self._figures, scope, details=details)

    async def counter_rows(self) -> list[tuple[Any, ...]]:
        """What counters count, deleted runs included (`figures.forgotten_rows`)."""
        return await figures.forgotten_rows(self._figures)

    async def run_rows(self, run_id: str) -> RunRows:
        """What figures of one run are made of.

        Raises:
            UsageError: there is no run with that id.
        """
        found = await figures.run_rows(self._figures, run_id)
        if found is None:
            raise UsageError(f"there is no run {run_id!r}")
        return found

    async def counts(self) -> dict[str, int]:
        """How many runs stand in each status; every status is there."""
        return await statistics.counts(self._figures)

    # -- inside a run ---------------------------------------------------------------------------------

    async def detail(self, ref: str, *, items: bool = True) -> RunDetail:
        """A run with its state and everything below it, as of one moment.

        Without `items`, items and their attempts are left out; page through them with `items`.

        Raises:
            UsageError: as `run`.
        """
        async with self._connection.snapshot() as snapshot:
            run = await find(snapshot, ref)
            steps = await snapshot.fetch(
                f"SELECT {rows.STEP} FROM steps WHERE run_id = ? {_IN_ORDER}", (run.id,)
            )
            attempts = await _attempts(snapshot, "1" if items else f"item = {NO_ITEM}", run.id)
            members = await _items(snapshot, attempts, "1", run.id) if items else []
            state = await _state(snapshot, run.id)
        by_step: defaultdict[str, list[ItemRecord]] = defaultdict(list)
        for item in members:
            by_step[item.step_id].append(item)
        return RunDetail(
            run,
            state,
            tuple([rows.step_record(row, attempts.of(row[1]), tuple(by_step[row[1]])) for row in steps]),
        )

    async def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run in document order, with their own attempts, without items."""
        async with self._connection.snapshot() as snapshot:
            found = await snapshot.fetch(
                f"SELECT {rows.STEP} FROM steps WHERE run_id = ? {_IN_ORDER}", (run_id,)
            )
            attempts = await _attempts(snapshot, f"item = {NO_ITEM}", run_id)
        return [rows.step_record(row, attempts.of(row[1])) for row in found]

    async def step(self, run_id: str, step_id: str) -> StepRecord:
        """One step with its own attempts, without items.

        Raises:
            UsageError: there is no such step; names those that there are.
        """
        steps = await self.steps(run_id)
        for step in steps:
            if step.id == step_id:
                return step
        raise UsageError(
            f"run {run_id} has no step {step_id!r}",
            hint=f"its steps: {', '.join(step.id for step in steps) or 'none'}",
        )

    async def items(
        self, run_id: str, step_id: str, *, limit: int | None = None, offset: int = 0
    ) -> list[ItemRecord]:
        """Items of a step in order, with their attempts: `limit` of them (None: all) from number `offset`."""
        last = offset + limit if limit is not None else _BEYOND
        async with self._connection.snapshot() as snapshot:
            attempts = await _attempts(
                snapshot, "step_id = ? AND item >= ? AND item < ?", run_id, step_id, offset, last
            )
            where = "step_id = ? AND number >= ? AND number < ?"
            return await _items(snapshot, attempts, where, run_id, step_id, offset, last)

    async def item_counts(self, run_id: str, step_id: str) -> dict[str, int]:
        """How many items of a step stand in each status; statuses without items are left out."""
        found = await self._connection.fetch(
            "SELECT status, count(*) FROM items WHERE run_id = ? AND step_id = ? GROUP BY status",
            (run_id, step_id),
        )
        return dict(found)

    async def attempts(self, run_id: str, step_id: str, item: int | None = None) -> list[AttemptRecord]:
        """The attempts of a step, or of one of its items, oldest first."""
        number = NO_ITEM if item is None else item
        async with self._connection.snapshot() as snapshot:
            attempts = await _attempts(snapshot, "step_id = ? AND item = ?", run_id, step_id, number)
        return list(attempts.of(step_id, item))

    async def kept_agents(self, run_id: str | None = None) -> list[AttemptRecord]:
        """The attempts, of one run or of all, whose agent was kept for inspection and not removed since."""
        condition, values = ("AND run_id = ?", (run_id,)) if run_id is not None else ("", ())
        found = await self._connection.fetch(
            f"SELECT {rows.ATTEMPT} FROM attempts WHERE kept = 1 {condition}"
            " ORDER BY created_at, run_id, step_id, item, number",
            values,
        )
        return [rows.attempt_record(row) for row in found]

    async def document(self, digest: str) -> str:
        """The text of the workflow document with that digest, as runs were started from it.

        Raises:
            HistoryError: it is not there; every run's is, unless someone else changed the database.
        """
        found = await self._connection.fetch("SELECT text FROM documents WHERE digest = ?", (digest,))
        if not found:
            raise HistoryError(f"the history database {self._path} has no document with digest {digest!r}")
        return str(found[0][0])

    # -- events and state -----------------------------------------------------------------------------

    async def events(
        self,
        run_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 1000,
        step_id: str | None = None,
        item: int | None = None,
    ) -> list[Event]:
        """Events of one run (of a step, of an item) or of all, in order, from number `after` + 1 on."""
        wanted = {"run_id": run_id, "step_id": step_id, "item": item}
        given = {column: value for column, value in wanted.items() if value is not None}
        condition = "".join(f" AND {column} = ?" for column in given)
        found = await self._connection.fetch(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ?{condition} ORDER BY seq LIMIT ?",
            (after, *given.values(), limit),
        )
        return [event_from_row(row) for row in found]

    async def changes(self, run_id: str) -> list[StateChange]:
        """What the finished steps of a run did to its shared state, in order."""
        found = await self._connection.fetch(
            f"SELECT {rows.CHANGE} FROM state_changes WHERE run_id = ? ORDER BY seq", (run_id,)
        )
        return [rows.state_change(row) for row in found]

    async def state_at(self, run_id: str, seq: int) -> dict[str, Any]:
        """The shared state of a run as of event `seq`: its initial state and the steps finished by then."""
        async with self._connection.snapshot() as snapshot:
            return await _state(snapshot, run_id, seq)

    async def state_before(self, run_id: str, step_id: str) -> dict[str, Any]:
        """The shared state of a run when a step first started.

        For a step that never started it is the state before its end, or the newest if it has none.
        """
        async with self._connection.snapshot() as snapshot:
            found = await snapshot.fetch(
                "SELECT coalesce(started_seq, finished_seq) FROM steps WHERE run_id = ? AND id = ?",
                (run_id, step_id),
            )
            seq = found[0][0] - 1 if found and found[0][0] is not None else None
            return await _state(snapshot, run_id, seq)


_IN_ORDER = "ORDER BY ordinal, id"

# A run and all that are part of it.
_FAMILY = (
    "WITH RECURSIVE family (id) AS"
    " (VALUES (?) UNION ALL SELECT runs.id FROM runs JOIN family ON runs.parent_run_id = family.id)"
)

# Higher than any sequence or item number.
_BEYOND = 2**63 - 1


class _Attempts:
    """Attempts by the step or item that they belong to."""

    def __init__(self, records: Iterable[AttemptRecord]) -> None:
        self._by_unit: defaultdict[tuple[str, int | None], list[AttemptRecord]] = defaultdict(list)
        for record in records:
            self._by_unit[record.step_id, record.item].append(record)

    def of(self, step_id: str, item: int | None = None) -> tuple[AttemptRecord, ...]:
        return tuple(self._by_unit.get((step_id, item), ()))


async def _attempts(snapshot: Snapshot, where: str, run_id: str, *values: Any) -> _Attempts:
    found = await snapshot.fetch(
        f"SELECT {rows.ATTEMPT} FROM attempts WHERE run_id = ? AND {where} ORDER BY step_id, item, number",
        (run_id, *values),
    )
    return _Attempts(rows.attempt_record(row) for row in found)


async def _items(
    snapshot: Snapshot, attempts: _Attempts, where: str, run_id: str, *values: Any
) -> list[ItemRecord]:
    found = await snapshot.fetch(
        f"SELECT {rows.ITEM} FROM items WHERE run_id = ? AND {where} ORDER BY step_id, number",
        (run_id, *values),
    )
    return [rows.item_record(row, attempts.of(row[1], row[2])) for row in found]


async def _state(snapshot: Snapshot, run_id: str, seq: int | None = None) -> dict[str, Any]:
    """Fold the changes up to event `seq` (None: all) over the run's initial state."""
    initial = await snapshot.fetch("SELECT initial_state FROM runs WHERE id = ?", (run_id,))
    state: dict[str, Any] = json.loads(initial[0][0]) if initial else {}
    changes = await snapshot.fetch(
        f"SELECT {rows.CHANGE} FROM state_changes WHERE run_id = ? AND seq <= ? ORDER BY seq",
        (run_id, _BEYOND if seq is None else seq),
    )
    for row in changes:
        change = rows.state_change(row)
        state.update(change.set)
        for key in change.removed:
            state.pop(key, None)
    return state
