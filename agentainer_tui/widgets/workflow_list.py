"""The workflows of the watched directory, each with its last result, or with what is wrong with its file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.looks import LOOKS, UNKNOWN, WORD_WIDTH
from agentainer_tui.text import ago, duration
from agentainer_tui.views import RunRow, elapsed
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

# The key of the first row, which stands for all workflows; no file has this path.
ALL = ""


class WorkflowList(RowList):
    """One row a file, after a row for all of them."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._entries: dict[str, WorkflowEntry] = {}
        self._last: Mapping[str, RunRow] = {}

    def show(self, entries: Sequence[WorkflowEntry], last: Mapping[str, RunRow]) -> None:
        """Take the entries, and the last run of each workflow by name."""
        first = not self._entries
        self._entries = {entry.path: entry for entry in entries}
        self._last = last
        self.set_keys([ALL, *self._entries] if entries else [])
        if first and entries:
            self.select(entries[0].path)

    @property
    def entry(self) -> WorkflowEntry | None:
        """The workflow under the cursor, None on the row for all of them."""
        return self._entries.get(str(self.key or ""))

    def draw_row(self, place: int, width: int) -> Row:
        """Name, sign and word of the last run, when, how long."""
        row = self.mark(place)
        key = str(self.keys[place])
        muted, faint = self.ink("muted"), self.ink("faint")
        took = 7 if width >= 44 else 0
        when = 8 if width >= 36 else 0
        name = max(4, width - 2 - (WORD_WIDTH + 4) - (when + 1 if when else 0) - (took + 1 if took else 0))
        if key == ALL:
            return row.gap().cell("All workflows", name, muted).gap().cell("", WORD_WIDTH + 2, muted)
        entry = self._entries[key]
        run = self._last.get(entry.name)
        row.gap().cell(entry.name, name, self.ink("text" if entry.runnable else "muted")).gap()
        if not entry.runnable:
            return row.put(f"{self.glyphs.alert} cannot load", self.ink("error"))
        broken = any(problem.severity == "error" for problem in entry.problems)
        if broken:
            row.put(f"{self.glyphs.alert} ", self.ink("error")).cell(
                "bad save", WORD_WIDTH, self.ink("error")
            )
        elif run is None:
            row.cell("never run", WORD_WIDTH + 2, faint)
        else:
            look, ink = LOOKS.get(run.status, UNKNOWN), self.status_ink(run.status)
            row.put(f"{self.glyphs.of(run.status)} ", ink).cell(look.word, WORD_WIDTH, ink)
        if run is not None:
            self._draw_times(row, run, when, took)
        return row

    def _draw_times(self, row: Row, run: RunRow, when: int, took: int) -> None:
        now = self._now()
        begun = run.started_at if run.started_at is not None else run.created_at
        if when:
            text = "now" if not run.status.is_terminal else ago(now - (run.finished_at or begun or now))
            row.gap().cell(text, when, self.ink("muted"), right=True)
        if took:
            text = duration(elapsed(begun, run.finished_at, now))
            row.gap().cell(text, took, self.ink("muted"), right=True)
