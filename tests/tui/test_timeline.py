"""The frames of a run: any of them is the reduction of the events up to there."""

from __future__ import annotations

import random

import pytest

from agentainer_tui.model import reduce_all
from agentainer_tui.timeline import Timeline
from engine.events import Event, EventType
from tests.tui.scenes import counting, failed
from tests.tui.story import Story, node


def long_story(items: int = 25) -> Story:
    story = Story().create([node("list"), node("each", "list", type="map"), node("end", "each")])
    story.start().run_step("list", 1, changes={"set": {"files": list(range(items))}})
    story.step_start("each").expand("each", list(range(items)))
    for item in range(items):
        story.run_step("each", 0.5, item=item, result=item)
    story.step_end("each")
    return story.run_step("end", changes={"set": {"sum": 7}}).finish()


def read(timeline: Timeline, events: list[Event], place: int) -> None:
    """What whoever owns a timeline does before asking for a frame."""
    wanted = timeline.stretch(place)
    if wanted is not None:
        found = [event for event in events if event.seq > wanted.after][: wanted.limit]
        timeline.hold(wanted.number, found)
    assert timeline.stretch(place) is None


@pytest.mark.parametrize("every", [1, 2, 7, 50, 500])
@pytest.mark.parametrize("story", [counting(), failed(), long_story()], ids=["map", "failed", "long"])
def test_any_frame_is_the_reduction_of_the_events_up_to_there(story: Story, every: int) -> None:
    events = story.events
    timeline = Timeline(every=every, held=2)
    timeline.extend(events)
    places = list(range(1, len(events) + 1))
    random.Random(every).shuffle(places)
    for place in [*places, *range(len(events), 0, -1)]:
        read(timeline, events, place)
        frame = timeline.frame(place)
        assert frame.view == reduce_all(None, events[:place])
        assert frame.event == events[place - 1]
        assert (frame.place, frame.total) == (place, len(events))
        assert frame.now == events[place - 1].time.timestamp()


def test_events_may_come_in_any_portions_and_more_than_once() -> None:
    events = long_story().events
    for seed in range(20):
        chance = random.Random(seed)
        timeline = Timeline(every=chance.randint(1, 30), held=chance.randint(1, 4))
        place = 0
        while place < len(events):
            portion = chance.randint(1, 40)
            timeline.extend(events[max(0, place - chance.randint(0, 5)) : place + portion])
            place = min(place + portion, len(events))
            assert (len(timeline), timeline.last_seq) == (place, events[place - 1].seq)
            wanted = chance.randint(1, place)
            read(timeline, events[:place], wanted)
            assert timeline.frame(wanted).view == reduce_all(None, events[:wanted])


def test_a_stretch_that_was_read_while_the_run_went_on_holds_no_more_than_is_known() -> None:
    events = long_story().events
    timeline = Timeline(every=40, held=1)
    timeline.extend(events[:70])
    wanted = timeline.stretch(30)
    assert wanted is not None
    timeline.hold(wanted.number, events[:40])  # lets go of the newest stretch
    newest = timeline.stretch(70)
    assert newest is not None and newest.after == events[39].seq
    timeline.hold(newest.number, events[40:80])  # more than was taken until then
    timeline.extend(events[70:])
    read(timeline, events, 78)
    assert timeline.frame(78).view == reduce_all(None, events[:78])


def test_frames_that_do_not_exist_or_are_not_held_are_refused() -> None:
    timeline = Timeline(every=10, held=1)
    with pytest.raises(LookupError):
        timeline.frame(1)
    timeline.extend(long_story().events)
    for place in (0, len(timeline) + 1, 5):
        with pytest.raises(LookupError):
            timeline.frame(place)


def test_large_steps_stop_where_a_step_changes_or_something_fails() -> None:
    events = failed().events
    timeline = Timeline()
    timeline.extend(events)
    stops = []
    place = 1
    while place < len(events):
        place = timeline.landmark(place, 1)
        stops.append(events[place - 1].type)
    assert EventType.ATTEMPT_STARTED not in stops
    assert stops.count(EventType.STEP_FINISHED) == 4
    assert stops.count(EventType.ATTEMPT_FINISHED) == 2  # those that failed
    back = []
    while place > 1:
        place = timeline.landmark(place, -1)
        back.append(events[place - 1].type)
    assert back[:-1] == stops[-2::-1]
    assert timeline.landmark(1, -1) == 1 and timeline.landmark(len(events), 1) == len(events)


def test_it_counts_what_went_wrong_between_two_frames() -> None:
    events = failed().events
    timeline = Timeline()
    timeline.extend(events)
    everything = timeline.failures(1, len(events))
    assert everything == sum(timeline.failures(place, place) for place in range(1, len(events) + 1)) > 0
