"""The list of all runs: its rows, the columns that fit, and the words in them. Knows no Textual."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentainer_tui.explain import QUEUED, reason_words
from agentainer_tui.looks import LOOKS, UNKNOWN, WORD_WIDTH, Glyphs
from agentainer_tui.text import ago, clean, counted, duration
from agentainer_tui.views import RunRow, elapsed, row_of_record

if TYPE_CHECKING:
    from engine.facade import ListedRun

# A bar as long as this says twice what is usual.
USUAL_BAR = 6
_WEEK = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One run of the history; beside `run` what `engine.facade.ListedRun` tells, and its own retries."""

    run: RunRow
    steps: int = 0
    completed: int | None = None
    retries: int = 0
    source: str = ""
    retried_by: str = ""
    retried_status: str = ""
    children: int = 0
    usual: float | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    def moved(self, run: RunRow) -> HistoryRow:
        """The same with what is known of the run by now."""
        return replace(self, run=run, steps=run.total or self.steps, completed=None)


def row_of_listed(listed: ListedRun) -> HistoryRow:
    """The row of a run as the history lists it."""
    return HistoryRow(
        run=row_of_record(listed.run),
        steps=listed.steps,
        completed=listed.completed,
        retries=listed.run.retries,
        source=listed.run.source or "",
        retried_by=listed.retried_by or "",
        retried_status=listed.retried_status or "",
        children=listed.children,
        usual=listed.usual,
    )


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """How many cells each column has, 0 for those that there is no room for.

    `took` is a number, `usual` the bar beside it; `note` has what is left.
    """

    status: int
    workflow: int
    id: int
    when: int
    took: int
    usual: int
    steps: int
    retries: int
    source: int
    params: int
    note: int

    @classmethod
    def of(cls, width: int) -> HistoryColumns:
        """The columns for rows of so many cells."""
        status = 2 + WORD_WIDTH
        workflow = 14 if width < 90 else 20 if width < 130 else 28
        run_id = 6 if width < 100 else 12
        when = 8 if width < 130 else 12
        usual = USUAL_BAR if width >= 100 else 0
        steps = 5 if width < 100 else 9
        retries = 3 if width >= 90 else 0
        source = 10 if width >= 150 else 0
        params = min(44, (width - 110) // 2) if width >= 130 else 0
        fixed = (status, workflow, run_id, when, 6, usual, steps, retries, source, params)
        # A cell between two columns, and three for the cursor and the mark.
        used = sum(fixed) + sum(1 for cells in fixed if cells) + 3
        return cls(
            status, workflow, run_id, when, 6, usual, steps, retries, source, params, max(0, width - used - 1)
        )


def when_words(run: RunRow, now: float, width: int) -> str:
    """When it was created: how long ago, or after a week the day (and, with room, the minute)."""
    created = run.created_at
    if created is None:
        return ""
    if now - created < _WEEK and width < 12:
        return ago(now - created)
    moment = datetime.fromtimestamp(created)
    if width >= 12:
        return f"{moment:%b} {moment.day:>2} {moment:%H:%M}"
    return (
        f"{moment:%b} {moment.day}" if moment.year == datetime.fromtimestamp(now).year else f"{moment:%b %Y}"
    )


def took(row: HistoryRow, now: float) -> float | None:
    """Seconds that it took, or has taken so far."""
    begun = row.run.started_at if row.run.started_at is not None else row.run.created_at
    return elapsed(begun, row.run.finished_at, now)


def steps_words(row: HistoryRow) -> str:
    """How many of its steps are done, of a run that is over: completed."""
    if not row.run.status.is_terminal and row.run.total:
        return f"{row.run.done}/{row.run.total}"
    if not row.steps:
        return ""
    return str(row.steps) if row.completed is None else f"{row.completed}/{row.steps}"


def note_of(row: HistoryRow, glyphs: Glyphs) -> tuple[str, str]:
    """What there is to say about a run, and the ink for it: what it waits for, its error, its lineage."""
    run = row.run
    lineage = lineage_words(row, glyphs)
    if run.gates:
        return f"{counted(run.gates, 'step')} to approve", "accent"
    if not run.status.is_terminal:
        return (QUEUED.get(run.queued, "queued") if run.queued else lineage), "running"
    error = error_words(run)
    if error and row.retried_by:
        return f"{lineage}  {error}", "muted"  # somebody has seen to it
    if error:
        return error, "error" if run.status == "failed" else "warning"
    return lineage or ("scheduled" if run.is_scheduled else ""), "faint"


def error_words(run: RunRow) -> str:
    """How it went wrong, on one line."""
    if run.error:
        return clean(run.error.strip().split("\n", 1)[0], limit=400)
    return reason_words(run.reason) if run.status == "failed" and run.reason else ""


def lineage_words(row: HistoryRow, glyphs: Glyphs) -> str:
    """What it retries, and the newest run that retries it, with how that one ended."""
    words = []
    if row.retried_by:
        look = LOOKS.get(row.retried_status, UNKNOWN)
        words.append(f"{glyphs.into} {glyphs.sign(look)} {row.retried_by[:6]}")
    if row.run.retry_of:
        words.append(f"{glyphs.of('retrying')} {row.run.retry_of[:6]}")
    if row.run.parent_run:
        words.append(f"{glyphs.branch} {row.run.parent_run[:6]}")
    return " ".join(words)


def params_words(params: Mapping[str, Any]) -> str:
    """Params on one line: `limit=2 topic=whales`."""
    return " ".join(f"{clean(name, limit=40)}={_value(value)}" for name, value in list(params.items())[:12])


def _value(value: Any) -> str:
    if isinstance(value, str):
        return clean(value, limit=60)
    return clean(json.dumps(value, ensure_ascii=False, default=str), limit=60)


# -- the lines about one run --------------------------------------------------------------------------


def about_lines(row: HistoryRow, now: float, glyphs: Glyphs) -> list[tuple[str, str, str]]:
    """What there is to know of the run under the cursor, as `(label, text, ink)`."""
    run = row.run
    look = LOOKS.get(run.status, UNKNOWN)
    facts = [f"{glyphs.sign(look)} {look.word}", f"run {run.id}", run.backend]
    seconds = took(row, now)
    if seconds is not None:
        usual = f" (usually {duration(row.usual)})" if row.usual is not None else ""
        facts.append(f"{duration(seconds)}{usual}")
    if run.created_at is not None:
        facts.append(f"{datetime.fromtimestamp(run.created_at):%Y-%m-%d %H:%M:%S}")
    facts += [f"by {row.source}"] if row.source else []
    facts += [f"tried again {counted(row.retries, 'time')}"] if row.retries else []
    facts += [f"{counted(row.children, 'run')} within it"] if row.children else []
    dot = f" {glyphs.dot} "
    found = [(run.workflow, dot.join(fact for fact in facts if fact), "text")]
    if error := error_words(run):
        found.append(("error", error, "error"))
    if run.params:
        found.append(("params", params_words(run.params), "muted"))
    lineage = []
    if run.parent_run:
        lineage.append(f"part of run {run.parent_run}")
    if run.retry_of:
        lineage.append(f"retry of run {run.retry_of}")
    if row.retried_by:
        word = LOOKS.get(row.retried_status, UNKNOWN).word
        lineage.append(f"retried by run {row.retried_by}: {word}")
    if lineage:
        found.append(("lineage", dot.join(lineage), "muted"))
    return found
