"""Bars on a shared time axis, at half a cell's precision. Pure: knows rows and styles, no widget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

from agentainer_tui.explain import explain, look_of
from agentainer_tui.looks import LOOKS, Glyphs
from agentainer_tui.text import clean, duration
from agentainer_tui.views import ItemView, RunView, StepView
from agentainer_tui.widgets.ink import Row
from engine.events import StepStatus

_DAY = 86400
_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY),
)
_LABEL_ROOM = 9  # cells between two labels of the axis, at least


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Maps seconds since the run's beginning to half cells; `step` is the distance of the labels."""

    begin: float
    span: float
    step: float
    width: int

    @classmethod
    def of(cls, view: RunView, now: float, width: int, until: float | None = None) -> TimeScale:
        """The axis of a run: exact once it is over, with room ahead while it runs (to its expected end)."""
        begin = view.begun_at if view.begun_at is not None else now
        end = view.finished_at if view.finished_at is not None else max(now, until or now)
        length = max(0.1, end - begin)
        labels = max(1, width // _LABEL_ROOM)
        step = next((step for step in _STEPS if length / step <= labels), length / labels)
        if view.finished_at is None:
            # A quarter of a label's distance at a time, so that the bars do not shrink at every tick.
            quarter = step / 4
            length = (int(length / quarter) + 1) * quarter
        return cls(begin, length, step, max(1, width))

    def half(self, moment: float) -> int:
        """The half cell of a moment, within the axis."""
        place = (moment - self.begin) / self.span * 2 * self.width
        return max(0, min(2 * self.width, round(place)))

    def labels(self) -> str:
        """The axis itself, `width` characters: `0s        5s        10s`."""
        text = [" "] * self.width
        tick = 0
        while (moment := tick * self.step) <= self.span:
            label = _tick_label(moment, self.step)
            at = self.half(self.begin + moment) // 2
            if at + len(label) <= self.width and (at == 0 or text[at - 1] == " "):
                text[at : at + len(label)] = label
            tick += 1
        return "".join(text)


def _tick_label(moment: float, step: float) -> str:
    if step < 1:
        return f"{moment:.1f}s"
    if moment < 60:
        return f"{moment:.0f}s"
    if moment % 60 == 0 and moment < 3600:
        return f"{moment / 60:.0f}m"
    return duration(moment)


class Span(NamedTuple):
    """A stretch of time in one style.

    Light ones are waiting (for an agent, between tries); ghosts are what is expected.
    """

    begin: float
    end: float
    ink: str
    light: bool
    ghost: bool = False


def spans_of(node: StepView | ItemView, now: float) -> list[Span]:
    """The stretches of a step or item: waiting, each try in its colour, pauses between tries."""
    if node.started_at is None:
        return []
    end = node.finished_at if node.finished_at is not None else now
    if not node.attempts:
        # Of what only waits the beginning is marked: what it waits for says more than a long bar.
        end = node.started_at if node.waiting else end
        return [Span(node.started_at, end, look_of(node).ink, bool(node.waiting))]
    spans = [Span(node.started_at, end, "faint", True)]
    for attempt in node.attempts:
        if attempt.started_at is None:
            continue
        attempt_end = attempt.finished_at
        if attempt_end is None:
            attempt_end = node.finished_at if node.finished_at is not None else now
        spans.append(Span(attempt.started_at, attempt_end, LOOKS[attempt.status].ink, False))
    return spans


class Note(NamedTuple):
    """Words beside a bar."""

    text: str
    ink: str


def draw_bar(
    row: Row,
    spans: Sequence[Span],
    scale: TimeScale,
    beside: Note,
    ink: Callable[[str], Style],
    glyphs: Glyphs,
) -> None:
    """Add a bar of exactly `scale.width` cells to a row, with the note where the bar leaves room."""
    cells, first, last = _paint(spans, scale, glyphs)
    note = clean(beside.text, limit=4 * scale.width)
    if all(span.ghost for span in spans):
        note_at, size = 0, min(cell_len(note), scale.width)
    else:
        note_at, size = _place_note(cell_len(note), first, last, scale.width)
    for place in (note_at - 1, note_at + size):
        # What is expected stands behind the words, with a blank between.
        if size and 0 <= place < scale.width and not first <= place < last:
            cells[place] = None
    place = 0
    while place < scale.width:
        if size and place == note_at:
            row.cell(note, size, ink(beside.ink))
            place += size
            continue
        cell = cells[place]
        run = place + 1
        stop = note_at if size and note_at > place else scale.width
        while run < stop and cells[run] == cell:
            run += 1
        if cell is None:
            row.gap(run - place)
        else:
            row.put(cell[0] * (run - place), ink(cell[1]))
        place = run


def _paint(
    spans: Sequence[Span], scale: TimeScale, glyphs: Glyphs
) -> tuple[list[tuple[str, str] | None], int, int]:
    """The sign and ink of every cell, and the first and the one after the last that is not blank."""
    halves: list[Span | None] = [None] * (2 * scale.width)
    for span in spans:
        begin, end = scale.half(span.begin), scale.half(span.end)
        if end <= begin:  # however short it was, it is seen
            begin, end = (begin, begin + 1) if begin < 2 * scale.width else (begin - 1, begin)
        halves[begin:end] = [span] * (end - begin)
    cells: list[tuple[str, str] | None] = []
    for left, right in _pairs(halves):
        cells.append(_cell(left, right, glyphs))
    solid = [not all(half is None or half.ghost for half in pair) for pair in _pairs(halves)]
    filled = [place for place, is_solid in enumerate(solid) if is_solid]
    return (cells, filled[0], filled[-1] + 1) if filled else (cells, 0, 0)


def _pairs(halves: Sequence[Span | None]) -> Iterator[tuple[Span | None, Span | None]]:
    return zip(halves[::2], halves[1::2], strict=True)


def _cell(left: Span | None, right: Span | None, glyphs: Glyphs) -> tuple[str, str] | None:
    heavy_left = left is not None and not left.light and not left.ghost
    heavy_right = right is not None and not right.light and not right.ghost
    if heavy_left and heavy_right and right is not None:
        return glyphs.bar, right.ink
    if heavy_left and left is not None:
        return glyphs.bar_left, left.ink
    if heavy_right and right is not None:
        return glyphs.bar_right, right.ink
    light = right if left is None or left.ghost else left
    if light is None:
        light = left
    if light is None:
        return None
    return glyphs.bar_ghost if light.ghost else glyphs.bar_light, light.ink


def _place_note(size: int, first: int, last: int, width: int) -> tuple[int, int]:
    """Where a note of `size` cells goes (after the bar, else before it) and how much of it has room."""
    if first == last:
        return 0, min(size, width)
    enough = min(size, 12)
    if width - last - 1 >= enough:
        return last + 1, min(size, width - last - 1)
    if first - 1 >= enough:
        size = min(size, first - 1)
        return first - 1 - size, size
    return 0, 0


def note_of(view: RunView, step: StepView, node: StepView | ItemView, now: float) -> Note:
    """Why `node` (the step, or an item of it) waits, or how it went wrong."""
    if node.status is StepStatus.PENDING and step.role != "main" and view.settled is None:
        return Note("", "muted")  # the line above its section says it
    words = explain(view, step, node, now)
    if node.reason == "branch_not_taken":
        return Note(words, "faint")
    if node.waiting.why == "approval":
        return Note(words, "accent")
    inks = {StepStatus.FAILED: "error", StepStatus.RETRYING: "warning"}
    return Note(words, inks.get(node.status, "muted"))
