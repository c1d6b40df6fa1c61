"""A run told in lines, and drawn as a picture."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from agentainer_tui.commands.family import Family
from agentainer_tui.commands.live import LiveProgress
from agentainer_tui.commands.narration import ITEMS_TOLD, ending, narrate
from agentainer_tui.commands.progress import PlainProgress, make_progress
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunView
from engine.events import EventType
from tests.tui.story import Story, node

HOSTILE = "\x1b[2J[/x]\u202e"


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def family_of(*stories: Story) -> Family:
    """The first story's run, with the others as parts of it."""
    family = Family(stories[0].run_id)
    family.take(event for story in stories for event in story.events)
    return family


def told(story: Story) -> list[str]:
    """The lines of a story, blanks squeezed."""
    view = view_of(story)
    lines = [narrate(event, view) for event in story.events]
    return [" ".join(" ".join(line).split()) for line in lines if line is not None]


def retried() -> Story:
    """A step that fails once and then completes."""
    story = Story().create([node("fetch", max_attempts=3)]).start()
    story.step_start("fetch").attempt("fetch").tick(1.5).retry("fetch", 2.0, error="exit code 7: lost\nmore")
    story.tick(2.0)
    story.say(EventType.STEP_STARTED, "fetch", old="retrying", status="running")
    return story.tick(1.0).step_end("fetch", result=1).finish()


def mapped(items: int) -> Story:
    """A map of which the last item failed."""
    story = Story().create([node("each", type="map"), node("sum", "each")]).start()
    story.step_start("each").expand("each", range(items))
    for index in range(items):
        status = "failed" if index == items - 1 else "completed"
        story.step_start("each", index).step_end("each", status, index)
    return story


def test_a_retry_says_why_and_when_it_goes_on() -> None:
    assert told(retried()) == [
        "run created sample a1b2c3d4e5f6, 1 step, backend process",
        "fetch running",
        "fetch retrying task_failed: exit code 7: lost; try 2 in 2.0s",
        "fetch running",
        "fetch completed 4.5s",
        "run completed 4.5s",
    ]


def test_items_of_a_small_map_are_told_one_by_one() -> None:
    lines = told(mapped(3))

    assert [line for line in lines if line.startswith("each[")] == [
        "each[0] completed 0.0s",
        "each[1] completed 0.0s",
        "each[2] failed 0.0s",
    ]
    assert "each expanded 3 items" in lines


def test_of_a_large_map_only_what_went_wrong_is_told() -> None:
    lines = told(mapped(ITEMS_TOLD + 1))

    assert [line for line in lines if line.startswith("each[")] == [f"each[{ITEMS_TOLD}] failed 0.0s"]


def test_a_finished_map_says_how_its_items_ended() -> None:
    story = mapped(4)
    story.step_end("each")

    assert told(story)[-1] == "each completed 0.0s, 3 of 4 items, 1 failed"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"reason": "task_failed", "exit_code": 3, "error": "boom"}, "task_failed (exit 3): boom"),
        (
            {"reason": "task_failed", "exit_code": 3, "error": "exit code 3: boom"},
            "task_failed: exit code 3: boom",
        ),
        ({"reason": "timed_out"}, "timed_out"),
        ({"error": "x" * 500}, "x" * 200 + "…"),
        ({}, ""),
    ],
)
def test_an_ending_says_reason_code_and_error_once(data: dict[str, object], words: str) -> None:
    assert ending(data) == words


def test_names_and_errors_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story().create([node(HOSTILE)], workflow=HOSTILE).start()
    story.say(EventType.WARNING, HOSTILE, message=HOSTILE)
    story.step_end(HOSTILE, "failed", error=HOSTILE)

    PlainProgress().show(family_of(story), story.events)

    shown = capsys.readouterr().err
    assert shown.count("\n") == 3
    assert all(char.isprintable() for char in shown.replace("\n", ""))


