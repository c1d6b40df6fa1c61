"""Styled lines that scroll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from agentainer_tui.inspector.entries import Line, fold
from agentainer_tui.keymap import bindings
from agentainer_tui.widgets.ink import Inked

# Columns that a key scrolls sideways.
_SIDEWAYS = 8


class LinesView(Inked, can_focus=True):
    """Lines of safe text. With `wrap`, long ones are folded at the width; else they scroll sideways."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("text")]
    DEFAULT_CSS = """
    LinesView { overflow-x: auto; scrollbar-size-horizontal: 0; padding: 0 1; }
    LinesView.-wrap { overflow-x: hidden; }
    """

    class Folded(Message):
        """Lines were folded anew: there may be more or fewer of them."""

    def __init__(self, *, id: str | None = None, wrap: bool = False) -> None:
        super().__init__(id=id, classes="-wrap" if wrap else None)
        self._wrap = wrap
        self._source: list[Line] = []
        self._lines: list[Line] = []
        self._widest = 0
        self._folded_at = 0

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show other lines; the reader stays at the same height as far as they reach."""
        if list(lines) == self._source:
            return
        self._source = list(lines)
        self._layout()

    def clear(self) -> None:
        """No lines at all."""
        self._source, self._lines, self._widest = [], [], 0
        self.scroll_to(0, 0, animate=False, force=True)
        self._settle()

    @property
    def line_count(self) -> int:
        """How many lines there are, unfolded."""
        return len(self._source)

    @property
    def row_count(self) -> int:
        """How many lines there are as they are shown, long ones folded."""
        return len(self._lines)

    def _layout(self) -> None:
        self._lines, self._widest = [], 0
        self._folded_at = self.inner_width
        self._take(self._source)
        self._settle()

    def _take(self, lines: list[Line]) -> None:
        if self._wrap and self.inner_width > 0:
            for source in lines:
                self._lines += fold(source, self.inner_width)
            return
        self._lines += lines
        for source in lines:
            self._widest = max(self._widest, sum(cell_len(text) for text, _ in source))

    def _settle(self) -> None:
        width = self.inner_width if self._wrap else self._widest
        self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def to_end(self) -> None:
        """Show the last line. Forced: whether there is a scroll bar is not known before the next layout."""
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    def _scroll_by_hand(self, y: float) -> None:
        self.scroll_to(y=y, animate=False)

    def action_scroll_up(self) -> None:
        """One line up."""
        self._scroll_by_hand(self.scroll_offset.y - 1)

    def action_scroll_down(self) -> None:
        """One line down."""
        self._scroll_by_hand(self.scroll_offset.y + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self._scroll_by_hand(self.scroll_offset.y - max(1, self.size.height - 1))

    def action_page_down(self) -> None:
        """One page down."""
        self._scroll_by_hand(self.scroll_offset.y + max(1, self.size.height - 1))

    def action_scroll_left(self) -> None:
        """Some columns to the left."""
        self.scroll_to(x=self.scroll_offset.x - _SIDEWAYS, animate=False, force=True)

    def action_scroll_right(self) -> None:
        """Some columns to the right."""
        self.scroll_to(x=self.scroll_offset.x + _SIDEWAYS, animate=False, force=True)

    def action_scroll_home(self) -> None:
        """To the beginning."""
        self._scroll_by_hand(0)

    def action_scroll_end(self) -> None:
        """To the end."""
        self._scroll_by_hand(self.max_scroll_y)

    def on_resize(self) -> None:
        """Folded lines depend on the width."""
        if self._wrap and self.inner_width != self._folded_at:
            self._layout()
            self.post_message(self.Folded())

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        scroll_x, scroll_y = self.scroll_offset
        width, place = self.inner_width, scroll_y + y
        base = self.rich_style
        if place >= len(self._lines):
            return Strip.blank(width, base)
        text = Text(end="", no_wrap=True)
        for piece, ink in self._lines[place]:
            text.append(piece, self.ink(ink))
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(place)) is not None:
            start, end = span
            style = self.screen.get_component_rich_style("screen--selection")
            text.stylize(style, start, len(text) if end == -1 else end)
        strip = Strip(text.render(self.app.console)).crop_extend(scroll_x, scroll_x + width, None)
        return strip.apply_style(base).apply_offsets(scroll_x, place)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, for copying."""
        return selection.extract("\n".join(plain_line(each) for each in self._lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """The selection is drawn."""
        self.refresh()


def plain_line(source: Line) -> str:
    """The text of a line without its inks."""
    return "".join(text for text, _ in source)
