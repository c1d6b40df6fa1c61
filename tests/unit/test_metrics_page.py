"""The page of figures, from aggregates, without a screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from agentainer_tui.looks import ASCII, UNICODE, Glyphs
from agentainer_tui.metrics_page import nothing, page, percent, tiles
from agentainer_tui.plots import Line
from engine.facade import Aggregate, Bucket, Distribution, ErrorClass, StepFigures

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DURATION = Distribution.of([1.0, 2.0, 3.0, 4.0])


def bucket(day: int, **by_status: int) -> Bucket:
    seconds = [2.0] * sum(by_status.values())
    return Bucket(NOW - timedelta(days=day), by_status, Distribution.of(seconds))


def step(name: str, *seconds: float, **more: Any) -> StepFigures:
    figures: dict[str, Any] = {"failed": 0, "retries": 0, "cpu_seconds": 0.0, "memory_peak": 0, **more}
    spread = Distribution.of(sorted(seconds))
    return StepFigures(
        "flow", name, name, started=len(seconds), duration=spread, queue=Distribution(),
        startup=Distribution(), **figures,
    )  # fmt: skip


def figures(**more: Any) -> Aggregate:
    given: dict[str, Any] = {
        "by_status": {"completed": 8, "failed": 2, "cancelled": 1},
        "duration": DURATION,
        "retries": 3,
        "tasks": 40,
        "pool_hits": 9,
        "pool_misses": 1,
        "cpu_seconds": 75.0,
        "memory_peak": 5 << 20,
        "errors": (
            ErrorClass("flow", "task_failed", 2, "abcdef123456", "no disk\nmore", "2026-03-01T11:00:00Z"),
        ),
        "sampled": 11,
        "step_figures": (step("slow", 9.0, 9.0, failed=2, retries=3), step("quick", 1.0, 1.0)),
        "buckets": tuple(bucket(day, completed=day, failed=day % 2) for day in (3, 2, 1)),
    }
    period: dict[str, Any] = {"workflow": "flow", "since": NOW - timedelta(days=3), "until": NOW}
    return Aggregate(**(period | given | more))


def drawn(found: Aggregate, width: int = 100, glyphs: Glyphs = UNICODE, *, detailed: bool = True) -> str:
    return as_text(page(found, width=width, glyphs=glyphs, now=NOW.timestamp(), detailed=detailed))


def as_text(lines: list[Line]) -> str:
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def test_the_figures_that_matter_stand_at_the_top() -> None:
    found = {tile.label: (tile.value, tile.note) for tile in tiles(figures())}
    assert found["runs"][0] == "11"
    assert found["success"] == ("80 %", "2 failed"), "what was cancelled is not judged"
    assert found["median duration"] == ("2.0s", "p90 4.0s")
    assert found["retries"] == ("3", "of 40 tasks")
    assert found["warm agents"] == ("90 %", "of 10 pooled")


def test_what_is_not_known_is_left_out() -> None:
    assert [tile.label for tile in tiles(Aggregate(None, None, NOW, {"running": 1}))] == ["runs"]


def test_steps_are_told_with_their_share_of_the_time() -> None:
    row = next(line for line in drawn(figures()).splitlines() if line.startswith("slow"))
    assert row.split()[2:] == ["9.0s", "9.0s", "90", "%", "2", "3", "0.0s"]


def test_errors_name_their_newest_run() -> None:
    assert "task failed" in drawn(figures())
    assert "abcdef, 1h ago: no disk" in drawn(figures())
    assert "flow abcdef" in drawn(replace(figures(), workflow=None))


def test_before_the_details_come_it_says_so() -> None:
    assert "Reading steps and tasks" in drawn(figures(), detailed=False)
    assert "Slowest steps" not in drawn(figures(), detailed=False)


def test_charts_say_what_one_column_is() -> None:
    assert "Runs a day" in drawn(figures())
    hours = tuple(Bucket(NOW - timedelta(hours=hour), {"completed": 1}, DURATION) for hour in (3, 2, 1))
    assert "Runs an hour" in drawn(figures(buckets=hours))


def test_wide_terminals_have_charts_side_by_side() -> None:
    assert any("Runs a day" in line and "Duration" in line for line in drawn(figures(), 140).splitlines())
    assert not any("Runs a day" in line and "Duration" in line for line in drawn(figures(), 76).splitlines())


@pytest.mark.parametrize("width", [20, 40, 76, 103, 104, 138, 240])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_is_wider_than_the_page(width: int, glyphs: Glyphs) -> None:
    wide = step("ü" * 300, 1.0, cpu_seconds=1e7, memory_peak=1 << 45)
    found = figures(step_figures=(wide, *figures().step_figures), workflow=None)
    text = drawn(replace(found, workflow=None), width, glyphs)
    # The table of steps needs some room, whatever there is.
    assert all(cell_len(line) <= max(width, 62) for line in text.splitlines())
    assert glyphs is UNICODE or text.replace("ü", "").replace("…", "").isascii()


def test_one_run_alone_and_none_at_all_are_no_harm() -> None:
    alone = Aggregate(None, None, NOW, {"completed": 1}, duration=Distribution.of([0.0]),
                      buckets=(bucket(1, completed=1),))  # fmt: skip
    assert "100 %" in drawn(alone)
    assert "nan" not in drawn(alone).lower()
    assert "nan" not in drawn(Aggregate(None, None, NOW)).lower()


def test_hostile_names_are_cleaned() -> None:
    error = ErrorClass("[/x]\x1b[2J", "task_failed", 1, "r" * 12, "\x1b]0;evil\x07", "2026-03-01T11:00:00Z")
    text = drawn(figures(errors=(error,), step_figures=(step("a\x1b[31mb\n", 1.0),)))
    assert "\x1b" not in text and "\x07" not in text


def test_an_empty_period_says_what_to_do() -> None:
    assert "in the last 24h. t chooses another period." in as_text(nothing("24h", None, 200))
    assert "press r" in as_text(nothing("all", "flow", 200))


@pytest.mark.parametrize(("share", "words"), [(0.0, "0 %"), (0.001, "1 %"), (0.999, "99 %"), (1.0, "100 %")])
def test_percents_are_0_and_100_only_where_that_is_exact(share: float, words: str) -> None:
    assert percent(share) == words
