"""Every try of a step or item: how it ended, where its time went, and on which agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from agentainer_tui.explain import reason_words
from agentainer_tui.inspector.entries import Entry, Line, Words
from agentainer_tui.inspector.words import BLANK, paragraph, say
from agentainer_tui.looks import LOOKS, UNKNOWN, Glyphs
from agentainer_tui.text import brief, clean, duration, precise
from agentainer_tui.views import AttemptView, ItemView, StepView, elapsed

# The phases of an attempt in their order, each with its ink and its letter where there are no colours.
PHASES: Mapping[str, tuple[str, str]] = {
    "queue": ("faint", "q"),
    "backoff": ("muted", "b"),
    "image": ("number", "i"),
    "create": ("key", "c"),
    "start": ("warning", "s"),
    "run": ("success", "r"),
    "collect": ("accent", "k"),
}
BAR = 30
_SHOWN = 200


def attempt_entries(step: StepView, item: ItemView | None, now: float, glyphs: Glyphs) -> list[Entry]:
    """The tab Attempts; of a map step, the items that needed more than one try."""
    if item is None and step.items:
        return _of_items(step, now, glyphs)
    attempts = (item or step).attempts
    if not attempts:
        return [say("No attempt yet.", "muted")]
    longest = max(_total(attempt, now) for attempt in attempts)
    entries: list[Entry] = []
    for attempt in attempts:
        entries += [*_attempt(attempt, now, longest, glyphs), BLANK]
    return entries[:-1]


def _of_items(step: StepView, now: float, glyphs: Glyphs) -> list[Entry]:
    several = [item for item in step.items if len(item.attempts) > 1]
    entries = [say("Select an item (space shows them) for its attempts. More than one try:", "muted"), BLANK]
    for item in several[:_SHOWN]:
        entries.append(Entry(Words(((f"{item.index:>6}  ", "muted"), (brief(item.value, limit=60), "text")))))
        entries += [Entry(Words(((" " * 8, "text"), *_title(each, now, glyphs)))) for each in item.attempts]
    if len(several) > _SHOWN:
        entries.append(say(f"        and {len(several) - _SHOWN} more items", "muted"))
    return entries if several else [*entries[:1], say("none", "muted")]


def _attempt(attempt: AttemptView, now: float, longest: float, glyphs: Glyphs) -> list[Entry]:
    entries = [Entry(Words(_title(attempt, now, glyphs)))]
    phases = _phases(attempt, now)
    if phases:
        entries += _time(phases, longest, glyphs)
    if attempt.error:
        entries += [_inset(entry) for entry in paragraph(attempt.error, "error")]
    if attempt.child_run:
        entries.append(_named("run", attempt.child_run))
    else:
        fate = "kept for inspection" if attempt.kept else "removed" if attempt.removed_by else ""
        entries.append(_named("agent", attempt.agent, fate))
    if attempt.image:
        entries.append(_named("image", attempt.image))
    entries.append(_named("task", attempt.task_id))
    return entries


def _title(attempt: AttemptView, now: float, glyphs: Glyphs) -> Line:
    look = LOOKS.get(attempt.status, UNKNOWN)
    took = duration(elapsed(attempt.started_at, attempt.finished_at, now))
    code = f"exit {attempt.exit_code}" if attempt.exit_code is not None else ""
    reason = reason_words(attempt.reason) if attempt.reason and attempt.reason != "task_failed" else ""
    notes = "  ".join(part for part in (code, reason, took, _clock(attempt)) if part)
    return (
        (f"{glyphs.of(attempt.status)} ", look.ink),
        (f"try {attempt.number}  ", "strong"),
        (f"{look.word}  ", look.ink),
        (notes, "muted"),
    )


def _clock(attempt: AttemptView) -> str:
    began = attempt.started_at if attempt.started_at is not None else attempt.created_at
    return f"at {datetime.fromtimestamp(began):%H:%M:%S}" if began is not None else ""


def _inset(entry: Entry) -> Entry:
    words = entry.value
    return Entry(Words((("  ", "text"), *words.line), hang=2, copied=words.copied))


def _named(name: str, value: str, fate: str = "") -> Entry:
    line = ((f"  {name:<8}", "muted"), (clean(value), "text"), (f"  {fate}" if fate else "", "muted"))
    return Entry(Words(line, hang=10, copied=value))


# -- where the time went ------------------------------------------------------------------------------


def _phases(attempt: AttemptView, now: float) -> dict[str, float]:
    """Seconds by phase; of one that goes on, what can be told by its two times."""
    if attempt.phases:
        return {name: attempt.phases[name] for name in PHASES if attempt.phases.get(name)}
    if attempt.created_at is None:
        return {}
    begun = attempt.started_at if attempt.started_at is not None else now
    found = {"start": begun - attempt.created_at}
    if attempt.started_at is not None:
        found["run"] = elapsed(attempt.started_at, attempt.finished_at, now) or 0.0
    return {name: seconds for name, seconds in found.items() if seconds > 0}


def _total(attempt: AttemptView, now: float) -> float:
    return sum(_phases(attempt, now).values())


def _time(phases: Mapping[str, float], longest: float, glyphs: Glyphs) -> list[Entry]:
    """The phases as a bar, on one scale for all tries, and in figures."""
    words: list[tuple[str, str]] = [("  ", "text")]
    for name, seconds in phases.items():
        ink, letter = PHASES[name]
        sign = f"{letter}=" if glyphs.is_ascii else ""
        words += [(f"{sign}{name} ", ink), (f"{precise(seconds)}  ", "muted")]
    bar = phase_bar(phases, BAR * sum(phases.values()) / longest if longest > 0 else BAR)
    pieces = tuple(
        (PHASES[name][1] * width if glyphs.is_ascii else glyphs.bar * width, PHASES[name][0])
        for name, width in bar
    )
    return [Entry(Words((("  ", "text"), *pieces))), Entry(Words(tuple(words), hang=2))]


def phase_bar(phases: Mapping[str, float], room: float) -> Sequence[tuple[str, int]]:
    """How many cells each phase has, in all `room` of them; short ones have none."""
    total, cells = sum(phases.values()), max(1, round(room))
    edges, gone = [0], 0.0
    for seconds in phases.values():
        gone += seconds
        edges.append(round(cells * gone / total) if total > 0 else 0)
    return [
        (name, end - start) for name, start, end in zip(phases, edges, edges[1:], strict=False) if end > start
    ]
