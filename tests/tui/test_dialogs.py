from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Button, Input, Select, Static, TextArea

from agentainer_tui.client import Preview, RetryScope
from agentainer_tui.screens.cleanup import CleanupDialog
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.screens.params_form import ParamsForm
from agentainer_tui.screens.retry import RetryDialog
from agentainer_tui.widgets.param_field import ParamField
from engine.errors import UsageError
from engine.facade import ParamSpec
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import COMMANDS, FakeClient
from tests.tui.fake_editing import fate
from tests.tui.scenes import COUNT, HELLO, counting, failed, finished, kept
from tests.tui.story import Story, node


def commands(client: FakeClient) -> list[tuple[object, ...]]:
    return [call for call in client.calls if call[0] in COMMANDS]


# -- run ----------------------------------------------------------------------------------------------


async def test_a_workflow_without_params_runs_at_once_and_is_shown() -> None:
    client = FakeClient([HELLO])
    client.started = "aa11aa11aa11"
    async with dashboard(client) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: run_screen(app).run_id == "aa11aa11aa11")
        assert commands(client) == [("run", HELLO.path, {})]


async def test_the_form_asks_for_params_checks_them_and_starts_with_what_was_given() -> None:
    client = FakeClient([COUNT])
    async with dashboard(client) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        await until_seen(pilot, "The image of every step.")
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        assert fields["image"].query_one(Input).value == "python:3.12-alpine"
        fields["limit"].query_one(Input).value = "many"
        await pilot.click("#start")
        await until_seen(pilot, "expected a whole number")
        assert fields["topic"].problem == "is required"
        assert commands(client) == [], "nothing starts while something is wrong"
        assert app.focused is fields["limit"].query_one(Input), "the first wrong field has the focus"
        fields["limit"].query_one(Input).value = "5"
        await until(pilot, lambda: not fields["limit"].problem)
        fields["mode"].query_one(Select).value = 1
        fields["topic"].query_one(Input).value = "whales"
        await pilot.click("#start")
        await until(pilot, lambda: commands(client))
        params = {"image": "python:3.12-alpine", "limit": 5, "mode": "thorough", "topic": "whales"}
        assert commands(client) == [("run", COUNT.path, params)]
        await until(pilot, lambda: run_screen(app).run_id == client.started)


async def test_the_form_begins_with_the_params_of_the_last_run() -> None:
    async with dashboard(FakeClient([COUNT], [counting()])) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: fields["limit"].query_one(Input).value == "2")
        assert fields["topic"].query_one(Input).value == "whales"
        assert fields["image"].query_one(Input).value == "python:3.12-alpine", "else the default"


async def test_f4_puts_the_defaults_into_the_form_and_f5_the_last_run() -> None:
    async with dashboard(FakeClient([COUNT], [counting()])) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: fields["limit"].query_one(Input).value == "2")
        fields["mode"].query_one(Select).value = 1
        await pilot.press("f4")
        await until(pilot, lambda: fields["limit"].query_one(Input).value == "3")
        assert fields["topic"].query_one(Input).value == ""
        assert fields["mode"].query_one(Select).value == 0
        await pilot.press("f5")
        await until(pilot, lambda: fields["limit"].query_one(Input).value == "2")
        assert fields["topic"].query_one(Input).value == "whales"


async def test_the_form_begins_where_a_value_is_missing_and_says_what_is_wrong_when_a_field_is_left() -> None:
    async with dashboard(FakeClient([COUNT])) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: app.focused is fields["topic"].query_one(Input))
        await until_seen(pilot, "default python:3.12-alpine")
        fields["limit"].query_one(Input).focus()
        await pilot.press("end", "x")
        assert fields["limit"].problem == "", "nobody is interrupted while they type"
        await pilot.press("tab")
        await until_seen(pilot, "expected a whole number")
        await pilot.press("shift+tab", "end", "backspace")
        await until(pilot, lambda: not fields["limit"].problem)


async def test_the_form_shows_the_command_that_does_the_same_as_it_is_filled_in() -> None:
    async with dashboard(FakeClient([COUNT])) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        await pilot.press("a", "'")
        await until_seen(pilot, "$ agentainer run /w/count.yaml")
        twin = str(app.screen.query_one("#twin", Static).content)
        assert twin.endswith("""-p mode=fast -p 'topic=a'"'"''""")


