"""Lines of a log on screen: drawn from a few that are held, asked for by number as they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from agentainer_tui.keymap import bindings
from agentainer_tui.log_lens import Lens
from agentainer_tui.log_query import Query, Search
from agentainer_tui.log_source import Extent, LogLine
from agentainer_tui.widgets.ink import Inked
from agentainer_tui.widgets.log_mouse import LogMouse
from agentainer_tui.widgets.log_paint import TIMES, Painter, Prepared, fold_spans, strip_of
from agentainer_tui.widgets.log_place import Place
from agentainer_tui.widgets.log_selection import Selected

# Lines held in memory; the file has all of them.
_HELD = 4_000
# Columns that a key scrolls sideways.
_SIDEWAYS = 8


class LogView(LogMouse, Inked, can_focus=True):
    """A window on a log. Its pane supplies the lines; a reader who goes up is left there."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("text"), *bindings("log", quiet=False)]
    DEFAULT_CSS = """
    LogView { overflow: hidden hidden; padding: 0; height: 1fr; width: 1fr; }
    """
    ALLOW_SELECT = False

    class Wanted(Message):
        """Lines near those on screen are not held."""

    class Changed(Message):
        """Following, the cursor, or what there is changed."""

    class Asked(Message):
        """A key asks the pane for something that needs more than what is on screen."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.wrap = False
        self.times = "off"
        self.origins: Sequence[str] = ()
        self.begin = ""
        self.query_shown: Query | None = None
        self.hits: Search | None = None
        self._held: dict[int, Prepared] = {}
        self._folds: dict[int, list[tuple[int, int]]] = {}
        self._folded_at = 0
        self._notice = ""
        self.place = Place(self)
        self.selected = Selected()

    # -- what there is --------------------------------------------------------------------------------

    def reset(self, notice: str = "") -> None:
        """Show another log: nothing yet but, perhaps, a notice why."""
        self._held.clear()
        self._folds.clear()
        self._notice = notice
        self.hits = None
        self.query_shown = None
        self.begin = ""
        self.place.reset()
        self.selected.clear()
        self.changed()

    def set_notice(self, notice: str) -> None:
        """Say something else while there is nothing to show."""
        if notice != self._notice:
            self._notice = notice
            self.refresh()

    def take(self, extent: Extent, lines: Mapping[int, LogLine]) -> None:
        """More is known of the log; with lines that will be seen."""
        old = self.lens.extent
        if extent.generation != old.generation:
            self.reset(self._notice)
        else:
            stale = min(old.end, extent.end if extent.stirred is None else extent.stirred)
            for number in [number for number in self._held if number >= stale]:
                del self._held[number]
                self._folds.pop(number, None)
        self.place.lens = Lens(extent, self.place.lens.search)
        self.supply(lines)

    def supply(self, lines: Mapping[int, LogLine]) -> None:
        """Take lines that were asked for."""
        for number, line in lines.items():
            self._held[number] = Prepared.of(line)
            self._folds.pop(number, None)
            if number == self.lens.extent.first:
                self.begin = line.time
        if len(self._held) > _HELD:
            keep = set(self.window())
            for number in [number for number in self._held if number not in keep]:
                del self._held[number]
                self._folds.pop(number, None)
        self.changed()

    def search(self, search: Search | None, *, only: bool) -> None:
        """Mark what a search finds; with `only`, show nothing else."""
        self.hits = search
        self.query_shown = search.query if search is not None else None
        self.place.lens = Lens(self.lens.extent, search if only else None)
        self.changed()

    @property
    def lens(self) -> Lens:
        """What is on show."""
        return self.place.lens

    @property
    def following(self) -> bool:
        """Whether the end is followed."""
        return self.place.following

    @property
    def line_count(self) -> int:
        """How many lines are on show."""
        return len(self.lens)

    def window(self) -> Sequence[int]:
        """The numbers of the lines on screen and of some around them."""
        height = max(1, self.size.height)
        top = self.lens.place(self.place.top)
        if self.following:
            top = max(0, len(self.lens) - height)
        return self.lens.numbers(top - 2 * height, top + 3 * height)

    def missing(self) -> list[int]:
        """Those of the window that are not held."""
        return [number for number in self.window() if number not in self._held]

    def held(self, number: int) -> Prepared | None:
        """A line, if it is held."""
        return self._held.get(number)

    # -- layout ---------------------------------------------------------------------------------------

    @property
    def painter(self) -> Painter:
        """How lines are drawn now."""
        return Painter(dict(self.palette.inks), self.glyphs, self.times, self.begin, self.origins)

    @property
    def text_width(self) -> int:
        """Cells for the text of lines: without the gutter and the bar."""
        return max(2, self.size.width - self.painter.gutter_width - 1)

    def folds(self, number: int) -> list[tuple[int, int]]:
        """The rows of a line: from letter to letter."""
        prepared = self._held.get(number)
        if prepared is None:
            return [(0, 0)]
        if not self.wrap:
            return [(0, len(prepared.shown.text))]
        if self._folded_at != self.text_width:
            self._folds.clear()
            self._folded_at = self.text_width
        if number not in self._folds:
            self._folds[number] = fold_spans(prepared.shown.text, self.text_width)
        return self._folds[number]

    def changed(self) -> None:
        """Arrange and draw anew; ask for lines that are needed."""
        if not self.is_mounted:
            return
        self.virtual_size = Size(self.size.width, self.size.height)
        self.place.arrange()
        if self.missing():
            self.post_message(self.Wanted())
        self.post_message(self.Changed())
        self.refresh()

    def on_resize(self) -> None:
        """Other rows fit now."""
        self.changed()

    # -- drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One row."""
        width, base = self.size.width, self.rich_style
        if not len(self.lens) and y == 0 and self._notice:
            note = f" {self._notice}"
            return Strip([Segment(note, self.ink("muted"))]).adjust_cell_length(width).apply_style(base)
        strip = self._row(y).adjust_cell_length(width - 1)
        return Strip.join([strip, self._bar(y)]).apply_style(base)

    def _row(self, y: int) -> Strip:
        if y >= len(self.place.rows):
            return Strip.blank(self.size.width - 1)
        number, start, end = self.place.rows[y]
        prepared = self._held.get(number)
        painter, room = self.painter, self.text_width
        cursor = number == self.place.cursor_line
        if prepared is None:
            return strip_of(
                painter.gutter(None, first=True, cursor=cursor),
                painter.body(Prepared.of(LogLine("", "", "")).shown, 0, 0, ()),
                0,
                room,
                self.app.console,
            )
        shown, left = prepared.shown, 0 if self.wrap else self.place.left
        gutter = painter.gutter(prepared.line, first=start == 0, cursor=cursor)
        if not self.wrap:
            if shown.text.isascii():
                start, end, left = left, min(end, left + room), 0
            else:
                end = min(end, 4 * (left + room) + 64)
        marks = [(*span, self._hit) for span in self._spans(shown.text)]
        marks += [(*span, self._chosen) for span in self.selected.spans(number, len(shown.text))]
        strip = strip_of(
            gutter, painter.body(shown, start, max(start, end), marks), left, room, self.app.console
        )
        return strip.apply_style(self.palette.cursor_blurred) if cursor and not self.following else strip

    def _spans(self, text: str) -> Sequence[tuple[int, int]]:
        return list(self.query_shown.spans(text)) if self.query_shown is not None else ()

    @property
    def _hit(self) -> Style:
        return self.ink("warning") + Style(reverse=True)

    @property
    def _chosen(self) -> Style:
        return self.palette.cursor + Style(underline=True)

    def _bar(self, y: int) -> Strip:
        """The scroll bar, with marks where something was found."""
        height, total = max(1, self.size.height), len(self.lens)
        mark = " "
        style = Style()
        if total > 0:
            top, bottom = self.place.shown_places
            low, high = y * total // height, max((y + 1) * total // height, y * total // height + 1)
            inside = total > bottom - top and low < max(bottom, top + 1) and high > top
            thumb, track = ("#", ":") if self.glyphs.is_ascii else ("█", "│")
            mark, style = (thumb, self.ink("muted")) if inside else (track, self.ink("faint"))
            if self._found_between(low, min(high, total)):
                mark = "*" if self.glyphs.is_ascii else "◆"
                style = self.ink("warning") + Style(reverse=inside)
        return Strip([Segment(mark, style)], 1)

    def _found_between(self, low: int, high: int) -> bool:
        if self.hits is None or self.lens.search is not None or low >= high:
            return False
        first = self.lens.extent.first
        return self.hits.hits.before(first + high) > self.hits.hits.before(first + low)

    # -- keys -----------------------------------------------------------------------------------------

    def action_scroll_up(self) -> None:
        """One line up."""
        self._go(-1)

    def action_scroll_down(self) -> None:
        """One line down."""
        self._go(1)

    def action_page_up(self) -> None:
        """One page up."""
        self.place.scroll(-max(1, self.size.height - 1))
        self.place.cursor_into_view()
        self._moved()

    def action_page_down(self) -> None:
        """One page down."""
        self.place.scroll(max(1, self.size.height - 1))
        self.place.cursor_into_view()
        self._moved()

    def action_scroll_home(self) -> None:
        """To the first line."""
        self._go(-len(self.lens))

    def action_scroll_end(self) -> None:
        """To the last line, and follow."""
        self.follow(True)

    def action_scroll_left(self) -> None:
        """To the left."""
        self.place.left = max(0, self.place.left - _SIDEWAYS)
        self.changed()

    def action_scroll_right(self) -> None:
        """To the right, as far as some line on screen reaches."""
        longest = max((len(p.shown.text) for n, _, _ in self.place.rows if (p := self.held(n))), default=0)
        self.place.left = max(0, min(self.place.left + _SIDEWAYS, longest - 1))
        self.changed()

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self.follow(not self.following)

    def action_wrap(self) -> None:
        """Fold long lines, or let them run out of sight."""
        self.wrap = not self.wrap
        self.place.left = 0
        self._redo()

    def action_times(self) -> None:
        """Times off, since the beginning, of the day."""
        self.times = TIMES[(TIMES.index(self.times) + 1) % len(TIMES)]
        self._redo()

    def _redo(self) -> None:
        """Lines have other heights now: the cursor stays in sight."""
        self.place.arrange()
        self.place.keep_cursor_in_sight()
        self.changed()

    def action_mark(self) -> None:
        """Begin a selection at the cursor, or drop it."""
        if self.selected.active:
            self.selected.clear()
        elif len(self.lens):
            self.selected.begin_lines(self.place.cursor_line)
        self.changed()

    def action_ask(self, what: str) -> None:
        """Something that the pane does."""
        self.post_message(self.Asked(what))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is for a selection or a search, if there is one."""
        if action == "ask" and parameters == ("clear",):
            return self.selected.active or self.query_shown is not None
        if action == "ask" and parameters in (("next",), ("previous",)):
            return self.query_shown is not None
        return True

    def follow(self, following: bool) -> None:
        """Follow the end, or stop where it is."""
        self.place.follow(following)
        self._moved()

    def go_to(self, number: int) -> None:
        """Put the cursor on a line, in the middle of the screen if it was out of sight."""
        self.place.put_cursor(number)
        self._moved()

    def _go(self, by: int) -> None:
        self.place.move_cursor(by)
        self._moved()

    def _moved(self) -> None:
        self.selected.extend_lines(self.place.cursor_line)
        self.changed()
