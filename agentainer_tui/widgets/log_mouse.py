"""The mouse on a log: wheel, cursor, selection from letter to letter, scroll bar."""

from __future__ import annotations

from textual.events import MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.widget import Widget

from agentainer_tui.widgets.log_paint import Painter, Prepared, column_to_letter
from agentainer_tui.widgets.log_place import Place
from agentainer_tui.widgets.log_selection import Selected

# Rows that the wheel turns.
_WHEEL = 3


class LogMouse(Widget):
    """What a `LogView` does with the mouse."""

    place: Place
    selected: Selected
    wrap: bool
    _dragging = ""

    @property
    def painter(self) -> Painter:
        """How lines are drawn now."""
        raise NotImplementedError

    def held(self, number: int) -> Prepared | None:
        """A line, if it is held."""
        raise NotImplementedError

    def changed(self) -> None:
        """Arrange and draw anew."""
        raise NotImplementedError

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel."""
        self._wheel(event, -_WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel."""
        self._wheel(event, _WHEEL)

    def _wheel(self, event: MouseScrollUp | MouseScrollDown, by: int) -> None:
        event.stop()
        event.prevent_default()
        self.place.scroll(by)
        self.changed()

    def on_mouse_down(self, event: MouseDown) -> None:
        """On the bar: go there; on a line: put the cursor on it, and begin a selection."""
        if event.button != 1 or not len(self.place.lens):
            return
        self.capture_mouse()
        if event.x >= self.size.width - 1:
            self._dragging = "bar"
            self._drag_bar(event.y)
        elif event.y < len(self.place.rows):
            self._dragging = "text"
            self.place.put_cursor(self.place.rows[event.y][0])
            self.selected.begin(*self._letter(event.x, event.y))
            self.changed()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Go on with what was begun."""
        if self._dragging == "bar":
            self._drag_bar(event.y)
        elif self._dragging == "text" and self.place.rows:
            if event.y < 0 or event.y >= self.size.height:
                self.place.scroll(-1 if event.y < 0 else 1)
            self.selected.extend(*self._letter(event.x, event.y))
            self.changed()

    def on_mouse_up(self, event: MouseUp) -> None:
        """The end of a drag; a mere click selects nothing."""
        self.release_mouse()
        if self._dragging == "text" and self.selected.is_empty:
            self.selected.clear()
            self.changed()
        self._dragging = ""

    def _letter(self, x: int, y: int) -> tuple[int, int]:
        number, start, end = self.place.rows[min(max(0, y), len(self.place.rows) - 1)]
        prepared = self.held(number)
        if prepared is None:
            return number, 0
        column = x - self.painter.gutter_width + (0 if self.wrap else self.place.left)
        return number, start + column_to_letter(prepared.shown.text[start:end], column)

    def _drag_bar(self, y: int) -> None:
        self.place.to_part(min(max(0.0, y / max(1, self.size.height - 1)), 1.0))
        self.changed()