async def test_json_is_typed_over_several_lines_and_checked() -> None:
    entry = replace(COUNT, params=(ParamSpec("names", "array", ["ann"]), ParamSpec("sure", "boolean", True)))
    client = FakeClient([entry])
    async with dashboard(client) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: fields["names"].query_one(TextArea).text == '["ann"]')
        fields["names"].query_one(TextArea).text = '["ann",'
        await pilot.click("#start")
        await until(pilot, lambda: fields["names"].problem)
        assert commands(client) == []
        fields["names"].query_one(TextArea).text = '["ann",\n "bob"]'
        fields["sure"].query_one(Select).value = 1
        await until(pilot, lambda: not fields["names"].problem)
        await pilot.click("#start")
        await until(pilot, lambda: commands(client))
        assert commands(client) == [("run", COUNT.path, {"names": ["ann", "bob"], "sure": False})]


async def test_what_the_engine_refuses_is_said_in_the_form_and_nothing_typed_is_lost() -> None:
    client = FakeClient([COUNT])
    client.refuse = UsageError("step `list` asks for 64 CPUs, this machine has 2", hint="ask for less")
    async with dashboard(client) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, ParamsForm))
        fields = {field.spec.name: field for field in app.screen.query(ParamField)}
        await until(pilot, lambda: fields["topic"].query(Input))
        fields["topic"].query_one(Input).value = "whales"
        await pilot.click("#start")
        await until_seen(pilot, "this machine has 2")
        assert isinstance(app.screen, ParamsForm)
        assert fields["topic"].query_one(Input).value == "whales"
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


async def test_a_refused_command_is_a_notification_and_the_app_goes_on() -> None:
    client = FakeClient([HELLO])
    client.refuse = UsageError("no more room", hint="remove something")
    async with dashboard(client) as (app, pilot):
        await pilot.press("r")
        await until_seen(pilot, "no more room")
        await until_seen(pilot, "remove something")
        assert home(app)


# -- retry --------------------------------------------------------------------------------------------


def outlook(scope: RetryScope) -> Preview:
    """What an engine says of a retry of `failed()`: by its scope another number of steps is taken over."""
    what = ["reused", "reused", "rerun", "rerun"]
    if scope == RetryScope():
        what = ["rerun"] * 4
    elif scope.only_step:
        what = ["reused" if step != scope.only_step else "rerun" for step in STEPS]
    steps = tuple(fate(step, one, f"because {step}") for step, one in zip(STEPS, what, strict=True))
    return Preview(steps, {"get": 63.0}, 63.0, digest="d1")


STEPS = ("get", "check", "send", "tell")


@pytest.mark.parametrize(
    ("downs", "effect", "scope", "twin"),
    [
        (0, "2 steps to run, 2 results taken over, 1m03s saved", RetryScope(failed=True), "--failed"),
        (1, "2 steps to run, 2 results taken over", RetryScope(from_step="send"), "--from send"),
        (2, "1 step to run, 3 results taken over", RetryScope(only_step="send"), "--only send"),
        (3, "4 steps to run", RetryScope(), "retry bad0bad0bad0"),
        (4, "2 steps to run", RetryScope(failed=True, edited=True), "retry bad0bad0bad0 --edited"),
    ],
    ids=["failed", "from", "only", "whole", "edited"],
)
async def test_retry_offers_every_scope_and_shows_what_becomes_of_each_step(
    downs: int, effect: str, scope: RetryScope, twin: str
) -> None:
    client = FakeClient([HELLO], [failed()])
    client.outlook = outlook
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        await pilot.press(*["down"] * downs)
        await until_seen(pilot, effect)
        await until_seen(pilot, "because send")
        await until_seen(pilot, twin)
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == client.started)
        assert commands(client) == [("retry", "bad0bad0bad0", scope)]
        assert client.digest == "d1", "exactly what was previewed"


async def test_the_step_of_a_retry_is_chosen_in_the_list_of_steps_by_key_and_by_click() -> None:
    client = FakeClient([HELLO], [failed()])
    client.outlook = outlook
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until_seen(pilot, "because tell")
        await pilot.click("#scope", offset=(6, 2))
        await until_seen(pilot, "--only send")
        assert isinstance(app.screen, RetryDialog), "a click looks at a scope, and starts nothing"
        await pilot.press("tab", "down")
        await until_seen(pilot, "--only tell")
        await pilot.click("#fates", offset=(6, 2))
        await until_seen(pilot, "--only check")
        await pilot.click("#start")
        await until(pilot, lambda: run_screen(app).run_id == client.started)
        assert commands(client) == [("retry", "bad0bad0bad0", RetryScope(only_step="check"))]


