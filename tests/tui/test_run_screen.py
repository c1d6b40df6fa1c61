from __future__ import annotations

from datetime import timedelta
from typing import Any

from agentainer_tui.estimate import Usual
from agentainer_tui.log_source import LogLine
from agentainer_tui.step_rows import GridKey, RowKey
from agentainer_tui.widgets.steps_pane import StepsPane
from engine.agents.backend import Sample
from engine.events import EventType
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting, failed
from tests.tui.story import Story, node


def lines_of(*texts: str, stream: str = "stdout") -> list[LogLine]:
    return [LogLine("2026-01-01T12:00:00.500000Z", stream, text) for text in texts]


async def test_all_steps_are_drawn_before_anything_starts_and_say_what_they_wait_for() -> None:
    story = Story().create([node("fetch"), node("parse"), node("join", "fetch", "parse")]).start()
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "waits: fetch, parse")
        assert run_screen(app).steps.keys == [RowKey("fetch"), RowKey("parse"), RowKey("join")]


async def test_live_events_move_the_rows_and_the_counts() -> None:
    story = Story().create([node("fetch"), node("join", "fetch")]).start()
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/2 steps")
        story.run_step("fetch", 1.5)
        client.tell(story)
        await until_seen(pilot, "1/2 steps")
        story.run_step("join").finish()
        client.tell(story)
        await until_seen(pilot, "2/2 steps")
        await until_seen(pilot, "✓ completed")


async def test_events_that_come_while_a_run_is_being_read_are_not_lost() -> None:
    story = Story().create([node("a"), node("b", "a")]).start()
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        read = client.run_events

        async def slow_read(run_id: str, *, after: int, limit: int, **which: Any):  # type: ignore[no-untyped-def]
            page = await read(run_id, after=after, limit=limit, **which)
            if page and after == 0:
                client.tell(story.run_step("a"))
                await until(pilot, lambda: not client._live.qsize())
                return page
            return () if page and page[0].seq > 2 else page  # the second page misses what came meanwhile

        client.run_events = slow_read  # type: ignore[method-assign]
        app.feed.views.pop(story.run_id, None)
        app.open_run(story.run_id)
        await until_seen(pilot, "1/2 steps")


async def test_items_unfold_under_their_step_with_their_own_states() -> None:
    story = counting()
    async with dashboard(FakeClient([COUNT], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "2/6")
        await until_seen(pilot, "a.txt")
        run_screen(app).steps.select(RowKey("count"))
        text = on_screen(app)
        assert "try 2/3 in 60s" in text
        assert "bad file" in text
        assert "waits for a free slot" in text
        assert "waits: 4 at a time" in text
        await pilot.press("j", "j", "space")
        await until(pilot, lambda: "a.txt" not in on_screen(app))
        assert run_screen(app).steps.key == RowKey("count"), "folding puts the cursor on the step"
        await pilot.press("space")
        await until_seen(pilot, "a.txt")


async def test_many_items_stay_folded_until_asked_for_and_make_a_grid() -> None:
    story = Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(10_000))
    async with dashboard(FakeClient([COUNT], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/10000")
        steps = run_screen(app).steps
        assert len(steps.keys) == 1
        await pilot.press("space")
        await until_seen(pilot, "10,000 pending")
        assert len(steps.keys) < 202
        await pilot.press("G", "right", "left", "left")
        await until(pilot, lambda: steps.selected()[1] is not None)
        item = steps.selected()[1]
        assert item is not None
        last = steps.keys[-1]
        assert isinstance(last, GridKey)
        assert item.index == last.first - 1, "left of the first of a line is the last of the line above"
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).details.has_focus_within)
        assert run_screen(app).details.selection[1] == item


async def test_the_cursor_follows_what_runs_until_it_is_moved_by_hand() -> None:
    story = Story().create([node("a"), node("b", "a"), node("c", "b")]).start()
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/3 steps")
        client.tell(story.run_step("a").step_start("b"))
        await until(pilot, lambda: run_screen(app).steps.key == RowKey("b"))
        await pilot.press("k")
        client.tell(story.step_end("b").step_start("c"))
        await until_seen(pilot, "2/3 steps")
        assert run_screen(app).steps.key == RowKey("a")


