"""The pages of a profile, from profiles of made-up runs, without a screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from agentainer_tui.flows.profiling import name_problem, proposed_stem
from agentainer_tui.looks import ASCII, UNICODE, Glyphs
from agentainer_tui.plots import Line
from agentainer_tui.profile_page import overview, path_lines, phase_bar, sample_lines, step_lines
from engine.metrics.parallelism import Parallelism
from engine.profiling import Bottleneck, Profile, Recommendation
from tests.profiles import live_profile, profile

FOUND = profile()
EMPTY = Profile("r" * 12, "empty", "pending", True, False, 0.0, 0.0, {}, {}, (), (), Parallelism())


def as_text(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def test_the_parts_of_the_time_are_bars_with_seconds_and_shares() -> None:
    text = as_text(overview(FOUND, 100, UNICODE))
    assert "running tasks" in text and "waiting for room" in text
    assert "Tasks at a time" in text
    assert "█" in text and "%" in text


def test_bottlenecks_come_with_evidence_and_the_setting_that_would_help() -> None:
    slow = replace(
        FOUND,
        bottlenecks=(Bottleneck("concurrency", "high", "step load", 12.0, 0.4, "it waited 12.0 s for room"),),
        recommendations=(
            Recommendation("step load", "map_config.max_concurrency", "3", "6", "3 at a time ran"),
        ),
    )
    text = as_text(overview(slow, 100, UNICODE))
    assert "high    concurrency: step load  up to 12s" in text
    assert "it waited 12.0 s for room" in text
    assert "map_config.max_concurrency" in text and "6  (now 3)" in text
    fine = as_text(overview(replace(FOUND, bottlenecks=(), recommendations=()), 100, UNICODE))
    assert "No bottlenecks found." in fine


def test_links_of_the_path_stand_where_they_were_in_time() -> None:
    rows = as_text(path_lines(FOUND, 120, UNICODE)).splitlines()[3:]
    starts = [next(place for place, letter in enumerate(row) if letter in "█▏") for row in rows]
    assert starts == sorted(starts)
    assert rows[0].split()[2] == "extract"


def test_the_steps_that_decided_the_end_come_first() -> None:
    rows = as_text(step_lines(FOUND, 120, UNICODE)).splitlines()[3:]
    assert len(rows) == len(FOUND.steps)
    assert rows[0].split()[0] == max(FOUND.steps, key=lambda step: step.critical).id


def test_samples_are_drawn_as_cpu_and_memory() -> None:
    attempt = next(one for step in FOUND.steps for one in step.attempts if one.samples)
    text = as_text(sample_lines(attempt, 120, 20, UNICODE))
    assert "CPU  cores" in text and "Memory" in text and "MiB" in text
    without = as_text(sample_lines(replace(attempt, samples=None), 120, 20, UNICODE))
    assert "enable_profiling: true" in without
    assert sample_lines(None, 120, 20, UNICODE) == []


def test_a_bar_of_parts_is_as_long_as_it_should_be() -> None:
    drawn = phase_bar({"queue": 1.0, "start": 1.0, "run": 8.0}, 10.0, 20, UNICODE)
    assert [(len(text), ink) for text, ink in drawn] == [(2, "warning"), (2, "number"), (16, "success")]
    assert "".join(text for text, _ in phase_bar({"queue": 5, "run": 5}, 10, 4, ASCII)) == "..##"
    assert len(phase_bar({"run": 0.001}, 100.0, 20, UNICODE)) == 1, "what took some time can be seen"
    assert phase_bar({}, 0.0, 20, UNICODE) == ()


@pytest.mark.parametrize(
    "found", [FOUND, live_profile(), EMPTY, profile("train-classifier"), profile("mapreduce")]
)
@pytest.mark.parametrize("width", [40, 74, 116, 196])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_pages_keep_to_their_width(found: Profile, width: int, glyphs: Glyphs) -> None:
    for draw in (overview, path_lines, step_lines):
        lines = draw(found, width, glyphs)
        assert lines
        assert all(cell_len(row) <= max(width, 76) for row in as_text(lines).splitlines())
        assert glyphs is UNICODE or as_text(lines).replace("…", "").replace("↳", "").isascii()
        assert "nan" not in as_text(lines).lower()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../x", "a\nb", "a\x1b[31m"])
def test_a_file_is_only_written_where_one_is(name: str) -> None:
    assert name_problem(name)
    assert not name_problem("trace.json")


def test_a_proposed_name_is_made_of_plain_letters() -> None:
    assert proposed_stem(replace(FOUND, workflow="../[x] é;rm")).startswith("x----rm-")
    assert proposed_stem(replace(FOUND, workflow="…")).startswith("run-")
