"""The profile of a run: where each second went, what decided its end, and what could be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from engine.events import Event
from engine.metrics.bottlenecks import find_bottlenecks
from engine.metrics.critical_path import Runs, critical_path
from engine.metrics.parallelism import levels, parallelism
from engine.metrics.pieces import PARTS, Piece, sums, unit_pieces
from engine.metrics.profile_records import (
    AttemptProfile,
    ItemProfile,
    Link,
    Profile,
    StepProfile,
    Surroundings,
)
from engine.metrics.spans import AttemptSpan, RunSpan, StepSpan, UnitSpan, read_spans

_NOTHING_KNOWN = Surroundings()


def profile_of(
    events: Sequence[Event],
    run_id: str,
    surroundings: Surroundings = _NOTHING_KNOWN,
    *,
    now: float | None = None,
) -> Profile:
    """The profile of a run.

    Args:
        events: of the run and of all that are part of it, in the order of the journal.
        run_id: the run.
        surroundings: its settings, for what to do about it.
        now: wall time in seconds since the epoch, where the run is not over.
    """
    runs = read_spans(events, run_id, now)
    run = runs[run_id]
    path = critical_path(runs, run)
    duration = run.end - run.begin
    steps = tuple(_steps(runs, run, _by_step(path)))
    work = _add(*(step.parts for step in steps if step.run_id == run_id))
    cleanup = sum(step.cleanup for step in steps if step.run_id == run_id)
    tasks = [attempt for attempt in _attempts(runs.values()) if attempt.child_run is None]
    slots = _slots(run_id, surroundings)
    profile = Profile(
        run_id,
        run.workflow,
        run.status,
        live=run.open,
        profiled=any(attempt.samples is not None for attempt in tasks),
        waited=max(0.0, run.begin - run.created),
        duration=duration,
        parts=sums(path),
        totals={**work, **({"cleanup": cleanup} if cleanup > 0.0 else {})},
        path=tuple(_links(path)),
        steps=steps,
        parallelism=parallelism([(task.created, task.end) for task in tasks], duration, slots),
    )
    return find_bottlenecks(profile, surroundings)


def _slots(run_id: str, surroundings: Surroundings) -> int | None:
    workflow = surroundings.workflows.get(run_id)
    limits = [surroundings.max_tasks, workflow.max_parallel if workflow is not None else None]
    return min((limit for limit in limits if limit), default=None)


def _attempts(runs: Iterable[RunSpan]) -> Iterator[AttemptSpan]:
    for run in runs:
        for step in run.steps.values():
            for unit in step.units:
                yield from unit.attempts


def _links(path: Sequence[Piece]) -> Iterator[Link]:
    """The pieces of each attempt, and of each wait between attempts, together."""
    for (run_id, step_id, item, attempt), group in groupby(
        path, key=lambda piece: (piece.run_id, piece.step_id, piece.item, piece.attempt)
    ):
        pieces = list(group)
        yield Link(pieces[0].begin, pieces[-1].end, run_id, step_id, item, attempt, sums(pieces))


# Seconds of the critical path by run and step.
_Critical = Mapping[str, Mapping[str | None, float]]


def _by_step(path: Iterable[Piece]) -> _Critical:
    found: dict[str, dict[str | None, float]] = {}
    for piece in path:
        of_run = found.setdefault(piece.run_id, {})
        of_run[piece.step_id] = of_run.get(piece.step_id, 0.0) + piece.seconds
    return found


def _steps(runs: Runs, run: RunSpan, path: _Critical) -> Iterator[StepProfile]:
    """Its steps in the order of the document, each followed by those of the runs within it."""
    for step in sorted(run.steps.values(), key=lambda step: step.ordinal):
        children = [
            runs[child]
            for unit in step.units
            for attempt in unit.attempts
            if (child := attempt.child_run or "") in runs
        ]
        inner = [profile for child in children for profile in _steps(runs, child, path)]
        yield _step(run, step, path, inner, {child.id for child in children})
        yield from inner


def _step(
    run: RunSpan, step: StepSpan, path: _Critical, inner: Sequence[StepProfile], children: set[str]
) -> StepProfile:
    """One step; what the runs within it did (`inner` are all their steps) counts as its own."""
    own = _own_pieces(run, step)
    direct = [profile for profile in inner if profile.run_id in children]
    within = {*children, *(profile.run_id for profile in inner)}
    attempts = [attempt for unit in step.units for attempt in unit.attempts]
    by_item, by_attempt = _grouped(own)
    at_once = levels((attempt.created, attempt.end) for attempt in attempts)
    return StepProfile(
        run.id,
        step.step_id,
        step.name,
        step.type,
        step.status,
        step.role,
        dependencies=max(0.0, step.ready - run.begin),
        ready=step.ready,
        end=step.end,
        parts=_add(
            sums(piece for piece in own if piece.child_run not in children),
            *(profile.parts for profile in direct),
        ),
        critical=path.get(run.id, {}).get(step.step_id, 0.0)
        + sum(sum(path[other].values()) for other in within if other in path),
        cleanup=sum(attempt.cleanup for attempt in attempts) + sum(profile.cleanup for profile in direct),
        max_at_once=max((count for _, _, count in at_once), default=0),
        items=tuple(_item(item, by_item.get(item.item, ())) for item in step.items),
        attempts=tuple(
            _attempt(attempt, by_attempt.get((attempt.item, attempt.number), ())) for attempt in attempts
        ),
    )


def _own_pieces(run: RunSpan, step: StepSpan) -> list[Piece]:
    """What a step itself did; what its members do is theirs."""
    if step.members:
        return []
    return [piece for unit in step.units for piece in unit_pieces(unit, run.away)]


_Grouped = tuple[dict[int | None, list[Piece]], dict[tuple[int | None, int | None], list[Piece]]]


def _grouped(pieces: Iterable[Piece]) -> _Grouped:
    """Pieces by item, and by item and attempt."""
    by_item: dict[int | None, list[Piece]] = {}
    by_attempt: dict[tuple[int | None, int | None], list[Piece]] = {}
    for piece in pieces:
        by_item.setdefault(piece.item, []).append(piece)
        by_attempt.setdefault((piece.item, piece.attempt), []).append(piece)
    return by_item, by_attempt


def _item(item: UnitSpan, pieces: Iterable[Piece]) -> ItemProfile:
    return ItemProfile(item.item or 0, item.status, item.ready, item.end, sums(pieces))


def _attempt(attempt: AttemptSpan, pieces: Iterable[Piece]) -> AttemptProfile:
    return AttemptProfile(
        attempt.item,
        attempt.number,
        attempt.status,
        attempt.reason,
        attempt.created,
        attempt.end,
        sums(pieces),
        attempt.cleanup,
        attempt.image,
        attempt.pool,
        attempt.warm,
        attempt.child_run,
        attempt.usage,
        attempt.samples,
    )


def _add(*all_parts: Mapping[str, float]) -> dict[str, float]:
    """Parts together, in the order of `PARTS`."""
    return {
        part: total for part in PARTS if (total := sum(parts.get(part, 0.0) for parts in all_parts)) > 0.0
    }
