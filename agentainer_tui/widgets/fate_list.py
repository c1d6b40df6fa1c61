"""The steps of a workflow with what becomes of each in a retry: the plan, recoloured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentainer_tui.lanes import BUNDLE, NODE, LaneCell, LaneNode, Lanes, lay_out
from agentainer_tui.looks import FATES, UNKNOWN, Look
from agentainer_tui.step_rows import dependencies_first
from agentainer_tui.text import duration
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.step_drawing import line_sign

if TYPE_CHECKING:
    from agentainer_tui.client import Preview
    from engine.facade import StepFate

_WORD = max(len(look.word) for look in FATES.values())
_TOOK = 7
_NOTHING = Look("○", "o", "", "faint")
# Columns of lanes, at most.
_LANES = 5


class FateList(RowList):
    """One row a step: its place in the graph, sign and word, name, how long its work took, why."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._fates: Mapping[str, StepFate] = {}
        self._worked: Mapping[str, float] = {}
        self._lanes = Lanes()
        self._stale = False

    def show(self, preview: Preview) -> None:
        """Take a preview."""
        self._stale = False
        steps = dependencies_first(preview.steps)
        self._fates = {step.id: step for step in steps}
        self._worked = preview.worked
        self._lanes = lay_out([LaneNode(step.id, step.depends_on) for step in steps], _LANES)
        keys = list(self._fates)
        if keys == list(self.keys):
            self.refresh()
        else:
            self.set_keys(keys)

    def fade(self) -> None:
        """What is shown does not hold any more; the steps can still be chosen from."""
        self._stale = True
        self.refresh()

    def draw_header(self, width: int) -> Row:
        """What the columns are."""
        faint = self.ink("faint")
        row = Row().gap(2 + self._lanes.width + 1).cell("", _WORD, faint).gap()
        row.cell("step", self._name_width(width), faint)
        row.gap().cell("took", _TOOK, faint, right=True).gap(2)
        return row.cell("why", max(0, width - row.width), faint)

    def draw_row(self, place: int, width: int) -> Row:
        """The step at `place`."""
        step = self._fates[str(self.keys[place])]
        look = _NOTHING if self._stale else FATES.get(step.fate, UNKNOWN)
        ink, muted = self.ink(look.ink), self.ink("faint" if self._stale else "muted")
        row = self.mark(place).gap()
        cells = self._lanes.rows[place]
        for cell in cells:
            if cell.directions & NODE:
                row.put(self.glyphs.sign(look), ink)
            elif cell.directions:
                row.put(line_sign(cell, self.glyphs), self.ink(self._lane_ink(cell)))
            else:
                row.gap()
        row.gap(self._lanes.width - len(cells) + 1).cell(look.word, _WORD, ink).gap()
        name = muted if self._stale or not step.fate.runs else self.ink("text")
        row.cell(step.name, self._name_width(width), name)
        if self._stale:
            return row
        row.gap().cell(duration(self._worked.get(step.id)), _TOOK, muted, right=True).gap(2)
        return row.cell(step.why, max(0, width - row.width - 1), muted)

    def _lane_ink(self, cell: LaneCell) -> str:
        """A lane is lit where what runs again makes others run again."""
        if cell.bus == BUNDLE or self._stale:
            return "faint"
        bus = self._lanes.buses[cell.bus]
        return "running" if any(self._fates[str(key)].fate.runs for key in bus.sources) else "faint"

    def _name_width(self, width: int) -> int:
        longest = max((len(step.name) for step in self._fates.values()), default=4)
        return max(6, min(longest, (width - _WORD - _TOOK - self._lanes.width) // 3, 32))
