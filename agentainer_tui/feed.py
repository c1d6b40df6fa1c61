"""What the app knows: workflows, list rows, and the views of live and opened runs. Knows no Textual.

Events are pushed as they come and taken in `flush`, ten times a second at most; the reply says what changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nlargest

from agentainer_tui.client import RECENT, Snapshot, WorkflowEntry
from agentainer_tui.failure.finding import FailureLog
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunRow, RunView, StepView, row_of
from engine.events import Event, EventType


@dataclass(frozen=True, slots=True)
class Changes:
    """What a flush changed: rows of lists, the workflows, and the views of these runs.

    `finished` are the runs that have ended, `gates` the steps that have begun to wait for a person.
    """

    rows: bool = False
    workflows: bool = False
    views: frozenset[str] = frozenset()
    finished: tuple[str, ...] = ()
    gates: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Page:
    """How far the history has been read for one workflow (or for all)."""

    oldest: int | None = None
    complete: bool = False


@dataclass(slots=True)
class Feed:
    """The app's knowledge. `rows` holds every run seen so far; `views` those that are live or open."""

    workflows: tuple[WorkflowEntry, ...] = ()
    rows: dict[str, RunRow] = field(default_factory=dict)
    views: dict[str, RunView] = field(default_factory=dict)
    failures: FailureLog = field(default_factory=FailureLog)
    _pending: list[Event] = field(default_factory=list)
    _loading: dict[str, list[Event]] = field(default_factory=dict)
    _open: Counter[str] = field(default_factory=Counter)
    _pages: dict[str | None, _Page] = field(default_factory=dict)

    def seed(self, snapshot: Snapshot, page: int) -> None:
        """Begin with a snapshot whose runs are the newest page of the history."""
        self.workflows = snapshot.workflows
        self.add_page(None, snapshot.runs, page)
        self.add_rows(snapshot.last_runs)
        self.add_rows(snapshot.live)

    # -- events ---------------------------------------------------------------------------------------

    def push(self, events: Iterable[Event]) -> None:
        """Take events, to be applied at the next flush."""
        self._pending.extend(events)

    def flush(self) -> Changes | None:
        """Apply what was pushed; None if there was nothing."""
        if not self._pending:
            return None
        by_run: defaultdict[str, list[Event]] = defaultdict(list)
        for event in self._pending:
            by_run[event.run_id].append(event)
        self._pending.clear()
        changed, finished, gates = set(), list[str](), list[tuple[str, str]]()
        for run_id, events in by_run.items():
            if run_id in self._loading:
                self._loading[run_id] += events
                continue
            known = self.views.get(run_id)
            if known is None and events[0].type is not EventType.RUN_CREATED:
                continue  # an older run's event (a cleanup); its view is read when it is opened
            view = reduce_all(known, events)
            if view is None or view is known:
                continue
            changed.add(run_id)
            self.failures.notice((view,))
            self._install(view)
            if view.status.is_terminal and (known is None or not known.status.is_terminal):
                finished.append(run_id)
            known_gates = {step.id for step in known.gates} if known is not None else set()
            gates += [(run_id, step.id) for step in view.gates if step.id not in known_gates]
        return Changes(
            rows=bool(changed), views=frozenset(changed), finished=tuple(finished), gates=tuple(gates)
        )

    def _install(self, view: RunView) -> None:
        self.rows[view.id] = row_of(view)
        if view.status.is_terminal and self._open[view.id] <= 0:
            self.views.pop(view.id, None)
        else:
            self.views[view.id] = view

    # -- views ----------------------------------------------------------------------------------------

    def begin_loading(self, run_id: str) -> bool:
        """Before reading a run's events: keep what comes meanwhile. False if that is going on already."""
        if run_id in self._loading:
            return False
        self._loading[run_id] = []
        return True

    def end_loading(self, run_id: str, view: RunView | None) -> None:
        """Install the view that was read, with what came meanwhile."""
        meanwhile = self._loading.pop(run_id, [])
        whole = reduce_all(view, meanwhile)
        if whole is not None:
            if not whole.status.is_terminal:  # what failed in a run that is over is no news
                self.failures.notice((whole,))
            self._install(whole)

    def open(self, run_id: str) -> None:
        """A screen shows this run: keep its view also after its end."""
        self._open[run_id] += 1

    def close(self, run_id: str) -> None:
        """One screen less shows it; without any, the view of a run that is over is let go."""
        self._open[run_id] -= 1
        view = self.views.get(run_id)
        if self._open[run_id] <= 0 and view is not None and view.status.is_terminal:
            del self.views[run_id]

    def live(self) -> list[RunRow]:
        """Runs in progress, oldest first; those that are part of another too."""
        rows = [row for row in self.rows.values() if not row.status.is_terminal]
        return sorted(rows, key=lambda row: row.seq)

    def active(self) -> list[RunRow]:
        """Runs in progress, oldest first, without those that are part of another."""
        return [row for row in self.live() if not row.parent_run]

    def gates(self, run_id: str) -> list[tuple[RunView, StepView]]:
        """The steps of a run, and of the runs that are part of it, that wait for a person."""
        return [
            (view, step)
            for view in self.views.values()
            if (gates := view.gates) and run_id in self._lineage(view)
            for step in gates
        ]

    def _lineage(self, view: RunView) -> Iterator[str]:
        """A run and the runs that it is part of, from the inside out."""
        yield view.id
        parent = view.parent.run_id if view.parent is not None else ""
        while parent:
            yield parent
            row = self.rows.get(parent)
            parent = row.parent_run if row is not None else ""

    # -- lists ----------------------------------------------------------------------------------------

    def add_page(self, workflow: str | None, rows: Sequence[RunRow], size: int) -> None:
        """Take a page of the history; a short one was the last."""
        page = self._pages.setdefault(workflow, _Page())
        if rows:
            page.oldest = rows[-1].seq
        page.complete = len(rows) < size
        for row in rows:
            known = self.rows.get(row.id)
            if known is None:
                self.rows[row.id] = row
            elif not known.total and row.total:
                self.rows[row.id] = replace(known, done=row.done, total=row.total)

    def add_rows(self, rows: Iterable[RunRow]) -> None:
        """Take runs that are not part of a page (the last one of each workflow)."""
        for row in rows:
            self.rows.setdefault(row.id, row)

    def forget(self, run_ids: Iterable[str]) -> None:
        """These runs were deleted, with the runs within them."""
        gone = set(run_ids)
        while members := {row.id for row in self.rows.values() if row.parent_run in gone} - gone:
            gone |= members
        for run_id in gone:
            self.rows.pop(run_id, None)
            self.views.pop(run_id, None)

    def next_page(self, workflow: str | None) -> tuple[bool, int | None]:
        """Whether there may be older runs, and before which one to ask for them."""
        page = self._pages.get(workflow, _Page())
        return not page.complete, page.oldest

    def runs_of(self, workflow: str | None) -> list[RunRow]:
        """The runs of a workflow (or all), newest first, without gaps: no further than was read."""
        page = self._pages.get(workflow, _Page())
        floor = 0 if page.complete or page.oldest is None else page.oldest
        found = [
            row
            for row in self.rows.values()
            if workflow in (None, row.workflow) and row.seq >= floor and not row.parent_run
        ]
        waiting = Counter(
            ancestor for view in self.views.values() if view.gates for ancestor in self._lineage(view)
        )
        found = [replace(row, gates=waiting[row.id]) if row.id in waiting else row for row in found]
        return sorted(found, key=lambda row: row.seq, reverse=True)

    def last_runs(self) -> dict[str, RunRow]:
        """The newest run of each workflow, by name."""
        return {name: rows[0] for name, rows in self.recent_runs(1).items()}

    def recent_runs(self, most: int = RECENT) -> dict[str, list[RunRow]]:
        """The newest runs of each workflow, newest first, by name."""
        found: defaultdict[str, list[RunRow]] = defaultdict(list)
        for row in self.rows.values():
            if not row.parent_run:
                found[row.workflow].append(row)
        return {name: nlargest(most, rows, key=lambda row: row.seq) for name, rows in found.items()}
