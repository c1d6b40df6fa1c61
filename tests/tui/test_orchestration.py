"""Gates, delays, decisions, child runs, handler steps and remembered results on screen."""

from __future__ import annotations

from datetime import timedelta

from textual.widgets import Input

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.explain import explain
from agentainer_tui.model import reduce_all
from agentainer_tui.screens.answer import AnswerDialog
from agentainer_tui.step_rows import RowKey, Section
from agentainer_tui.views import Origin, RunView, row_of
from engine.clock import isoformat
from engine.events import EventType, RunStatus
from tests.tui.driving import dashboard, home, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.story import Story, node
from tests.tui.test_dialogs import commands

RELEASE = WorkflowEntry("/w/release.yaml", "release", "Ships.", ("build",))
PARENT, CHILD = "a1b2c3d4e5f6", "c0c0c0c0c0c0"


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def why(story: Story, step_id: str, item: int | None = None) -> str:
    view = view_of(story)
    step = view.steps[step_id]
    return explain(view, step, step if item is None else step.items[item], story.now.timestamp())


def release(run_id: str = PARENT, first_seq: int = 100) -> Story:
    """A run that waits for a person, with steps for its end."""
    story = Story(run_id, first_seq=first_seq).create(
        [
            node("build"),
            node("gate", "build", name="Ship it?", type="approval", approval="Ship {{ $.v }}?"),
            node("ship", "gate"),
            node("alarm", role="on_failure"),
            node("tidy", role="finally"),
        ],
        workflow="release",
    )
    return story.start().run_step("build").ask("gate", "Ship 1.2 [/x] to all?", seconds=300, default=False)


def family() -> tuple[Story, Story]:
    """A run whose step is a run of its own, both in progress."""
    parent = Story(PARENT, first_seq=100).create(
        [node("prepare"), node("deploy", "prepare", type="subworkflow", sub_workflow="rollout")],
        workflow="release",
    )
    parent.start().run_step("prepare").step_start("deploy").child("deploy", CHILD)
    child = Story(CHILD, first_seq=200).create(
        [node("copy"), node("check", "copy", type="approval")],
        workflow="rollout",
        parent={"run_id": PARENT, "step_id": "deploy", "attempt": 1},
    )
    return parent, child.start().run_step("copy")


# -- the reducer --------------------------------------------------------------------------------------


def test_a_gate_waits_with_its_message_until_it_is_answered() -> None:
    story = release()
    view = view_of(story)
    assert [step.id for step in view.gates] == ["gate"]
    assert row_of(view).gates == 1
    assert why(story, "gate") == "asks: Ship 1.2 [/x] to all? (rejected in 5m00s)"
    story.step_end("gate", result={"approved": True, "by": "ann", "comment": "", "at": ""})
    view = view_of(story)
    assert not view.gates
    assert not view.steps["gate"].waiting


def test_a_gate_without_a_deadline_says_nothing_about_one() -> None:
    story = Story().create([node("gate", type="approval")]).start().ask("gate", "")
    assert why(story, "gate") == "waits for approval"


def test_a_delay_counts_down() -> None:
    story = Story().create([node("pause", type="delay")]).start().step_start("pause")
    story.say(EventType.STEP_WAITING, "pause", why="delay", due=isoformat(story.now + timedelta(seconds=90)))
    story.tick(30)
    assert why(story, "pause") == "goes on in 1m00s"


def test_a_queued_run_says_what_it_waits_for_until_it_starts() -> None:
    story = Story().create([node("a")])
    story.say(EventType.RUN_QUEUED, why="max_active_runs")
    assert row_of(view_of(story)).queued == "max_active_runs"
    assert why(story, "a") == "waits for other runs of this workflow"
    assert view_of(story.start()).queued == ""


def test_a_decision_knows_its_ways_and_the_one_it_went() -> None:
    routes = [{"label": "high", "targets": ["call"]}, {"label": "default", "targets": ["mail"]}]
    story = Story().create(
        [
            node("triage", type="decision", routes=routes),
            node("call", "triage"),
            node("mail", "triage", trigger="one_success"),
        ]
    )
    story.start().step_start("triage").step_end("triage", result={"choice": "high", "next": ["call"]})
    story.step_end("mail", "skipped", reason="branch_not_taken")
    assert why(story, "triage") == "chose high"
    assert why(story, "mail") == "branch not taken"
    assert [way.targets for way in view_of(story).steps["triage"].routes] == [("call",), ("mail",)]
    assert view_of(story).steps["mail"].trigger == "one_success"


