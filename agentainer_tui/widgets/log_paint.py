"""One line of a log as it is drawn: gutter (cursor, time, origin, stream) and a stretch of its text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from agentainer_tui.ansi import Coloured, coloured
from agentainer_tui.log_source import LogLine
from agentainer_tui.looks import Glyphs
from agentainer_tui.text import duration, fit
from engine.clock import parse_time

TIMES = ("off", "relative", "absolute")
# Colours of origins in merged logs, in turns; a name stands beside each, so colour alone tells nothing.
ORIGIN_INKS = ("accent", "number", "warning", "running", "success", "key")
ORIGIN_WIDTH = 14


@dataclass(frozen=True, slots=True)
class Prepared:
    """A line with its safe text."""

    line: LogLine
    shown: Coloured

    @classmethod
    def of(cls, line: LogLine) -> Prepared:
        """Make the text safe."""
        return cls(line, coloured(line.text))


def fold_spans(text: str, width: int) -> list[tuple[int, int]]:
    """Where a text is broken so that no part has more than `width` cells (2 at least); nothing is lost."""
    if not text:
        return [(0, 0)]
    width = max(2, width)
    if text.isascii():
        return [(start, min(start + width, len(text))) for start in range(0, len(text), width)]
    spans, start = [], 0
    for part in chop_cells(text, width):
        spans.append((start, start + len(part)))
        start += len(part)
    return spans


def column_to_letter(text: str, column: int) -> int:
    """Which letter of a text stands at a cell."""
    if text.isascii():
        return min(max(0, column), len(text))
    used = 0
    for place, letter in enumerate(text):
        used += cell_len(letter)
        if used > column:
            return place
    return len(text)


def clock(stamp: str, times: str, begin: str) -> str:
    """The time of a line in 13 cells: since `begin`, or of the day."""
    try:
        at = parse_time(stamp)
        if times == "relative":
            return f"+{_since(at, parse_time(begin))}".rjust(12) + " "
        return at.astimezone().strftime("%H:%M:%S.%f")[:-3] + " "
    except ValueError:
        return " " * 13


def _since(at: datetime, begin: datetime) -> str:
    seconds = max(0.0, (at - begin).total_seconds())
    return f"{seconds:.3f}s" if seconds < 100 else duration(seconds)


@dataclass(frozen=True, slots=True)
class Painter:
    """How lines are drawn now; `inks` are the colours by name."""

    inks: dict[str, Style]
    glyphs: Glyphs
    times: str
    begin: str
    origins: Sequence[str]

    @property
    def gutter_width(self) -> int:
        """Cells before the text."""
        return 1 + (13 if self.times != "off" else 0) + (ORIGIN_WIDTH + 1 if self.origins else 0) + 2

    def gutter(self, line: LogLine | None, *, first: bool, cursor: bool) -> Text:
        """What stands before the text; on the further rows of a folded line only marks."""
        text = Text(end="", no_wrap=True)
        text.append(self.glyphs.cursor if cursor else " ", self.inks["accent"])
        if line is None:
            return text.append(" " * (self.gutter_width - 1))
        if self.times != "off":
            text.append(clock(line.time, self.times, self.begin) if first else " " * 13, self.inks["faint"])
        if self.origins:
            ink = self.inks[ORIGIN_INKS[line.origin % len(ORIGIN_INKS)]]
            text.append(fit(self.origins[line.origin] if first else "", ORIGIN_WIDTH) + " ", ink)
        if line.stream == "stderr":
            text.append("! " if self.glyphs.is_ascii else "▎ ", self.inks["error"])
        else:
            text.append("  ")
        return text

    def body(
        self,
        shown: Coloured,
        start: int,
        end: int,
        marks: Iterable[tuple[int, int, Style]],
    ) -> Text:
        """The letters from `start` to `end`, in the program's colours, with marks over them."""
        text = Text(shown.text[start:end], style=self.inks["text"], end="", no_wrap=True)
        for begin, stop, style in (*shown.styles, *marks):
            if begin < end and stop > start:
                text.stylize(style, max(begin, start) - start, min(stop, end) - start)
        return text


def strip_of(gutter: Text, body: Text, left: int, width: int, console: Console) -> Strip:
    """Gutter, and `width` cells of the body from cell `left` on."""
    head = Strip(gutter.render(console))
    tail = Strip(body.render(console)).crop_extend(left, left + width, None)
    return Strip.join([head, tail])
