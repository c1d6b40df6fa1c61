"""A profile as lines to read: where the time went, the critical path, steps, samples. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from agentainer_tui.charts import bar, thin
from agentainer_tui.looks import Glyphs
from agentainer_tui.plots import Axes, Line, Series, beside, columns, lines, round_size, short_duration
from agentainer_tui.profile_words import (
    LEAST,
    PARTS,
    SEVERITIES,
    exact,
    link_words,
    mix,
    place_words,
    share_words,
    weight,
)
from agentainer_tui.text import clean, fit, size

if TYPE_CHECKING:
    from engine.profiling import AttemptProfile, Profile

EMPTY: Line = ()
_TWO_COLUMNS = 110
_GAP = 4
_BAR = 30
# Where time goes, in colours: waiting, getting an agent, work, the rest.
INKS = {
    **dict.fromkeys(("dependencies", "queue", "backoff", "approval", "delay", "away"), "warning"),
    **dict.fromkeys(("image", "create", "start"), "number"),
    "run": "success",
    "collect": "running",
}
_SIGNS = {"warning": ".", "number": "s", "success": "#", "running": "c", "faint": "-"}
_KINDS = (("warning", "waiting"), ("number", "getting an agent"), ("success", "running"), ("faint", "engine"))


def overview(found: Profile, width: int, glyphs: Glyphs) -> list[Line]:
    """Where the time went, how much ran at a time, what held it up and what would help."""
    two = width >= _TWO_COLUMNS
    room = (width - _GAP) // 2 if two else width
    went = [_title("Where the time went", "along the critical path")]
    went += _bars(found.parts, found.duration, room, glyphs)
    work = [_title("All work together", "also what ran beside it")]
    work += _bars(found.totals, sum(found.totals.values()), room, glyphs)
    parts = beside(went, work, room, gap=_GAP) if two else [*went, EMPTY, *work]
    for more in (_at_once(found, width, glyphs), _held_up(found, width), _would_help(found, width)):
        if more:
            parts += [EMPTY, *more]
    if not found.bottlenecks and not found.recommendations:
        parts += [EMPTY, (("No bottlenecks found.", "success"),)]
    if not found.profiled:
        hint = "No samples of its containers: `enable_profiling: true` in its config records them."
        parts += [EMPTY, *_wrapped(hint, width, "muted")]
    return parts


def path_lines(found: Profile, width: int, glyphs: Glyphs) -> list[Line]:
    """The critical path: what it is made of, link by link, on the run's own time."""
    links = [link for link in found.path if link.seconds >= LEAST]
    if not links:
        return [(("Nothing that took time yet.", "muted"),)]
    names = [link_words(found, link) for link in links]
    name_room = max(8, min(32, max(map(cell_len, names)), width // 3))
    mix_room = 34 if width >= 100 else 0
    bar_room = max(6, width - name_room - mix_room - 21)
    rows: list[Line] = [
        _title("Critical path", "each began when the one before had ended"),
        legend(glyphs),
        ((f"{'AT':>7} {'TOOK':>8}  {'WHAT':<{name_room}}", "faint"),),
    ]
    for link, name in zip(links, names, strict=True):
        before = _cells(link.begin, found.duration, bar_room - 1)
        drawn = phase_bar(
            link.parts, link.seconds, max(1, _cells(link.seconds, found.duration, bar_room)), glyphs
        )
        used = sum(cell_len(text) for text, _ in drawn)
        before = min(before, bar_room - used)
        rows.append(
            (
                (f"{exact(link.begin):>7} ", "muted"),
                (f"{exact(link.seconds):>8}  ", "strong"),
                (fit(name, name_room) + "  ", "text"),
                (" " * before, ""),
                *drawn,
                (" " * (bar_room - before - used) + "  ", ""),
                (fit(mix(link.parts), mix_room), "muted"),
            )
        )
    return rows


def step_lines(found: Profile, width: int, glyphs: Glyphs) -> list[Line]:
    """The steps, those that decided the end first."""
    steps = sorted((step for step in found.steps if step.wall >= LEAST), key=weight, reverse=True)
    if not steps:
        return [(("No step has taken any time yet.", "muted"),)]
    names = [f"{'' if step.run_id == found.run_id else '↳ '}{place_words(step.id, None)}" for step in steps]
    name_room = max(8, min(32, max(map(cell_len, names)), width // 3))
    mix_room = 30 if width >= 100 else 0
    bar_room = max(6, min(50, width - name_room - mix_room - 33))
    longest = max(step.wall for step in steps)
    rows: list[Line] = [
        _title("Slowest steps", "from when nothing but room was in their way"),
        legend(glyphs),
        (
            (
                f"{'STEP':<{name_room}}  {'TOOK':>8} {'CRITICAL':>9} {'WAITED':>8}"
                f"  {'ALL ITS WORK':<{bar_room}}",
                "faint",
            ),
        ),
    ]
    for step, name in zip(steps, names, strict=True):
        drawn = phase_bar(step.parts, sum(step.parts.values()), _cells(step.wall, longest, bar_room), glyphs)
        used = sum(cell_len(text) for text, _ in drawn)
        rows.append(
            (
                (fit(name, name_room) + "  ", "text"),
                (f"{exact(step.wall):>8}", "strong"),
                (f"{exact(step.critical):>10}", "accent" if step.critical > 0 else "faint"),
                (f"{exact(step.dependencies):>9}  ", "muted"),
                *drawn,
                (" " * (bar_room - used) + "  ", ""),
                (fit(mix(step.parts), mix_room), "muted"),
            )
        )
    return rows


def sample_lines(attempt: AttemptProfile | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """CPU and memory of an attempt's container while it ran."""
    if attempt is None:
        return []
    facts = [_used(attempt)] if _used(attempt) else []
    head = (*_title("Its parts"), ("  " + (mix(attempt.parts) or "nothing yet"), "text"))
    found: list[Line] = [head, *(((text, "muted"),) for text in facts)]
    rows: Sequence[Sequence[float]] = (attempt.samples or {}).get("rows") or ()
    if len(rows) < 2:
        why = "It has no samples: `enable_profiling: true` records them, from a second on."
        return [*found, EMPTY, *_wrapped(why, width, "muted")]
    two = width >= _TWO_COLUMNS
    room = (width - _GAP) // 2 if two else width
    tall = max(6, height - len(found) - 2) if two else max(6, (height - len(found) - 3) // 2)
    cpu = [row[1] / 1000 for row in rows]
    memory = [float(row[2]) for row in rows]
    first = [_title("CPU", "cores"), *_over_time(cpu, rows, room, tall, glyphs, "running")]
    second = [_title("Memory"), *_over_time(memory, rows, room, tall, glyphs, "number", memory=True)]
    charts = beside(first, second, room, gap=_GAP) if two else [*first, EMPTY, *second]
    return [*found, EMPTY, *charts]


def _over_time(
    values: Sequence[float],
    rows: Sequence[Sequence[float]],
    width: int,
    height: int,
    glyphs: Glyphs,
    ink: str,
    *,
    memory: bool = False,
) -> list[Line]:
    most = max(4, 2 * width)
    shown = thin(list(values), most)
    last = rows[-1][0]
    labels = [short_duration(last * place / max(1, len(shown) - 1)) for place in range(len(shown))]
    axes = Axes(
        width,
        height,
        (lambda value: "0" if value <= 0 else size(value)) if memory else (lambda value: f"{value:g}"),
        ceiling=round_size if memory else _round_cores,
        labels=labels,
        ascii_only=glyphs.is_ascii,
    )
    return lines([Series("", shown, ink, "*")], axes)


def _round_cores(value: float) -> float:
    steps = (0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)
    return next((step for step in steps if step >= value), value)


def _used(attempt: AttemptProfile) -> str:
    usage: Mapping[str, Any] = attempt.usage
    parts = []
    if usage.get("cpu_seconds"):
        parts.append(f"{exact(float(usage['cpu_seconds']))} of CPU")
    if usage.get("memory_peak"):
        parts.append(f"at most {size(usage['memory_peak'])} of memory")
    if usage.get("network_in") or usage.get("network_out"):
        received, sent = usage.get("network_in") or 0, usage.get("network_out") or 0
        parts.append(f"{size(received)} received, {size(sent)} sent")
    return ", ".join(parts)


# -- parts of pages -----------------------------------------------------------------------------------


def phase_bar(parts: Mapping[str, float], whole: float, width: int, glyphs: Glyphs) -> Line:
    """Some time as a bar of `width` cells, in the colours of its parts, in their order."""
    if width <= 0 or whole <= 0:
        return ()
    pieces: list[tuple[str, str]] = []
    total, edge = 0.0, 0
    for part, seconds in parts.items():
        total += max(0.0, seconds)
        end = min(width, round(width * min(1.0, total / whole)))
        ink = INKS.get(part, "faint")
        if end > edge:
            sign = _SIGNS[ink] if glyphs.is_ascii else "█"
            pieces.append((sign * (end - edge), ink))
            edge = end
    if not pieces:
        part = max(parts, key=lambda name: parts[name], default="other")
        ink = INKS.get(part, "faint")
        return ((_SIGNS[ink] if glyphs.is_ascii else "▏", ink),)
    return tuple(pieces)


def legend(glyphs: Glyphs) -> Line:
    """The colours of `phase_bar`."""
    pieces: list[tuple[str, str]] = []
    for ink, name in _KINDS:
        pieces += [(f"{_SIGNS[ink] if glyphs.is_ascii else glyphs.marked} ", ink), (f"{name}  ", "muted")]
    return tuple(pieces)


def _cells(seconds: float, whole: float, room: int) -> int:
    return round(room * min(1.0, seconds / whole)) if whole > 0 else 0


def _title(text: str, more: str = "") -> Line:
    return ((text, "accent"), (f"  {more}" if more else "", "faint"))


def _bars(parts: Mapping[str, float], whole: float, width: int, glyphs: Glyphs) -> list[Line]:
    """One bar for each part, the largest first."""
    shown = sorted(((seconds, part) for part, seconds in parts.items() if seconds >= LEAST), reverse=True)
    if not shown:
        return [(("Nothing that took time yet.", "muted"),)]
    name_room = max(len(PARTS[part]) for _, part in shown)
    room = max(4, min(_BAR, width - name_room - 20))
    rows: list[Line] = []
    for seconds, part in shown:
        drawn = fit(bar(seconds, whole, room, ascii_only=glyphs.is_ascii), room)
        share = share_words(min(1.0, seconds / whole) if whole > 0 else 0.0)
        rows.append(
            (
                (f"{PARTS[part]:<{name_room}}  ", "text"),
                (drawn, INKS.get(part, "faint")),
                (f"{exact(seconds):>9}", "strong"),
                (f"{share:>7}", "muted"),
            )
        )
    return rows


def _at_once(found: Profile, width: int, glyphs: Glyphs) -> list[Line]:
    """How many tasks ran at a time."""
    at_once = found.parallelism
    if not at_once.over_time or not at_once.peak:
        return []
    of = f" of {at_once.slots}" if at_once.slots is not None else ""
    idle = f"nothing in progress for {exact(at_once.idle)}"
    full = f", all slots taken for {exact(at_once.full)}" if at_once.full >= 0.05 else ""
    head = _title(f"Tasks at a time: {at_once.mean:.1f} on average, {at_once.peak}{of} at the most")
    labels = [short_duration(at_once.every * place) for place in range(len(at_once.over_time))]
    axes = Axes(
        min(width, 2 * len(at_once.over_time) + 6),
        7,
        lambda value: f"{value:g}",
        top=_top(at_once.peak, at_once.slots),
        labels=labels,
        ascii_only=glyphs.is_ascii,
        gaps=False,
    )
    chart = columns([Series("tasks", at_once.over_time, "running")], axes)
    return [head, *chart, ((idle + full, "muted"),)]


def _top(peak: int, slots: int | None) -> float:
    """All slots, unless that would press what ran down to nothing."""
    return float(slots if slots is not None and peak <= slots <= 2 * peak else peak)


def _held_up(found: Profile, width: int) -> list[Line]:
    if not found.bottlenecks:
        return []
    rows = [_title("Bottlenecks", "with how much shorter the run could be, at most")]
    for one in found.bottlenecks:
        what = f"{clean(one.type, limit=40)}: {clean(one.component, limit=120)}"
        rows.append(
            (
                (f"{one.severity:<8}", SEVERITIES.get(one.severity, "muted")),
                (fit(what, max(8, min(cell_len(what), width - 26))), "strong"),
                (f"  up to {exact(one.seconds)}", "text"),
            )
        )
        rows += _wrapped(one.evidence, width, "muted", indent=8)
    return rows


def _would_help(found: Profile, width: int) -> list[Line]:
    if not found.recommendations:
        return []
    rows = [_title("What would help")]
    for advice in found.recommendations:
        present = f"  (now {clean(advice.present, limit=60)})" if advice.present is not None else ""
        rows.append(((f"{clean(advice.component, limit=120)}: ", "text"), (clean(advice.setting), "key")))
        rows.append(((" " * 8, ""), (clean(advice.proposed, limit=400), "success"), (present, "muted")))
        rows += _wrapped(advice.evidence, width, "muted", indent=8)
    return rows


def _wrapped(text: str, width: int, ink: str, *, indent: int = 0) -> list[Line]:
    room = max(20, min(100, width) - indent)
    return [((" " * indent, ""), (row, ink)) for row in textwrap.wrap(clean(text), room)]
