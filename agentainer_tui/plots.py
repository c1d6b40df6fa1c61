"""Charts made of characters: stacked columns and lines over time, with axes. Pure: numbers in, lines out.

Every chart begins at zero. A cell that two colours share has an ink of the form `below:above`, which
`widgets.chart_view` paints as foreground and background.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentainer_tui.inspector.entries import Line as Line

Piece = tuple[str, str]
Values = Sequence[float | None]

_EIGHTHS = " ▁▂▃▄▅▆▇█"
# Dots of a braille cell, by column from the left and row from the bottom.
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
_POINT = "•"
_DURATIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_HOURS = (2, 4, 6, 12, 24, 48, 96, 168)


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: its name, a value for each place (None: there is none), ink and ASCII sign."""

    name: str
    values: Values
    ink: str
    sign: str = "#"


@dataclass(frozen=True, slots=True)
class Axes:
    """What stands around a chart.

    Attributes:
        width, height: of all of it, axes included.
        tell: writes a value of the left axis.
        top: the value at the upper end of it; None: the next round number above all values.
        ceiling: what a round number is.
        labels: what to write below, for each place of the series.
        ascii_only: draw with nothing but ASCII.
        gaps: leave room between columns, where there is any.
    """

    width: int
    height: int
    tell: Callable[[float], str]
    top: float | None = None
    ceiling: Callable[[float], float] | None = None
    labels: Sequence[str] = ()
    ascii_only: bool = False
    gaps: bool = True


