"""Time travel in a run of 100,000 events: how long the frame takes that a key asks for."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from agentainer_tui.model import reduce_all
from agentainer_tui.timeline import EVERY, Timeline
from benchmarks.figures import Figure
from engine.events import Event, EventType

ITEMS = 20_000
LIMIT = 0.05
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def dashboard_travel_figures() -> Iterator[Figure]:
    """Steps back and jumps, beside making the last view from nothing."""
    events = list(_journal())
    began = time.perf_counter()
    reduce_all(None, events)
    whole = time.perf_counter() - began
    timeline = Timeline()
    timeline.extend(events)
    places = range(len(events) - 1, len(events) - 501, -1)
    back = [_frame(timeline, events, place) for place in places]
    yield Figure("travel: a step back, p95", _p95(back), "the limit", LIMIT, target=1.0)
    chance = random.Random(1)
    jumps = [_frame(timeline, events, chance.randint(1, len(events))) for _ in range(100)]
    yield Figure("travel: a jump anywhere, p95", _p95(jumps), "all events anew", whole, target=0.2)


def _frame(timeline: Timeline, events: list[Event], place: int) -> float:
    wanted = timeline.stretch(place)
    if wanted is not None:  # reading is measured elsewhere
        timeline.hold(wanted.number, events[wanted.number * EVERY :][:EVERY])
    began = time.perf_counter()
    timeline.frame(place)
    return time.perf_counter() - began


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def _journal() -> Iterator[Event]:
    """A map, its items one after the other; five events each."""
    number = 0

    def event(kind: EventType, item: int | None = None, attempt: int | None = None, **data: object) -> Event:
        nonlocal number
        number += 1
        moment = _BEGIN + timedelta(milliseconds=number)
        step = None if kind.value.startswith("run.") else "each"
        return Event("a" * 12, kind, moment, step, item, attempt, data, number)

    plan = [{"id": "each", "name": "each", "type": "map", "ordinal": 0}]
    yield event(EventType.RUN_CREATED, workflow="w", digest="d", backend="process", plan=plan)
    yield event(EventType.RUN_STARTED, old="pending", status="running")
    yield event(EventType.STEP_STARTED, old="pending", status="running")
    yield event(EventType.STEP_EXPANDED, values=list(range(ITEMS)), workers=False)
    for item in range(ITEMS):
        yield event(EventType.ITEM_STARTED, item, old="pending", status="running")
        yield event(EventType.ATTEMPT_CREATED, item, 1, task_id="t", agent="a", backend="process", log="l")
        yield event(EventType.ATTEMPT_STARTED, item, 1, old="pending", status="running")
        yield event(EventType.ATTEMPT_FINISHED, item, 1, old="running", status="completed", exit_code=0)
        yield event(EventType.ITEM_FINISHED, item, old="running", status="completed", result=item)
