"""How a graph is drawn as boxes and arrows. Knows no widget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style

from agentainer_tui.boxes import Picture
from agentainer_tui.estimate import Forecast
from agentainer_tui.explain import look_of
from agentainer_tui.lanes import DOWN, LEFT, RIGHT, UP
from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean, duration
from agentainer_tui.views import RunView, StepView, elapsed
from agentainer_tui.widgets.gantt import note_of
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.step_drawing import bus_ink, counter_of
from engine.events import StepStatus

# Lines of a box: its border, the name, how it goes.
HEIGHT = 4
# By which a stack of siblings is coloured: the first of these that one of them has.
_WORST = (
    StepStatus.FAILED,
    StepStatus.RETRYING,
    StepStatus.RUNNING,
    StepStatus.PENDING,
    StepStatus.COMPLETED,
    StepStatus.CANCELLED,
    StepStatus.SKIPPED,
)
_QUIET = (StepStatus.PENDING, StepStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class BoxSight:
    """Everything that boxes and lines are drawn from; `box` is width and height of one."""

    view: RunView
    now: float
    forecast: Forecast
    picture: Picture
    box: tuple[int, int]
    ink: Callable[[str], Style]
    glyphs: Glyphs


def worst(steps: Iterable[StepView]) -> StepView:
    """The step that a stack is shown as."""
    return min(steps, key=lambda step: _WORST.index(step.status))


def draw_strokes(row: Row, sight: BoxSight, line: int, begin: int, end: int) -> None:
    """The lines between boxes, from one cell to another, the second left out."""
    strokes, glyphs, at = sight.picture.strokes.get(line, {}), sight.glyphs, begin
    for x in sorted(x for x in strokes if begin <= x < end):
        stroke = strokes[x]
        sign = glyphs.lines[stroke.directions]
        if stroke.head:
            sign = glyphs.arrows[3 if sight.picture.right else 1]
        row.gap(x - at).put(
            sign, sight.ink(bus_ink(sight.view, sight.forecast, sight.picture.buses[stroke.bus]))
        )
        at = x + 1
    row.gap(end - at)


def draw_box(row: Row, sight: BoxSight, steps: Sequence[StepView], line: int, cursor: Style | None) -> None:
    """A line of the box of a step, or of a stack of siblings; `cursor` is the style of one that is chosen."""
    step, width, lines = worst(steps), sight.box[0], sight.glyphs.lines
    look = look_of(step)
    quiet = step.status in _QUIET
    border = sight.ink("accent" if cursor is not None else "faint" if quiet else look.ink)
    if line in (0, HEIGHT - 1):
        corner = DOWN if line == 0 else UP
        row.put(lines[corner | RIGHT] + lines[LEFT | RIGHT] * (width - 2) + lines[corner | LEFT], border)
        return
    inner = Row()
    if line == 1:
        inner.put(f" {sight.glyphs.sign(look)} ", sight.ink(look.ink))
        ink = sight.ink("muted" if quiet else "text")
        if len(steps) > 1:
            number = f" {sight.glyphs.times}{len(steps)}"
            name, room = _common(steps), width - 6 - len(number)
            used = min(cell_len(name), room)
            inner.cell(name, used, ink).put(number, sight.ink("muted")).gap(room - used)
        else:
            inner.cell(step.name, width - 6, ink)
    else:
        inner.gap(3)
        _draw_facts(inner, sight, steps, width - 6)
    row.put(lines[UP | DOWN], border)
    for segment in inner.gap().strip(width - 2, cursor or Style()):
        row.put(segment.text, segment.style)
    row.put(lines[UP | DOWN], border)


def _draw_facts(row: Row, sight: BoxSight, steps: Sequence[StepView], width: int) -> None:
    """The second line of a box: how it goes."""
    if len(steps) > 1:
        counts = Counter(step.status for step in steps)
        text = " ".join(f"{sight.glyphs.of(each)}{counts[each]}" for each in _WORST if counts[each])
        row.cell(text, width, sight.ink("text"))
        return
    step = steps[0]
    look = look_of(step)
    took = duration(elapsed(step.started_at, step.finished_at, sight.now))
    note = note_of(sight.view, step, step, sight.now)
    words, ink = look.word, look.ink
    if step.items:
        words = counter_of(step)
    elif note.text and (step.waiting or step.status is not StepStatus.PENDING):
        words, ink = note.text, note.ink
    room = width - len(took) - 1 if took else width
    row.cell(words, room, sight.ink(ink)).cell(took, width - room, sight.ink("muted"), right=True)


def _common(steps: Sequence[StepView]) -> str:
    """What the names of siblings begin with."""
    names = sorted(clean(step.name, limit=60) for step in steps)
    size = next(
        (place for place, (one, other) in enumerate(zip(names[0], names[-1], strict=False)) if one != other),
        min(len(names[0]), len(names[-1])),
    )
    return names[0][:size].rstrip("0123456789 -_#([") or "siblings"
