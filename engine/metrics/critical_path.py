"""The chain of work that decided when a run ended: each part of it began when the one before had ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from engine.metrics.pieces import Piece, cut, unit_pieces
from engine.metrics.spans import RunSpan, StepSpan, UnitSpan, role_rank

# Moments that are closer than this, in seconds, are the same.
_SAME = 1e-6

Runs = Mapping[str, RunSpan]


def critical_path(runs: Runs, run: RunSpan) -> list[Piece]:
    """The chain from a run's start to its end, in order and without gaps."""
    return _chain(runs, run, run.top, run.begin, run.end)


def _chain(
    runs: Runs, run: RunSpan, steps: Sequence[StepSpan], begin: float, end: float, of: str | None = None
) -> list[Piece]:
    """The chain through steps that are on one level, from `begin` to `end`; `of` is the step they are in."""
    found: list[Piece] = []
    level = {step.step_id: step for step in steps}
    cursor, step = end, _last([step for step in steps if step.worked], end)
    while step is not None and cursor > begin:
        ended = max(begin, min(step.end, cursor))
        found += [
            Piece(ended, cursor, "other", run.id, of),
            *reversed(_step(runs, run, step, begin, ended)),
        ]
        cursor = max(begin, min(step.ready, ended))
        step = _blocker(step, level, cursor)
    found.append(Piece(begin, cursor, "other", run.id, of))
    return [piece for piece in reversed(found) if piece.seconds > 0.0]


def _last(candidates: Iterable[StepSpan], until: float) -> StepSpan | None:
    """Which ended last, up to a moment; of several, the one that was ready first: it took longest."""
    return max(
        (step for step in candidates if step.ready < until),
        key=lambda step: (min(step.end, until), -step.ready, step.ordinal),
        default=None,
    )


def _blocker(step: StepSpan, level: Mapping[str, StepSpan], cursor: float) -> StepSpan | None:
    """What a step waited for before it was ready at `cursor`; `level` are those beside it."""
    upstreams = [level[name] for name in step.depends_on if name in level]
    if upstreams:
        # One that was skipped took no time, but what it waited for did.
        return max(upstreams, key=lambda other: (other.end, other.worked, -other.ready))
    rank = role_rank(step.role)
    earlier = (
        other
        for other in level.values()
        if role_rank(other.role) < rank and other.worked and other.end <= cursor + _SAME
    )
    return _last(earlier, cursor) if rank else None


def _step(runs: Runs, run: RunSpan, step: StepSpan, begin: float, end: float) -> list[Piece]:
    """A step from when it was ready to `end`."""
    ready = max(begin, min(step.ready, end))
    if step.members and step.started is not None:
        inside = min(end, max(ready, step.started))
        within = _chain(runs, run, step.members, inside, end, step.step_id)
        return [*_lead(run, step, ready, inside), *within]
    if step.items and step.expanded is not None:
        inside = min(end, max(ready, step.expanded))
        return [*_lead(run, step, ready, inside), *_items(runs, run, step, inside, end)]
    return _filled(runs, cut(unit_pieces(step, run.away), ready, end))


def _lead(run: RunSpan, step: StepSpan, begin: float, end: float) -> list[Piece]:
    lead = UnitSpan(step.run_id, step.step_id, ready=begin, end=end, open=False, waits=step.waits)
    return unit_pieces(lead, run.away)


def _items(runs: Runs, run: RunSpan, step: StepSpan, begin: float, end: float) -> list[Piece]:
    """The item that ended last, from `begin` on."""
    worked = [item for item in step.items if item.attempts]
    if not worked:
        return [Piece(begin, end, "other", run.id, step.step_id)]
    last = max(worked, key=lambda item: (item.end, -(item.started or 0.0)))
    ended = max(begin, min(last.end, end))
    pieces = cut(_filled(runs, unit_pieces(last, run.away)), begin, ended)
    return [*pieces, Piece(ended, end, "other", run.id, step.step_id)]


def _filled(runs: Runs, pieces: Sequence[Piece]) -> list[Piece]:
    """With the chains of child runs in place of the time that they ran."""
    found: list[Piece] = []
    for piece in pieces:
        child = runs.get(piece.child_run or "")
        if child is None:
            found.append(piece)
            continue
        begin, end = max(piece.begin, min(child.begin, piece.end)), min(piece.end, child.end)
        end = max(begin, end)
        inner = cut(_chain(runs, child, child.top, child.begin, child.end), begin, end)
        rest = replace(piece, part="other", child_run=None)
        found += [replace(rest, end=begin), *inner, replace(rest, begin=end)]
    return found
