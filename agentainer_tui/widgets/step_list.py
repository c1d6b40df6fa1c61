"""The steps of a run as rows: status, name, a bar on the shared time axis, and why it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual.binding import BindingType

from agentainer_tui.explain import SECTIONS, look_of
from agentainer_tui.keymap import bindings
from agentainer_tui.looks import WORD_WIDTH
from agentainer_tui.text import brief, clean, duration
from agentainer_tui.views import ItemView, RunView, StepView, elapsed
from agentainer_tui.widgets.gantt import TimeScale, draw_bar, note_of, spans_of
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList
from engine.events import StepStatus

_LIVE = (StepStatus.RUNNING, StepStatus.RETRYING)
# So many items are shown without being asked for.
_FEW = 16


class RowKey(NamedTuple):
    """A step, or with `item` one of its items."""

    step_id: str
    item: int | None = None


class Section(NamedTuple):
    """The line above the steps of a role."""

    role: str


class Columns(NamedTuple):
    """The widths of a row's columns; 0 leaves one out."""

    name: int
    kind: int
    word: int
    bar: int
    tries: int
    took: int


class StepList(RowList, inherit_bindings=False):
    """All steps of one run. Items of a step are hidden until it is unfolded; hidden ones cost nothing."""

    # The footer of a run has more to say than how to move in a list.
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list", quiet=True)]
    HEADER = 1

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id, empty=("No steps yet.",))
        self.view: RunView | None = None
        self._now = now
        self._unfolded: set[str] = set()
        self._seen: set[str] = set()
        self._shape: object = None
        self._drawn_scale: TimeScale | None = None
        self._depths: dict[str, int] = {}
        self._name_width = 0

    # -- data -----------------------------------------------------------------------------------------

    def show(self, view: RunView) -> None:
        """Take a newer view of the run; rows are rebuilt only when their number changed."""
        old, self.view = self.view, view
        self._unfold_small(view)
        items = tuple((step.id, len(step.items)) for step in view.steps.values() if step.items)
        shape = (tuple(view.steps), items, frozenset(self._unfolded))
        if old is None or shape != self._shape:
            self._shape = shape
            self._depths = _depths(view)
            self._name_width = max(map(_width_of, view.steps.values()), default=0)
            self.set_keys(self._rows(view))
        else:
            self._redraw_changed(old, view)

    def _unfold_small(self, view: RunView) -> None:
        """Show the items of a step when they come up, once, if they are few."""
        for step in view.steps.values():
            if step.items and step.id not in self._seen:
                self._seen.add(step.id)
                if len(step.items) <= _FEW:
                    self._unfolded.add(step.id)

    def tick(self) -> None:
        """Time went on: bars, counters and countdowns of what runs are drawn again."""
        view = self.view
        if view is not None and not view.status.is_terminal:
            self._redraw(view, lambda node: node.status in _LIVE)

    def _redraw_changed(self, old: RunView, new: RunView) -> None:
        """Draw what differs; views share what did not change, so that is a look at identities."""
        if old.status is not new.status:
            self.refresh()
            return
        unchanged = {id(step) for step in old.steps.values()}
        for step in old.steps.values():
            if step.id in self._unfolded:
                unchanged.update(map(id, step.items))
        # What waits may wait for something else by now, without having changed itself.
        self._redraw(new, lambda node: id(node) not in unchanged or node.status is StepStatus.PENDING)

    def _redraw(self, view: RunView, wanted: Callable[[StepView | ItemView], bool]) -> None:
        """Draw the visible rows that are `wanted`; all of them if the time axis has moved."""
        scale = self._scale(view)
        if scale != self._drawn_scale:
            self._drawn_scale = scale
            self.refresh()
            return
        keys = []
        for key in self.visible_keys():
            step, item = self._find(view, key) if isinstance(key, RowKey) else (None, None)
            node = item if item is not None else step
            if node is not None and wanted(node):
                keys.append(key)
        self.refresh_keys(keys)

    def _scale(self, view: RunView) -> TimeScale:
        return TimeScale.of(view, self._now(), self._columns(self.inner_width).bar)

    def selected(self) -> tuple[StepView | None, ItemView | None]:
        """The step (and item) under the cursor."""
        key = self.key
        if self.view is None or not isinstance(key, RowKey):
            return None, None
        return self._find(self.view, key)

    def unfold(self, step_id: str, shown: bool) -> None:
        """Show or hide the items of a step."""
        view = self.view
        if view is None or (step_id in self._unfolded) == shown:
            return
        (self._unfolded.add if shown else self._unfolded.discard)(step_id)
        self._shape = None
        self.show(view)
        if not shown:
            self.select(RowKey(step_id))

    def toggle(self) -> None:
        """Fold or unfold the step under the cursor (of an item: its step)."""
        step, _ = self.selected()
        if step is not None and step.items:
            self.unfold(step.id, step.id not in self._unfolded)

    def can_select(self, place: int) -> bool:
        """The cursor skips the lines above sections."""
        return isinstance(self.keys[place], RowKey)

    def _rows(self, view: RunView) -> list[RowKey | Section]:
        rows: list[RowKey | Section] = []
        role = "main"
        for step_id, step in view.steps.items():
            if step.role != role:
                role = step.role
                rows.append(Section(role))
            rows.append(RowKey(step_id))
            if step_id in self._unfolded:
                rows += [RowKey(step_id, index) for index in range(len(step.items))]
        return rows

    @staticmethod
    def _find(view: RunView, key: RowKey) -> tuple[StepView | None, ItemView | None]:
        step = view.steps.get(key.step_id)
        if step is None or key.item is None or key.item >= len(step.items):
            return step, None
        return step, step.items[key.item]

    # -- drawing --------------------------------------------------------------------------------------

    def _columns(self, width: int) -> Columns:
        took, tries, word = 7, 3 if width >= 70 else 0, WORD_WIDTH if width >= 48 else 0
        kind = 9 if width >= 130 else 0
        used = 5 + (word + 1) + (tries + 1 if tries else 0) + took + 1 + (kind + 1 if kind else 0)
        room = max(8, width - used)
        widest = min(48, max(30, width // 3))
        name = max(8, min(self._name_width + 2, widest, room if width < 48 else room // 2))
        bar = room - name - 1
        return Columns(name, kind, word, bar if bar >= 8 else 0, tries, took)

    def draw_header(self, width: int) -> Row:
        """The time axis, and what the columns are."""
        columns = self._columns(width)
        faint = self.ink("faint")
        row = Row().gap(5).cell("step", columns.name, faint).gap()
        if columns.kind:
            row.cell("type", columns.kind, faint).gap()
        if columns.word:
            row.cell("status", columns.word, faint).gap()
        if columns.bar and self.view is not None:
            scale = TimeScale.of(self.view, self._now(), columns.bar)
            row.put(scale.labels(), faint).gap()
        if columns.tries:
            row.cell("try", columns.tries, faint, right=True).gap()
        return row.cell("time", columns.took, faint, right=True)

    def draw_row(self, place: int, width: int) -> Row:
        """One step or item."""
        key = self.keys[place]
        row = self.mark(place)
        view = self.view
        if isinstance(key, Section):
            name, meaning = key.role.replace("_", " "), SECTIONS.get(key.role, "")
            return row.gap(2).cell(name, 11, self.ink("muted")).cell(meaning, width - 15, self.ink("faint"))
        if view is None or not isinstance(key, RowKey):
            return row
        step, item = self._find(view, key)
        node = item if item is not None else step
        if step is None or node is None:
            return row
        columns = self._columns(width)
        look = look_of(node)
        ink = self.ink(look.ink)
        self._draw_name(row, step, item, columns)
        if columns.kind:
            kind = "" if item is not None else _KINDS.get(step.type, step.type)
            row.gap().cell(kind, columns.kind, self.ink("faint"))
        if columns.word:
            row.gap().cell(look.word, columns.word, ink)
        now = self._now()
        if columns.bar:
            scale = TimeScale.of(view, now, columns.bar)
            row.gap()
            note = note_of(view, step, node, now)
            draw_bar(row, spans_of(node, now), scale, note, self.ink, self.glyphs)
        tries = len(node.attempts)
        if columns.tries:
            text = f"{self.glyphs.times}{tries}" if tries > 1 else ""
            row.gap().cell(text, columns.tries, self.ink("warning"), right=True)
        took = duration(elapsed(node.started_at, node.finished_at, now))
        return row.gap().cell(took, columns.took, self.ink("muted"), right=True)

    def _draw_name(self, row: Row, step: StepView, item: ItemView | None, columns: Columns) -> None:
        node = item if item is not None else step
        indent = 2 * self._depths.get(step.id, 0) + (2 if item is not None else 0)
        indent = min(indent, columns.name // 2)
        fold = " "
        if item is None and step.items:
            fold = self.glyphs.unfolded if step.id in self._unfolded else self.glyphs.folded
        look = look_of(node)
        row.gap(indent).put(f"{fold} ", self.ink("muted"))
        row.put(f"{self.glyphs.sign(look)} ", self.ink(look.ink))
        room = columns.name - indent
        quiet = node.status in (StepStatus.PENDING, StepStatus.SKIPPED)
        name_ink = self.ink("faint" if node.reason == "branch_not_taken" else "muted" if quiet else "text")
        if item is not None:
            label = f"{'worker ' if step.workers else ''}{item.index}"
            value = "" if step.workers else brief(item.value, limit=2 * room)
            row.cell(label, min(len(label), room), name_ink)
            row.gap().cell(value, room - len(label) - 1, self.ink("faint"))
            return
        counter = _counter(step)
        if not counter or len(counter) + 4 > room:
            row.cell(step.name, room, name_ink)
            return
        failed = step.tally.get(StepStatus.FAILED, 0)
        wrong = f" {self.glyphs.of('failed')}{failed}" if failed else ""
        name_room = min(cell_len(clean(step.name, limit=60)), room - len(counter) - len(wrong) - 1)
        row.cell(step.name, name_room, name_ink).gap().put(counter, self.ink("muted"))
        row.cell(wrong, room - name_room - 1 - len(counter), self.ink("error"))


# The types that are not written as they are: nothing for the ordinary one, and what fits the column.
_KINDS = {"sequential": "", "subworkflow": "workflow"}


def _width_of(step: StepView) -> int:
    """Cells that a step's name wants, with its counter and a few failures."""
    return cell_len(clean(step.name, limit=60)) + (2 * len(str(len(step.items))) + 6 if step.items else 0)


def _counter(step: StepView) -> str:
    if not step.items:
        return ""
    done = sum(number for status, number in step.tally.items() if status.is_terminal)
    return f"{done}/{len(step.items)}"


def _depths(view: RunView) -> dict[str, int]:
    depths: dict[str, int] = {}
    for step_id, step in view.steps.items():
        depths[step_id] = depths.get(step.parent, 0) + 1 if step.parent else 0
    return depths
