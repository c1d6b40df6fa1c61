"""The line of a run's events while the past is shown: where one is, what happened there, what failed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from agentainer_tui.event_words import event_ink, event_words
from agentainer_tui.keymap import bindings
from agentainer_tui.text import fit
from agentainer_tui.timeline import Frame, Timeline
from agentainer_tui.travel import Move, jump, part, step, stride
from agentainer_tui.widgets.ink import Inked, Row

# Cells at each side of the track.
_MARGIN = 1


def moment_words(frame: Frame) -> str:
    """`12:03:04.120 · event 37/120`, in the time of this machine."""
    at = datetime.fromtimestamp(frame.now).strftime("%H:%M:%S.%f")[:-3]
    return f"{at} · event {frame.place}/{frame.total}"


class Scrubber(Inked, can_focus=True):
    """Two lines: the event in words, and the track with a knob that can be dragged."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("scrubber")]
    DEFAULT_CSS = """
    Scrubber { height: 2; display: none; background: $warning 12%; overflow: hidden; }
    Scrubber:focus { background: $warning 20%; }
    """
    ALLOW_SELECT = False

    class Moved(Message):
        """Someone wants to be elsewhere; None is the present."""

        def __init__(self, move: Move | None) -> None:
            super().__init__()
            self.move = move

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._frame: Frame | None = None
        self._timeline: Timeline | None = None
        self._taken = 0
        self._dragging = False

    def show(self, frame: Frame | None, timeline: Timeline | None, *, taken: int, is_away: bool) -> None:
        """Show a frame; without one, and away, how many events have been read."""
        self._frame, self._timeline, self._taken = frame, timeline, taken
        if self.display and not is_away and self.has_focus:
            self.screen.focus_previous()
        self.display = is_away
        self.refresh()

    # -- drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The words, then the track."""
        width = self.size.width
        row = self._words(width) if y == 0 else self._track()
        return row.strip(width, self.rich_style)

    def _words(self, width: int) -> Row:
        frame, sign = self._frame, self.glyphs.rewind
        row = Row().gap().put(f"{sign} ", self.ink("warning"))
        if frame is None:
            return row.put(fit(f"Reading the events… {self._taken or ''}", max(0, width - row.width)))
        where = moment_words(frame).replace("·", self.glyphs.dot)
        row.put(fit(where, min(cell_len(where), max(0, width - row.width))), self.ink("strong")).gap(2)
        way_back = "esc live " if width - row.width > 30 else ""
        room = width - row.width - cell_len(way_back) - 1
        row.cell(event_words(frame.event, frame.view), room, self.ink(event_ink(frame.event)))
        return row.gap().put(way_back, self.ink("muted")) if way_back else row

    def _track(self) -> Row:
        frame, timeline = self._frame, self._timeline
        row = Row().gap(_MARGIN)
        room = self._room
        if frame is None or timeline is None:
            return row
        glyphs = self.glyphs
        knob = self._column(frame.place, frame.total)
        for column in range(room):
            first, last = self._places(column, frame.total)
            if column == knob:
                row.put(glyphs.knob, self.ink("warning"))
            elif first <= last and timeline.failures(first, last):
                row.put(glyphs.of("failed"), self.ink("error"))
            else:
                passed = column < knob
                row.put(
                    glyphs.bar if passed else glyphs.bar_light, self.ink("warning" if passed else "faint")
                )
        return row

    @property
    def _room(self) -> int:
        return max(1, self.size.width - 2 * _MARGIN)

    def _column(self, place: int, total: int) -> int:
        return (place - 1) * (self._room - 1) // max(1, total - 1)

    def _places(self, column: int, total: int) -> tuple[int, int]:
        """The first and the last place whose column this is."""
        steps, spaces = max(1, self._room - 1), max(1, total - 1)
        first = -(-column * spaces // steps)
        return first + 1, min(total, -(-(column + 1) * spaces // steps))

    # -- input ----------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """By events."""
        self.post_message(self.Moved(step(by)))

    def action_stride(self, by: int) -> None:
        """By changes of steps."""
        self.post_message(self.Moved(stride(by)))

    def action_first(self) -> None:
        """To the first event."""
        self.post_message(self.Moved(jump(1)))

    def action_live(self) -> None:
        """To the present."""
        self.post_message(self.Moved(None))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the knob."""
        self._dragging = True
        self.capture_mouse()
        self._drag(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag it."""
        if self._dragging:
            self._drag(event)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go."""
        self._dragging = False
        self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Back by an event."""
        event.stop()
        self.action_step(-1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """On by an event."""
        event.stop()
        self.action_step(1)

    def _drag(self, event: events.MouseEvent) -> None:
        event.stop()
        at = min(max(0, event.x - _MARGIN), self._room - 1)
        self.post_message(self.Moved(part(at / max(1, self._room - 1))))