def round_number(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10, 20, 40, … that is not less than a value; 1 for what is nothing."""
    if value <= 1 or not math.isfinite(value):
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 4, 6, 8, 10) if step * unit >= value * (1 - 1e-9))


def round_duration(seconds: float) -> float:
    """The next round number of seconds, minutes, hours or days."""
    if seconds <= _DURATIONS[-1]:
        return next(step for step in _DURATIONS if step >= seconds)
    hours = seconds / 3600
    found = next((step for step in _HOURS if step >= hours), None)
    return 3600.0 * found if found is not None else 86400 * round_number(seconds / 86400)


def short_duration(seconds: float) -> str:
    """As short as a scale needs it: `0` `500ms` `30s` `2m` `1h30` `2d`."""
    if seconds <= 0:
        return "0"
    if seconds < 1:
        return f"{1000 * seconds:.0f}ms"
    whole = round(seconds)
    if seconds < 60:
        return f"{seconds:.2g}s" if seconds < 9.95 else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m" if whole % 60 == 0 else f"{whole // 60}m{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h" if whole % 3600 < 60 else f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole / 86400:.3g}d"


def round_size(number: float) -> float:
    """The next power of two of bytes, at least a KiB."""
    return float(2 ** max(10, math.ceil(math.log2(number)))) if number > 0 else 1024.0


# -- columns ------------------------------------------------------------------------------------------


def columns(series: Sequence[Series], axes: Axes) -> list[Line]:
    """Columns from zero up, the first series at the bottom and the others on top of it."""
    length = max((len(one.values) for one in series), default=0)
    stacks = [[max(0.0, one.values[place] or 0.0) for one in series] for place in range(length)]
    top, gutter, room, height = _space(stacks, axes)
    if room < 4 or height < 2:
        return []
    stacks = _fewer(stacks, room)
    widths = _widths(len(stacks), room, gaps=axes.gaps)
    drawn = [_column(stack, top, height, axes.ascii_only, series) for stack in stacks]
    rows = []
    for row in reversed(range(height)):
        pieces: list[Piece] = []
        for column, (bar, gap) in zip(drawn, widths, strict=True):
            sign, ink = column[row]
            pieces += [(sign * bar, ink), (" " * gap, "")]
        rows.append(_joined(pieces))
    starts = [sum(bar + gap for bar, gap in widths[:place]) for place in range(len(widths))]
    labels = _thinned(axes.labels, len(stacks))
    return _framed(rows, gutter, top, axes, starts, labels)


def _space(stacks: list[list[float]], axes: Axes) -> tuple[float, int, int, int]:
    """The top of the left axis, its width, and how many cells and rows are left for columns."""
    room = axes.width - 4
    while True:
        found = _fewer(stacks, max(1, room))
        top = _top(max((sum(stack) for stack in found), default=0.0), axes)
        gutter = _gutter(top, axes)
        if room <= axes.width - gutter - 2 or room < 4:
            return top, gutter, axes.width - gutter - 2, axes.height - 2
        room = axes.width - gutter - 2  # fewer columns are higher, and may have a wider axis


def _fewer(stacks: list[list[float]], most: int) -> list[list[float]]:
    """At most so many stacks: neighbours are added up."""
    if len(stacks) <= most:
        return stacks
    parts = _parts(len(stacks), most)
    return [[sum(column) for column in zip(*stacks[first:last], strict=True)] for first, last in parts]


def _thinned(labels: Sequence[str], count: int) -> Sequence[str]:
    return [labels[first] for first, _ in _parts(len(labels), count)] if len(labels) > count else labels


def _parts(length: int, most: int) -> list[tuple[int, int]]:
    """Equally long stretches, `most` at most; only the first one, the oldest, may be shorter."""
    each = -(-length // most)
    count = -(-length // each)
    return [(max(0, length - (count - i) * each), length - (count - 1 - i) * each) for i in range(count)]


def _widths(count: int, room: int, *, gaps: bool) -> list[tuple[int, int]]:
    """Cells of each column, and of the gap behind it; all are equally wide."""
    if not count:
        return []
    each = max(1, min(9, room // count))
    gap = 1 if each >= 2 and gaps else 0
    return [(each - gap, gap)] * count


def _column(
    stack: Sequence[float], top: float, height: int, ascii_only: bool, series: Sequence[Series]
) -> list[Piece]:
    """One cell for each row, from the bottom up: its sign and its ink."""
    unit = 1 if ascii_only else 8
    edges = _edges(stack, top, height * unit)
    cells: list[Piece] = []
    for row in range(height):
        low, high = row * unit, (row + 1) * unit
        shares = [
            (place, max(0, min(high, edges[place + 1]) - max(low, edges[place])))
            for place in range(len(stack))
        ]
        filled = [(place, share) for place, share in shares if share]
        if not filled:
            cells.append((" ", ""))
        elif ascii_only:
            place = max(filled, key=lambda one: one[1])[0]
            cells.append((series[place].sign, series[place].ink))
        else:
            cells.append(_shared(filled, series))
    return cells


def _edges(stack: Sequence[float], top: float, whole: int) -> list[int]:
    """Where each part of a stack begins and ends, so that whatever is more than nothing can be seen."""
    sizes, total, edge = [], 0.0, 0
    for value in stack:
        total += value
        above = min(whole, round(whole * min(1.0, total / top)))
        sizes.append(max(above - edge, int(value > 0)))
        edge = max(edge, above)
    if (over := sum(sizes) - whole) > 0:
        sizes[sizes.index(max(sizes))] -= over
    return [sum(sizes[:place]) for place in range(len(sizes) + 1)]


def _shared(filled: Sequence[tuple[int, int]], series: Sequence[Series]) -> Piece:
    """A cell that holds one colour, or the end of one and another above it."""
    place, share = filled[0]
    ink = series[place].ink
    if len(filled) > 1:
        above = max(filled[1:], key=lambda one: one[1])[0]
        whole = sum(part for _, part in filled) == 8
        if whole:
            return _EIGHTHS[share], f"{ink}:{series[above].ink}"
        # Three levels in one cell (two colours and nothing) do not go: the larger colour has it.
        return _EIGHTHS[sum(part for _, part in filled)], ink if share * 2 >= 8 else series[above].ink
    return _EIGHTHS[share], ink


# -- lines --------------------------------------------------------------------------------------------


def lines(series: Sequence[Series], axes: Axes) -> list[Line]:
    """Lines over time; where there is no value, a line is broken. The first series is drawn on top."""
    length = max((len(one.values) for one in series), default=0)
    known = [value for one in series for value in one.values if value is not None]
    top = _top(max(known, default=0.0), axes)
    gutter = _gutter(top, axes)
    room, height = axes.width - gutter - 2, axes.height - 2
    if room < 4 or height < 2:
        return []
    grid = _Grid(room, height, axes.ascii_only)
    for one in reversed(series):
        grid.draw(one, top, length)
    starts = [round(place * (room - 1) / max(1, length - 1)) for place in range(length)]
    return _framed(grid.rows(), gutter, top, axes, starts, axes.labels)


class _Grid:
    """Dots, four to a cell from bottom to top and two from left to right, or one in ASCII."""

    def __init__(self, width: int, height: int, ascii_only: bool) -> None:
        self._width, self._height, self._ascii = width, height, ascii_only
        self._across, self._up = (1, 1) if ascii_only else (2, 4)
        self._cells: dict[tuple[int, int], tuple[int, str, str]] = {}
        self._points: set[tuple[int, int]] = set()

    def draw(self, series: Series, top: float, length: int) -> None:
        """Draw one series over what is there; a value without neighbours is a point."""
        dots: list[tuple[int, int] | None] = [None]
        for place, value in enumerate(series.values):
            if value is None:
                dots.append(None)
                continue
            x = round(place * (self._width * self._across - 1) / max(1, length - 1))
            y = round(min(1.0, max(0.0, value / top)) * (self._height * self._up - 1))
            dots.append((x, y))
        dots.append(None)
        for before, dot, after in zip(dots, dots[1:], dots[2:], strict=False):
            if dot is not None:
                for one in _path(before or dot, dot):
                    self._put(*one, series)
                if before is None and after is None:
                    self._points.add((dot[0] // self._across, dot[1] // self._up))

    def _put(self, x: int, y: int, series: Series) -> None:
        where = (x // self._across, y // self._up)
        bits, _, _ = self._cells.get(where, (0, "", ""))
        bits |= _DOTS[x % self._across][y % self._up] if not self._ascii else 0
        self._cells[where] = (bits, series.ink, series.sign)

    def _sign(self, x: int, y: int) -> tuple[str, str]:
        bits, ink, sign = self._cells.get((x, y), (0, "", " "))
        if self._ascii or not ink:
            return sign, ink
        return _POINT if (x, y) in self._points else chr(0x2800 + bits), ink

    def rows(self) -> list[Line]:
        """The lines, from the top down."""
        return [
            _joined([self._sign(x, y) for x in range(self._width)]) for y in reversed(range(self._height))
        ]


def _path(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one to another."""
    (x, y), (to_x, to_y) = start, end
    steps = max(abs(to_x - x), abs(to_y - y), 1)
    return [
        (round(x + (to_x - x) * step / steps), round(y + (to_y - y) * step / steps))
        for step in range(steps + 1)
    ]


# -- axes ---------------------------------------------------------------------------------------------


def _top(highest: float, axes: Axes) -> float:
    if axes.top is not None:
        return axes.top
    return (axes.ceiling or round_number)(highest if math.isfinite(highest) else 0.0)


def _gutter(top: float, axes: Axes) -> int:
    return max(len(axes.tell(value)) for value in (0.0, top / 2, top))


def _framed(
    rows: Sequence[Line],
    gutter: int,
    top: float,
    axes: Axes,
    starts: Sequence[int],
    labels: Sequence[str],
) -> list[Line]:
    """The rows with the left axis before them, the zero line and the labels below."""
    wall, tick, corner, floor = "|+++-"[:1], "+", "+", "-"
    if not axes.ascii_only:
        wall, tick, corner, floor = "│", "┤", "└", "─"
    height, room = len(rows), axes.width - gutter - 2
    middle = height // 2 if height >= 5 else None
    framed: list[Line] = []
    for place, row in enumerate(rows):
        told = axes.tell(top) if place == 0 else ""
        if middle is not None and place == middle:
            # What the middle row stands for: its upper edge.
            told = axes.tell(top / 2) if height % 2 == 0 else ""
            told = "" if told in (axes.tell(0.0), axes.tell(top)) else told
        side = tick if told else wall
        framed.append(((f"{told:>{gutter}} ", "muted"), (side, "faint"), *row))
    framed.append(((f"{axes.tell(0.0):>{gutter}} ", "muted"), (corner + floor * room, "faint")))
    framed.append(((" " * (gutter + 2), ""), (_labelled(starts, labels, room), "muted")))
    return framed


def _labelled(starts: Sequence[int], labels: Sequence[str], room: int) -> str:
    """As many labels as there is room for, evenly, each where its place begins."""
    if not labels or not starts:
        return ""
    widest = max(map(len, labels)) + 2
    step = max(1, math.ceil(len(labels) * widest / max(1, room)))
    text = ""
    for place in range(0, min(len(labels), len(starts)), step):
        start, label = starts[place], labels[place]
        if start < len(text) + (2 if text else 0) or start + len(label) > room:
            continue
        text = text.ljust(start) + label
    return text


def _joined(pieces: Sequence[Piece]) -> Line:
    """The same with neighbours of one ink together."""
    joined: list[Piece] = []
    for text, ink in pieces:
        before = joined[-1][1] if joined else None
        if before is not None and (ink == before or (not text.strip() and ":" not in before)):
            joined[-1] = (joined[-1][0] + text, before)
            continue
        joined.append((text, ink))
    return tuple(joined)


# -- side by side -------------------------------------------------------------------------------------


def beside(left: Sequence[Line], right: Sequence[Line], width: int, *, gap: int = 2) -> list[Line]:
    """Two blocks next to each other, the left one `width` cells wide; neither is cut."""
    from rich.cells import cell_len

    both: list[Line] = []
    for place in range(max(len(left), len(right))):
        first = left[place] if place < len(left) else ()
        second = right[place] if place < len(right) else ()
        used = sum(cell_len(text) for text, _ in first)
        both.append((*first, (" " * max(0, width + gap - used), ""), *second) if second else first)
    return both
