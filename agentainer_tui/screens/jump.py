"""Jump mode: a letter on every pane and tab; that letter leads there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Offset, Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static, Tab, Tabs

from agentainer_tui.keymap import bindings
from agentainer_tui.screens.modal import AnsweredOnce

# Those under the fingers first.
LETTERS = "asdfjklghqweruioptyzxcvbnm"


def targets(screen: Screen[Any]) -> list[tuple[str, Widget]]:
    """What can be jumped to, from the top left to the bottom right, each with its letter."""
    panes = [widget for widget in screen.focus_chain if not isinstance(widget, Tabs)]
    tabs = [tab for tab in screen.query(Tab) if tab.display and not tab.disabled]
    seen = [
        widget
        for widget in [*panes, *tabs]
        if widget.region.area and screen.region.contains_point(widget.region.offset) and widget.is_on_screen
    ]
    seen.sort(key=lambda widget: (widget.region.y, widget.region.x))
    return list(zip(LETTERS, seen, strict=False))


class Letter(Static):
    """A letter, somewhere on the screen."""

    def __init__(self, letter: str, place: Offset, *, narrow: bool) -> None:
        super().__init__(Content(letter if narrow else f" {letter} "))
        self.styles.offset = place
        self.letter = letter


class JumpScreen(AnsweredOnce[Widget]):
    """Answers with the widget whose letter was pressed, or that was clicked."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("jump")]
    CSS = """
    JumpScreen { background: $background 45%; }
    JumpScreen:ansi { background: transparent; }
    JumpScreen Letter {
        position: absolute; width: auto; height: 1; background: $accent; color: $background; text-style: bold;
    }
    JumpScreen Letter:nocolor { text-style: bold reverse; }
    """

    def __init__(self, found: Sequence[tuple[str, Widget]]) -> None:
        super().__init__()
        self._targets = dict(found)
        self._made_for: Size | None = None

    def compose(self) -> ComposeResult:
        """The letters."""
        for letter, widget in self._targets.items():
            # On the frame of a pane; in front of the name of a tab, which has one cell there.
            yield Letter(letter, widget.region.offset, narrow=isinstance(widget, Tab))

    def on_key(self, event: events.Key) -> None:
        """Go there; any other key but those of the dialog leads nowhere."""
        if event.character in self._targets:
            event.stop()
            self._go(self._targets[event.character])

    def on_click(self, event: events.Click) -> None:
        """A letter that is clicked is as good as one that is pressed."""
        there, _ = self.get_widget_at(event.screen_x, event.screen_y)
        if isinstance(there, Letter):
            self._go(self._targets[there.letter])
        else:
            self.dismiss(None)

    def _go(self, widget: Widget) -> None:
        if isinstance(widget, Tab):
            widget.query_ancestor(Tabs).active = widget.id or ""
            self.dismiss(None)
        else:
            self.dismiss(widget)

    def action_leave(self) -> None:
        """Stay where one is."""
        self.dismiss(None)

    def on_resize(self, event: events.Resize) -> None:
        """When the terminal gets another size, the letters are in the wrong places."""
        if self._made_for not in (None, event.size):
            self.dismiss(None)
        self._made_for = event.size
