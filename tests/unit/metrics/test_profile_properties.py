"""What holds of the profile of any run, however it went and whatever its events say."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import Event, EventType
from engine.metrics.pieces import PARTS
from engine.metrics.profile import profile_of
from engine.metrics.profile_records import Profile, StepSettings, Surroundings, WorkflowSettings
from engine.metrics.traces import chrome_trace, speedscope
from tests.unit.metrics.stories import EPOCH, Story

SECONDS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 3))
SOME_PHASES = ("image", "create", "start", "run", "collect")


@st.composite
def runs(draw: st.DrawFn) -> tuple[Story, dict[str, float]]:
    """A run of steps that depend on earlier ones, with tries and items, and what each part of it takes."""
    count = draw(st.integers(1, 6))
    plan: list[dict[str, Any]] = []
    for number in range(count):
        upstreams = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        plan.append({"id": f"s{number}", "depends_on": [f"s{one}" for one in sorted(upstreams)]})
    story, ends, totals = Story(plan), dict[str, float](), dict.fromkeys(PARTS, 0.0)
    for step in plan:
        begin = max((ends[name] for name in step["depends_on"]), default=0.0)
        ends[step["id"]] = _play(draw, story, step["id"], begin, totals)
    tail = draw(SECONDS)
    return story.end(max(ends.values()) + tail), totals


def _play(draw: st.DrawFn, story: Story, step: str, begin: float, totals: dict[str, float]) -> float:
    items = draw(st.integers(0, 3))
    story.note(begin, EventType.STEP_STARTED, step, old="pending", status="running")
    if items:
        story.note(begin, EventType.STEP_EXPANDED, step, values=list(range(items)))
    over = begin
    for item in range(items) if items else [None]:
        cursor = begin
        for number in range(1, draw(st.integers(1, 3)) + 1):
            queue, backoff = draw(SECONDS), draw(SECONDS) if number > 1 else 0.0
            phases = {part: draw(SECONDS) for part in SOME_PHASES}
            for part, seconds in {**phases, "queue": queue, "backoff": backoff}.items():
                totals[part] += seconds
            made = cursor + backoff + queue
            cursor = story.attempt(step, made, {**phases, "queue": queue}, item=item, number=number)
        if items:
            story.note(cursor, EventType.ITEM_FINISHED, step, item, status="completed")
        over = max(over, cursor)
    story.note(over, EventType.STEP_FINISHED, step, old="running", status="completed")
    return over


def check(found: Profile) -> None:
    """Parts sum up, the path is a path, and everything is a number."""
    assert sum(found.parts.values()) == pytest.approx(found.duration, abs=1e-6)
    cursor = 0.0
    for link in found.path:
        assert link.begin == pytest.approx(cursor, abs=1e-6)
        assert link.end > link.begin
        cursor = link.end
    assert cursor == pytest.approx(found.duration, abs=1e-6)
    for step in found.steps:
        assert step.critical <= found.duration + 1e-6
        assert all(seconds >= 0 for seconds in step.parts.values())
    for one in found.bottlenecks:
        assert 0 < one.share <= 1
        assert any(letter.isdigit() for letter in one.evidence)
    for advice in found.recommendations:
        assert any(letter.isdigit() for letter in advice.evidence)
        assert advice.present != advice.proposed
    json.dumps(found.to_json(), allow_nan=False)
    json.dumps([chrome_trace(found), speedscope(found)], allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(runs())
def test_parts_sum_up_to_the_whole_and_the_path_is_a_path(run: tuple[Story, dict[str, float]]) -> None:
    story, totals = run
    found = profile_of(story.all, "r1")
    check(found)
    for part in (*SOME_PHASES, "queue", "backoff"):
        assert found.totals.get(part, 0.0) == pytest.approx(totals[part], abs=1e-3), part
    longest = max(step.wall for step in found.steps)
    assert found.duration >= longest - 1e-6
    for step in found.steps:
        if not step.items:
            assert sum(step.parts.values()) == pytest.approx(step.wall, abs=1e-6)
    for step in found.steps:
        for item in step.items:
            assert sum(item.parts.values()) == pytest.approx(item.end - item.ready, abs=1e-6)


_ANY_STEP = StepSettings(
    max_concurrency=1,
    batch_size=2,
    cpu_limit=10**9,
    memory_limit=1 << 20,
    pull_policy="always",
    retry_delay=50.0,
)
_ANY_SETTINGS = Surroundings(
    max_tasks=2, cpus=2, workflows={"r1": WorkflowSettings(2, {f"s{n}": _ANY_STEP for n in range(6)})}
)


@settings(max_examples=100, deadline=None)
@given(runs(), st.data())
def test_events_that_are_missing_or_have_odd_times_break_nothing(
    run: tuple[Story, dict[str, float]], data: st.DataObject
) -> None:
    """A crash cuts the journal anywhere; clocks jump; the arithmetic stands."""
    story, _ = run
    events = story.all
    kept = events[: data.draw(st.integers(2, len(events)))]
    dropped = data.draw(st.sets(st.integers(2, len(events)), max_size=4))
    odd = [
        Event(e.run_id, e.type, e.time + timedelta(seconds=data.draw(st.sampled_from([0, 0, 0, 500, -500]))),
              e.step_id, e.item, e.attempt, e.data)
        for number, e in enumerate(kept)
        if number not in dropped
    ]  # fmt: skip
    now = data.draw(st.none() | st.just(EPOCH.timestamp() + 1e4))
    found = profile_of(odd, "r1", _ANY_SETTINGS, now=now)
    assert math.isfinite(found.duration)
    check(found)