def picture(story: Story, *, height: int = 24, seconds: float | None = None) -> list[str]:
    """The rows that are drawn of a story, in a terminal of that height."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=height, color_system=None)
    progress = LiveProgress(console, now=lambda: story.now.timestamp() + (seconds or 0.0))
    return [row.plain.rstrip() for row in progress.rows(view_of(story))]


def test_every_step_is_drawn_before_it_starts() -> None:
    rows = picture(Story().create([node("a"), node("b", "a")]).start())

    assert rows[0].startswith("● sample running  a1b2c3d4e5f6")
    assert [row.split()[:3] for row in rows[1:]] == [["○", "a", "pending"], ["○", "b", "pending"]]
    assert rows[2].endswith("waits: a")


def test_the_countdown_of_a_retry_is_drawn() -> None:
    story = retried()
    del story.events[6:]  # it has just failed, and waits
    story.tick(-2.5)

    assert picture(story)[1].split() == ["↻", "fetch", "retrying", "2.0s", "try", "2/3", "in", "1.5s"]


def test_a_map_shows_its_tally_and_the_items_that_failed() -> None:
    rows = picture(mapped(4))

    assert rows[1].split("  ")[-1] == "3 of 4 items, 1 failed"
    assert rows[2].split()[:3] == ["✗", "each[3]", "failed"]


def test_more_steps_than_lines_show_those_at_work_and_count_the_rest() -> None:
    names = [f"s{number:03}" for number in range(200)]
    story = Story().create([node(name) for name in names]).start()
    for name in names[:150]:
        story.step_start(name)
        if name != "s010":
            story.step_end(name)

    rows = picture(story, height=15)

    assert len(rows) <= 15 - 2
    assert rows[1].split()[:3] == ["●", "s010", "running"]
    assert rows[2].split()[:3] == ["○", "s150", "pending"]
    assert rows[-1].strip() == "and 149 completed, 40 pending"


def test_the_picture_is_not_drawn_again_while_nothing_changes() -> None:
    story = retried()
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=24)
    progress = LiveProgress(console, now=story.now.timestamp)
    progress.show(family_of(story), [])
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    progress.show(family_of(story), [])

    assert console.file.getvalue() == drawn  # type: ignore[attr-defined]
    progress.close()


def test_progress_goes_on_silently_when_the_terminal_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    story = retried()
    console = Console(file=sys.stderr, force_terminal=True, width=80, height=24)
    progress = LiveProgress(console, now=story.now.timestamp)

    progress.show(family_of(story), story.events)
    progress.note("still here")
    progress.close()


def test_where_stderr_is_no_terminal_there_are_lines() -> None:
    assert isinstance(make_progress(), PlainProgress)


# -- what steps wait for, decide and run ----------------------------------------------------------------


def family() -> tuple[Story, Story]:
    """A run whose step is a run of its own, which waits for a person."""
    parent = Story("aaaaaaaaaaaa").create(
        [node("deploy", type="subworkflow", sub_workflow="rollout"), node("each", "deploy", type="map")]
    )
    parent.start().step_start("deploy").child("deploy", "bbbbbbbbbbbb")
    link = {"run_id": parent.run_id, "step_id": "deploy", "attempt": 1}
    child = Story("bbbbbbbbbbbb", first_seq=100).create(
        [node("copy"), node("gate", type="approval")], parent=link
    )
    child.start().run_step("copy").ask("gate", "All well?", seconds=60)
    return parent, child


def printed(family: Family, *stories: Story, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of stories, without their times."""
    PlainProgress().show(family, [event for story in stories for event in story.events])
    return [" ".join(line.split()[1:]) for line in capsys.readouterr().err.splitlines()]


def test_a_gate_says_what_it_asks_and_what_happens_without_an_answer() -> None:
    story = Story().create([node("gate", type="approval")]).start()
    story.ask("gate", "Ship it?\nReally?", seconds=90, default=True)

    assert told(story)[-1] == "gate waiting for approval: Ship it? (approved at 12:01:30Z)"


