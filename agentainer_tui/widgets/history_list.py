"""All runs of the home, as far as they have been read; asks for older ones before the cursor gets there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.message import Message

from agentainer_tui.charts import bar
from agentainer_tui.history_rows import (
    USUAL_BAR,
    HistoryColumns,
    HistoryRow,
    note_of,
    params_words,
    steps_words,
    took,
    when_words,
)
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.text import duration
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

# Rows left below the cursor or the screen when the next page is asked for.
_AHEAD = 30
# From so many times what is usual on, a duration is worth a look.
_LONG = 1.5
_TITLE = "Runs"


class HistoryList(RowList):
    """One row a run, with as many columns as there is room for; rows can be marked."""

    HEADER = 1

    class NearEnd(Message):
        """The end of what was read is near."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._rows: dict[str, HistoryRow] = {}
        self.marked: dict[str, HistoryRow] = {}
        self._news = 0
        self.border_title = _TITLE

    def show(self, rows: Sequence[HistoryRow]) -> None:
        """Take other rows, newest first."""
        first = self.keys[0] if self.keys else None
        self._rows = {row.id: row for row in rows}
        keys = list(self._rows)
        self.marked = {key: self._rows.get(key, row) for key, row in self.marked.items()}
        if keys == self.keys:
            self.refresh()
            return
        self._news += keys.index(first) if first in self._rows else 0
        at_top = self.scroll_offset.y == 0
        self.set_keys(keys)
        if at_top:
            # Who is at the top sees what comes; the cursor goes down with its run.
            self.scroll_to(y=0, animate=False, force=True)
            self._show_cursor()
        self.call_after_refresh(self._tell_news)

    def _tell_news(self) -> None:
        """Say how many runs have come above what is on screen."""
        self._news = min(self._news, int(self.scroll_target_y))
        newer = f"  {self.glyphs.alert} {self._news} newer" if self._news else ""
        self.border_title = f"{_TITLE}{newer}"

    def update_rows(self, rows: Sequence[HistoryRow]) -> None:
        """Take what is new about some of the rows."""
        self._rows |= {row.id: row for row in rows if row.id in self._rows}
        self.refresh_keys([row.id for row in rows])

    @property
    def row(self) -> HistoryRow | None:
        """The run under the cursor."""
        return self._rows.get(str(self.key or ""))

    def tick(self) -> None:
        """Time went on: runs in progress are drawn again."""
        live = [row.id for row in self._rows.values() if not row.run.status.is_terminal]
        self.refresh_keys(live)

    def to_top(self) -> None:
        """The cursor on the newest run, and that in sight."""
        self.action_cursor_first()
        self.scroll_to(y=0, animate=False, force=True)

    # -- marks ----------------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away; the cursor goes on to the next row."""
        row = self.row
        if row is None:
            return
        if self.marked.pop(row.id, None) is None:
            self.marked[row.id] = row
        self.refresh_keys([row.id])
        self.action_cursor_down()

    def clear_marks(self) -> None:
        """No run is marked."""
        self.marked.clear()
        self.refresh()

    # -- reading on -----------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Near the end, ask for more."""
        super().watch_scroll_y(old_value, new_value)
        if self._news:
            self._tell_news()
        if new_value > old_value and new_value + self.size.height + _AHEAD >= len(self.keys):
            self.post_message(self.NearEnd())

    def _move(self, place: int, *, by_hand: bool = True) -> None:
        super()._move(place, by_hand=by_hand)
        if place + _AHEAD >= len(self.keys):
            self.post_message(self.NearEnd())

    # -- drawing --------------------------------------------------------------------------------------

    def draw_header(self, width: int) -> Row:
        """The names of the columns."""
        cells = HistoryColumns.of(width)
        faint = self.ink("muted")
        row = Row().gap(3)
        named = (
            (cells.status, "STATUS", False),
            (cells.workflow, "WORKFLOW", False),
            (cells.id, "RUN", False),
            (cells.when, "WHEN", True),
            (cells.took, "TOOK", True),
            (cells.usual, "USUAL", False),
            (cells.steps, "STEPS", True),
            (cells.retries, self.glyphs.of("retrying"), True),
            (cells.source, "BY", False),
            (cells.params, "PARAMS", False),
            (cells.note, "", False),
        )
        for size, name, right in named:
            if size:
                row.cell(name, size, faint, right=right).gap()
        return row

    def draw_row(self, place: int, width: int) -> Row:
        """The run at `place`."""
        found, cells, now = self._rows[str(self.keys[place])], HistoryColumns.of(width), self._now()
        run = found.run
        look, ink = LOOKS.get(run.status, UNKNOWN), self.status_ink(run.status)
        muted, faint = self.ink("muted"), self.ink("faint")
        marked = run.id in self.marked
        row = self.mark(place).put(self.glyphs.marked if marked else " ", self.ink("accent")).gap()
        row.put(f"{self.glyphs.sign(look)} ", ink).cell(look.word, cells.status - 2, ink).gap()
        row.cell(run.workflow, cells.workflow, self.ink("strong" if marked else "text")).gap()
        row.cell(run.id[: cells.id], cells.id, faint).gap()
        row.cell(when_words(run, now, cells.when), cells.when, muted, right=True).gap()
        self._draw_took(row, found, cells, now)
        row.cell(steps_words(found), cells.steps, muted, right=True).gap()
        if cells.retries:
            row.cell(str(found.retries or ""), cells.retries, self.ink("warning"), right=True).gap()
        if cells.source:
            row.cell(found.source, cells.source, faint).gap()
        if cells.params:
            row.cell(params_words(run.params), cells.params, faint).gap()
        note, note_ink = note_of(found, self.glyphs)
        if not note and not cells.params:
            note, note_ink = params_words(run.params), "faint"
        return row.cell(note, cells.note, self.ink(note_ink))

    def _draw_took(self, row: Row, found: HistoryRow, cells: HistoryColumns, now: float) -> None:
        """The duration, and a bar that is half full where it is what is usual."""
        seconds = took(found, now)
        usual = found.usual
        long = usual is not None and seconds is not None and seconds > _LONG * usual
        ink = self.ink("warning" if long else "muted")
        row.cell(duration(seconds), cells.took, ink, right=True).gap()
        if cells.usual:
            drawn = ""
            if usual and seconds is not None:
                drawn = bar(seconds, 2 * usual, USUAL_BAR, ascii_only=self.glyphs.is_ascii)
            row.cell(drawn, cells.usual, self.ink("warning" if long else "faint")).gap()
