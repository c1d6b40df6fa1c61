"""The workflows of the watched directory, each with its last results, or with what is wrong with its file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.looks import LOOKS, UNKNOWN, WORD_WIDTH
from agentainer_tui.run_bars import run_bars
from agentainer_tui.text import ago, duration
from agentainer_tui.views import RunRow, elapsed
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

# The key of the first row, which stands for all workflows; no file has this path.
ALL = ""
# Cells of the columns; bars of the last runs are shown as far as there is room.
_SIGN, _WHEN, _TOOK, _NAME, _BARS = 2, 8, 7, 12, 20


class WorkflowList(RowList):
    """One row a file, after a row for all of them."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._entries: dict[str, WorkflowEntry] = {}
        self._recent: Mapping[str, Sequence[RunRow]] = {}

    def show(self, entries: Sequence[WorkflowEntry], recent: Mapping[str, Sequence[RunRow]]) -> None:
        """Take the entries, and the last runs of each workflow by name, newest first."""
        first = not self._entries
        self._entries = {entry.path: entry for entry in entries}
        self._recent = recent
        self.set_keys([ALL, *self._entries] if entries else [])
        if first and entries:
            self.select(entries[0].path)

    @property
    def entry(self) -> WorkflowEntry | None:
        """The workflow under the cursor, None on the row for all of them."""
        return self._entries.get(str(self.key or ""))

    def draw_row(self, place: int, width: int) -> Row:
        """Name, sign and word of the last run, when, how long, and bars of the last ones."""
        row = self.mark(place)
        key = str(self.keys[place])
        when = _WHEN if width >= 36 else 0
        took = _TOOK if width >= 44 else 0
        fixed = 3 + WORD_WIDTH + _SIGN + sum(cells + 1 for cells in (when, took) if cells)
        longest = max((len(entry.name) for entry in self._entries.values()), default=_NAME)
        spare = width - fixed - max(_NAME, min(longest, 28)) - 2
        bars = min(_BARS, spare) if spare >= 5 else 0
        name = max(4, width - fixed - (bars + 2 if bars else 0))
        if key == ALL:
            return row.gap().cell("All workflows", width - 3, self.ink("muted"))
        entry = self._entries[key]
        runs = self._recent.get(entry.name, ())
        row.gap().cell(entry.name, name, self.ink("text" if entry.runnable else "muted")).gap()
        if not entry.runnable:
            return row.put(f"{self.glyphs.alert} cannot load", self.ink("error"))
        self._draw_result(row, entry, runs)
        if runs:
            self._draw_times(row, runs[0], when, took)
        if bars and runs:
            row.gap(2 + max(0, bars - len(runs)))
            for sign, ink in run_bars(runs, bars, self._now(), self.glyphs):
                row.put(sign, self.ink(ink))
        return row

    def _draw_result(self, row: Row, entry: WorkflowEntry, runs: Sequence[RunRow]) -> None:
        if any(problem.severity == "error" for problem in entry.problems):
            row.put(f"{self.glyphs.alert} ", self.ink("error")).cell(
                "bad save", WORD_WIDTH, self.ink("error")
            )
        elif not runs:
            row.cell("never run", WORD_WIDTH + _SIGN, self.ink("faint"))
        else:
            status = runs[0].status
            look, ink = LOOKS.get(status, UNKNOWN), self.status_ink(status)
            row.put(f"{self.glyphs.of(status)} ", ink).cell(look.word, WORD_WIDTH, ink)

    def _draw_times(self, row: Row, run: RunRow, when: int, took: int) -> None:
        now = self._now()
        begun = run.started_at if run.started_at is not None else run.created_at
        if when:
            text = "now" if not run.status.is_terminal else ago(now - (run.finished_at or begun or now))
            row.gap().cell(text, when, self.ink("muted"), right=True)
        if took:
            text = duration(elapsed(begun, run.finished_at, now))
            row.gap().cell(text, took, self.ink("muted"), right=True)