def test_results_of_earlier_work_and_artifacts_are_kept_with_the_step() -> None:
    story = Story().create([node("a", cached=True), node("b")]).start().step_start("a")
    came_from = {"run_id": "beef00000000", "step_id": "a"}
    story.step_end("a", reused=True, cached_from=came_from, artifacts=[{"name": "report", "size": 2048}])
    step = view_of(story).steps["a"]
    assert step.cached_from == Origin("beef00000000", "a")
    assert [(each.name, each.size) for each in step.artifacts] == [("report", 2048)]
    assert why(story, "a") == "remembered from run beef00"


def test_handler_steps_say_when_they_have_their_turn() -> None:
    story = release()
    assert why(story, "alarm") == "runs only if the run fails"
    assert why(story, "tidy") == "runs at the end, whatever happens"
    story.step_end("gate", "failed", reason="rejected", error="rejected by ann")
    story.step_end("ship", "skipped", reason="upstream_failed")
    story.say(EventType.RUN_SETTLED, status="failed", reason="rejected", failed_step="gate")
    assert view_of(story).settled is RunStatus.FAILED
    assert why(story, "alarm") == ""


def test_an_on_failure_step_of_a_run_that_went_well_says_so() -> None:
    story = release().step_end("gate").run_step("ship")
    story.step_end("alarm", "skipped", reason="condition_false", error="nothing failed: the run is completed")
    assert why(story, "alarm") == "nothing failed: the run is completed"


def test_a_child_run_and_its_parent_know_each_other() -> None:
    parent, child = map(view_of, family())
    assert parent.steps["deploy"].child_run == CHILD
    assert child.parent == Origin(PARENT, "deploy")
    assert row_of(child).parent_run == PARENT


# -- the screens --------------------------------------------------------------------------------------


async def test_handler_steps_stand_in_sections_that_the_cursor_skips() -> None:
    story = release()
    async with dashboard(FakeClient([RELEASE], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(PARENT)
        await until_seen(pilot, "if the run fails")
        await until_seen(pilot, "at the end, whatever happens")
        steps = run_screen(app).steps
        assert [key for key in steps.keys if isinstance(key, Section)] == [
            Section("on_failure"),
            Section("finally"),
        ]
        steps.action_cursor_first()
        seen = [steps.key]
        for _ in range(4):
            await pilot.press("j")
            seen.append(steps.key)
        assert seen == [RowKey(name) for name in ("build", "gate", "ship", "alarm", "tidy")]
        await pilot.press("k")
        assert steps.key == RowKey("alarm")


async def test_a_gate_is_approved_from_the_keyboard_with_a_comment() -> None:
    story = release()
    client = FakeClient([RELEASE], [story])
    async with dashboard(client, now=story.now.timestamp()) as (app, pilot):
        app.open_run(PARENT)
        await until_seen(pilot, "1 step to approve")
        await until_seen(pilot, "asks: Ship 1.2 [/x] to all?")
        await until_seen(pilot, "◇")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AnswerDialog))
        await until_seen(pilot, "Ship 1.2 [/x] to all?")
        await until_seen(pilot, "it is rejected.")
        app.screen.query_one(Input).value = " looks good "
        await pilot.press("right", "enter")
        await until(pilot, lambda: commands(client))
        assert commands(client) == [("answer_gate", PARENT, "gate", True, "looks good")]


async def test_enter_on_a_gate_asks_and_enter_again_does_nothing() -> None:
    story = release()
    client = FakeClient([RELEASE], [story])
    async with dashboard(client, now=story.now.timestamp()) as (app, pilot):
        app.open_run(PARENT)
        await until(pilot, lambda: run_screen(app).steps.key == RowKey("gate"))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AnswerDialog))
        await until_seen(pilot, "Not now")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app))
        assert commands(client) == []
        await pilot.press("a")
        await until_seen(pilot, "Reject")
        await pilot.press("right", "right", "enter")
        await until(pilot, lambda: commands(client) == [("answer_gate", PARENT, "gate", False, "")])


