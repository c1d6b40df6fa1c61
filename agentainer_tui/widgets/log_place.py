"""Where a reader is in a log: the top line, the cursor, and the rows on screen that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentainer_tui.log_lens import Lens
from agentainer_tui.log_source import Extent

if TYPE_CHECKING:
    from agentainer_tui.widgets.log_view import LogView


class Place:
    """Lines are kept by number, which stays the same while earlier lines are counted and later ones come.

    Attributes:
        lens: what is on show.
        following: the last line is the lowest on screen, whatever comes.
        top, skip: the first line on screen, and how many of its folded rows are above it.
        left: cells out of sight at the left.
        rows: each row on screen: line, from letter, to letter.
    """

    def __init__(self, view: LogView) -> None:
        self._view = view
        self.lens = Lens(Extent())
        self.reset()

    def reset(self) -> None:
        """Begin at the end of another log."""
        self.lens = Lens(Extent())
        self.following = True
        self.top = self.skip = self.left = 0
        self._cursor = 0
        self._seen = 0
        self.rows: list[tuple[int, int, int]] = []

    @property
    def cursor_line(self) -> int:
        """The line that the cursor is on; the last one while following."""
        total = len(self.lens)
        if not total:
            return 0
        if self.following:
            return self.lens.number(total - 1)
        return self.lens.number(min(self.lens.place(self._cursor), total - 1))

    @property
    def unseen(self) -> int:
        """Lines that came since following ended."""
        return 0 if self.following else max(0, len(self.lens) - self.lens.place(self._seen))

    @property
    def shown_places(self) -> tuple[int, int]:
        """The places of the first line on screen and after the last."""
        if not self.rows:
            return 0, 0
        return self.lens.place(self.rows[0][0]), self.lens.place(self.rows[-1][0]) + 1

    @property
    def _height(self) -> int:
        return max(1, self._view.size.height)

    # -- moving ---------------------------------------------------------------------------------------

    def follow(self, following: bool) -> None:
        """Follow the end, or stop with the cursor on the last line."""
        if self.following and not following:
            self._cursor = self.cursor_line
            self._seen = self.lens.extent.last
        self.following = following
        if following:
            self.arrange()

    def scroll(self, by: int) -> None:
        """Move the window by rows; at the very end, the end is followed."""
        self.follow(False)
        place = min(self.lens.place(self.top), max(0, len(self.lens) - 1))
        row = self.skip + by
        while row < 0 and place > 0:
            place -= 1
            row += self._rows_of(place)
        while place < len(self.lens) - 1 and row >= self._rows_of(place):
            row -= self._rows_of(place)
            place += 1
        self._set_top(place, max(0, row))
        last = self._bottom_top()
        if (place, row) >= last:
            self._set_top(*last)
            if by > 0:
                self.follow(True)
        self.arrange()

    def move_cursor(self, by: int) -> None:
        """Move the cursor by lines; onto the last one, the end is followed."""
        total = len(self.lens)
        if not total:
            return
        place = self.lens.place(self.cursor_line) + by
        if by > 0 and place >= total - 1:
            self.follow(True)
            return
        self.follow(False)
        self._cursor = self.lens.number(min(max(0, place), total - 1))
        self._show_cursor(centre=False)

    def put_cursor(self, number: int) -> None:
        """Put the cursor on a line."""
        self.follow(False)
        self._cursor = number
        self._show_cursor(centre=True)

    def cursor_into_view(self) -> None:
        """After the window moved: the cursor goes with it."""
        if self.following or not self.rows:
            return
        low, high = self.shown_places
        place = min(max(self.lens.place(self._cursor), low), high - 1)
        self._cursor = self.lens.number(place)

    def keep_cursor_in_sight(self) -> None:
        """After the heights of lines changed."""
        if not self.following and self.rows:
            self._show_cursor(centre=True)

    def to_part(self, part: float) -> None:
        """Go to a part of the log, 0 is its beginning and 1 its end."""
        if part >= 1:
            self.follow(True)
            return
        self.follow(False)
        self._set_top(int(part * max(0, len(self.lens) - 1)), 0)
        self.arrange()
        self.cursor_into_view()

    def _show_cursor(self, *, centre: bool) -> None:
        place, (low, high) = self.lens.place(self._cursor), self.shown_places
        if low <= place < high - (1 if self._is_cut_off(place) else 0):
            self.arrange()
            return
        if centre:
            self._set_top(*self._above(place, self._height // 2))
        elif place < low:
            self._set_top(place, 0)
        else:
            self._set_top(*self._above(place, self._height - self._rows_of(place)))
        self.arrange()

    def _is_cut_off(self, place: int) -> bool:
        """Whether the lowest line on screen is this one and goes on below it."""
        number, start, end = self.rows[-1]
        spans = self._view.folds(number)
        return self.lens.place(number) == place and (start, end) != spans[-1] and len(spans) < self._height

    # -- rows -----------------------------------------------------------------------------------------

    def _rows_of(self, place: int) -> int:
        return len(self._view.folds(self.lens.number(place))) if self._view.wrap else 1

    def _set_top(self, place: int, skip: int) -> None:
        if len(self.lens):
            self.top = self.lens.number(min(max(0, place), len(self.lens) - 1))
            self.skip = skip

    def _above(self, place: int, rows: int) -> tuple[int, int]:
        """The place and the row in it that are `rows` rows above a line's first row."""
        if not self._view.wrap:
            return max(0, place - max(0, rows)), 0
        while rows > 0 and place > 0:
            place -= 1
            rows -= self._rows_of(place)
        return place, max(0, -rows)

    def _bottom_top(self) -> tuple[int, int]:
        """The top with which the last row is the lowest on screen."""
        return self._above(len(self.lens), self._height)

    def arrange(self) -> None:
        """Work out the rows on screen."""
        self.rows = []
        total = len(self.lens)
        if not total:
            return
        bottom = self._bottom_top()
        if self.following:
            self._set_top(*bottom)
        place = min(self.lens.place(self.top), total - 1)
        if not self.following and (place, self.skip) > bottom:
            place, self.skip = bottom
        skip = self.skip if self._view.wrap else 0
        while place < total and len(self.rows) < self._height:
            number = self.lens.number(place)
            spans = self._view.folds(number)[skip:]
            self.rows += [(number, *span) for span in spans[: self._height - len(self.rows)]]
            place, skip = place + 1, 0
