"""Where the screen is, from the outside in, and the command of what was done last; both can be clicked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from agentainer_tui.looks import UNICODE, Glyphs
from agentainer_tui.text import clean, fit

_GAP = 3
# The command is shown if so many cells of it have room.
_ENOUGH = 18


@dataclass(frozen=True, slots=True)
class Crumb:
    """One place: its name (text of anyone), and what leads there; None where one is already."""

    text: str
    go: Callable[[], object] | None = None


class Breadcrumbs(Widget):
    """One line; if there is no room for all, the innermost places stay."""

    DEFAULT_CSS = """
    Breadcrumbs { height: 1; padding: 0 1; background: $surface; color: $foreground 62%; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._crumbs: Sequence[Crumb] = ()
        self._places: list[tuple[int, int, Crumb]] = []
        self._command = ""
        self._command_at = -1

    def on_mount(self) -> None:
        """Follow what is done."""
        app: Any = self.app
        self._take_command(app.last_command)
        app.commands_told.subscribe(self, self._take_command)

    def _take_command(self, command: str) -> None:
        self._command = clean(command, limit=300)
        self.refresh()

    def show(self, crumbs: Sequence[Crumb]) -> None:
        """Take the present place."""
        if [crumb.text for crumb in crumbs] != [crumb.text for crumb in self._crumbs]:
            self.refresh()
        self._crumbs = crumbs

    def render(self) -> RenderResult:
        """`area › workflow › run`."""
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        room = max(1, self.size.width)
        shown: list[tuple[str, Crumb]] = []
        for crumb in reversed(self._crumbs):
            text = fit(clean(crumb.text), min(cell_len(clean(crumb.text)), max(1, min(room, 60))))
            needed = cell_len(text) + (_GAP if shown else 0)
            if shown and needed > room:
                break
            room -= needed
            shown.insert(0, (text, crumb))
        self._places = []
        parts: list[Content] = []
        at = 0
        for place, (text, crumb) in enumerate(shown):
            if place:
                parts.append(Content.styled(f" {glyphs.crumb} ", "$foreground 38%"))
                at += _GAP
            last = place == len(shown) - 1
            parts.append(Content.styled(text, "$foreground" if last else "$foreground 62%"))
            self._places.append((at, at + cell_len(text), crumb))
            at += cell_len(text)
        self._command_at = -1
        left = max(1, self.size.width) - at - _GAP
        if self._command and left >= _ENOUGH:
            command = fit(f"$ {self._command}", min(cell_len(self._command) + 2, left))
            self._command_at = self.size.width - cell_len(command)
            parts += [Content(" " * (self._command_at - at)), Content.styled(command, "$foreground 45%")]
        return Content("").join(parts)

    def on_click(self, event: events.Click) -> None:
        """Go to the place that was clicked, or copy the command."""
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= self._command_at <= offset.x:
            app: Any = self.app
            app.action_copy_command()
            return
        for begin, end, crumb in self._places:
            if offset is not None and begin <= offset.x < end and crumb.go is not None:
                crumb.go()
