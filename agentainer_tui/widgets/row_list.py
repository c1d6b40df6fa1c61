"""A list of rows with a cursor, drawn line by line: a thousand rows cost what the visible ones cost."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from agentainer_tui.keymap import bindings
from agentainer_tui.widgets.ink import Inked, Row

if TYPE_CHECKING:
    from agentainer_tui.widgets.list_filter import ListFilter


class RowList(Inked, can_focus=True):
    """Base of the lists. The cursor belongs to a key, not to a place: rows may come and go around it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]
    ALLOW_SELECT = False
    STAYS_ON_TOP = False  # whether, unless it has the focus, a cursor on the first row stays there
    HEADER = 0  # lines at the top that do not scroll

    class Moved(Message):
        """The cursor is on another row now (`key` None: there is no row); `by_hand`: a person moved it."""

        def __init__(self, row_list: RowList, key: Hashable, *, by_hand: bool = False) -> None:
            super().__init__()
            self.row_list = row_list
            self.key = key
            self.by_hand = by_hand

        @property
        def control(self) -> RowList:
            """The list."""
            return self.row_list

    class Chosen(Moved):
        """A row was opened with Enter or a double click."""

    def __init__(self, *, id: str | None = None, empty: Sequence[str] = ()) -> None:
        super().__init__(id=id)
        self._keys: Sequence[Hashable] = ()
        self._places: dict[Hashable, int] = {}
        self._cursor = 0
        self.empty = tuple(empty)
        # Set by the filter itself when it is mounted.
        self.filter_bar: ListFilter | None = None

    # -- for subclasses -------------------------------------------------------------------------------

    def draw_row(self, place: int, width: int) -> Row:
        """The row at `place`, at most `width` cells; the first cell is left to the cursor mark."""
        raise NotImplementedError

    def draw_header(self, width: int) -> Row:
        """The line that does not scroll, for lists with `HEADER`."""
        raise NotImplementedError

    def can_select(self, place: int) -> bool:
        """Whether the cursor may stand on the row at `place`."""
        return True

    def cursor_moved(self, old: Hashable, new: Hashable) -> None:
        """The cursor went from one row to another, both of which are drawn again anyway."""

    # -- rows and cursor ------------------------------------------------------------------------------

    def set_keys(self, keys: Sequence[Hashable]) -> None:
        """Take new rows; the cursor stays on its key, else at its place."""
        old = self.key
        self._keys = keys
        self._places = {key: place for place, key in enumerate(keys)}
        place = self._places.get(old, min(self._cursor, max(0, len(keys) - 1)))
        if self.STAYS_ON_TOP and self._cursor == 0 and not self.has_focus:
            place = 0
        place = self._nearest(place, 1)
        shift = place - self._cursor
        self._cursor = place
        self._resize()
        if shift and old in self._places:
            # Rows came or went above: what the eye is on stays where it is.
            self.scroll_to(y=self.scroll_offset.y + shift, animate=False, force=True)
            self._show_cursor()
        if self.key != old:
            self.post_message(self.Moved(self, self.key))
        self.refresh()

    @property
    def keys(self) -> Sequence[Hashable]:
        """The keys of all rows, in order."""
        return self._keys

    @property
    def key(self) -> Hashable:
        """The key under the cursor, None in an empty list."""
        return self._keys[self._cursor] if self._cursor < len(self._keys) else None

    def place_of(self, key: Hashable) -> int | None:
        """Where a key stands, None if no row has it."""
        return self._places.get(key)

    def select(self, key: Hashable) -> bool:
        """Move the cursor to a key; False if there is no such row."""
        place = self._places.get(key)
        if place is None:
            return False
        self._move(place, by_hand=False)
        return True

    def refresh_keys(self, keys: Sequence[Hashable]) -> None:
        """Draw the rows of these keys again, as far as they are visible."""
        top = self.scroll_offset.y
        for key in keys:
            place = self._places.get(key)
            if place is not None and top <= place < top + self.size.height:
                self._refresh_place(place)

    def visible_keys(self) -> Sequence[Hashable]:
        """The keys of the rows on screen."""
        top = self.scroll_offset.y
        return self._keys[top : top + self.size.height]

    def _move(self, place: int, *, by_hand: bool = True) -> None:
        place = max(0, min(place, len(self._keys) - 1))
        place = self._nearest(place, 1 if place >= self._cursor else -1)
        if place == self._cursor or not self._keys:
            return
        old, self._cursor = self._cursor, place
        self.cursor_moved(self._keys[old], self._keys[place])
        self._refresh_place(old)
        self._refresh_place(place)
        self._show_cursor()
        self.post_message(self.Moved(self, self.key, by_hand=by_hand))

    def _refresh_place(self, place: int) -> None:
        self.refresh_lines(place + self.HEADER)

    def _show_cursor(self) -> None:
        if not self.size.height:
            return  # not laid out yet; its size comes, and then this again
        room = max(1, self.size.height - self.HEADER)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif self._cursor >= top + room:
            self.scroll_to(y=self._cursor - room + 1, animate=False, force=True)

    def _resize(self) -> None:
        self.virtual_size = Size(self.inner_width, len(self._keys) + self.HEADER)

    # -- drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        width = self.inner_width
        if y < self.HEADER:
            return self.draw_header(width).strip(width, self.rich_style)
        place = y - self.HEADER + self.scroll_offset.y
        if not self._keys:
            return self._empty_line(y - self.HEADER, width)
        if place >= len(self._keys):
            return Strip.blank(width, self.rich_style)
        return self.draw_row(place, width).strip(width, self._base(place))

    def mark(self, place: int) -> Row:
        """A new row with the cursor mark, if the cursor is there."""
        on = place == self._cursor and self.has_focus
        return Row().put(self.glyphs.cursor if on else " ", self.ink("accent"))

    def _base(self, place: int) -> Style:
        if place != self._cursor:
            return self.rich_style
        return self.rich_style + (self.palette.cursor if self.has_focus else self.palette.cursor_blurred)

    def _nearest(self, place: int, step: int) -> int:
        """The row at `place`, or the next one in a direction (else in the other) that can be selected."""
        for by in (step, -step):
            found = place
            while 0 <= found < len(self._keys):
                if self.can_select(found):
                    return found
                found += by
        return place

    def _empty_line(self, y: int, width: int) -> Strip:
        row = Row().gap(2)
        bar = self.filter_bar
        empty = bar.empty_lines if bar is not None and bar.active else self.empty
        if 1 <= y <= len(empty):
            row.cell(empty[y - 1], max(0, width - 3), self.ink("text" if y == 1 else "muted"))
        return row.strip(width, self.rich_style)

    # -- input ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Columns depend on the width, the visible part on the height."""
        self._resize()
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor is drawn differently in the focused list."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is drawn differently in the focused list."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select the row; a double click opens it."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.HEADER:
            return
        place = offset.y - self.HEADER + self.scroll_offset.y
        if place < len(self._keys):
            self._move(place)
            if event.chain == 2:
                self.action_choose()

    def action_cursor_up(self) -> None:
        """One row up."""
        self._move(self._cursor - 1)

    def action_cursor_down(self) -> None:
        """One row down."""
        self._move(self._cursor + 1)

    def action_page_up(self) -> None:
        """One page up."""
        self._move(self._cursor - max(1, self.size.height - self.HEADER - 1))

    def action_page_down(self) -> None:
        """One page down."""
        self._move(self._cursor + max(1, self.size.height - self.HEADER - 1))

    def action_cursor_first(self) -> None:
        """To the first row."""
        self._move(0)

    def action_cursor_last(self) -> None:
        """To the last row."""
        self._move(len(self._keys) - 1)

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A filter can be typed where there is one, and taken away where one is on."""
        if action == "filter":
            return self.filter_bar is not None
        if action == "clear_filter":
            return self.filter_bar is not None and self.filter_bar.active
        return True

    def action_filter(self) -> None:
        """Type a filter."""
        if self.filter_bar is not None:
            self.filter_bar.open()

    def action_clear_filter(self) -> None:
        """Show all rows again."""
        if self.filter_bar is not None:
            self.filter_bar.clear()
