"""How the rows of a run's steps are drawn: lanes, name, word, bar, tries, use, time. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

from agentainer_tui.estimate import Forecast
from agentainer_tui.explain import SECTIONS, look_of
from agentainer_tui.lanes import BUNDLE, DOWN, NODE, UP, Bus, LaneCell, Lanes
from agentainer_tui.loads import Meter, percent
from agentainer_tui.looks import LOOKS, WORD_WIDTH, Glyphs
from agentainer_tui.step_rows import FoldedKey, GridKey, Key, RowKey, Section, TallyKey
from agentainer_tui.text import brief, clean, duration, size
from agentainer_tui.views import ItemView, RunView, StepView, elapsed
from agentainer_tui.widgets.gantt import Note, Span, TimeScale, draw_bar, note_of, spans_of
from agentainer_tui.widgets.ink import Row
from engine.events import StepStatus

LIVE = (StepStatus.RUNNING, StepStatus.RETRYING)
_BRIGHT = Style(bold=True)
# Items of a grid stand in groups of so many.
_GROUP = 10
_GRID_LABEL = 7
# The types that are not written as they are: nothing for the ordinary one, and what fits the column.
_KINDS = {"sequential": "", "subworkflow": "workflow"}
_TALLY = (
    StepStatus.COMPLETED,
    StepStatus.RUNNING,
    StepStatus.RETRYING,
    StepStatus.FAILED,
    StepStatus.SKIPPED,
    StepStatus.CANCELLED,
    StepStatus.PENDING,
)


class Columns(NamedTuple):
    """The widths of a row's columns; 0 leaves one out. `head` is what stands before the name."""

    head: int
    name: int
    kind: int
    word: int
    bar: int
    tries: int
    usage: int
    took: int

    @classmethod
    def of(cls, width: int, lanes: int, folds: bool, name_width: int, usage: bool) -> Columns:
        """What fits a width."""
        took, tries, word = 7, 3 if width >= 70 else 0, WORD_WIDTH if width >= 48 else 0
        kind = 9 if width >= 150 else 0
        used_up = 11 if usage and width >= 104 else 0
        head = 1 + lanes + 1 + (2 if folds else 0)
        used = head + took + 3
        used += sum(each + 1 for each in (kind, word, tries, used_up) if each)
        room = max(8, width - used)
        widest = min(48, max(30, width // 3))
        name = max(8, min(name_width + 1, widest, room if width < 48 else room // 2))
        bar = room - name - 1
        return cls(head, name, kind, word, bar if bar >= 8 else 0, tries, used_up, took)


def most_lanes(width: int) -> int:
    """Columns of lanes that a list of this width can spare."""
    return next((most for below, most in ((60, 2), (84, 4), (108, 6), (150, 8)) if width < below), 10)


def grid_line(width: int) -> int:
    """Items to a line of a grid, in a list of this width."""
    room = width - 2 * most_lanes(width) - 4 - _GRID_LABEL
    return _GROUP * max(1, min(10, room // (_GROUP + 1)))


def grid_column(columns: Columns, x: int) -> int | None:
    """The item at a cell of a grid's line, if there is one."""
    place = x - columns.head - _GRID_LABEL
    if place < 0 or place % (_GROUP + 1) == _GROUP:
        return None
    return place - place // (_GROUP + 1)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that a row is drawn from.

    Attributes:
        view, now: the run, and the time.
        columns, scale: of all rows.
        lanes: beside the rows; None where there are none. `inks` is what their buses are drawn with, as far
            as that was asked for: it is worked out once for each view. `near` are those that lead to the
            step under the cursor and from it.
        forecast: what is expected.
        usage: what runs uses, by row.
        depths: how deep steps are in groups, where no lanes say so.
        unfolded: whether what is in a step is shown; None if nothing is in it.
        grid: items to a line of a grid.
        ink, glyphs: to draw with.
        grid_cursor: the number of the item under the cursor in the grid line under it.
        cursor: the style of that.
    """

    view: RunView
    now: float
    columns: Columns
    scale: TimeScale
    lanes: Lanes | None
    inks: dict[int, str]
    near: frozenset[int]
    forecast: Forecast
    usage: Mapping[RowKey, Meter]
    depths: Mapping[str, int]
    unfolded: Callable[[StepView], bool | None]
    grid: int
    ink: Callable[[str], Style]
    glyphs: Glyphs
    grid_cursor: tuple[GridKey, int] | None = None
    cursor: Style = field(default_factory=Style)


def find(view: RunView, key: object) -> tuple[StepView | None, ItemView | None]:
    """The step (and item) of a row."""
    if not isinstance(key, RowKey | FoldedKey | TallyKey):
        return None, None
    step = view.steps.get(key.step_id)
    item = key.item if isinstance(key, RowKey) else None
    if step is None or item is None or item >= len(step.items):
        return step, None
    return step, step.items[item]


def draw_header(sight: Sight) -> Row:
    """The time axis, and what the columns are."""
    columns, faint = sight.columns, sight.ink("faint")
    row = Row().gap(columns.head).cell("step", columns.name, faint)
    if columns.kind:
        row.gap().cell("type", columns.kind, faint)
    if columns.word:
        row.gap().cell("status", columns.word, faint)
    if columns.bar:
        row.gap().put(sight.scale.labels(), faint)
    if columns.tries:
        row.gap().cell("try", columns.tries, faint, right=True)
    if columns.usage:
        row.gap().cell("cpu   mem", columns.usage, faint, right=True)
    return row.gap().cell("time", columns.took, faint, right=True)


def draw_row(row: Row, sight: Sight, place: int, key: Key, width: int) -> Row:
    """One row, after its cursor mark."""
    if isinstance(key, Section):
        name, meaning = key.role.replace("_", " "), SECTIONS.get(key.role, "")
        row.gap(2).cell(name, 11, sight.ink("muted"))
        return row.cell(meaning, width - row.width - 1, sight.ink("faint"))
    step = sight.view.steps.get(key.step_id)
    if step is None:
        return row
    if isinstance(key, TallyKey | GridKey):
        _draw_lanes(row, sight, place, None)
        row.gap(max(0, sight.columns.head - row.width))
        if isinstance(key, TallyKey):
            return _draw_tally(row, sight, step, width)
        return _draw_grid(row, sight, step, key)
    _, item = find(sight.view, key)
    node = item if item is not None else step
    columns, look = sight.columns, look_of(node)
    _draw_lanes(row, sight, place, node)
    if isinstance(key, FoldedKey):
        return _draw_folded(row, sight, key, width)
    _draw_name(row, sight, step, item)
    if columns.kind:
        kind = "" if item is not None else _KINDS.get(step.type, step.type)
        row.gap().cell(kind, columns.kind, sight.ink("faint"))
    if columns.word:
        row.gap().cell(look.word, columns.word, sight.ink(look.ink))
    if columns.bar:
        row.gap()
        spans = [*_expected(sight, step, item), *spans_of(node, sight.now)]
        draw_bar(row, spans, sight.scale, _note(sight, step, node), sight.ink, sight.glyphs)
    if columns.tries:
        tries = len(node.attempts)
        text = f"{sight.glyphs.times}{tries}" if tries > 1 else ""
        row.gap().cell(text, columns.tries, sight.ink("warning"), right=True)
    if columns.usage:
        use = sight.usage.get(RowKey(step.id, item.index if item is not None else None))
        text = _use(use) if use is not None and node.status in LIVE else ""
        row.gap().cell(text, columns.usage, sight.ink("number"), right=True)
    return _draw_time(row, sight, step, item)


# -- lanes --------------------------------------------------------------------------------------------


def _draw_lanes(row: Row, sight: Sight, place: int, node: StepView | ItemView | None) -> None:
    """The lanes of a row; without any, the sign of its step. Items have theirs beside their name."""
    lanes = sight.lanes
    look = look_of(node) if isinstance(node, StepView) else None
    sign = sight.glyphs.sign(look) if look is not None else " "
    ink = sight.ink(look.ink if look is not None else "faint")
    if lanes is None:
        row.put(sign, ink).gap()
        return
    cells = lanes.rows[place] if place < len(lanes.rows) else ()
    for cell in cells:
        if cell.directions & NODE:
            row.put(sign, ink)
        elif cell.directions:
            row.put(line_sign(cell, sight.glyphs), lane_style(sight, cell))
        else:
            row.gap()
    row.gap(lanes.width - len(cells) + 1)


def line_sign(cell: LaneCell, glyphs: Glyphs) -> str:
    """How a cell of a lane is drawn."""
    if cell.bus == BUNDLE and cell.directions == UP | DOWN:
        return glyphs.bundle
    return glyphs.lines[cell.directions]


def lane_style(sight: Sight, cell: LaneCell) -> Style:
    """The colour of a lane: the critical path's, else that of what it comes from; bright at the cursor."""
    if cell.bus == BUNDLE or sight.lanes is None:
        return sight.ink("faint")
    if cell.bus not in sight.inks:
        sight.inks[cell.bus] = bus_ink(sight.view, sight.forecast, sight.lanes.buses[cell.bus])
    ink = sight.inks[cell.bus]
    if cell.bus in sight.near:
        return sight.ink("strong" if ink in ("faint", "muted") else ink) + _BRIGHT
    return sight.ink(ink)


def bus_ink(view: RunView, expected: Forecast, bus: Bus) -> str:
    """The colour of a bus."""
    if any(key in expected.path for key in bus.sources) and any(key in expected.path for key in bus.targets):
        return "accent"
    statuses = {view.steps[key].status for key in map(str, bus.sources) if key in view.steps}
    for status, ink in (
        (StepStatus.FAILED, "error"),
        (StepStatus.RUNNING, "running"),
        (StepStatus.RETRYING, "warning"),
    ):
        if status in statuses:
            return ink
    return "muted" if statuses == {StepStatus.COMPLETED} else "faint"


# -- names --------------------------------------------------------------------------------------------


def _draw_name(row: Row, sight: Sight, step: StepView, item: ItemView | None) -> None:
    columns, glyphs = sight.columns, sight.glyphs
    node: StepView | ItemView = item if item is not None else step
    indent = 0 if sight.lanes is not None else 2 * sight.depths.get(step.id, 0)
    indent = min(indent, columns.name // 2)
    is_open = sight.unfolded(step) if item is None else None
    if columns.head > row.width:
        fold = "" if is_open is None else glyphs.unfolded if is_open else glyphs.folded
        row.cell(fold, columns.head - row.width, sight.ink("muted"))
    row.gap(indent)
    room = columns.name - indent
    quiet = node.status in (StepStatus.PENDING, StepStatus.SKIPPED)
    ink = sight.ink("faint" if node.reason == "branch_not_taken" else "muted" if quiet else "text")
    if item is not None:
        look = look_of(item)
        label = f"{'worker ' if step.workers else ''}{item.index}"
        value = "" if step.workers else brief(item.value, limit=2 * room)
        row.gap(2).put(glyphs.sign(look), sight.ink(look.ink)).gap()
        room -= 4
        row.cell(label, min(len(label), room), ink)
        row.gap().cell(value, room - len(label) - 1, sight.ink("faint"))
        row.gap(max(0, columns.head + columns.name - row.width))
        return
    counter = counter_of(step)
    if not counter or len(counter) + 4 > room:
        row.cell(step.name, room, ink)
        return
    failed = step.tally.get(StepStatus.FAILED, 0)
    wrong = f" {glyphs.of('failed')}{failed}" if failed else ""
    name_room = min(cell_len(clean(step.name, limit=60)), room - len(counter) - len(wrong) - 1)
    row.cell(step.name, name_room, ink).gap().put(counter, sight.ink("muted"))
    row.cell(wrong, room - name_room - 1 - len(counter), sight.ink("error"))


def counter_of(step: StepView) -> str:
    """How many of a step's items are over, of how many."""
    if not step.items:
        return ""
    done = sum(number for status, number in step.tally.items() if status.is_terminal)
    return f"{done}/{len(step.items)}"


def name_width(step: StepView) -> int:
    """Cells that a step's name wants, with its counter and a few failures."""
    counter = 2 * len(str(len(step.items))) + 6 if step.items else 8 if step.type == "map" else 0
    return cell_len(clean(step.name, limit=60)) + counter


def _draw_folded(row: Row, sight: Sight, key: FoldedKey, width: int) -> Row:
    """Finished siblings as one row."""
    step = sight.view.steps[key.step_id]
    row.gap(max(0, sight.columns.head - row.width))
    words = f"{sight.glyphs.folded} {key.number} finished"
    row.put(words, sight.ink("text")).gap(max(2, sight.columns.name - cell_len(words) + 1))
    more = f"{step.name} and {key.number - 1} like it: space shows them"
    return row.cell(more, max(1, width - row.width - 1), sight.ink("faint"))


# -- bars and times -----------------------------------------------------------------------------------


def _expected(sight: Sight, step: StepView, item: ItemView | None) -> Sequence[Span]:
    """The stretch of time that a step will take, as a ghost."""
    view = sight.view
    end = sight.forecast.ends.get(step.id)
    if item is not None or view.status.is_terminal or step.status.is_terminal or end is None:
        return ()
    if step.id in sight.forecast.guessed or end <= sight.now:
        return ()
    if step.status in LIVE:
        return (Span(sight.now, end, "running", False, True),)
    begin = sight.forecast.begins[step.id]
    return (Span(begin, end, "faint", False, True),) if end > begin else ()


def _note(sight: Sight, step: StepView, node: StepView | ItemView) -> Note:
    """Why it waits or how it went wrong; of what runs as it should, how long it will take still."""
    note = note_of(sight.view, step, node, sight.now)
    if note.text or node is not step or step.status is not StepStatus.RUNNING:
        return note
    return Note(sight.forecast.time_left(step, sight.now), "muted")


def _draw_time(row: Row, sight: Sight, step: StepView, item: ItemView | None) -> Row:
    """How long it took or has taken, else how long it usually takes; and whether the run waits for it."""
    node = item if item is not None else step
    took, ink = duration(elapsed(node.started_at, node.finished_at, sight.now)), "muted"
    will_run = step.role != "on_failure" or sight.view.settled is not None
    usual = sight.forecast.usual.get(step.id, 0.0) if will_run else 0.0
    if not took and item is None and not step.status.is_terminal and usual > 0:
        took, ink = f"~{duration(usual)}", "faint"
    row.gap().cell(took, sight.columns.took, sight.ink(ink), right=True)
    critical = item is None and step.id in sight.forecast.path
    return row.gap().put(sight.glyphs.critical if critical else " ", sight.ink("accent"))


def _use(meter: Meter) -> str:
    """CPU (100% is one) and memory, as the column has them: ` 34%   12M`."""
    cpu = percent(meter.millicores).replace(" ", "")
    if meter.memory is None:
        return f"{cpu:>5}      "
    number, unit = size(meter.memory).split(" ")
    memory = f"{float(number):.1f}G" if unit == "GiB" else f"{float(number):.0f}{unit[0]}"
    return f"{cpu:>5} {memory:>5}"


# -- items as a grid ----------------------------------------------------------------------------------


def _draw_tally(row: Row, sight: Sight, step: StepView, width: int) -> Row:
    """How many items stand in each status, with the words where they have room."""
    counts = [(LOOKS[status], step.tally[status]) for status in _TALLY if step.tally.get(status)]
    texts = [f"{sight.glyphs.sign(look)} {number:,} {look.word}   " for look, number in counts]
    if sum(map(cell_len, texts)) > width - row.width - _GRID_LABEL:
        texts = [f"{sight.glyphs.sign(look)} {number:,}  " for look, number in counts]
    row.gap(_GRID_LABEL)
    for (look, _), text in zip(counts, texts, strict=True):
        row.put(text, sight.ink(look.ink))
    return row


def _draw_grid(row: Row, sight: Sight, step: StepView, key: GridKey) -> Row:
    row.cell(f"{key.first}", _GRID_LABEL - 1, sight.ink("faint"), right=True).gap()
    mark = sight.grid_cursor[1] if sight.grid_cursor is not None and sight.grid_cursor[0] == key else None
    text, ink = "", ""
    for column, item in enumerate(step.items[key.first : key.first + sight.grid]):
        look = look_of(item)
        sign = sight.glyphs.sign(look)
        if text and (look.ink != ink or column == mark):
            row.put(text, sight.ink(ink))
            text = ""
        if column and column % _GROUP == 0:
            text += " "
        ink = look.ink
        if column == mark:
            row.put(text).put(sign, sight.ink(ink) + sight.cursor)
            text = ""
        else:
            text += sign
    return row.put(text, sight.ink(ink)) if text else row