async def test_a_failed_run_opens_on_the_step_that_failed_with_its_error() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until(pilot, lambda: run_screen(app).steps.key == RowKey("send"))
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "refused by the server")
        await until_seen(pilot, "exit code")
        for _ in range(5):
            await pilot.press("right_square_bracket")
        await until_seen(pilot, "try 1")
        text = on_screen(app)
        assert "try 2" in text
        assert "exit 7" in text
        assert "kept for inspection" in text


async def test_the_tabs_show_input_state_and_events_of_the_selection() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until(pilot, lambda: run_screen(app).steps.key == RowKey("send"))
        details = run_screen(app).details
        details.turn(2)
        await until_seen(pilot, "Input  {1}")
        await until_seen(pilot, "x: 1")
        details.turn(1)
        assert details.tab == "state"
        await until_seen(pilot, "x: 1")
        details.go("events")
        await until_seen(pilot, "step.retrying")
        assert "run.created" not in on_screen(app), "only the events of the selected step"


async def test_the_log_follows_and_a_reader_who_scrolls_up_is_left_there() -> None:
    story = Story().create([node("a")]).start().step_start("a").attempt("a")
    client = FakeClient([HELLO], [story])
    async with dashboard(client, size=(100, 30)) as (app, pilot):
        app.open_run(story.run_id)
        client.write_log("a", lines_of(*(f"line {number}" for number in range(100))))
        await until_seen(pilot, "line 99")
        await pilot.press("tab", "k", "k", "k")
        log = run_screen(app).details.log_pane.view
        await until(pilot, lambda: not log.following)
        place = log.place.top
        client.write_log("a", lines_of("the end", "oh no"))
        await until_seen(pilot, "+2 new")
        assert log.place.top == place
        await pilot.press("f")
        await until_seen(pilot, "oh no")
        await until(pilot, lambda: "+2 new" not in on_screen(app))
        client.write_log("a", lines_of("still following"))
        await until_seen(pilot, "still following")


async def test_the_log_marks_standard_error_and_joins_pieces_of_a_line() -> None:
    story = Story().create([node("a")]).start().step_start("a").attempt("a")
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        client.write_log("a", [LogLine("", "stdout", "progress 1", partial=True)])
        await until_seen(pilot, "progress 1")
        client.write_log("a", lines_of("careful", stream="stderr"))
        await until_seen(pilot, "▎ careful")
        client.write_log("a", [LogLine("", "stdout", " of 2", partial=True)])
        await until_seen(pilot, "progress 1 of 2")
        client.write_log("a", [LogLine("", "stdout", ", done")])
        await until_seen(pilot, "progress 1 of 2, done")
        assert "▎ progress" not in on_screen(app)
        await pilot.press("t")
        assert run_screen(app).details.log_pane.view.times == "relative"


async def test_another_attempt_shows_its_own_log() -> None:
    story = Story().create([node("a", max_attempts=2)]).start().step_start("a").attempt("a")
    client = FakeClient([HELLO], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        client.write_log("a", lines_of("first try"))
        await until_seen(pilot, "first try")
        story.attempt_end("a", status="failed", exit_code=1).retry("a", 0.0).step_start("a").attempt("a", 2)
        client.tell(story)
        client.write_log("a", lines_of("second try"), number=2)
        await until_seen(pilot, "second try")
        assert "first try" not in on_screen(app)


async def test_zoom_gives_one_pane_the_screen_and_back() -> None:
    async with dashboard(FakeClient([HELLO], [failed()])) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        screen = run_screen(app)
        await pilot.press("z")
        await until(pilot, lambda: not screen.details.display)
        await pilot.press("escape")
        await until(pilot, lambda: screen.details.display)
        await pilot.press("tab", "z")
        await until(pilot, lambda: not screen.query_one(StepsPane).display)
        await pilot.press("z")
        await until(pilot, lambda: screen.query_one(StepsPane).display)


async def test_a_thousand_steps_draw_only_what_is_seen() -> None:
    story = Story().create([node(f"s{number}") for number in range(1000)]).start()
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/1000 steps")
        steps = run_screen(app).steps
        drawn: list[int] = []
        draw = steps.draw_row
        steps.draw_row = lambda place, width: drawn.append(place) or draw(place, width)  # type: ignore
        await pilot.press("G")
        await until_seen(pilot, "s999")
        assert len(set(drawn)) < 60, "two screenfuls of rows at most"
        assert steps.key == RowKey("s999")


def wide(done: int = 4) -> Story:
    """A step, five that depend on it, and one that depends on those."""
    middle = [f"part{place}" for place in range(5)]
    story = Story().create([node("split"), *(node(each, "split") for each in middle), node("join", *middle)])
    story.start().run_step("split")
    for each in middle[:done]:
        story.run_step(each)
    return story


async def test_lanes_stand_beside_the_steps_from_the_beginning() -> None:
    story = wide(0)
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "├─○─╮ part0")
        await until_seen(pilot, "╰─○─┤ part4")
        await until_seen(pilot, "○───╯ join")
        story.run_step("part0")
        client = app.client
        assert isinstance(client, FakeClient)
        client.tell(story)
        await until_seen(pilot, "├─✓─╮ part0")


