"""The steps of a workflow with what becomes of each in a retry: the plan, recoloured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentainer_tui.looks import FATES, UNKNOWN
from agentainer_tui.text import duration
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from agentainer_tui.client import Preview
    from engine.facade import StepFate

_WORD = max(len(look.word) for look in FATES.values())
_TOOK = 7


class FateList(RowList):
    """One row a step: sign and word, name, how long its work took that stands, and why."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fates: Mapping[str, StepFate] = {}
        self._worked: Mapping[str, float] = {}
        self._asked: Sequence[str] = ()

    def show(self, preview: Preview, asked: Sequence[str] = ()) -> None:
        """Take a preview; `asked` are the steps that were chosen."""
        self._fates = {step.id: step for step in preview.steps}
        self._worked, self._asked = preview.worked, asked
        keys = list(self._fates)
        if keys == list(self.keys):
            self.refresh()
        else:
            self.set_keys(keys)

    def draw_header(self, width: int) -> Row:
        """What the columns are."""
        faint = self.ink("faint")
        row = Row().gap(2).cell("", _WORD + 2, faint).gap().cell("step", self._name_width(width), faint)
        row.gap().cell("took", _TOOK, faint, right=True).gap(2)
        return row.cell("why", max(0, width - row.width), faint)

    def draw_row(self, place: int, width: int) -> Row:
        """The step at `place`."""
        step = self._fates[str(self.keys[place])]
        look = FATES.get(step.fate, UNKNOWN)
        ink, muted = self.ink(look.ink), self.ink("muted")
        name = self.ink("text" if step.fate.runs else "muted")
        row = self.mark(place).gap().put(f"{self.glyphs.sign(look)} ", ink).cell(look.word, _WORD, ink).gap()
        row.cell(step.name, self._name_width(width), name).gap()
        took = duration(self._worked.get(step.id))
        row.cell(took, _TOOK, muted, right=True).gap(2)
        return row.cell(step.why, max(0, width - row.width - 1), muted)

    def _name_width(self, width: int) -> int:
        longest = max((len(step.name) for step in self._fates.values()), default=4)
        return max(6, min(longest, (width - _WORD - _TOOK) // 3, 32))
