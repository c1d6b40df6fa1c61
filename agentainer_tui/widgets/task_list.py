"""The attempts of a profiled run: where the time of each went, on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from agentainer_tui.looks import LOOKS, UNKNOWN, Glyphs
from agentainer_tui.profile_page import phase_bar
from agentainer_tui.profile_words import exact, place_words
from agentainer_tui.text import size
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.profiling import AttemptProfile, Profile


@dataclass(frozen=True, slots=True)
class TaskKey:
    """Which attempt a row is."""

    run_id: str
    step_id: str
    item: int | None
    number: int


class TaskList(RowList):
    """One row an attempt, in the order in which they began."""

    HEADER = 1

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, empty=("No task has begun yet.",))
        self._attempts: dict[TaskKey, AttemptProfile] = {}
        self._longest = 0.0

    def show(self, found: Profile) -> None:
        """Take the attempts of a profile."""
        attempts = {
            TaskKey(step.run_id, step.id, attempt.item, attempt.number): attempt
            for step in found.steps
            for attempt in step.attempts
        }
        self._attempts = dict(sorted(attempts.items(), key=lambda one: one[1].begin))
        self._longest = max((one.end - one.begin for one in attempts.values()), default=0.0)
        self.set_keys(list(self._attempts))
        self.refresh()

    @property
    def attempt(self) -> AttemptProfile | None:
        """The attempt under the cursor."""
        return self._attempts.get(self.key) if isinstance(self.key, TaskKey) else None

    @property
    def _signs(self) -> Glyphs:
        app: Any = self.app
        glyphs: Glyphs = app.chart_glyphs
        return glyphs

    def draw_header(self, width: int) -> Row:
        """The names of the columns."""
        muted, (name, bar, memory) = self.ink("muted"), _rooms(width)
        row = Row().gap(4).cell("TASK", name, muted).cell("AT", 8, muted, right=True)
        row.cell("TOOK", 8, muted, right=True)
        if memory:
            row.cell("CPU", 8, muted, right=True).cell("MEMORY", memory, muted, right=True)
        return row.gap(2).cell("ITS PARTS", bar, muted)

    def draw_row(self, place: int, width: int) -> Row:
        """The attempt at `place`."""
        key = self.keys[place]
        assert isinstance(key, TaskKey)
        attempt = self._attempts[key]
        name, room, memory = _rooms(width)
        look = LOOKS.get(attempt.status, UNKNOWN)
        again = f" #{attempt.number}" if attempt.number > 1 else ""
        row = self.mark(place).gap().put(self.glyphs.sign(look), self.ink(look.ink)).gap()
        row.cell(f"{place_words(key.step_id, key.item)}{again}", name, self.ink("text"))
        row.cell(exact(attempt.begin), 8, self.ink("muted"), right=True)
        row.cell(exact(attempt.end - attempt.begin), 8, self.ink("strong"), right=True)
        if memory:
            cpu, peak = attempt.usage.get("cpu_seconds"), attempt.usage.get("memory_peak")
            row.cell(exact(float(cpu)) if cpu else "", 8, self.ink("muted"), right=True)
            row.cell(size(peak) if peak else "", memory, self.ink("muted"), right=True)
        row.gap(2)
        share = (attempt.end - attempt.begin) / self._longest if self._longest > 0 else 0.0
        drawn = phase_bar(attempt.parts, sum(attempt.parts.values()), round(room * share), self._signs)
        for text, ink in drawn:
            row.put(text, self.ink(ink))
        warm = "warm" if attempt.warm else ""
        return row.gap().put(warm if cell_len(warm) < width - row.width - 1 else "", self.ink("faint"))


def _rooms(width: int) -> tuple[int, int, int]:
    """Cells of the name, of the bar, and of the memory (0: neither CPU nor memory)."""
    memory = 11 if width >= 90 else 0
    name = 16 if width < 90 else 24 if width < 130 else 32
    fixed = 4 + name + 16 + (8 + memory if memory else 0) + 2 + 6
    return name, max(4, width - fixed), memory
