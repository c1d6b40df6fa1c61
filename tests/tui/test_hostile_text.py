"""Names, errors and output of others, at their worst, in every place where they are shown."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.inspector.entries import fold
from agentainer_tui.lines import line
from agentainer_tui.log_source import LogLine
from agentainer_tui.screens.answer import AnswerDialog
from agentainer_tui.screens.cleanup import CleanupDialog
from agentainer_tui.screens.params_form import ParamsForm
from agentainer_tui.screens.retry import RetryDialog
from agentainer_tui.text import ago, brief, clean, clean_output, duration, fit, plain
from agentainer_tui.widgets.lines_view import plain_line
from agentainer_tui.widgets.step_list import RowKey
from engine.errors import Problem, UsageError
from engine.facade import ParamSpec
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import kept
from tests.tui.story import Story, node

HOSTILE = {
    "closing tag": "boom [/x] y",
    "style tag": "[red]seen[/red] [@click=app.bell]press[/]",
    "escape": "\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b5n",
    "wide": "漢字カナ🙂" * 8,
    "combining": "e\u0301\u0327" * 40 + "\u200d\ufe0f",
    "bidi": "abc\u202egnp.exe\u2066",
    "ten kilobytes": "n" * 10_240,
    "lines": "first\nsecond\r\nthird\tend",
    "surrogate": "half \ud83d half",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_a_terminal_obeys_passes(text: str) -> None:
    for safe in (clean(text), fit(text, 20), plain(text).plain, brief({"k": text}), clean_output(text)):
        assert not any(ord(sign) < 0x20 and sign != "\n" for sign in safe)
        assert not any(0x7F <= ord(sign) <= 0x9F for sign in safe)
        assert not any(sign in safe for sign in "\u202e\u2066\u200e")
        safe.encode("utf-8")


@pytest.mark.parametrize("width", [1, 2, 7, 20])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_cell_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width


@pytest.mark.parametrize("text", [t for t in HOSTILE.values() if "\n" not in t])
def test_folding_loses_nothing_and_stays_within_the_width(text: str) -> None:
    safe = clean(text)
    folded = fold(line(safe), 10)
    assert "".join(plain_line(each) for each in folded) == safe
    assert all(cell_len(plain_line(each)) <= 10 for each in folded)


def test_control_characters_become_visible_and_colour_codes_of_programs_vanish() -> None:
    assert clean("a\x1b[31mb\x00c\rd") == "a␛[31mb␀c␍d"
    assert clean_output("a\x1b[1;31mb\x1b[0mc\x1b[2Jd\r") == "abc␛[2Jd"


EVERYTHING = "\n".join(HOSTILE.values())


def hostile_story() -> Story:
    """A failed run in which every text of others is hostile, in every place that has one."""
    texts = list(HOSTILE.values())
    story = Story().create(
        [
            node("all", name=texts[0], command=EVERYTHING, image=EVERYTHING),
            node("m", "all", type="map", name=texts[1]),
            *(node(f"s{number}", "m", name=text) for number, text in enumerate(texts)),
            node("gate", name=texts[0], type="approval"),
            node("pick", routes=[{"label": text, "targets": ["all"], "workflow": text} for text in texts]),
            node("inner", name=texts[2], type="subworkflow", sub_workflow=EVERYTHING, trigger=texts[1]),
        ],
        workflow=texts[0],
        params=dict(zip(texts, reversed(texts), strict=True)),
        state=dict(zip(texts, texts, strict=True)),
    )
    artifacts = [{"name": text, "size": 1} for text in texts]
    story.start().ask("gate", EVERYTHING, seconds=60)
    story.step_start("pick").step_end("pick", result={"choice": texts[0], "next": []}, artifacts=artifacts)
    story.step_start("inner").child("inner", texts[0])
    story.step_start("all").attempt("all").tick(1)
    story.attempt_end("all", status="failed", reason="task_failed", exit_code=1, error=EVERYTHING)
    story.retry("all", 1, error=EVERYTHING).tick(1).step_start("all").attempt("all", 2)
    story.attempt_end("all", 2, exit_code=0)
    story.step_end("all", error=EVERYTHING, result=dict(zip(texts, texts, strict=True)))
    story.step_start("m").expand("m", texts)
    for number, text in enumerate(texts):
        story.step_end("m", "failed", number, error=text)
    return story.step_end("m", "failed", error=texts[0]).finish("failed", error=EVERYTHING)


def hostile_entries() -> list[WorkflowEntry]:
    texts = list(HOSTILE.values())
    params = tuple(ParamSpec(text, "string", text, description=text, choices=(text,)) for text in texts)
    problems = tuple(Problem("/w/x.yaml", 1, 2, text) for text in texts)
    first = WorkflowEntry("/w/first.yaml", texts[0], EVERYTHING, ("a",), params, problems)
    return [first, *(WorkflowEntry(f"/w/{n}.yaml", text) for n, text in enumerate(texts))]


async def test_the_lists_and_dialogs_survive_hostile_text() -> None:
    client = FakeClient(hostile_entries(), [hostile_story()])
    client.kept = [kept(text) for text in HOSTILE.values()]
    async with dashboard(client) as (app, pilot):
        await until_seen(pilot, "boom [/x] y")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm) and app.screen.query("#start"))
        assert_clean(on_screen(app))
        await pilot.press("escape", "X")
        await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
        assert_clean(on_screen(app))
        await pilot.press("escape", "colon")
        await until(pilot, lambda: app.screen.query("#commands"))
        await pilot.press(*"run")
        await pilot.press("escape", "G")
        assert_clean(on_screen(app))


async def test_gates_choices_and_artifacts_survive_hostile_text() -> None:
    story = hostile_story()
    story.events = story.events[:-1]  # it is still going on
    async with dashboard(FakeClient(hostile_entries(), [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until(pilot, lambda: run_screen(app).steps.keys)
        for step in ("gate", "pick", "inner"):
            run_screen(app).steps.select(RowKey(step))
            for _ in range(6):
                run_screen(app).details.turn(1)
                await pilot.pause()
                assert_clean(on_screen(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AnswerDialog))
        assert_clean(on_screen(app))


async def test_a_run_its_details_and_its_errors_survive_hostile_text() -> None:
    story = hostile_story()
    client = FakeClient(hostile_entries(), [story])
    lines = [LogLine("x", stream, text) for text in HOSTILE.values() for stream in ("stdout", "stderr")]
    client.write_log("all", lines, 2)
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        await until(pilot, lambda: run_screen(app).steps.keys)
        run_screen(app).steps.action_cursor_first()
        for _ in range(6):
            run_screen(app).details.turn(1)
            await pilot.pause()
            assert_clean(on_screen(app))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        await until(pilot, lambda: not app.screen.query_one("#start").disabled)
        await until_seen(pilot, "to run")
        assert_clean(on_screen(app))
        client.refuse = UsageError(EVERYTHING, hint=HOSTILE["closing tag"])
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one("#start").disabled)
        assert_clean(on_screen(app))


def assert_clean(drawn: str) -> None:
    assert not any(ord(sign) < 0x20 and sign != "\n" for sign in drawn)


async def test_markup_in_a_name_is_shown_letter_by_letter() -> None:
    entry = WorkflowEntry("/w/x.yaml", "boom [/x] y", "[red]not red[/red]", ("a",))
    async with dashboard(FakeClient([entry])) as (_, pilot):
        await until_seen(pilot, "boom [/x] y")
        await until_seen(pilot, "[red]not red[/red]")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m00s"), (61, "1m01s"),
     (3599.9, "1h00m"), (7_384, "2h03m"), (90_000, "1d1h"), (-3, "0.0s"), (None, "")],
)  # fmt: skip
def test_durations_are_short_and_never_say_sixty(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "now"), (4.9, "now"), (59, "59s ago"), (61, "1m ago"), (7200, "2h ago"), (200_000, "2d ago")],
)
def test_ages_have_one_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


async def test_rows_boxes_and_grids_survive_hostile_text() -> None:
    texts = list(HOSTILE.values())
    many = [f"{text}{place}" for place in range(9) for text in texts]
    plan = [node("root", name=texts[0]), *(node(f"s{n}", "root", name=text) for n, text in enumerate(many))]
    story = Story().create([*plan, node("m", "root", type="map", name=texts[-2])]).start()
    story.run_step("root").step_start("m").expand("m", many)
    for number in range(20):
        story.run_step(f"s{number}")
    async with dashboard(FakeClient((), [story]), size=(100, 40)) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "boom [/x] y")
        screen = run_screen(app)
        await pilot.press("H", "g")
        await until_seen(pilot, "20 finished")
        screen.steps.unfold("m", True)
        await pilot.press("G", "right", "right")
        await until_seen(pilot, "81 pending")
        await pilot.press("slash", *"[/x]", "enter")
        await until_seen(pilot, "of ")
        await pilot.press("escape", "v")
        await until(pilot, lambda: screen.steps_pane.boxes.has_focus)
        await until_seen(pilot, "siblings ×82")
        assert all(cell_len(row) <= 100 for row in on_screen(app).splitlines())