async def test_finished_siblings_fold_into_one_row_and_back() -> None:
    story = wide()
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part3")
        steps = run_screen(app).steps
        steps.select(RowKey("part2"))
        await pilot.press("space")
        await until_seen(pilot, "4 finished")
        assert "part3" not in on_screen(app)
        await pilot.press("space")
        await until_seen(pilot, "part3")
        assert steps.key == RowKey("part0")
        await pilot.press("H")
        await until_seen(pilot, "4 finished")
        await pilot.press("H")
        await until_seen(pilot, "part3")


async def test_failed_steps_come_first_when_asked_for_and_are_jumped_to() -> None:
    story = wide(3).step_start("part3").attempt("part3")
    story.attempt_end("part3", status="failed", exit_code=2).step_end("part3", "failed", reason="task_failed")
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part3")
        steps = run_screen(app).steps
        await pilot.press("g", "right_curly_bracket")
        await until(pilot, lambda: steps.key == RowKey("part3"))
        await pilot.press("F")
        await until(pilot, lambda: steps.keys[0] == RowKey("part3"))
        await pilot.press("F")
        await until(pilot, lambda: steps.keys[0] == RowKey("split"))


async def test_without_a_failure_there_is_nothing_to_jump_to() -> None:
    story = wide()
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part3")
        await pilot.press("left_curly_bracket")
        await until_seen(pilot, "Nothing has failed")


