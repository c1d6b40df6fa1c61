"""The pane with the steps of a run: the canvas, and the line in which a step is looked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from agentainer_tui.keymap import bindings
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.step_list import StepList


class StepsPane(Vertical):
    """Holds the keys that work wherever steps are shown."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("steps")]
    DEFAULT_CSS = """
    StepsPane StepList { height: 1fr; background: $background; }
    """

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now

    def compose(self) -> ComposeResult:
        """The rows, and the line of the search."""
        yield StepList(id="steps", now=self._now)
        yield ListFilter("steps")

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self.border_title = "Steps"
        self.steps.empty = ("Reading the run…",)

    @property
    def steps(self) -> StepList:
        """The rows."""
        return self.query_one("#steps", StepList)

    @on(ListFilter.Changed)
    def _filter_changed(self, message: ListFilter.Changed) -> None:
        query = message.list_filter.wanted
        self.steps.search(query.matches if query is not None else None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of rows that were found there is a next one."""
        if action == "match" and self.is_mounted:
            return self.steps.wanted.matches is not None
        return True

    def action_match(self, by: int) -> None:
        """To the next row that was found."""
        self.steps.to_match(by)

    def action_steps(self, way: str) -> None:
        """To the left or right."""
        self.steps.go(way)