async def test_a_run_without_a_gate_offers_no_answer() -> None:
    story = release().step_end("gate")
    async with dashboard(FakeClient([RELEASE], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(PARENT)
        await until_seen(pilot, "x Cancel")
        assert "a Answer" not in on_screen(app)
        await pilot.press("a")
        assert run_screen(app)


async def test_a_gate_that_begins_to_wait_elsewhere_is_said_and_marked_in_the_list() -> None:
    story = release()
    ask = story.events[-2:]
    del story.events[-2:]
    client = FakeClient([RELEASE], [story])
    async with dashboard(client, now=story.now.timestamp()) as (app, pilot):
        await until(pilot, lambda: PARENT in app.feed.views)
        story.events += ask
        client.tell(story)
        await until_seen(pilot, "release, Ship it? waits for")
        await until_seen(pilot, "1 step to approve")
        home(app).runs.focus()
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AnswerDialog))


async def test_enter_opens_the_run_of_a_step_and_escape_comes_back() -> None:
    parent, child = family()
    client = FakeClient([RELEASE], [parent, child])
    async with dashboard(client, now=parent.now.timestamp()) as (app, pilot):
        await until(pilot, lambda: home(app).runs.keys == [PARENT])
        app.open_run(PARENT)
        await until(pilot, lambda: run_screen(app).steps.key == RowKey("deploy"))
        await until_seen(pilot, f"Its workflow is run {CHILD}")
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == CHILD)
        await until_seen(pilot, "part of deploy of run a1b2c3")
        await pilot.press("escape")
        await until(pilot, lambda: run_screen(app).run_id == PARENT)
        await pilot.press("enter")
        await until(pilot, lambda: run_screen(app).run_id == CHILD)
        await pilot.press("p")
        await until(pilot, lambda: run_screen(app).run_id == PARENT)
        await pilot.press("escape")
        await until(pilot, lambda: home(app))


async def test_a_gate_inside_a_child_run_can_be_answered_from_its_parent() -> None:
    parent, child = family()
    client = FakeClient([RELEASE], [parent, child.ask("check", "All well?")])
    async with dashboard(client, now=parent.now.timestamp()) as (app, pilot):
        await until_seen(pilot, "1 step to approve")
        app.open_run(PARENT)
        await until_seen(pilot, "a Answer")
        await pilot.press("a")
        await until_seen(pilot, "All well?")
        await pilot.press("right", "enter")
        await until(pilot, lambda: commands(client) == [("answer_gate", CHILD, "check", True, "")])


async def test_the_end_of_a_child_run_is_not_news_of_its_own() -> None:
    parent, child = family()
    client = FakeClient([RELEASE], [parent, child])
    async with dashboard(client, now=parent.now.timestamp()) as (app, pilot):
        await until(pilot, lambda: CHILD in app.feed.views)
        client.tell(child.finish("failed"))
        await until(pilot, lambda: app.feed.rows[CHILD].status == "failed")
        assert [row.id for row in app.feed.active()] == [PARENT]
        client.tell(parent.finish("failed"))
        await until_seen(pilot, "release failed after")
        assert "rollout failed" not in on_screen(app)


async def test_the_details_show_choices_artifacts_and_where_a_result_is_from() -> None:
    routes = [{"label": "big [/x]", "targets": ["b"]}, {"label": "default", "targets": []}]
    story = Story().create([node("a", type="decision", routes=routes), node("b", "a", name="Big one")])
    story.start().step_start("a").step_end("a", result={"choice": "big [/x]", "next": ["b"]})
    story.step_start("b").step_end(
        "b",
        reused=True,
        cached_from={"run_id": "beef00000000", "step_id": "b"},
        artifacts=[{"name": "out [/x].csv", "size": 3 << 20}],
    )
    async with dashboard(FakeClient([RELEASE], [story.finish()])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "chose big [/x]")
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "big [/x]: Big one  chosen")
        await pilot.press("j")
        await until_seen(pilot, "remembered from step b of run beef00000000")
        await until_seen(pilot, "out [/x].csv  3.0 MiB")
