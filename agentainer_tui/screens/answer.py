"""The answer to an approval step: the run goes on through it, or the step fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import on
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, plain
from agentainer_tui.views import RunView, StepView


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says to a gate."""

    approved: bool
    comment: str = ""


class AnswerDialog(Dialog[Answer]):
    """The message of the step, a comment, and three buttons; the first one, which waits on, has the focus."""

    def __init__(self, run: RunView, step: StepView) -> None:
        super().__init__(f"{clean(step.name, limit=40)} of {clean(run.workflow, limit=30)} {run.id[:6]}")
        self._step = step

    def compose_body(self) -> Iterable[Widget]:
        """Message, comment, buttons."""
        yield Static(plain(self._step.waiting.detail or "This step waits for approval."), id="text")
        if self._step.waiting.due is not None:
            then = {True: "it is approved", False: "it is rejected", None: "it fails"}
            words = f"If nobody answers in time, {then[self._step.waiting.default]}."
            yield Static(Content(words), classes="hint")
        yield Input(placeholder="comment (kept in the history)", id="comment")
        yield Horizontal(
            Button("Not now", id="close"),
            Button("Approve", variant="primary", id="approve"),
            Button("Reject", variant="error", id="reject"),
            id="buttons",
        )

    def on_mount(self) -> None:
        """Enter alone does nothing."""
        self.query_one("#close", Button).focus()

    @on(Input.Submitted)
    def _go_on(self) -> None:
        self.query_one("#approve", Button).focus()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#approve")
    def _approve(self) -> None:
        self._answer(approved=True)

    @on(Button.Pressed, "#reject")
    def _reject(self) -> None:
        self._answer(approved=False)

    def _answer(self, *, approved: bool) -> None:
        self.dismiss(Answer(approved, self.query_one("#comment", Input).value.strip()))
