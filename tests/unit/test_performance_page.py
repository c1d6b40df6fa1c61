"""Figures in the documentation are those that were measured, and nothing that was measured is left out."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.parts import PARTS

FAST = Figure("a warm step", 2.0, "a cold step", 300.0, "ms", target=1 / 60, limit=5.0)
SLOW = Figure("a chain", 900.0, "SQLite", 16_000.0, "steps/s", limit=2_000.0)


def bench(*figures: Figure) -> dict[str, Any]:
    machine = {
        "cores": 2,
        "cpu": "some processor",
        "system": "Linux 6",
        "python": "3.11",
        "load": [0.5, 1, 1],
    }
    found = {name: [figure.to_json() for figure in figures] for name in PARTS}
    return {"kind": "bench", "time": "2026-01-02T03:04:05Z", "machine": machine, "parts": found, "failed": []}


def peers() -> dict[str, Any]:
    seconds = {
        "one container": {"shell": 0.38, "agentainer": 0.7},
        "chain of 20 containers": {"shell": 6.8, "agentainer": 4.2},
        "one local step": {"shell": 0.01},
        "chain of 20 local steps": {"agentainer": 0.7},
    }
    return {
        **bench(),
        "kind": "peers",
        "versions": ["luigi 3.8"],
        "passes": 3,
        "contenders": {"shell": "in a loop", "agentainer": "as it is"},
        "seconds": seconds,
        "memory": {"shell": 12e6, "agentainer": 53e6},
    }


def page_of(tmp_path: Path, block: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n<!-- figures: {block} -->\nstale\n<!-- end of figures -->\nafter\n")
    return page


def test_the_pages_have_the_figures_that_are_kept() -> None:
    for page in report.PAGES:
        assert page.read_text(encoding="utf-8") == report.rendered(page, report.kept()), (
            f"{page.name}: run `make bench-docs`"
        )


def test_every_figure_is_told_with_its_floor_and_its_target(tmp_path: Path) -> None:
    text = report.rendered(page_of(tmp_path, "all"), {"bench": bench(FAST, SLOW)})
    assert "stale" not in text and text.startswith("before\n") and text.endswith("after\n")
    assert text.count("| a warm step | 2 ms | a cold step | 300 ms | 0.01 | ≤ 5 ms, ≤ 0.02x | met |") == len(
        PARTS
    )
    assert text.count(
        "| a chain | 900 steps/s | SQLite | 16,000 steps/s | 0.06 | ≥ 2,000 steps/s | **missed** |"
    )


def test_missed_targets_are_counted_and_named(tmp_path: Path) -> None:
    text = report.rendered(page_of(tmp_path, "missed"), {"bench": bench(FAST, SLOW)})
    assert f"{len(PARTS)} of {2 * len(PARTS)} targets are met" in text
    assert "- a chain: 900 steps/s" in text and "a warm step" not in text


def test_when_and_where_it_was_measured_is_told(tmp_path: Path) -> None:
    text = report.rendered(page_of(tmp_path, "measured-on"), {"bench": bench()})
    assert "2026-01-02 03:04:05 UTC" in text and "2 cores (some processor)" in text and "load 0.5" in text
    assert "`make bench-peers` has not been measured yet." in text


def test_who_has_no_figure_for_a_job_has_an_empty_cell(tmp_path: Path) -> None:
    text = report.rendered(page_of(tmp_path, "peers"), {"peers": peers()})
    assert "| shell (in a loop) | 0.38 | 6.80 | 0.01 |  | 12 |" in text
    short = report.rendered(page_of(tmp_path, "in-short"), {"peers": peers()})
    assert "| agentainer | 0.7 | 4.2 |" in short and "local" not in short


@pytest.mark.parametrize(
    ("change", "complete"),
    [({}, True), ({"failed": ["engine"]}, False), ({"parts": {"engine": []}}, False)],
    ids=["whole", "one part failed", "a selection"],
)
def test_only_whole_measurements_are_kept(change: dict[str, Any], complete: bool) -> None:
    assert report._is_complete({**bench(FAST), **change}) is complete


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_part_can_be_measured(name: str) -> None:
    module, _, function = PARTS[name].function.partition(":")
    assert callable(getattr(import_module(f"benchmarks.{module}"), function))


def test_a_figure_survives_its_way_through_json() -> None:
    assert Figure.from_json(FAST.to_json()) == FAST
    assert SLOW.met is False and FAST.met is True
