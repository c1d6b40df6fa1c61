"""The output of one attempt: follows its end, tells standard output and error apart."""

from __future__ import annotations

from datetime import datetime

from textual.message import Message

from agentainer_tui.client import LogBatch, LogLine
from agentainer_tui.text import clean_output, counted
from agentainer_tui.widgets.lines_view import Line, LinesView, line

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
        self._skipped = 0
        self._notice = ""

    def reset(self, notice: str = "") -> None:
        """Show another attempt's log: nothing yet but, perhaps, a notice why."""
        self._log.clear()
        self._skipped, self.unseen, self.following = 0, 0, True
        self._notice = notice
        self.clear()
        self._rebuild()
        self.post_message(self.Changed(self))

    def add(self, batch: LogBatch) -> None:
        """Take some more lines."""
        if self._notice or batch.skipped:
            self._notice = ""
            self._skipped += batch.skipped
            self._log += batch.lines
            self._rebuild()
            return
        self._log += batch.lines
        self.append_lines(map(self._line, batch.lines), follow=self.following)
        over = len(self._log) - MAX_LINES
        if over > MAX_LINES // 10:
            self._skipped += over
            del self._log[:over]
            if self.following:
                self._rebuild()
            else:
                self.drop_first(over)
        if not self.following:
            self.unseen += len(batch.lines)
            self.post_message(self.Changed(self))

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        self._set_following(not self.following)

    def action_times(self) -> None:
        """Show or hide the time of each line."""
        self.times = not self.times
        self._rebuild()

    def action_scroll_end(self) -> None:
        """To the end, and follow."""
        super().action_scroll_end()
        self._set_following(True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following; reaching the end starts it again."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and not self.at_end:
            self._set_following(False)
        elif new_value > old_value and self.at_end:
            self._set_following(True)

    def _set_following(self, following: bool) -> None:
        if following:
            self.unseen = 0
            self.scroll_end(animate=False, immediate=True, x_axis=False)
        if following != self.following:
            self.following = following
        self.post_message(self.Changed(self))

    def _rebuild(self) -> None:
        lines: list[Line] = []
        if self._notice:
            lines.append(line(self._notice, "muted"))
        if self._skipped:
            lines.append(line(f"… {counted(self._skipped, 'earlier line')} not shown", "muted"))
        self.set_lines([*lines, *map(self._line, self._log)])
        if self.following:
            self.scroll_end(animate=False, immediate=True, x_axis=False)

    def _line(self, source: LogLine) -> Line:
        is_error = source.stream == "stderr"
        glyphs = self.glyphs
        mark = ("! " if glyphs.is_ascii else "▎ ", "error") if is_error else ("  ", "faint")
        text = (clean_output(source.text), "text")
        if self.times:
            return ((f"{_clock(source.time)} ", "faint"), mark, text)
        return (mark, text)


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
