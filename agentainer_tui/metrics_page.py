"""Figures over a period as lines to read: tiles, charts, steps, errors. Pure: figures in, lines out."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.cells import cell_len

from agentainer_tui.charts import bar
from agentainer_tui.explain import reason_words
from agentainer_tui.looks import LOOKS, Glyphs
from agentainer_tui.plots import (
    Axes,
    Line,
    Piece,
    Series,
    beside,
    columns,
    lines,
    round_duration,
    short_duration,
)
from agentainer_tui.text import ago, clean, counted, duration, fit, precise, size
from engine.clock import parse_time

if TYPE_CHECKING:
    from engine.facade import Aggregate, ErrorClass, StepFigures

# How runs are stacked, from zero up.
_OUTCOMES = ("completed", "partially_completed", "cancelled", "failed")
_LIVE = ("pending", "running", "cancelling")
_TILE = 17
_TWO_COLUMNS = 104
_GAP = 4
_CHART, _LOW_CHART = 10, 8
_STEPS, _ERRORS = 12, 8
_BAR = 14
EMPTY: Line = ()


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: what it is, its value, a few words below."""

    label: str
    value: str
    note: str = ""
    ink: str = "strong"


def page(figures: Aggregate, *, width: int, glyphs: Glyphs, now: float, detailed: bool) -> list[Line]:
    """Everything there is to say about a period, in lines of at most `width` cells."""
    found = tiles(figures)
    room = max(1, width // _TILE)
    parts = tile_lines(found[:room], width)
    parts += [EMPTY, *_charts(figures, width, glyphs)]
    steps = _steps(figures, width, glyphs) if detailed else [(("Reading steps and tasks…", "muted"),)]
    errors = _errors(figures, width, glyphs, now)
    more = [_title("Also"), *tile_lines(found[room:], width)] if len(found) > room else []
    for part in (steps, errors, more):
        if part:
            parts += [EMPTY, *part]
    return parts


def percent(share: float) -> str:
    """Whole percents; neither 0 nor 100 unless it is exactly that."""
    whole = round(100 * share)
    if 0 < share < 1:
        whole = min(99, max(1, whole))
    return f"{whole} %"


# -- tiles --------------------------------------------------------------------------------------------


def tiles(figures: Aggregate) -> list[Tile]:
    """The figures at the top; those about which nothing is known are left out."""
    live = sum(figures.by_status.get(status, 0) for status in _LIVE)
    found = [Tile("runs", f"{figures.runs:,}", f"{live} in progress" if live else "")]
    if figures.judged:
        share = figures.success_rate
        ink = "success" if share >= 0.9 else "warning" if share >= 0.6 else "error"
        found.append(Tile("success", percent(share), _not_well(figures), ink))
    if figures.duration.count:
        p90 = f"p90 {precise(figures.duration.p90)}"
        found.append(Tile("median duration", precise(figures.duration.p50), p90))
    if figures.tasks:
        ink = "warning" if figures.retries else "strong"
        found.append(Tile("retries", f"{figures.retries:,}", f"of {figures.tasks:,} tasks", ink))
    if pooled := figures.pool_hits + figures.pool_misses:
        found.append(Tile("warm agents", percent(figures.pool_efficiency), f"of {pooled:,} pooled"))
    if figures.cpu_seconds:
        peak = size(figures.memory_peak) if figures.memory_peak else ""
        found.append(Tile("CPU time", duration(figures.cpu_seconds), ""))
        found += [Tile("memory", peak, "most of one agent")] if peak else []
    if figures.network_in or figures.network_out:
        found.append(Tile("received", size(figures.network_in), f"sent {size(figures.network_out)}"))
    if figures.startup.count:
        found.append(Tile("start-up", precise(figures.startup.p50), f"p90 {precise(figures.startup.p90)}"))
    if figures.queue.count and figures.queue.longest:
        found.append(Tile("wait for a slot", precise(figures.queue.p50), f"p90 {precise(figures.queue.p90)}"))
    return found


def _not_well(figures: Aggregate) -> str:
    counts = [
        f"{figures.by_status[status]:,} {LOOKS[status].word}"
        for status in ("failed", "partially_completed")
        if figures.by_status.get(status)
    ]
    words = ", ".join(counts)
    return words if len(words) < _TILE else ", ".join(counts[:1])


def tile_lines(found: Sequence[Tile], width: int) -> list[Line]:
    """The tiles in rows of three lines, as many to a row as there is room for."""
    each = max(1, width // _TILE)
    rows: list[Line] = []
    for first in range(0, len(found), each):
        part = found[first : first + each]
        if rows:
            rows.append(EMPTY)
        labels = [(tile.label, "muted") for tile in part]
        values = [(tile.value, tile.ink) for tile in part]
        notes = [(tile.note, "muted") for tile in part]
        rows += [_tiled(texts) for texts in (labels, values, notes)]
    return rows


def _tiled(texts: Sequence[Piece]) -> Line:
    return tuple((fit(text, _TILE - 1) + " ", ink) for text, ink in texts)


# -- charts -------------------------------------------------------------------------------------------


def _charts(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    """Outcomes, durations and the rate of success over time."""
    if not figures.runs or len(figures.buckets) < 2:
        return []
    two = width >= _TWO_COLUMNS
    room = (width - _GAP) // 2 if two else width
    first, second = _outcomes(figures, room, glyphs), _durations(figures, room, glyphs)
    success = _success(figures, room, glyphs)
    if not two:
        return [*first, EMPTY, *second, EMPTY, *success]
    work = _work(figures, room, glyphs)
    return [*beside(first, second, room, gap=_GAP), EMPTY, *beside(success, work, room, gap=_GAP)]


def _outcomes(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    shown = [status for status in _OUTCOMES if figures.by_status.get(status)]
    live = [[bucket.by_status.get(status, 0) for bucket in figures.buckets] for status in _LIVE]
    series = [
        Series(
            LOOKS[status].word,
            [bucket.by_status.get(status, 0) for bucket in figures.buckets],
            LOOKS[status].ink,
            LOOKS[status].ascii,
        )
        for status in shown
    ]
    if any(map(any, live)):
        together = [float(sum(counts)) for counts in zip(*live, strict=True)]
        series.append(Series("in progress", together, LOOKS["running"].ink, LOOKS["running"].ascii))
    axes = _axes(figures, width, _CHART, glyphs, lambda value: f"{value:,.0f}")
    return [_legend(f"Runs {_each(figures)}", series, width, glyphs), *columns(series, axes)]


def _durations(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    buckets = figures.buckets
    series = [
        Series("median", [bucket.duration.p50 for bucket in buckets], "running", "*"),
        Series("p90", [bucket.duration.p90 for bucket in buckets], "number", "+"),
    ]
    axes = _axes(figures, width, _CHART, glyphs, short_duration, ceiling=round_duration)
    return [_legend("Duration", series, width, glyphs), *lines(series, axes)]


def _success(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    series = [Series("completed", [bucket.success_rate for bucket in figures.buckets], "success", "*")]
    axes = _axes(figures, width, _LOW_CHART, glyphs, lambda value: f"{100 * value:.0f} %", top=1.0)
    return [_legend("Success", series, width, glyphs), *lines(series, axes)]


def _work(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    """Where steps spend the time: beside the rate of success, in terminals with room for two columns."""
    totals = sorted(figures.step_figures, key=lambda step: -step.duration.total)[: _LOW_CHART - 1]
    whole = sum(step.duration.total for step in figures.step_figures)
    if not totals or whole <= 0:
        return []
    name_room = min(30, max(cell_len(_step_name(step, figures)) for step in totals))
    room = max(4, width - name_room - 10)
    found: list[Line] = [_title("Share of all time in steps")]
    for step in totals:
        drawn = fit(bar(step.duration.total, whole, room, ascii_only=glyphs.is_ascii), room)
        found.append(
            (
                (fit(_step_name(step, figures), name_room) + "  ", "text"),
                (drawn, "accent"),
                (f"{percent(step.duration.total / whole):>7}", "muted"),
            )
        )
    return found


def _axes(
    figures: Aggregate,
    width: int,
    height: int,
    glyphs: Glyphs,
    tell: Callable[[float], str],
    *,
    top: float | None = None,
    ceiling: Callable[[float], float] | None = None,
) -> Axes:
    labels = [_moment(bucket.start, _span(figures)) for bucket in figures.buckets]
    return Axes(width, height, tell, top, ceiling, labels, glyphs.is_ascii)


def _span(figures: Aggregate) -> timedelta:
    """What one part of the period is; the first may be cut."""
    starts = [bucket.start for bucket in figures.buckets[:3]]
    return starts[-1] - starts[-2]


def _each(figures: Aggregate) -> str:
    hours = round(_span(figures).total_seconds() / 3600)
    if hours < 23:
        return "an hour" if hours <= 1 else f"in {hours} hours"
    days = round(hours / 24)
    return "a day" if days <= 1 else "a week" if days == 7 else f"in {days} days"


def _moment(start: datetime, span: timedelta) -> str:
    local = start.astimezone()
    return f"{local:%H:%M}" if span < timedelta(hours=23) else f"{local:%b} {local.day}"


def _title(text: str, more: str = "") -> Line:
    return ((text, "accent"), (f"  {more}" if more else "", "faint"))


def _legend(title: str, series: Sequence[Series], width: int, glyphs: Glyphs) -> Line:
    """The title, and the colours with their names as far as there is room."""
    pieces: list[Piece] = [(title, "accent"), ("  ", "")]
    used = cell_len(title) + 2
    for one in series:
        sign = one.sign if glyphs.is_ascii else glyphs.marked
        if used + len(one.name) + 4 > width:
            break
        pieces += [(f" {sign} ", one.ink), (one.name, "muted")]
        used += len(one.name) + 3
    return tuple(pieces)


# -- steps and errors ---------------------------------------------------------------------------------


def _steps(figures: Aggregate, width: int, glyphs: Glyphs) -> list[Line]:
    """The slowest steps: median with a bar, p90, share of all time, failures, retries, what they used."""
    steps = [step for step in figures.step_figures if step.duration.p50 is not None][:_STEPS]
    if not steps:
        return []
    longest = max(step.duration.p50 or 0.0 for step in steps)
    whole = sum(step.duration.total for step in figures.step_figures)
    wide = width >= 90
    fixed = 8 + 8 + 8 + 9 + 8 + (21 if wide else 0)
    names = max(cell_len(_step_name(step, figures)) for step in steps)
    name_room = max(8, min(36, names, width - fixed - 8))
    bar_room = max(0, min(40, width - name_room - fixed - 2))
    cells = [("MEDIAN", 8), ("P90", 8), ("SHARE", 8), ("FAILED", 9), ("RETRIES", 8)]
    cells += [("CPU", 9), ("MEMORY", 12)] if wide else []
    head = f"{'STEP':<{name_room}}  {'':<{bar_room}}" + "".join(f"{name:>{room}}" for name, room in cells)
    more = f"of the newest {counted(figures.sampled, 'run')}" if figures.sampled else ""
    found: list[Line] = [_title("Slowest steps", more), ((head, "faint"),)]
    for step in steps:
        p50 = step.duration.p50 or 0.0
        drawn = fit(bar(p50, longest, bar_room, ascii_only=glyphs.is_ascii), bar_room) if bar_room else ""
        share = percent(step.duration.total / whole) if whole > 0 else ""
        used = f"{precise(step.cpu_seconds):>9}{size(step.memory_peak) if step.memory_peak else '':>12}"
        found.append(
            (
                (fit(_step_name(step, figures), name_room) + "  ", "text"),
                (drawn, "running"),
                (f"{precise(p50):>8}{precise(step.duration.p90):>8}{share:>8}", "text"),
                (f"{step.failed or '':>9}", "error"),
                (f"{step.retries or '':>8}", "warning"),
                (used if wide else "", "muted"),
            )
        )
    if (left := len(figures.step_figures) - len(steps)) > 0:
        found.append(((f"{glyphs.ellipsis} {counted(left, 'faster step')}", "faint"),))
    return found


def _step_name(step: StepFigures, figures: Aggregate) -> str:
    name = step.step_id if figures.workflow else f"{step.workflow}/{step.step_id}"
    return clean(name, limit=80)


def _errors(figures: Aggregate, width: int, glyphs: Glyphs, now: float) -> list[Line]:
    """Why runs ended early or failed: how often, and the newest of each."""
    if not figures.errors:
        return []
    most = figures.errors[0].count
    found: list[Line] = [_title("Why runs ended early or failed", "with the newest of each")]
    for error in figures.errors[:_ERRORS]:
        drawn = fit(bar(error.count, most, _BAR, ascii_only=glyphs.is_ascii), _BAR)
        ink = "muted" if error.reason == "cancelled" else "error"
        start: Line = (
            (fit(_words(error.reason), 20) + "  ", "text"),
            (drawn, ink),
            (f"{error.count:>6}  ", "strong"),
        )
        found.append((*start, (_newest(error, figures, width - 20 - 2 - _BAR - 8, now), "muted")))
    if (left := len(figures.errors) - _ERRORS) > 0:
        found.append(((f"{glyphs.ellipsis} {counted(left, 'more reason')}", "faint"),))
    return found


def _words(reason: str) -> str:
    return "task failed" if reason == "task_failed" else reason_words(reason)


def _newest(error: ErrorClass, figures: Aggregate, room: int, now: float) -> str:
    age = ago(max(0.0, now - parse_time(error.created_at).timestamp()))
    who = f"{error.run_id[:6]}, {age}" if figures.workflow else f"{error.workflow} {error.run_id[:6]}, {age}"
    text = (error.error or "").strip().split("\n", 1)[0]
    return fit(f"{who}: {text}" if text else who, max(0, room)).rstrip()


def nothing(period: str, workflow: str | None, width: int) -> list[Line]:
    """What is said where there are no runs."""
    of = f" of {clean(workflow, limit=60)}" if workflow else ""
    if period == "all":
        text = f"No runs{of} yet. Press 1, select a workflow, and press r to run it."
    else:
        text = f"No runs{of} in the last {period}. t chooses another period."
    return [((row, "muted"),) for row in textwrap.wrap(text, max(20, width))]
