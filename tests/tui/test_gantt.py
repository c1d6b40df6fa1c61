from __future__ import annotations

from rich.style import Style

from agentainer_tui.looks import ASCII, UNICODE, Glyphs
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from agentainer_tui.widgets.gantt import Note, Span, TimeScale, draw_bar, spans_of
from agentainer_tui.widgets.ink import Row
from tests.tui.story import EPOCH, Story, node

ZERO = EPOCH.timestamp()
PLAIN = Style()


def bar(*spans: Span, width: int = 10, length: float = 10.0, note: str = "", glyphs: Glyphs = UNICODE) -> str:
    row = Row()
    scale = TimeScale(0.0, length, 1.0, width)
    draw_bar(row, spans, scale, Note(note, "muted"), lambda name: PLAIN, glyphs)
    text = row.strip(width, PLAIN).text
    assert row.width == width
    return text


def heavy(begin: float, end: float) -> Span:
    return Span(begin, end, "success", False)


def light(begin: float, end: float) -> Span:
    return Span(begin, end, "faint", True)


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def test_bars_are_drawn_to_half_a_cell() -> None:
    assert bar(heavy(0, 10)) == "━━━━━━━━━━"
    assert bar(heavy(2, 4.5)) == "  ━━╸     "
    assert bar(heavy(2.5, 5)) == "  ╺━━     "
    assert bar(heavy(0, 10), glyphs=ASCII) == "=========="


def test_however_short_it_was_it_is_seen() -> None:
    assert bar(heavy(3, 3.0001)) == "   ╸      "
    assert bar(heavy(10, 10)) == "         ╺"


def test_waiting_is_light_and_tries_stand_out_of_it() -> None:
    assert bar(light(0, 10), heavy(2, 4), heavy(7, 10)) == "╌╌━━╌╌╌━━━"


def test_a_note_stands_after_the_bar_or_before_it_or_nowhere() -> None:
    assert bar(note="waits: a") == "waits: a  "
    assert bar(heavy(0, 2), note="failed") == "━━ failed "
    assert bar(heavy(8, 10), note="failed") == " failed ━━"
    assert bar(heavy(2, 9), note="failed") == "  ━━━━━━━ "
    assert bar(note="漢字漢字漢字漢字") == "漢字漢字 …", "a letter of two cells is never cut in half"


def test_nothing_reaches_over_the_axis() -> None:
    assert bar(heavy(-5, 50)) == "━━━━━━━━━━"


def test_the_axis_of_a_finished_run_ends_with_it() -> None:
    story = Story().create([node("a")]).start().run_step("a", 10.0).finish()
    scale = TimeScale.of(view_of(story), ZERO + 1_000, 40)
    assert scale.span == 10.0
    labels = scale.labels()
    assert len(labels) == 40
    assert labels.split() == ["0s", "5s"]


def test_the_axis_of_a_live_run_has_room_ahead_and_moves_in_strides() -> None:
    view = view_of(Story().create([node("a")]).start())
    spans = {TimeScale.of(view, ZERO + 20 + tick / 10, 40).span for tick in range(20)}
    assert len(spans) <= 2, "bars do not shrink at every tick"
    assert min(spans) > 20


def test_axis_labels_fit_minutes_and_hours() -> None:
    view = view_of(Story().create([node("a")]).start())
    minutes = TimeScale.of(view, ZERO + 400, 60).labels()
    assert minutes.split() == ["0s", "2m", "4m", "6m"]
    hours = TimeScale.of(view, ZERO + 3 * 86_400, 60).labels()
    assert "2d0h" in hours.split()


def test_a_step_shows_each_try_and_the_pauses_between() -> None:
    story = Story().create([node("a", max_attempts=2)]).start().step_start("a").tick(1).attempt("a").tick(2)
    story.attempt_end("a", status="failed", exit_code=1).retry("a", 3).tick(3)
    story.step_start("a").attempt("a", 2).tick(4)
    spans = spans_of(view_of(story).steps["a"], ZERO + 10)
    assert [(span.begin - ZERO, span.end - ZERO, span.ink) for span in spans] == [
        (0, 10, "faint"),
        (1, 3, "error"),
        (6, 10, "running"),
    ]


def test_what_has_not_started_has_no_bar() -> None:
    assert spans_of(view_of(Story().create([node("a")])).steps["a"], ZERO + 9) == []
