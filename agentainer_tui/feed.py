"""What the app knows: workflows, list rows, and the views of live and opened runs. Knows no Textual.

Events are pushed as they come and taken in `flush`, ten times a second at most; the reply says what changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from agentainer_tui.client import Snapshot, WorkflowEntry
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunRow, RunView, row_of
from engine.events import Event, EventType


@dataclass(frozen=True, slots=True)
class Changes:
    """What a flush changed: rows of lists, the workflows, and the views of these runs."""

    rows: bool = False
    workflows: bool = False
    views: frozenset[str] = frozenset()
    finished: tuple[str, ...] = ()


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
    _pending: list[Event] = field(default_factory=list)
    _loading: dict[str, list[Event]] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _pages: dict[str | None, _Page] = field(default_factory=dict)

    def seed(self, snapshot: Snapshot, page: int) -> None:
        """Begin with a snapshot whose runs are the newest page of the history."""
        self.workflows = snapshot.workflows
        self.add_page(None, snapshot.runs, page)
        self.add_rows(snapshot.last_runs)

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
        changed, finished = set(), []
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
            self._install(view)
            if view.status.is_terminal and (known is None or not known.status.is_terminal):
                finished.append(run_id)
        return Changes(rows=bool(changed), views=frozenset(changed), finished=tuple(finished))

    def _install(self, view: RunView) -> None:
        self.rows[view.id] = row_of(view)
        if view.status.is_terminal and view.id not in self._open:
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
            self._install(whole)

    def open(self, run_id: str) -> None:
        """A screen shows this run: keep its view also after its end."""
        self._open.add(run_id)

    def close(self, run_id: str) -> None:
        """No screen shows it any more."""
        self._open.discard(run_id)
        view = self.views.get(run_id)
        if view is not None and view.status.is_terminal:
            del self.views[run_id]

    def active(self) -> list[RunRow]:
        """Runs in progress, oldest first."""
        rows = [row for row in self.rows.values() if not row.status.is_terminal]
        return sorted(rows, key=lambda row: row.seq)

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

    def next_page(self, workflow: str | None) -> tuple[bool, int | None]:
        """Whether there may be older runs, and before which one to ask for them."""
        page = self._pages.get(workflow, _Page())
        return not page.complete, page.oldest

    def runs_of(self, workflow: str | None) -> list[RunRow]:
        """The runs of a workflow (or all), newest first, without gaps: no further than was read."""
        page = self._pages.get(workflow, _Page())
        floor = 0 if page.complete or page.oldest is None else page.oldest
        found = [row for row in self.rows.values() if workflow in (None, row.workflow) and row.seq >= floor]
        return sorted(found, key=lambda row: row.seq, reverse=True)

    def last_runs(self) -> dict[str, RunRow]:
        """The newest run of each workflow, by name."""
        last: dict[str, RunRow] = {}
        for row in self.rows.values():
            if row.workflow not in last or last[row.workflow].seq < row.seq:
                last[row.workflow] = row
        return last