def test_a_gate_without_a_deadline_only_asks() -> None:
    story = Story().create([node("gate", type="approval")]).start().ask("gate", "")

    assert told(story)[-1] == "gate waiting for approval: go on?"


def test_a_delay_says_until_when() -> None:
    story = Story().create([node("pause", type="delay")]).start().step_start("pause")
    story.say(EventType.STEP_WAITING, "pause", why="delay", due="2026-01-01T12:05:00.000000Z")

    assert told(story)[-1] == "pause waiting goes on at 12:05:00Z"


def test_a_decision_says_what_it_chose_and_a_result_where_it_was_remembered_from() -> None:
    story = Story().create(
        [node("pick", type="decision", routes=[{"label": "big", "targets": []}]), node("a")]
    )
    story.start().step_start("pick").step_end("pick", result={"choice": "big", "next": []})
    story.step_start("a").step_end("a", reused=True, cached_from={"run_id": "cafe00000000", "step_id": "a"})

    assert told(story)[-3:] == [
        "pick completed 0.0s, chose big",
        "a running",
        "a completed 0.0s, remembered from run cafe00000000",
    ]


def test_the_verdict_is_told_before_the_last_steps_have_their_turn() -> None:
    story = Story().create([node("a"), node("tidy", role="finally")]).start()
    story.say(EventType.RUN_SETTLED, status="failed", reason="task_failed", error="step 'a' failed")

    assert told(story)[-1] == (
        "run settled comes to failed; its on_failure and finally steps have their turn, "
        "task_failed: step 'a' failed"
    )


def test_steps_of_a_child_run_are_told_behind_the_step_that_runs_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent, child = family()

    lines = printed(family_of(parent, child), parent, child, capsys=capsys)

    assert lines[1:] == [
        "deploy running",
        "deploy starting rollout as run bbbbbbbbbbbb",
        "deploy/copy running",
        "deploy/copy completed 1.0s",
        "deploy/gate running",
        "deploy/gate waiting for approval: All well? (fails at 12:01:01Z)",
    ]


def test_of_the_child_runs_of_items_only_what_waits_for_a_person_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = Story("aaaaaaaaaaaa").create([node("each", type="map", sub_workflow="one")]).start()
    parent.step_start("each").expand("each", ["x"]).step_start("each", 0).child(
        "each", "bbbbbbbbbbbb", item=0
    )
    link = {"run_id": parent.run_id, "step_id": "each", "item": 0, "attempt": 1}
    child = Story("bbbbbbbbbbbb", first_seq=100).create([node("copy"), node("gate")], parent=link)
    child.start().run_step("copy").ask("gate", "Go?")

    lines = printed(family_of(parent, child), child, capsys=capsys)

    assert lines == ["each[0]/gate waiting for approval: Go?"]


def test_a_family_leaves_other_runs_out_and_loses_nothing_within_one_batch() -> None:
    parent, child = family()
    stranger = Story("cccccccccccc", first_seq=200).create([node("a")]).start()
    kin = Family(parent.run_id)

    taken = kin.take([*parent.events, *stranger.events, *child.events])

    assert taken == [*parent.events, *child.events]
    assert kin.root is not None
    assert kin.child_of(kin.root.steps["deploy"]) == view_of(child)
    assert kin.place(child.run_id) == "deploy/"


def test_the_picture_shows_how_far_a_child_run_is_and_what_it_waits_for() -> None:
    parent, child = family()
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=24, color_system=None)
    progress = LiveProgress(console, now=child.now.timestamp)

    rows = [row.plain for row in progress.rows(view_of(parent), family_of(parent, child))]

    assert "run bbbbbbbbbbbb: 1 of 2 steps, gate waits for approval" in rows[1]


def test_the_picture_shows_a_gate_with_its_own_sign() -> None:
    story = Story().create([node("gate", type="approval")]).start().ask("gate", "Go?", seconds=60)

    row = picture(story)[1]

    assert row.split()[:3] == ["◇", "gate", "waiting"]
    assert row.endswith("asks: Go? (fails in 1m00s)")