async def test_steps_and_items_are_searched_while_typing() -> None:
    story = counting()
    async with dashboard(FakeClient([COUNT], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "a.txt")
        steps = run_screen(app).steps
        await pilot.press("slash", *"txt")
        await until(pilot, lambda: len(steps.keys) == 7)
        await until_seen(pilot, "6 of 9")
        await pilot.press("enter", "g", "n", "n")
        await until(pilot, lambda: steps.key == RowKey("count", 1))
        await pilot.press("N")
        await until(pilot, lambda: steps.key == RowKey("count", 0))
        await pilot.press("escape")
        await until_seen(pilot, "List files")
        assert steps.key == RowKey("count", 0), "the cursor stays on what was found"


async def test_the_time_left_is_told_from_earlier_runs() -> None:
    story = Story().create([node("a"), node("b", "a")]).start().step_start("a").attempt("a").tick(2)
    client = FakeClient([HELLO], [story])
    client.usually = Usual(3, 20.0, {"a": 8.0, "b": 12.0})
    async with dashboard(client, now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "eta 6.0s")
        await until_seen(pilot, "eta 18s")
        await until_seen(pilot, "~12s")


async def test_what_runs_is_measured_while_it_is_seen_and_no_longer() -> None:
    story = Story().create([node("a"), node("b")]).start().step_start("a").attempt("a").tick(5)
    client = FakeClient([HELLO], [story])
    begin = Sample(story.now, 1.0, 3 << 20)
    client.use("agent-a-1", begin, Sample(story.now + timedelta(seconds=2), 2.0, 12 << 20))
    async with dashboard(client, size=(140, 40), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "50%   12M")
        assert client.watched == {"agent-a-1"}
        await pilot.press("question_mark")
        await until(pilot, lambda: not client.watched)
        await pilot.press("escape")
        await until(pilot, lambda: client.watched == {"agent-a-1"})
        client.tell(story.attempt_end("a").step_end("a"))
        await until(pilot, lambda: not client.watched)


async def test_items_are_chosen_in_the_grid_with_the_mouse() -> None:
    story = Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(200))
    async with dashboard(FakeClient([COUNT], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/200")
        steps = run_screen(app).steps
        await pilot.press("space")
        await until_seen(pilot, "200 pending")
        line = next(line for line in on_screen(app).splitlines() if "○" * 10 in line)
        x = line.index("○" * 10) - steps.region.x + 3
        await pilot.click(steps, offset=(x, 4))
        await until(pilot, lambda: steps.selected()[1] is not None)
        item = steps.selected()[1]
        assert item is not None
        assert isinstance(steps.key, GridKey)
        assert item.index == steps.key.first + 3


async def test_the_lanes_of_the_step_under_the_cursor_are_bright() -> None:
    story = wide(0)
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "├─○─╮ part0")
        steps = run_screen(app).steps
        row = steps.place_of(RowKey("part3"))
        assert row is not None

        def bright() -> str:
            strip = steps.render_line(row + steps.HEADER)
            return "".join(segment.text for segment in strip if segment.style and segment.style.bold)

        steps.select(RowKey("join"))
        assert bright() == "─┤", "what leads to the join"
        steps.select(RowKey("split"))
        assert bright() == "├─", "what comes from the split"


async def test_the_sign_before_a_name_folds_with_the_mouse_and_enter_shows_folded_siblings() -> None:
    plan = [node("g", type="parallel"), *(node(f"in{n}", parent="g") for n in range(4)), node("z", "g")]
    story = Story().create(plan).start().step_start("g")
    for number in range(4):
        story.run_step(f"in{number}")
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "in3")
        steps = run_screen(app).steps
        x = next(line.index("▾") for line in on_screen(app).splitlines() if "▾ g" in line)
        await pilot.click(steps, offset=(x - steps.region.x, steps.HEADER))
        await until(pilot, lambda: "in3" not in on_screen(app))
        await pilot.click(steps, offset=(x - steps.region.x, steps.HEADER))
        await until_seen(pilot, "in3")
        await pilot.press("j", "space")
        await until_seen(pilot, "4 finished")
        await pilot.press("enter")
        await until_seen(pilot, "in3")


async def test_the_critical_path_is_marked_where_there_is_another_one() -> None:
    chain = Story("aaaaaaaaaaaa").create([node("a"), node("b", "a")]).start().run_step("a").run_step("b")
    fork = Story("bbbbbbbbbbbb", first_seq=100).create([node("a"), node("long", "a"), node("brief", "a")])
    fork.start().run_step("a").step_start("long").attempt("long").run_step("brief", 1.0).tick(5)
    fork.attempt_end("long").step_end("long").finish()
    client = FakeClient([HELLO], [chain.finish(), fork])
    async with dashboard(client, now=fork.now.timestamp()) as (app, pilot):
        app.open_run(chain.run_id)
        await until_seen(pilot, "2/2 steps")
        assert "◂" not in on_screen(app)
        app.open_run(fork.run_id)
        await until_seen(pilot, "◂")
        marked = [line for line in on_screen(app).splitlines() if "◂" in line]
        assert [name for name in ("a  ", "long", "brief") if any(name in line for line in marked)] == [
            "a  ",
            "long",
        ]


async def test_a_run_of_one_step_takes_news_that_are_not_of_the_step() -> None:
    client = FakeClient([HELLO])
    async with dashboard(client) as (app, pilot):
        story = Story("f" * 12).create([node("hi", name="Say hello")], workflow="hello").start()
        client.tell(story.step_start("hi").attempt("hi"))
        await until(pilot, lambda: app.feed.rows)
        app.open_run("f" * 12)
        await until_seen(pilot, "Say hello")
        story.say(EventType.WARNING, message="something to know")
        client.tell(story)
        await until(pilot, lambda: (view := run_screen(app).view) is not None and view.warnings)
        await pilot.pause()
        assert "Say hello" in on_screen(app)
