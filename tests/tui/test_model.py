from __future__ import annotations

import random

import pytest

from agentainer_tui.explain import explain
from agentainer_tui.model import reduce, reduce_all
from agentainer_tui.views import RunView, row_of
from engine.events import Event, EventType, RunStatus, StepStatus
from tests.tui.story import EPOCH, Story, node

NOW = EPOCH.timestamp()


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def why(story: Story, step_id: str, item: int | None = None) -> str:
    view = view_of(story)
    step = view.steps[step_id]
    return explain(view, step, step if item is None else step.items[item], NOW)


def eventful() -> Story:
    """A run with every kind of event: retries, a map with a failure, a skip, warnings, state changes."""
    story = Story().create(
        [node("list"), node("work", "list", type="map"), node("sum", "work"), node("mail", "sum")],
        params={"n": 3},
        state={"seed": 1, "old": True},
    )
    story.start().tick(0.1).run_step("list", changes={"set": {"urls": ["a", "b"]}, "removed": ["old"]})
    story.step_start("work").expand("work", ["a", "b"])
    story.run_step("work", item=0, result=1)
    story.step_start("work", 1).attempt("work", 1, 1).tick(0.5)
    story.attempt_end("work", 1, 1, status="failed", reason="task_failed", exit_code=3, error="boom")
    story.retry("work", 2.0, 1, error="boom").tick(2)
    story.step_start("work", 1).attempt("work", 2, 1).tick(0.5)
    story.attempt_end("work", 2, 1, status="failed", reason="task_failed", exit_code=3, kept=True)
    story.step_end("work", "failed", 1, reason="task_failed", exit_code=3, error="boom")
    story.step_end("work", changes={"set": {"work_results": [1, None]}})
    story.say(EventType.WARNING, "sum", message="odd")
    story.say(EventType.STEP_WAITING, "sum", why="slot")
    story.run_step("sum", result={"total": 1})
    story.step_end("mail", "skipped", reason="condition_false")
    story.say(EventType.AGENT_REMOVED, "work", 1, 2, agent="agent-work-2", by="cleanup")
    return story.finish("partially_completed")


def test_every_step_is_there_before_anything_starts() -> None:
    view = view_of(Story().create([node("a"), node("b", "a"), node("c", "a", parent="b")]))
    assert list(view.steps) == ["a", "b", "c"]
    assert {step.status for step in view.steps.values()} == {StepStatus.PENDING}
    assert view.tally == {StepStatus.PENDING: 3}
    assert view.steps["c"].parent == "b"


def test_a_whole_run_reduces_to_what_happened() -> None:
    view = view_of(eventful())
    assert view.status is RunStatus.PARTIALLY_COMPLETED
    assert view.state == {"seed": 1, "urls": ["a", "b"], "work_results": [1, None]}
    assert view.tally == {StepStatus.COMPLETED: 3, StepStatus.SKIPPED: 1}
    assert view.warnings == (("sum", "odd"),)
    work = view.steps["work"]
    assert work.tally == {StepStatus.COMPLETED: 1, StepStatus.FAILED: 1}
    assert [attempt.exit_code for attempt in work.items[1].attempts] == [3, 3]
    assert not work.items[1].attempts[1].kept, "cleaned up afterwards"
    assert view.steps["sum"].result == {"total": 1}
    assert not view.steps["sum"].waiting
    row = row_of(view)
    assert (row.done, row.total, row.status) == (4, 4, RunStatus.PARTIALLY_COMPLETED)


@pytest.mark.parametrize("seed", range(5))
def test_replay_in_any_batches_equals_one_by_one(seed: int) -> None:
    events = eventful().events
    one_by_one: RunView | None = None
    for event in events:
        one_by_one = reduce(one_by_one, event)
    chance = random.Random(seed)
    batched: RunView | None = None
    rest = list(events)
    while rest:
        size = chance.randint(1, 6)
        batched = reduce_all(batched, rest[:size])
        rest = rest[size:]
    assert batched == one_by_one


def test_events_seen_before_change_nothing() -> None:
    events = eventful().events
    view = reduce_all(None, events)
    assert reduce_all(view, events) == view
    assert reduce_all(view, events[3:9]) == view


def test_earlier_views_are_not_touched_by_later_events() -> None:
    events = eventful().events
    frames: list[tuple[RunView, str]] = []
    view: RunView | None = None
    for event in events:
        view = reduce(view, event)
        frames.append((view, repr(view)))
    assert all(repr(frame) == text for frame, text in frames)


def test_events_of_an_unknown_step_do_not_break_the_view() -> None:
    view = reduce(None, Event("r", EventType.STEP_STARTED, EPOCH, "ghost", data={"status": "running"}, seq=9))
    assert view.steps["ghost"].status is StepStatus.RUNNING
    assert view.tally == {StepStatus.RUNNING: 1}


def test_waiting_is_explained_by_upstreams_by_slot_by_image_and_by_backoff() -> None:
    story = Story().create([node("fetch"), node("parse"), node("join", "fetch", "parse", max_attempts=3)])
    assert why(story, "join") == "the run has not started"
    story.start()
    assert why(story, "join") == "waits: fetch, parse"
    story.run_step("fetch").run_step("parse")
    story.say(EventType.STEP_WAITING, "join", why="slot")
    assert why(story, "join") == "waits for a free slot"
    story.say(EventType.STEP_WAITING, "join", why="image", image="busybox", percent=40)
    assert why(story, "join") == "fetches its image (40 %)"
    story.step_start("join").attempt("join")
    assert why(story, "join") == ""
    story.attempt_end("join", status="failed", reason="task_failed", exit_code=1)
    story.retry("join", 4.0, error="no")
    view = view_of(story)
    now = story.now.timestamp()
    assert explain(view, view.steps["join"], view.steps["join"], now) == "try 2/3 in 4.0s"
    assert explain(view, view.steps["join"], view.steps["join"], now + 5) == "try 2/3 is next"


def test_an_item_says_how_many_may_run_at_once() -> None:
    story = (
        Story().create([node("m", type="map", max_concurrency=5)]).start().step_start("m").expand("m", "ab")
    )
    assert why(story, "m", 1) == "waits: 5 at a time"


def test_ends_are_explained_in_words() -> None:
    story = Story().create([node("a"), node("b"), node("c")]).start()
    story.step_end("a", "skipped", reason="condition_false")
    story.step_end("b", "failed", reason="task_failed", exit_code=7, error="no such file\nat line 3")
    story.step_end("c", "failed", reason="timed_out", error="after 5s")
    assert [why(story, step) for step in "abc"] == [
        "its condition is false",
        "no such file",
        "timed out: after 5s",
    ]


def test_a_large_run_costs_per_batch_not_per_event() -> None:
    """Containers are copied once per batch: the copies are counted, not timed."""
    story = Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(10_000))
    view = view_of(story)
    assert len(view.steps["m"].items) == 10_000
    story.events.clear()
    for index in range(2_000):
        story.run_step("m", 0.0, item=index)
    after = reduce_all(view, story.events)
    assert after is not None
    items = after.steps["m"].items
    assert after.steps["m"].tally == {StepStatus.PENDING: 8_000, StepStatus.COMPLETED: 2_000}
    assert items[5_000] is view.steps["m"].items[5_000], "untouched items are shared, not rebuilt"
