"""Retry: how much of a run to do again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import on
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from agentainer_tui.client import RetryScope
from agentainer_tui.looks import LOOKS, UNICODE, UNKNOWN, Glyphs
from agentainer_tui.reruns import run_again, unfinished
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted, plain
from agentainer_tui.views import RunView, StepView
from engine.events import StepStatus


@dataclass(frozen=True, slots=True)
class _Mode:
    """One way of retrying; `needs_step`: of which step?"""

    name: str
    label: str
    needs_step: bool = False


_MODES = (
    _Mode("whole", "The whole run"),
    _Mode("failed", "What failed, was cancelled or was not reached"),
    _Mode("from", "From a step on: it and all that depend on it", True),
    _Mode("only", "One step alone", True),
)
_FAILED = 1


class RetryDialog(Dialog[RetryScope]):
    """Four scopes; for two of them a step is chosen. Says what a new run would do again and take over."""

    def __init__(self, run: RunView, step_id: str | None = None) -> None:
        super().__init__(f"Retry {clean(run.workflow, limit=40)} {run.id[:6]}")
        self._run = run
        self._steps = [step for step in run.steps.values() if step.parent is None and step.role == "main"]
        self._preset = step_id

    def compose_body(self) -> Iterable[Widget]:
        """Scopes, steps, what will happen, buttons."""
        yield OptionList(*(Content(mode.label) for mode in _MODES), id="scope", markup=False)
        yield OptionList(*(self._option(step) for step in self._steps), id="steps", markup=False)
        yield Static(id="effect", classes="hint")
        yield Horizontal(
            Button("Retry", variant="primary", id="start"), Button("Close", id="close"), id="buttons"
        )

    def on_mount(self) -> None:
        """What failed is what most people mean; the step under the cursor is preselected."""
        scope, steps = self.query_one("#scope", OptionList), self.query_one("#steps", OptionList)
        ids = [step.id for step in self._steps]
        failed = next((step.id for step in self._steps if step.status is StepStatus.FAILED), None)
        wanted = self._preset if self._preset in ids else failed
        steps.highlighted = ids.index(wanted) if wanted in ids else 0
        scope.highlighted = _FAILED if unfinished(self._run) else 0
        scope.focus()
        self._describe()

    def _option(self, step: StepView) -> Option:
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        look = LOOKS.get(step.status, UNKNOWN)
        return Option(
            Content.assemble(
                (glyphs.of(step.status), _COLOURS.get(look.ink, "$foreground")),
                f" {clean(step.name, limit=60)}",
            )
        )

    @property
    def _mode(self) -> _Mode:
        return _MODES[self.query_one("#scope", OptionList).highlighted or 0]

    @property
    def _step(self) -> StepView | None:
        place = self.query_one("#steps", OptionList).highlighted
        return self._steps[place] if place is not None and place < len(self._steps) else None

    @on(OptionList.OptionHighlighted)
    def _describe(self) -> None:
        mode = self._mode
        self.query_one("#steps", OptionList).display = mode.needs_step
        self.query_one("#effect", Static).update(plain(f"\n{self._effect(mode)}"))

    def _effect(self, mode: _Mode) -> str:
        again = run_again(self._run, mode.name, self._step.id if self._step is not None else "")
        kept = len(self._run.steps) - len(again)
        if not again:
            return "Nothing failed in this run."
        words = f"A new run does {counted(len(again), 'step')} again"
        if mode.name != "whole" and kept:
            words += f" and takes over the results of {'the other ' if kept > 1 else ''}{kept}"
        return f"{words}. This run stays as it is."

    @on(OptionList.OptionSelected)
    def _go_on(self, event: OptionList.OptionSelected) -> None:
        if event.option_list.id == "scope" and self._mode.needs_step:
            self.query_one("#steps", OptionList).focus()
        else:
            self.query_one("#start", Button).focus()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        mode, step = self._mode, self._step
        step_id = step.id if step is not None and mode.needs_step else None
        self.dismiss(
            RetryScope(
                from_step=step_id if mode.name == "from" else None,
                only_step=step_id if mode.name == "only" else None,
                failed=mode.name == "failed",
            )
        )


_COLOURS = {
    "success": "$success",
    "error": "$error",
    "warning": "$warning",
    "running": "$primary",
    "muted": "$foreground 62%",
    "faint": "$foreground 38%",
}