async def test_a_scope_that_makes_no_sense_is_said_and_starts_nothing() -> None:
    client = FakeClient([HELLO], [failed()])
    client.outlook = lambda scope: UsageError("nothing failed in run bad0bad0bad0", hint="retry it whole")
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until_seen(pilot, "nothing failed in run")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, RetryDialog)
        assert app.screen.query_one("#start").disabled
        assert commands(client) == []
        client.outlook = outlook
        await pilot.press("down")
        await until_seen(pilot, "because tell")
        client.outlook = lambda scope: UsageError("nothing failed in run bad0bad0bad0")
        await pilot.press("up")
        await until_seen(pilot, "nothing failed in run")
        assert "because" not in on_screen(app), "what does not hold any more is not said any more"


async def test_what_the_engine_refuses_is_said_in_the_dialog() -> None:
    client = FakeClient([HELLO], [failed()])
    client.refuse = UsageError("hello.yaml was saved again since the preview was made")
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("R")
        await until_seen(pilot, "4 steps to run")
        await pilot.press("enter")
        await until_seen(pilot, "was saved again since")
        assert isinstance(app.screen, RetryDialog)


@pytest.mark.parametrize(("key", "name"), [("r", "run"), ("R", "retry")])
async def test_a_button_that_is_pressed_twice_at_once_starts_one_run(
    key: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = replace(HELLO, params=(ParamSpec("limit", "number", default=1),))
    client = FakeClient([entry], [failed()])
    async with dashboard(client) as (app, pilot):
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Dialog))
        await until(pilot, lambda: not app.screen.query_one("#start", Button).disabled)
        await until(pilot, lambda: key == "r" or "steps to run" in on_screen(app))
        begin, answer = getattr(client, name), asyncio.Event()

        async def slow(*args: Any, **rest: Any) -> str:
            run_id: str = await begin(*args, **rest)
            await answer.wait()
            return run_id

        monkeypatch.setattr(client, name, slow)
        start = app.screen.query_one("#start", Button)
        start.post_message(Button.Pressed(start))
        await until(pilot, lambda: commands(client))
        start.post_message(Button.Pressed(start))
        await pilot.pause()
        answer.set()
        await until(pilot, lambda: not isinstance(app.screen, Dialog))
        assert run_screen(app).run_id == client.started
        assert len(commands(client)) == 1


async def test_retry_from_the_list_reads_the_run_first() -> None:
    client = FakeClient([HELLO], [failed()])
    async with dashboard(client) as (app, pilot):
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, RetryDialog))
        await pilot.press("escape")
        await until(pilot, lambda: home(app))
        assert commands(client) == []


async def test_a_run_in_progress_offers_cancel_and_no_retry() -> None:
    client = FakeClient([COUNT], [counting()])
    async with dashboard(client) as (app, pilot):
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "x Cancel")
        assert "R Retry" not in on_screen(app)
        await pilot.press("R")
        assert run_screen(app)


# -- cancel -------------------------------------------------------------------------------------------


async def test_cancel_names_what_runs_and_enter_alone_does_nothing() -> None:
    client = FakeClient([COUNT], [counting()])
    async with dashboard(client) as (app, pilot):
        app.open_run("a1b2c3d4e5f6")
        await until_seen(pilot, "Count words")
        await pilot.press("x")
        await until_seen(pilot, "Cancel count a1b2c3?")
        await until_seen(pilot, "● Count words")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app))
        assert commands(client) == []
        await pilot.press("x")
        await until_seen(pilot, "Keep running")
        await pilot.press("right", "enter")
        await until(pilot, lambda: commands(client) == [("cancel", "a1b2c3d4e5f6", False)])


async def test_cancelling_a_second_time_offers_to_skip_the_grace() -> None:
    story = counting()
    client = FakeClient([COUNT], [story])
    async with dashboard(client) as (app, pilot):
        app.open_run(story.run_id)
        story.say_cancelling()
        client.tell(story)
        await until_seen(pilot, "cancelling")
        await pilot.press("x")
        await until_seen(pilot, "Kill them now?")
        await pilot.press("right", "enter")
        await until(pilot, lambda: commands(client) == [("cancel", story.run_id, True)])


# -- clean-up -----------------------------------------------------------------------------------------


