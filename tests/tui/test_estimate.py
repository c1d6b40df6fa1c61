from __future__ import annotations

from datetime import timedelta

import pytest

from agentainer_tui.estimate import PastRun, SteadyEnd, Usual, forecast, usual_of
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from engine.clock import isoformat
from engine.events import EventType
from tests.tui.story import EPOCH, Story, node

ZERO = EPOCH.timestamp()
DIAMOND = [node("a"), node("slow", "a"), node("quick", "a"), node("end", "slow", "quick")]
SECONDS = {"a": 2.0, "slow": 10.0, "quick": 1.0, "end": 3.0}


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def test_the_usual_is_the_median_of_earlier_runs() -> None:
    usual = usual_of([PastRun(10, {"a": 1}), PastRun(12, {"a": 3}), PastRun(90, {"a": 2, "b": 5})])
    assert usual == Usual(3, 12, {"a": 2, "b": 5})
    assert usual_of([]) == Usual()


def test_a_run_ends_when_its_longest_chain_does() -> None:
    view = view_of(Story().create(DIAMOND).start())
    found = forecast(view, Usual(3, 15.0, SECONDS), ZERO)
    assert found.end == pytest.approx(ZERO + 15)
    assert found.path == {"a", "slow", "end"}
    assert found.begins["end"] == pytest.approx(ZERO + 12)


def test_what_is_done_counts_as_it_was_and_what_runs_from_its_beginning() -> None:
    story = Story().create(DIAMOND).start().run_step("a", 4.0)
    story.step_start("slow").attempt("slow").step_start("quick").attempt("quick").tick(3)
    found = forecast(view_of(story), Usual(3, 15.0, SECONDS), ZERO + 7)
    assert found.ends["a"] == pytest.approx(ZERO + 4)
    assert found.ends["slow"] == pytest.approx(ZERO + 14)
    assert found.ends["quick"] == pytest.approx(ZERO + 7), "over its time: any moment"
    assert found.end == pytest.approx(ZERO + 17)


def test_where_not_all_ran_at_once_what_is_pending_is_stretched() -> None:
    wide = [node(f"s{number}") for number in range(10)]
    view = view_of(Story().create(wide).start())
    found = forecast(view, Usual(3, 20.0, {f"s{number}": 4.0 for number in range(10)}), ZERO)
    assert found.end == pytest.approx(ZERO + 20)


def test_a_step_that_nothing_is_known_of_makes_the_end_a_guess_that_is_not_told() -> None:
    view = view_of(Story().create(DIAMOND).start())
    found = forecast(view, Usual(), ZERO)
    assert found.end is None
    assert found.guessed == set(SECONDS)
    known_run = forecast(view, Usual(1, 15.0, {"a": 2.0}), ZERO + 5)
    assert known_run.end == pytest.approx(ZERO + 15), "then the whole run's usual time is all there is"


def test_a_map_goes_on_at_the_pace_of_its_items() -> None:
    story = Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(20))
    for index in range(5):
        story.run_step("m", 1.0, index)
    found = forecast(view_of(story), Usual(), ZERO + 5)
    assert found.ends["m"] == pytest.approx(ZERO + 20)
    assert found.end == pytest.approx(ZERO + 20)


def test_a_back_off_puts_the_end_off() -> None:
    story = Story().create([node("a", max_attempts=2)]).start().step_start("a").attempt("a").tick(1)
    story.attempt_end("a", status="failed").retry("a", 30.0)
    assert forecast(view_of(story), Usual(1, 2.0, {"a": 2.0}), ZERO + 1).ends["a"] == pytest.approx(ZERO + 33)


def test_a_group_ends_with_its_last_member() -> None:
    plan = [node("g", type="parallel"), node("x", parent="g"), node("y", parent="g"), node("z", "g")]
    found = forecast(
        view_of(Story().create(plan).start()), Usual(1, 9.0, {"x": 2.0, "y": 8.0, "z": 1.0}), ZERO
    )
    assert found.ends["g"] == pytest.approx(ZERO + 8)
    assert found.ends["z"] == pytest.approx(ZERO + 9)
    assert found.path == {"g", "y", "z"}


def test_steps_that_run_only_after_a_failure_are_not_expected_while_all_is_well() -> None:
    plan = [node("a"), node("page", role="on_failure"), node("tidy", role="finally")]
    usual = Usual(1, 6.0, {"a": 5.0, "page": 60.0, "tidy": 1.0})
    story = Story().create(plan).start()
    assert forecast(view_of(story), usual, ZERO).end == pytest.approx(ZERO + 6)
    story.run_step("a", 5.0).finish()


def test_the_path_of_a_run_that_is_over_is_exact() -> None:
    story = Story().create(DIAMOND).start().run_step("a", 1).step_start("slow").step_start("quick")
    story.attempt("slow").attempt("quick").tick(1).attempt_end("slow").step_end("slow")
    story.tick(5).attempt_end("quick").step_end("quick").run_step("end", 1).finish()
    found = forecast(view_of(story), Usual(3, 15.0, SECONDS), ZERO + 500)
    assert found.path == {"a", "quick", "end"}, "the one that used to be quick was not"
    assert found.end == pytest.approx(ZERO + 8)


def test_the_path_leads_through_a_step_that_was_skipped() -> None:
    story = Story().create([node("a"), node("no", "a"), node("b", "no")]).start().run_step("a", 2)
    story.step_end("no", "skipped", reason="condition_false").run_step("b", 1).finish()
    assert forecast(view_of(story), Usual(), ZERO + 9).path == {"a", "b"}


def test_nothing_is_expected_of_a_run_without_steps() -> None:
    assert forecast(RunView("x"), Usual(), ZERO).end is None


def test_an_end_that_wavers_stands_still_and_one_that_moves_is_followed() -> None:
    steady = SteadyEnd()
    assert steady.take(100.0, 0.0) == 100.0
    assert steady.take(110.0, 1.0) == 100.0
    assert steady.take(130.0, 2.0) == 130.0
    assert steady.take(None, 3.0) is None
    assert steady.take(50.0, 4.0) == 50.0


def test_what_is_left_is_told_and_what_is_late_only_when_it_is_clearly_late() -> None:
    story = Story().create([node("a")]).start().step_start("a").attempt("a")
    view = view_of(story)

    def told(after: float, usual: float) -> tuple[str, str]:
        found = forecast(view, Usual(3, usual, {"a": usual}), ZERO + after)
        return found.time_left(view.steps["a"], ZERO + after), found.time_left_of_run(view, ZERO + after)

    assert told(4, 10) == ("eta 6.0s", "eta 6.0s")
    assert told(10.2, 10) == ("", "")
    assert told(11.9, 10) == ("", "")
    assert told(12.1, 10) == ("longer than usual", "longer than usual")
    assert told(110, 100) == ("", "")
    assert told(116, 100) == ("longer than usual", "longer than usual")
    assert forecast(view, Usual(), ZERO + 4).time_left(view.steps["a"], ZERO + 4) == ""


def test_a_delay_ends_when_it_is_due() -> None:
    story = Story().create([node("pause"), node("b", "pause")]).start().step_start("pause")
    due = isoformat(story.now + timedelta(seconds=90))
    story.say(EventType.STEP_WAITING, "pause", why="delay", due=due)
    assert forecast(view_of(story), Usual(1, 7.0, {"pause": 5.0, "b": 2.0}), ZERO + 1).end == ZERO + 92
