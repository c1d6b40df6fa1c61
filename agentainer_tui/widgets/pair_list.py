"""The rows of a comparison: both sides of each, and a bar for what took longer or less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len

from agentainer_tui.comparison.runs import Row
from agentainer_tui.comparison.words import delta_words, row_words
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.text import clean, duration
from agentainer_tui.widgets import ink
from agentainer_tui.widgets.row_list import RowList

_MARKS = {"=": ("=", "faint"), "~": ("~", "warning"), "+": ("+", "success"), "-": ("-", "error")}
_TOOK, _DELTA = 6, 7


class _Columns(NamedTuple):
    """Cells of each column; 0 where there is no room for it."""

    name: int
    word: int
    bar: int
    what: int


class PairList(RowList):
    """One row a pair: mark, name, both statuses and times, the difference, and what else differs."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: dict[str, Row] = {}
        self._longest = 0.0

    def show(self, rows: Sequence[Row], longest: float) -> None:
        """Take the rows; `longest` is the difference in seconds that fills half of the bar."""
        self._longest = longest
        self._rows = {row.key: row for row in rows}
        keys = [row.key for row in rows]
        if keys == list(self.keys):
            self.refresh()
        else:
            self.set_keys(keys)

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.get(str(self.key or ""))

    def next_difference(self, by: int) -> bool:
        """Go to the next row that differs, or the one before; False if there is none."""
        keys = list(self.keys)
        here = keys.index(self.key) if self.key in keys else -1
        places = range(here + 1, len(keys)) if by > 0 else range(here - 1, -1, -1)
        for place in places:
            if self._rows[str(keys[place])].is_telling:
                self.select(keys[place])
                return True
        return False

    # -- drawing --------------------------------------------------------------------------------------

    def draw_header(self, width: int) -> ink.Row:
        """What the columns are."""
        columns = self._columns(width)
        row, faint = ink.Row().gap(4), self.ink("faint")
        row.cell("", columns.name).gap()
        for name in ("first", "second"):
            row.cell(name, 2 + columns.word + _TOOK + (1 if columns.word else 0), faint).gap()
        row.cell("time", _DELTA, faint, right=True).gap()
        if columns.bar:
            half = columns.bar // 2
            row.cell("less", half, faint, right=True).gap()
            row.cell("more", columns.bar - half - 1, faint).gap()
        return row.cell("different" if columns.what >= 9 else "", columns.what, faint)

    def draw_row(self, place: int, width: int) -> ink.Row:
        """The pair at `place`."""
        row = self.mark(place)
        pair = self._rows[str(self.keys[place])]
        columns = self._columns(width)
        sign, colour = _MARKS[pair.mark]
        row.gap().put(f"{sign} ", self.ink(colour))
        indent = min(2 * pair.depth, columns.name // 2)
        quiet = "muted" if pair.mark == "=" else "text"
        row.gap(indent).cell(pair.name, columns.name - indent, self.ink(quiet)).gap()
        for side in (0, 1):
            self._draw_side(row, pair.status[side], pair.took[side], columns)
        delta = delta_words(*pair.took)
        slower = (pair.delta or 0.0) > 0
        row.cell(delta, _DELTA, self.ink("warning" if slower else "success"), right=True).gap()
        if columns.bar:
            self._draw_bar(row, pair.delta if delta else None, columns.bar)
            row.gap()
        return row.cell(row_words(pair), columns.what, self.ink("muted"))

    def _draw_side(self, row: ink.Row, status: str, took: float | None, columns: _Columns) -> None:
        look = LOOKS.get(status, UNKNOWN)
        if not status:
            row.cell("", 2 + columns.word + (1 if columns.word else 0))
        else:
            row.put(f"{self.glyphs.sign(look)} ", self.ink(look.ink))
            if columns.word:
                row.cell(look.word, columns.word, self.ink(look.ink)).gap()
        row.cell(duration(took), _TOOK, self.ink("muted"), right=True).gap()

    def _draw_bar(self, row: ink.Row, delta: float | None, width: int) -> None:
        """To the right what took longer, to the left what took less, on a scale for all rows."""
        half = width // 2
        cells = 0
        if delta is not None and self._longest > 0:
            cells = max(1, round(abs(delta) / self._longest * half))
        bar = self.glyphs.bar * cells
        less, more = (bar, "") if delta is not None and delta < 0 else ("", bar)
        row.gap(half - len(less)).put(less, self.ink("success"))
        row.put(self.glyphs.tick, self.ink("faint"))
        row.put(more, self.ink("warning")).gap(width - half - 1 - len(more))

    def _columns(self, width: int) -> _Columns:
        rows = self._rows.values()
        wanted = max((cell_len(clean(row.name, limit=60)) + 2 * row.depth for row in rows), default=8)
        name = max(8, min(wanted, 40, width // 3))
        word = 9 if width >= 88 else 0
        fixed = 4 + name + 1 + 2 * (2 + word + (1 if word else 0) + _TOOK + 1) + _DELTA + 1
        bar = 0 if width - fixed < 24 else min(25, (width - fixed) // 3) | 1
        return _Columns(name, word, bar, max(0, width - fixed - bar - (1 if bar else 0) - 1))