async def test_cleanup_lists_what_goes_and_removes_only_what_it_listed() -> None:
    client = FakeClient([HELLO], [failed()])
    client.kept = [kept("agent-one"), kept("agent-two", size=None)]
    async with dashboard(client) as (app, pilot):
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
        await until_seen(pilot, "agent-one")
        text = on_screen(app)
        assert "agent-two" in text
        assert "send, try 2, 2.0 MiB" in text
        client.kept.append(kept("agent-three"))  # kept only after the list was made
        await pilot.press("right", "enter")
        await until_seen(pilot, "2 agents removed, 2.0 MiB of disk")
        assert commands(client) == [("cleanup", ("agent-one", "agent-two"))]
        assert [agent.name for agent in client.kept] == ["agent-three"]


async def test_cleanup_does_nothing_by_default() -> None:
    client = FakeClient([HELLO], [failed()])
    client.kept = [kept("agent-one")]
    async with dashboard(client) as (app, pilot):
        for key in ("enter", "escape"):
            await pilot.press("X")
            await until(pilot, lambda: isinstance(app.screen, CleanupDialog))
            await until_seen(pilot, "agent-one")
            await pilot.press(key)
            await until(pilot, lambda: home(app))
        assert commands(client) == []


async def test_cleanup_of_a_run_asks_for_its_agents_only_and_says_if_there_are_none() -> None:
    client = FakeClient([HELLO], [failed()])
    client.kept = [kept("other", run_id="cc")]
    async with dashboard(client) as (app, pilot):
        app.open_run("bad0bad0bad0")
        await until_seen(pilot, "send")
        await pilot.press("X")
        await until_seen(pilot, "No agents of this run are kept")
        assert ("kept_agents", "bad0bad0bad0") in client.calls


# -- quit ---------------------------------------------------------------------------------------------


async def test_quit_with_nothing_running_just_leaves() -> None:
    async with dashboard(FakeClient([HELLO], [finished("aa", 1)])) as (app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: app.return_value == 0 or not app.is_running)
        assert app.return_code == 0


async def test_quit_with_a_run_in_progress_asks_and_stays_by_default() -> None:
    client = FakeClient([COUNT], [counting()])
    async with dashboard(client) as (app, pilot):
        await pilot.press("q")
        await until_seen(pilot, "1 run in progress")
        await until_seen(pilot, "● count  a1b2c3")
        await pilot.press("enter")
        await until(pilot, lambda: home(app))
        assert app.return_value is None
        assert commands(client) == []


async def test_quit_when_done_leaves_after_the_last_run() -> None:
    story, second = counting(), counting("ffffffffffff", 5000)
    client = FakeClient([COUNT], [story, second])
    async with dashboard(client) as (app, pilot):
        await pilot.press("q")
        await until_seen(pilot, "2 runs in progress")
        await pilot.press("right", "enter")
        await until(pilot, lambda: home(app))
        client.tell(story.finish())
        await until(pilot, lambda: app.feed.rows[story.run_id].status == "completed")
        assert app.return_value is None, "one is still running"
        client.tell(second.finish())
        await until(pilot, lambda: app.return_value == 0)


async def test_quit_can_cancel_everything_and_waits_for_the_end() -> None:
    story = counting()
    client = FakeClient([COUNT], [story])
    async with dashboard(client) as (app, pilot):
        await pilot.press("q")
        await until_seen(pilot, "Cancel and leave")
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: commands(client) == [("cancel", story.run_id, False)])
        assert app.return_value is None, "its tasks are still being stopped"
        client.tell(story.finish("cancelled"))
        await until(pilot, lambda: app.return_value == 0)


# -- all of them --------------------------------------------------------------------------------------


async def test_the_end_of_a_run_elsewhere_is_said_without_moving_anything() -> None:
    story = Story().create([node("a")], workflow="count").start()
    client = FakeClient([COUNT, HELLO], [story])
    async with dashboard(client) as (app, pilot):
        await pilot.press("j")
        before = (app.screen, app.focused, home(app).workflows.key)
        client.tell(story.run_step("a").finish("failed"))
        await until_seen(pilot, "count failed after")
        assert (app.screen, app.focused, home(app).workflows.key) == before


async def test_every_dialog_closes_with_escape() -> None:
    client = FakeClient([COUNT], [counting()])
    client.kept = [kept("agent-one")]
    async with dashboard(client) as (app, pilot):
        for key in ("r", "x", "X", "q", "question_mark"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Dialog))
            assert app.screen.query(Static)
            await pilot.press("escape")
            await until(pilot, lambda: home(app))
        assert commands(client) == []
