"""Why the items of a step failed: one row for each cause, with how many."""

from __future__ import annotations

from collections.abc import Sequence

from agentainer_tui.charts import bar
from agentainer_tui.failure.causes import Cause, ranges
from agentainer_tui.text import clean
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

_COUNT, _BAR, _ITEMS = 7, 10, 24
_WIDE = 100


class CauseList(RowList):
    """The largest cause is the first row; the cursor chooses which one is told about."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._causes: Sequence[Cause] = ()

    def show(self, causes: Sequence[Cause]) -> None:
        """Take causes; their places are the keys."""
        self._causes = causes
        self.set_keys(range(len(causes)))

    @property
    def cause(self) -> Cause | None:
        """The one under the cursor."""
        place = self.key
        return self._causes[place] if isinstance(place, int) and place < len(self._causes) else None

    def draw_row(self, place: int, width: int) -> Row:
        """How many, why, the error, which ones."""
        cause = self._causes[place]
        most = max(len(each.items) for each in self._causes)
        line = self.mark(place).gap(1)
        line.cell(f"{len(cause.items):,} {self.glyphs.times}", _COUNT, self.ink("error"), right=True).gap(1)
        length = bar(len(cause.items), most, _BAR, ascii_only=self.glyphs.is_ascii)
        if width >= _WIDE:
            line.cell(length, _BAR, self.ink("error")).gap(1)
        words = clean(cause.words, limit=120)
        room = max(0, width - line.width - _ITEMS - 2)
        line.cell(words, min(len(words), room), self.ink("strong"))
        error = cause.error.removeprefix(cause.words).lstrip(": ")
        rest = room - min(len(words), room)
        line.cell(f"  {error}" if error else "", rest, self.ink("muted")).gap(1)
        return line.cell(f"items {ranges(cause.items, limit=2)}", _ITEMS, self.ink("faint"))
