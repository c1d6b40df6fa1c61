"""Time travel on the run screen: every pane shows the moment, and live is merely the last frame."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from textual.pilot import Pilot

from agentainer_tui.event_words import event_words
from agentainer_tui.log_source import LogLine
from agentainer_tui.looks import ASCII
from agentainer_tui.model import reduce_all
from agentainer_tui.widgets.scrubber import Scrubber
from agentainer_tui.widgets.step_list import RowKey
from engine.clock import isoformat
from engine.events import EventType, StepStatus
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import counting, failed
from tests.tui.story import EPOCH, Story, node


def place_of(pilot: Pilot[int]) -> int:
    """The place that is shown, 0 for live."""
    frame = run_screen(pilot.app).frame  # type: ignore[arg-type]
    return frame.place if frame is not None else 0


async def travel(pilot: Pilot[int], *keys: str) -> None:
    await pilot.press(*keys)
    screen = run_screen(pilot.app)  # type: ignore[arg-type]
    await until(pilot, lambda: not screen._reading)
    await pilot.pause()


async def test_a_step_back_shows_the_run_as_it_was_before_its_last_event() -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "refused by the server")
        await travel(pilot, "comma")
        count = len(story.events)
        assert place_of(pilot) == count - 1
        screen = run_screen(app)
        assert screen.view == reduce_all(None, story.events[:-1])
        assert screen.view is not None and screen.view.status == "running"
        await until_seen(pilot, f"event {count - 1}/{count}")
        assert "«" in on_screen(app) and screen.has_class("-past")
        await travel(pilot, "comma", "comma")
        assert place_of(pilot) == count - 3
        await travel(pilot, "full_stop")
        assert place_of(pilot) == count - 2


@pytest.mark.parametrize("way", ["escape", "full_stop", "scrubber end"])
async def test_there_are_several_ways_back_to_live(way: str) -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "refused by the server")
        await travel(pilot, "comma")
        if way.startswith("scrubber"):
            screen = run_screen(app)
            screen.query_one(Scrubber).focus()
            await travel(pilot, "end")
        else:
            await travel(pilot, way)
        assert place_of(pilot) == 0 and not app.screen.query_one(Scrubber).display
        assert app.focused is not None and app.focused.display
        assert run_screen(app).view == reduce_all(None, story.events)
        await pilot.press("escape")
        assert app.current_mode == "workflows"


async def test_going_on_does_nothing_where_nothing_follows() -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "refused by the server")
        await travel(pilot, "full_stop", "greater_than_sign")
        assert place_of(pilot) == 0 and not app.screen.query_one(Scrubber).display
        await travel(pilot, "comma", *(["less_than_sign"] * 40))
        assert place_of(pilot) == 1
        await travel(pilot, "comma")
        assert place_of(pilot) == 1


async def test_large_steps_stop_where_a_step_changed_or_something_failed() -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "refused by the server")
        stops = []
        for _ in range(5):
            await travel(pilot, "less_than_sign")
            stops.append(story.events[place_of(pilot) - 1])
        assert [event.type for event in stops] == [
            EventType.STEP_FINISHED,  # tell was skipped
            EventType.STEP_FINISHED,  # send failed
            EventType.ATTEMPT_FINISHED,  # its second try failed
            EventType.STEP_STARTED,
            EventType.STEP_RETRYING,
        ]
        await until_seen(pilot, "send retrying: task_failed: refused; try 2 in 1.0s")
        await travel(pilot, "greater_than_sign")
        assert story.events[place_of(pilot) - 1] == stops[3]


async def test_keys_that_come_faster_than_events_are_read_all_count() -> None:
    story = counting()
    client = FakeClient(stories=[story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "Count words")
        await travel(pilot, *["comma"] * 7)
        assert place_of(pilot) == len(story.events) - 7


async def test_clocks_of_what_ran_then_stand_still_at_that_moment() -> None:
    story = Story().create([node("wait")]).start().tick(1).step_start("wait").attempt("wait").tick(4)
    story.say(EventType.WARNING, "wait", message="still at it")
    story.tick(60).attempt_end("wait").step_end("wait").finish()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "1m04s")
        screen = run_screen(app)
        await travel(pilot, *["less_than_sign"] * 2)
        assert story.events[place_of(pilot) - 1].type is EventType.WARNING
        assert screen.now() == EPOCH.timestamp() + 5
        await until(pilot, lambda: "1m04s" not in on_screen(app) and "4.0s" in on_screen(app))


async def test_the_log_ends_where_it_ended_then_and_is_whole_again_when_live() -> None:
    story = Story().create([node("talk")]).start().step_start("talk").attempt("talk")
    client = FakeClient(stories=[story])
    lines = []
    for second in range(1, 6):
        story.tick(1).say(EventType.WARNING, "talk", message="w")
        stamp = isoformat(EPOCH + timedelta(seconds=second))
        lines.append(LogLine(stamp, "stdout", f"said at {second}"))
    story.attempt_end("talk").step_end("talk").finish()
    client.write_log("talk", lines)
    client.journal = story.events
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "said at 5")
        await travel(pilot, *["comma"] * 3)
        await until_seen(pilot, "said at 5")
        for left in (4, 3, 2, 1):
            await travel(pilot, "comma")
            gone, there = f"said at {left + 1}", f"said at {left}"
            await until(pilot, partial(lambda gone: gone not in on_screen(app), gone))
            assert there in on_screen(app)
        await travel(pilot, "full_stop")
        await until_seen(pilot, "said at 2")
        await travel(pilot, "escape")
        await until_seen(pilot, "said at 5")


async def test_state_and_events_are_those_of_the_moment() -> None:
    story = Story().create([node("a"), node("b", "a")], state={"n": 0}).start()
    story.run_step("a", changes={"set": {"n": 1}}).run_step("b", changes={"set": {"n": 2}}).finish()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "No output yet")
        screen = run_screen(app)
        screen.steps.select(RowKey("a"))
        a_ends = next(e.seq for e in story.events if e.type is EventType.STEP_FINISHED)
        screen.travel(lambda timeline, place: a_ends - 1)
        await travel(pilot)
        assert screen.view is not None and dict(screen.view.state) == {"n": 0}
        assert screen.view.steps["a"].status is StepStatus.RUNNING
        await travel(pilot, "full_stop")
        assert dict(screen.view.state) == {"n": 1}
        assert screen.view.steps["b"].status is StepStatus.PENDING


async def test_the_run_goes_on_while_its_past_is_shown() -> None:
    story = counting()
    client = FakeClient(stories=[story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "Count words")
        await travel(pilot, "comma", "comma")
        place, count = place_of(pilot), len(story.events)
        client.tell(story.step_start("count", 4).attempt("count", 1, 4))
        await until_seen(pilot, f"event {place}/{count + 3}")
        assert place_of(pilot) == place
        assert run_screen(app).view == reduce_all(None, story.events[:place])
        await travel(pilot, "escape")
        assert run_screen(app).view == reduce_all(None, story.events)


async def test_the_track_can_be_clicked_and_dragged_with_the_mouse() -> None:
    story = counting()
    count = len(story.events)
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "Count words")
        await travel(pilot, "comma")
        scrubber = app.screen.query_one(Scrubber)
        await pilot.click(scrubber, offset=(1, 1))
        await until(pilot, lambda: place_of(pilot) == 1)
        await pilot.mouse_down(scrubber, offset=(1, 1))
        await pilot.hover(scrubber, offset=(60, 1))
        await until(pilot, lambda: abs(place_of(pilot) - count // 2) <= 1)
        await pilot.mouse_up(scrubber, offset=(60, 1))
        await pilot.hover(scrubber, offset=(5, 1))
        await pilot.pause()
        assert abs(place_of(pilot) - count // 2) <= 1
        scrubber.focus()
        await travel(pilot, "home")
        assert place_of(pilot) == 1
        await travel(pilot, "right", "right", "left")
        assert place_of(pilot) == 2


async def test_the_past_has_a_sign_in_ascii_too() -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story]), size=(80, 24)) as (app, pilot):
        app.glyphs = ASCII
        app.open_run(story.run_id)
        await until_seen(pilot, "send")
        await travel(pilot, "comma")
        count = len(story.events)
        at = datetime.fromtimestamp(story.events[-2].time.timestamp()).strftime("%H:%M:%S.%f")[:-3]
        await until_seen(pilot, f"<< {at} - event {count - 1}/{count}")
        words = next(row for row in on_screen(app).split("\n") if "<<" in row)
        assert words.isascii()


async def test_what_is_still_possible_in_the_past_depends_on_the_run_as_it_is_now() -> None:
    story = failed()
    async with dashboard(FakeClient(stories=[story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "refused by the server")
        await travel(pilot, "comma")
        screen = run_screen(app)
        assert screen.check_action("retry", ()) and not screen.check_action("cancel", ())


def test_every_event_has_words() -> None:
    for story in (counting(), failed()):
        for place, event in enumerate(story.events, 1):
            view = reduce_all(None, story.events[:place])
            assert view is not None
            words = event_words(event, view)
            assert words and "\n" not in words and "  " not in words, words
    story = Story().create([node("x")])
    for kind in EventType:
        if kind in (EventType.RUN_CREATED, EventType.STEP_EXPANDED):
            continue
        event = story.say(kind, "x", 0, 1, status="failed", message="\x1b[31m[/x]", error="\x1b]0;evil\x07")
        words = event_words(event, reduce_all(None, story.events) or pytest.fail("no view"))
        assert words and "\x1b" not in words


async def test_a_run_within_it_is_opened_at_the_same_moment() -> None:
    outer, inner = Story("a" * 12), Story("c" * 12, first_seq=100)
    outer.create([node("call", type="subworkflow", sub_workflow="inner")]).start().step_start("call")
    outer.child("call", inner.run_id)
    inner.create(
        [node("x"), node("y", "x")], workflow="inner", parent={"run_id": "a" * 12, "step_id": "call"}
    )
    inner.start().run_step("x", 5).run_step("y", 5).finish()
    outer.tick(5).say(EventType.WARNING, "call", message="half of it")
    outer.tick(5).attempt_end("call").step_end("call").finish()
    async with dashboard(FakeClient(stories=[outer, inner])) as (app, pilot):
        app.open_run(outer.run_id)
        await until(pilot, lambda: run_screen(app).view is not None)
        await travel(pilot, "less_than_sign", "less_than_sign")
        assert run_screen(app).now() == EPOCH.timestamp() + 5
        run_screen(app).steps.focus()
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == inner.run_id and run_screen(app).frame)
        view = run_screen(app).view
        assert view is not None and view.steps["y"].status is StepStatus.RUNNING
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app).frame is None)
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app).run_id == outer.run_id and run_screen(app).frame)
