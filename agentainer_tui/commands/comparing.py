"""`diff`: two runs side by side on the command line."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import out, print_json, print_table
from agentainer_tui.commands.runs import moment, read
from agentainer_tui.comparison.runs import Comparison, Row, compare
from agentainer_tui.comparison.words import change_words, changes_of, delta_words, measured_words, summary
from agentainer_tui.comparison.writing import markdown, to_json
from agentainer_tui.edit_words import diff_lines
from agentainer_tui.model import reduce_all
from agentainer_tui.text import clean, duration
from agentainer_tui.views import RunView
from engine.clock import isoformat
from engine.errors import HistoryError, UsageError
from engine.events import RunStatus
from engine.upkeep import plan_changes

if TYPE_CHECKING:
    from engine.facade import Reader, RunRecord

_PAGE = 1_000
_LOOKED_AT = 200
_CHANGES, _LINES = 20, 200
DIFFERENT = 1


def diff(options: Namespace) -> int:
    """`agentainer diff RUN [RUN]`: what is different, and how much longer it took."""
    comparison = read(options, lambda history: _compared(history, options.run, options.other))
    if options.json:
        print_json(to_json(comparison, everything=options.all))
    elif options.markdown:
        out.write(markdown(comparison))
    else:
        _print(comparison, everything=options.all)
    return DIFFERENT if options.exit_code and comparison.differing else 0


async def _compared(history: Reader, ref: str, other: str | None) -> Comparison:
    run = await history.run(ref)
    partner = await history.run(other) if other is not None else await _counterpart(history, run)
    # As they were given; a run alone comes second, after the one it is compared with.
    before, after = (run, partner) if other is not None else (partner, run)
    documents, plan = None, tuple[str, ...]()
    if before.digest != after.digest:
        documents = (await history.document(before.digest), await history.document(after.digest))
        changes = await plan_changes(history, before.id, after.id)
        plan = tuple(diff_lines(changes)) if changes is not None else ()
    views = [await _view(history, one.id) for one in (before, after)]
    return compare(*views, documents=documents, plan=plan, now=time.time())


async def _counterpart(history: Reader, run: RunRecord) -> RunRecord:
    earlier = await history.runs(limit=_LOOKED_AT, before=run.seq, workflow=run.workflow, children=False)
    good = [one for one in earlier if one.status == RunStatus.COMPLETED]
    went_well = run.status in (RunStatus.COMPLETED, RunStatus.RUNNING, RunStatus.PENDING)
    found = (earlier if went_well or not good else good)[:1]
    if not found:
        raise UsageError(
            f"run {run.id} is the first of {run.workflow!r}: there is no earlier one to compare it with",
            hint="name two runs: agentainer diff RUN RUN",
        )
    return found[0]


async def _view(history: Reader, run_id: str) -> RunView:
    view: RunView | None = None
    after = 0
    while page := await history.events(run_id, after=after, limit=_PAGE):
        view, after = reduce_all(view, page), page[-1].seq
    if view is None:
        raise HistoryError(f"the history has no events of run {run_id}")
    return view


def _print(comparison: Comparison, *, everything: bool) -> None:
    run_row = next(row for row in comparison.rows if row.key == "run")
    for side, run in enumerate((comparison.before, comparison.after)):
        took = duration(run_row.took[side])
        delta = delta_words(*run_row.took) if side else ""
        when = moment(isoformat(datetime.fromtimestamp(run.created_at or 0.0, UTC)))
        status = out.paint(run.status.value, run.status.value)
        out.write(f"{'second' if side else 'first ':<8}{clean(run.workflow)} {run.id}  {status} {took}")
        out.write(f"{f' ({delta})' if delta else ''}, {when}\n")
    out.line(f"\n{summary(comparison)}")
    rows = comparison.rows if everything else comparison.telling
    steps = [row for row in rows if row.key.startswith("step:")]
    if steps:
        out.line()
        print_table(("", "STEP", "FIRST", "", "SECOND", "", "TIME"), map(_cells, steps))
    for row in rows:
        lines = list(_details(row))
        if lines:
            out.line(f"\n{row.name}:")
        for line in lines:
            out.line(f"  {line}")
    if everything:
        out.line("\nmeasured:")
        for fact in run_row.facts:
            if fact.kind == "measured":
                before, after = measured_words(fact, fact.before), measured_words(fact, fact.after)
                out.line(f"  {fact.name:<16} {before:>10} {after:>10}")


def _cells(row: Row) -> tuple[str, ...]:
    sides = [text for side in (0, 1) for text in (row.status[side] or "-", duration(row.took[side]))]
    return row.mark, "  " * row.depth + row.name, *sides, delta_words(*row.took)


def _details(row: Row) -> Iterator[str]:
    if row.mark in "+-":
        return
    for fact in row.differences:
        if fact.kind == "diff":
            yield from fact.lines[:_LINES]
            if len(fact.lines) > _LINES:
                yield f"… and {len(fact.lines) - _LINES} more lines"
            continue
        for change in changes_of(fact, _CHANGES):
            yield f"{fact.name}: {change_words(change)}"
