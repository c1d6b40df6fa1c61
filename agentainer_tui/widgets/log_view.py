"""The output of one attempt: follows its end, tells standard output and error apart."""

from __future__ import annotations

from dataclasses import replace

from textual import on
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp

from agentainer_tui.client import LogBatch, LogLine
from agentainer_tui.text import clean_output
from agentainer_tui.widgets.lines_view import Line, LinesView, line
from engine.clock import parse_time

# A line without an end is shown as several from this length on.
_JOIN_LIMIT = 64 * 1024

# Lines held in memory; the file of the attempt has all of them.
MAX_LINES = 50_000


class LogView(LinesView):
    """Lines as they come, at most ten batches a second. A reader who scrolls up is left there."""

    class Changed(Message):
        """Following began or ended, or lines came in below the screen."""

        def __init__(self, log: LogView) -> None:
            super().__init__()
            self.log_view = log

        @property
        def control(self) -> LogView:
            """The log."""
            return self.log_view

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.following = True
        self.unseen = 0
        self.times = False
        self._log: list[LogLine] = []
        self._cut = False
        self._notice = ""
        # Lines whose end is still to come, by stream: their numbers, counted from the first line ever.
        self._open: dict[str, int] = {}
        self._dropped = 0
        self._head = 0

    def reset(self, notice: str = "") -> None:
        """Show another attempt's log: nothing yet but, perhaps, a notice why."""
        self._log.clear()
        self._open.clear()
        self._cut, self._dropped, self.unseen, self.following = False, 0, 0, True
        self._notice = notice
        self.clear()
        self._rebuild()
        self.post_message(self.Changed(self))

    def set_notice(self, notice: str) -> None:
        """Say something else while there is nothing to show."""
        if self._notice and notice != self._notice:
            self._notice = notice
            self._rebuild()

    def add(self, batch: LogBatch) -> None:
        """Take some more lines."""
        if self._notice or batch.cut:
            self._notice = ""
            self._cut = self._cut or batch.cut
            self._rebuild()
        new: list[LogLine] = []
        for piece in batch.lines:
            self._join(piece, new)
        self._log += new
        self.append_lines(map(self._line, new), follow=self.following)
        self._drop_oldest()
        if not self.following:
            self.unseen += len(new)
            self.post_message(self.Changed(self))

    def _join(self, piece: LogLine, new: list[LogLine]) -> None:
        """Add a piece to the line that it goes on with, else begin a new one."""
        place = self._open.pop(piece.stream, None)
        begun = None if place is None else self._at(place, new)
        if place is None or begun is None:
            place = self._dropped + len(self._log) + len(new)
            new.append(piece)
        else:
            whole = replace(begun, text=begun.text + piece.text)
            index = place - self._dropped
            if index < len(self._log):
                self._log[index] = whole
                self.replace_line(self._head + index, self._line(whole))
            else:
                new[index - len(self._log)] = whole
            if len(whole.text) > _JOIN_LIMIT:
                return
        if piece.partial:
            self._open[piece.stream] = place

    def _at(self, place: int, new: list[LogLine]) -> LogLine | None:
        index = place - self._dropped
        if index < 0:
            return None
        return self._log[index] if index < len(self._log) else new[index - len(self._log)]

    def _drop_oldest(self) -> None:
        over = len(self._log) - MAX_LINES
        if over <= MAX_LINES // 10:
            return
        self._cut = True
        self._dropped += over
        del self._log[:over]
        top = self.scroll_offset.y
        self._rebuild()
        if not self.following:
            self.scroll_to(y=max(0, top - over), animate=False)

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self._set_following(not self.following)

    def action_times(self) -> None:
        """Show or hide the time of each line."""
        self.times = not self.times
        self._rebuild()

    def on_resize(self) -> None:
        """The end stays in sight."""
        super().on_resize()
        if self.following:
            self.to_end()

    def scrolled_by_hand(self) -> None:
        """Scrolling up stops following; reaching the end starts it again."""
        if self.at_end != self.following:
            self._set_following(self.at_end)

    @on(MouseScrollUp)
    @on(MouseScrollDown)
    @on(ScrollTo)
    @on(ScrollUp)
    @on(ScrollDown)
    def _mouse_scrolled(self) -> None:
        self.call_next(self.scrolled_by_hand)  # the widget itself scrolls after this

    def _set_following(self, following: bool) -> None:
        self.following = following
        if following:
            self.unseen = 0
            self.to_end()
        self.post_message(self.Changed(self))

    def _rebuild(self) -> None:
        lines: list[Line] = []
        if self._notice:
            lines.append(line(self._notice, "muted"))
        if self._cut:
            lines.append(line("… earlier lines are left out here; `agentainer logs` has them", "muted"))
        self._head = len(lines)
        self.set_lines([*lines, *map(self._line, self._log)])
        if self.following:
            self.to_end()

    def _line(self, source: LogLine) -> Line:
        is_error = source.stream == "stderr"
        glyphs = self.glyphs
        mark = ("! " if glyphs.is_ascii else "▎ ", "error") if is_error else ("  ", "faint")
        text = (clean_output(source.text), "text")
        if self.times:
            return ((f"{_clock(source.time)} ", "faint"), mark, text)
        return (mark, text)


def _clock(stamp: str) -> str:
    try:
        return parse_time(stamp).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return " " * 12
