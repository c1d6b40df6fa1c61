"""Lines and JSON values that fold, with a cursor: what every details tab but the log is drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from agentainer_tui.inspector.drawing import draw, plain_text
from agentainer_tui.inspector.entries import Entry
from agentainer_tui.inspector.tree import Address, Spot, Tree
from agentainer_tui.keymap import bindings
from agentainer_tui.log_query import Query
from agentainer_tui.widgets.ink import Inked

# Rows that a selection with the mouse copies at most.
_SELECTED = 20_000


class Sheet(Inked, can_focus=True):
    """Shows a tree of entries, line by line; nothing is looked at but what is on screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("tree")]

    class Moved(Message):
        """The cursor is elsewhere, or something was opened or closed."""

    class Asked(Message):
        """A key asks for something that is not the sheet's own: `find`, `copy`, `pager` and others."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tree_shown = Tree(())
        self._cursor = 0
        self.query_marked: Query | None = None

    # -- content --------------------------------------------------------------------------------------

    def show(self, entries: Sequence[Entry]) -> bool:
        """Show other entries; what is open stays open, the cursor where it is. False if nothing is new."""
        entries = tuple(entries)
        if entries == self.tree_shown.entries:
            return False
        self._replace(Tree(entries, self._width(), like=self.tree_shown if len(self.tree_shown) else None))
        return True

    def clear(self) -> None:
        """Nothing at all: what comes next is something else."""
        self.tree_shown = Tree((), self._width())
        self._cursor = 0
        self.scroll_to(0, 0, animate=False, force=True)
        self._settle()

    def _replace(self, tree: Tree) -> None:
        old = self.tree_shown
        place = self._cursor - self.scroll_offset.y  # on screen, where the eye is
        if len(old):
            spot = old.row(self._cursor)
            names = old.names(spot.address)
            address = tree.find(names)
            if len(address) == len(names):
                self._cursor = tree.number(address)
        self.tree_shown = tree
        self._cursor = max(0, min(self._cursor, len(tree) - 1))
        self._settle()
        self.scroll_to(y=self._cursor - place, animate=False, force=True)

    def _width(self) -> int:
        return max(16, (self.inner_width or 80) - 2)

    def _settle(self) -> None:
        self.virtual_size = Size(self.inner_width, len(self.tree_shown))
        self.refresh()
        self.post_message(self.Moved())

    @property
    def spot(self) -> Spot | None:
        """The row under the cursor."""
        return self.tree_shown.row(self._cursor) if len(self.tree_shown) else None

    @property
    def cursor_row(self) -> int:
        """The number of that row."""
        return self._cursor

    def go_to(self, address: Address) -> None:
        """Put the cursor on an entry, and open what is around it."""
        row = self.tree_shown.reveal(address)
        self._cursor = row
        self._settle()
        self._show_cursor(middle=True)

    def mark_query(self, query: Query | None) -> None:
        """Show where something was found."""
        self.query_marked = query
        self.refresh()

    # -- cursor ---------------------------------------------------------------------------------------

    def _move(self, row: int) -> None:
        row = max(0, min(row, len(self.tree_shown) - 1))
        if row == self._cursor:
            return
        old, self._cursor = self._cursor, row
        self.refresh_lines(old)
        self.refresh_lines(row)
        self._show_cursor()
        self.post_message(self.Moved())

    def _show_cursor(self, *, middle: bool = False) -> None:
        height, top = max(1, self.size.height), self.scroll_offset.y
        if top <= self._cursor < top + height:
            return
        if middle:
            target = self._cursor - height // 2
        else:
            target = self._cursor if self._cursor < top else self._cursor - height + 1
        self.scroll_to(y=max(0, target), animate=False, force=True)

    def _show_opened(self, address: Address) -> None:
        """Scroll so far that what was opened is seen, its beginning at least; the cursor stays on screen."""
        rows = self.tree_shown.rows_below(address)
        last = self._cursor + min(rows, max(1, self.size.height // 2))
        if last >= self.scroll_offset.y + self.size.height:
            self.scroll_to(y=last - self.size.height + 1, animate=False, force=True)

    def action_cursor_up(self) -> None:
        """One row up."""
        self._move(self._cursor - 1)

    def action_cursor_down(self) -> None:
        """One row down."""
        self._move(self._cursor + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self._move(self._cursor - max(1, self.size.height - 1))

    def action_page_down(self) -> None:
        """One page down."""
        self._move(self._cursor + max(1, self.size.height - 1))

    def action_cursor_first(self) -> None:
        """To the first row."""
        self._move(0)

    def action_cursor_last(self) -> None:
        """To the last row."""
        self._move(len(self.tree_shown) - 1)

    # -- opening and closing --------------------------------------------------------------------------

    def action_choose(self) -> None:
        """Open or close what is under the cursor."""
        if (spot := self.spot) is not None and self.tree_shown.toggle(spot.address):
            self._settle()
            self._show_opened(spot.address)

    def action_inward(self) -> None:
        """Open what is under the cursor, or go on to the first row in it."""
        spot = self.spot
        if spot is None or spot.is_open is None:
            return
        if spot.is_open:
            self._move(self._cursor + 1)
        else:
            self.action_choose()

    def action_outward(self) -> None:
        """Close what is under the cursor, or go to what it is a part of."""
        spot = self.spot
        if spot is None:
            return
        if spot.is_open:
            self.action_choose()
        elif spot.depth:
            self._move(self.tree_shown.number(spot.address[:-1]))

    def action_open_all(self) -> None:
        """Open everything under the cursor, as far as that is sensible."""
        spot = self.spot
        if spot is not None and spot.is_open is not None:
            if not self.tree_shown.open_all(spot.address):
                self.post_message(self.Asked("too_many"))
            self._settle()

    def action_close_all(self) -> None:
        """Close everything; the cursor goes to what it was within."""
        spot = self.spot
        if spot is None:
            return
        self.tree_shown.close_all()
        self._cursor = self.tree_shown.number(spot.address)
        self._settle()
        self._show_cursor()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now; escape goes on to the screen without a search."""
        pane: Any = self.parent
        return pane.offers(str(parameters[0])) if action == "ask" and self.is_mounted else True

    def action_ask(self, what: str) -> None:
        """Hand a key on."""
        self.post_message(self.Asked(what))

    # -- drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        width, row = self.inner_width, self.scroll_offset.y + y
        base = self.rich_style
        if row >= len(self.tree_shown):
            return Strip.blank(width, base)
        on = row == self._cursor
        text = Text(self.glyphs.cursor if on and self.has_focus else " ", self.ink("accent"), end="")
        text.no_wrap = True
        line = draw(self.tree_shown.row(row), self.glyphs)
        room = width - 2
        for piece, ink in line:
            text.append(piece, self.ink(ink))
        body = text.plain[1:]
        if cell_len(body) > room:
            kept = set_cell_size(body, room - 1)
            text.truncate(1 + cell_len(kept))
            text.append(self.glyphs.ellipsis, self.ink("muted"))
        if self.query_marked is not None:
            for begin, end in self.query_marked.spans(text.plain[1:]):
                text.stylize(self.ink("warning") + Style(reverse=True), begin + 1, end + 1)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(row)) is not None:
            begin, end = span
            style = self.screen.get_component_rich_style("screen--selection")
            text.stylize(style, begin, len(text) if end == -1 else end)
        strip = Strip(text.render(self.app.console)).adjust_cell_length(width)
        if on:
            base += self.palette.cursor if self.has_focus else self.palette.cursor_blurred
        return strip.apply_style(base).apply_offsets(0, row)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, for copying."""
        first = selection.start.y if selection.start is not None else 0
        last = selection.end.y if selection.end is not None else len(self.tree_shown) - 1
        rows = range(first, min(last, first + _SELECTED, len(self.tree_shown) - 1) + 1)
        lines = [" " + plain_text(draw(self.tree_shown.row(row), self.glyphs)) for row in rows]
        if not lines:
            return None
        if selection.end is not None and last == rows[-1]:
            lines[-1] = lines[-1][: selection.end.x]
        if selection.start is not None:
            lines[0] = lines[0][selection.start.x :]
        return "\n".join(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """The selection is drawn."""
        self.refresh()

    # -- input ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Long lines and texts are folded at the width."""
        if self._width() != self.tree_shown.width:
            self._replace(Tree(self.tree_shown.entries, self._width(), like=self.tree_shown))
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor is drawn differently with the focus."""
        self.refresh_lines(self._cursor)

    def on_blur(self) -> None:
        """The cursor is drawn differently without it."""
        self.refresh_lines(self._cursor)

    def on_click(self, event: events.Click) -> None:
        """Select the row; a click on its sign, or a double click, opens it or closes it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row = offset.y + self.scroll_offset.y
        if row >= len(self.tree_shown):
            return
        self._move(row)
        spot = self.tree_shown.row(row)
        sign = 1 + 2 * spot.depth
        if (event.chain == 1 and sign <= offset.x < sign + 2) or event.chain == 2:
            self.action_choose()
