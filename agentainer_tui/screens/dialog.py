"""The base of all dialogs, and the plain question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from agentainer_tui.keymap import bindings
from agentainer_tui.screens.modal import AnsweredOnce
from agentainer_tui.text import plain

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Choice(Generic[Answer]):
    """A button: what it says, what it means, whether it destroys something."""

    label: str
    answer: Answer | None
    danger: bool = False


class Dialog(AnsweredOnce[Answer]):
    """A box over the screen. Escape answers None, which never does anything."""

    CSS_PATH: ClassVar[Any] = "dialog.tcss"  # others add their own after it
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("dialog")]
    AUTO_FOCUS = ""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """The box with the title in its border."""
        with Vertical(id="box") as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "esc closes"
            yield from self.compose_body()

    def compose_body(self) -> Iterable[Widget]:
        """What is in the box."""
        raise NotImplementedError

    def action_dismiss_dialog(self) -> None:
        """Close it; nothing happens."""
        self.dismiss(None)


class Question(Dialog[Answer]):
    """Some text and buttons; the first one is the safe one and has the focus."""

    def __init__(self, title: str, lines: Sequence[str | Content], choices: Sequence[Choice[Answer]]) -> None:
        super().__init__(title)
        self._lines = lines
        self._choices = choices

    def compose_body(self) -> Iterable[Widget]:
        """The text, scrolling if it must, and the buttons below."""
        text = [each if isinstance(each, Content) else plain(each) for each in self._lines]
        yield Static(Content("\n").join(text), id="text")
        yield Horizontal(*self._buttons(), id="buttons")

    def _buttons(self) -> Iterable[Button]:
        for number, choice in enumerate(self._choices):
            yield Button(
                Content(choice.label), variant="error" if choice.danger else "default", id=f"choice-{number}"
            )

    def on_mount(self) -> None:
        """The safe answer is a mere Enter away."""
        self.query_one("#choice-0", Button).focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        number = int((event.button.id or "choice-0").removeprefix("choice-"))
        self.dismiss(self._choices[number].answer)
