"""Runs, newest first; asks for older ones before the cursor reaches the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.message import Message

from agentainer_tui.explain import QUEUED, reason_words
from agentainer_tui.looks import LOOKS, UNKNOWN, WORD_WIDTH
from agentainer_tui.text import ago, counted, duration
from agentainer_tui.views import RunRow, elapsed
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

# Rows left below the screen when the next page is asked for.
_AHEAD = 20


class RunList(RowList):
    """One row a run: sign and word, workflow, id, when, how long, how far, and what went wrong."""

    STAYS_ON_TOP = True

    class NearEnd(Message):
        """The end of what is known is near."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._rows: dict[str, RunRow] = {}
        self._workflow: str | None = None
        # The runs that are to be compared: no more than two, the last ones that were marked.
        self.marked: list[str] = []

    def show(self, rows: Sequence[RunRow], workflow: str | None) -> None:
        """Take the runs of a workflow (None: of all), newest first."""
        self._rows = {row.id: row for row in rows}
        if workflow != self._workflow:
            self._workflow = workflow
            self.action_cursor_first()
        keys = [row.id for row in rows]
        if keys == self.keys:
            self.refresh()
        else:
            self.set_keys(keys)

    @property
    def run(self) -> RunRow | None:
        """The run under the cursor."""
        return self._rows.get(str(self.key or ""))

    def toggle_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away; of three marks the first one goes."""
        run = self.run
        if run is None:
            return
        if run.id in self.marked:
            self.marked.remove(run.id)
        else:
            self.marked = [*self.marked[-1:], run.id]
        self.refresh()

    def tick(self) -> None:
        """Time went on: runs in progress are drawn again."""
        self.refresh_keys([row.id for row in self._rows.values() if not row.status.is_terminal])

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near the end, ask for more."""
        super().watch_scroll_y(old_value, new_value)
        if new_value > old_value and new_value + self.size.height + _AHEAD >= len(self.keys):
            self.post_message(self.NearEnd())

    def draw_row(self, place: int, width: int) -> Row:
        """The run at `place`."""
        row = self.mark(place)
        run = self._rows[str(self.keys[place])]
        now = self._now()
        look, ink = LOOKS.get(run.status, UNKNOWN), self.status_ink(run.status)
        muted, faint = self.ink("muted"), self.ink("faint")
        row.put(self.glyphs.marked if run.id in self.marked else " ", self.ink("accent"))
        row.put(f"{self.glyphs.of(run.status)} ", ink).cell(look.word, WORD_WIDTH, ink).gap()
        if self._workflow is None and width >= 40:
            row.cell(run.workflow, max(8, min(26, (width - 40) // 2 + 4)), self.ink("text")).gap()
        shown = 12 if width >= 72 else 6
        row.cell(run.id[:shown], shown, faint).gap()
        begun = run.started_at if run.started_at is not None else run.created_at
        row.cell(ago(now - (begun if begun is not None else now)), 8, muted, right=True).gap()
        row.cell(duration(elapsed(begun, run.finished_at, now)), 7, muted, right=True).gap(2)
        room = width - row.width - 1
        return row.cell(self._note(run, room), room, self.ink(_note_ink(run)))

    def _note(self, run: RunRow, room: int) -> str:
        if not run.status.is_terminal:
            if run.gates:
                return f"{counted(run.gates, 'step')} to approve"
            if run.queued:
                return QUEUED.get(run.queued, "queued")
            count = f"{run.done}/{run.total}" if run.total else ""
            return self._bar(run) + count if room >= 12 + len(count) else count
        if run.error:
            return run.error.split("\n", 1)[0]
        if run.status == "failed" and run.reason:
            return reason_words(run.reason)
        if run.retry_of:
            return f"retry of {run.retry_of[:6]}"
        return "scheduled" if run.is_scheduled else ""

    def _bar(self, run: RunRow) -> str:
        if not run.total:
            return ""
        filled = round(10 * run.done / run.total)
        return self.glyphs.bar * filled + self.glyphs.bar_light * (10 - filled) + "  "


def _note_ink(run: RunRow) -> str:
    if not run.status.is_terminal:
        return "accent" if run.gates else "running"
    return "error" if run.error or run.status == "failed" else "faint"
