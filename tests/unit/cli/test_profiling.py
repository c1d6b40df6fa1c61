"""The report of a profile: what it shows of runs that are odd, and how it fits on a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentainer_tui.commands.profiling import _report
from engine.metrics.profile import profile_of
from tests.unit.metrics.stories import Story
from tests.unit.metrics.test_profile import family, map_story
from tests.unit.metrics.test_traces import PROFILES


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_run_that_has_not_begun_has_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    _report(PROFILES["nothing"])
    text = shown(capsys)
    assert "took 0" in text
    assert "nothing that took time" in text
    assert "no bottlenecks found" in text


def test_steps_of_child_runs_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    _report(profile_of(family(), "r1"))
    text = shown(capsys)
    assert "↳ u" in text
    assert "↳ v" in text


def test_the_longest_links_of_a_long_path_are_shown_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story([{"id": f"s{n}", "depends_on": [f"s{n - 1}"] if n else []} for n in range(50)])
    over = 0.0
    for number in range(50):
        over = story.step(f"s{number}", over, {"run": 100.0 if number in (7, 31) else 1.0 + number / 100})
    _report(profile_of(story.end(over).all, "r1"))
    text = shown(capsys)
    path = text[text.index("critical path") : text.index("slowest steps")]
    assert path.index("s7 ") < path.index("s31 ") < path.index("s49 ")
    assert "… 30 shorter links" in path
    assert "… 40 more steps" in text


def test_long_names_do_not_break_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-step-with-a-name-that-goes-on-and-on-and-on-for-sixty-letters"
    story = Story([{"id": name}])
    _report(profile_of(story.end(story.step(name, 30.0, {"queue": 30, "image": 20, "run": 50})).all, "r1"))
    assert max(map(len, shown(capsys).splitlines())) <= 80


def test_a_live_run_is_told_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    found = profile_of(map_story([2, 2, 2], at_once=1).all, "r1")
    _report(replace(found, live=True, status="running", waited=12.0))
    text = shown(capsys)
    assert "running, so far" in text
    assert "after 12s of waiting to start" in text
