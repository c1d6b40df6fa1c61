"""Clocks that are set while a run is in progress change nothing of its profile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.events import Event, EventType
from engine.metrics.profile import profile_of
from engine.metrics.timeline import happened_at
from tests.unit.metrics.stories import Story


def story() -> list[Event]:
    """Two steps of 10 and 20 s with the durations that the engine measures."""
    story = Story([{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
    for step, begin, seconds in (("a", 0.0, 10.0), ("b", 10.0, 20.0)):
        over = begin + seconds
        story.note(begin, EventType.STEP_STARTED, step, old="pending", status="running")
        story.note(begin, EventType.ATTEMPT_CREATED, step, None, 1, agent="a")
        story.note(begin, EventType.ATTEMPT_STARTED, step, None, 1, old="pending", status="running")
        story.note(over, EventType.ATTEMPT_FINISHED, step, None, 1, status="completed", duration=seconds,
                   phases={"run": seconds})  # fmt: skip
        story.note(over, EventType.STEP_FINISHED, step, status="completed", duration=seconds)
    return story.end(30, duration=30.0).all


def jumped(events: list[Event], at: int, by: float) -> list[Event]:
    """The clock is set by so many seconds before event number `at`."""
    moved: list[Event] = []
    for number, event in enumerate(events):
        time = event.time + timedelta(seconds=by if number >= at else 0)
        moved.append(
            Event(event.run_id, event.type, time, event.step_id, event.item, event.attempt, event.data)
        )
    return moved


@pytest.mark.parametrize("by", [3600.0, -3600.0, 7.0, -7.0])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_clock_that_is_set_in_the_middle_changes_no_duration(at: int, by: float) -> None:
    found = profile_of(jumped(story(), at, by), "r1")
    assert found.duration == pytest.approx(30, abs=0.6)
    assert found.parts["run"] == pytest.approx(30, abs=0.6)
    assert sum(found.parts.values()) == pytest.approx(found.duration)


def test_a_clock_that_was_set_back_unseen_stands_still_instead() -> None:
    """Without durations nobody knows how much time went by, but it did not go backwards."""
    events = [Event(e.run_id, e.type, e.time, e.step_id, e.item, e.attempt, without(e.data)) for e in story()]
    times = happened_at(jumped(events, 5, -100.0))
    assert times == sorted(times)
    assert times[-1] == pytest.approx(20)


def without(data: Any) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "duration"}


def test_events_that_were_written_in_another_order_add_no_time() -> None:
    events = story()
    shaken = [
        Event(
            e.run_id, e.type, e.time + timedelta(milliseconds=(-1) ** n), e.step_id, e.item, e.attempt, e.data
        )
        for n, e in enumerate(events)
    ]
    times = happened_at(shaken)
    assert times == sorted(times)
    assert times[-1] == pytest.approx(30, abs=0.01)


def test_no_events_take_no_time() -> None:
    assert happened_at([]) == []
