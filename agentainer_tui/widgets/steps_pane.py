"""The pane with the steps of a run: as rows or as boxes, and the line in which a step is looked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical

from agentainer_tui.keymap import bindings
from agentainer_tui.step_rows import RowKey
from agentainer_tui.views import RunView
from agentainer_tui.widgets.box_view import BoxView
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.step_list import StepList


class StepsPane(Vertical):
    """Holds the keys that work wherever steps are shown, as rows (`steps`) or as `boxes`."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("steps")]
    DEFAULT_CSS = """
    StepsPane StepList, StepsPane BoxView { height: 1fr; background: $background; }
    StepsPane BoxView { display: none; }
    StepsPane.-boxes BoxView { display: block; }
    StepsPane.-boxes StepList { display: none; }
    """

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        self.steps = StepList(id="steps", now=now)
        self.boxes = BoxView(id="boxes", now=now)
        super().__init__(self.steps, self.boxes, ListFilter("steps"), id=id)

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self.border_title = "Steps"
        self.steps.empty = ("Reading the run…",)

    @property
    def has_boxes(self) -> bool:
        """Whether the boxes are shown, not the rows."""
        return self.has_class("-boxes")

    # -- what is shown --------------------------------------------------------------------------------

    def show(self, view: RunView) -> None:
        """Take a newer view of the run."""
        self.steps.show(view)
        if self.has_boxes:
            self.boxes.show(view, self.steps.forecast)
            self.border_subtitle = self.boxes.note

    def tick(self) -> None:
        """Time went on."""
        self.steps.tick()
        if self.has_boxes:
            self.boxes.tick()

    def toggle_boxes(self) -> None:
        """Boxes instead of rows, or rows again; the cursor stays on its step."""
        focused = self.has_focus_within
        self.toggle_class("-boxes")
        view = self.steps.view
        if self.has_boxes and view is not None:
            self.boxes.show(view, self.steps.forecast)
            step, _ = self.steps.selected()
            if step is not None:
                self.boxes.select(step.id)
        self.border_subtitle = self.boxes.note if self.has_boxes else ""
        if focused:
            (self.boxes if self.has_boxes else self.steps).focus()

    def can_fold(self) -> bool:
        """Whether there is something to fold or unfold under the cursor."""
        return self.boxes.can_fold() if self.has_boxes else self.steps.can_fold()

    def fold(self) -> None:
        """Fold or unfold what is under the cursor."""
        if self.has_boxes:
            self.boxes.toggle()
        else:
            self.steps.toggle()

    # -- messages and actions -------------------------------------------------------------------------

    @on(ListFilter.Changed)
    def _filter_changed(self, message: ListFilter.Changed) -> None:
        query = message.list_filter.wanted
        self.steps.search(query.matches if query is not None else None)

    @on(RowList.Moved, "#steps")
    def _row_moved(self) -> None:
        step, _ = self.steps.selected()
        if self.has_boxes and step is not None and step.id != self.boxes.step_id:
            self.boxes.select(step.id)

    @on(BoxView.Moved)
    def _box_moved(self, message: BoxView.Moved) -> None:
        if not isinstance(message, BoxView.Chosen):
            # Called by the list itself, since what its parent sends through it goes no further.
            self.steps.call_later(self.steps.follow, message.step_id)
        self.border_subtitle = self.boxes.note

    @on(BoxView.Chosen)
    def _box_chosen(self, message: BoxView.Chosen) -> None:
        self.steps.select(RowKey(message.step_id))
        step, _ = self.steps.selected()
        if step is not None and step.items:
            self.toggle_boxes()  # items are rows
            self.steps.unfold(step.id, True)
            self.steps.select(RowKey(step.id))
        else:
            self.steps.call_later(self.steps.action_choose)

    @on(BoxView.Search)
    def _search(self) -> None:
        self.toggle_boxes()
        self.steps.action_filter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of rows that were found there is a next one."""
        if action == "match" and self.is_mounted:
            return self.steps.wanted.matches is not None and not self.has_boxes
        return True

    def action_match(self, by: int) -> None:
        """To the next row that was found."""
        self.steps.to_match(by)

    def action_steps(self, way: str) -> None:
        """To the left or right."""
        (self.boxes if self.has_boxes else self.steps).go(way)
