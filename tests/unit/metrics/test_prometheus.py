"""The text that Prometheus reads, read by Prometheus' own parser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics.aggregate_records import Aggregate
from engine.metrics.distribution import Distribution
from engine.metrics.prometheus import exposition

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def counters(workflow: str, status: str = "completed", child: int = 0, runs: int = 3) -> tuple[Any, ...]:
    return (workflow, status, child, runs, runs, 30.5, 1, 6, 2, 5, 4, 3, 2, 1.5, 100, 200)


def aggregate(workflow: str, **more: Any) -> Aggregate:
    return Aggregate(workflow, None, NOW, **more)


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Any) -> dict[tuple[str, ...], float]:
    return {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}


def test_every_family_has_its_type_and_every_sample_its_labels() -> None:
    rows = [counters("a"), counters("a", "failed", runs=1), counters("a", "completed", child=1, runs=7)]
    found = aggregate(
        "a", by_status={"running": 2}, duration=Distribution.of([1.0, 9.0]), memory_peak=5,
        last_run_at="2026-11-23T00:00:00.000000Z",
    )  # fmt: skip
    told = families(exposition(rows, [found]))
    assert told["agentainer_runs"].type == "counter"
    assert values(told["agentainer_runs"]) == {
        ("agentainer_runs_total", "a", "false", "completed"): 3.0,
        ("agentainer_runs_total", "a", "false", "failed"): 1.0,
        ("agentainer_runs_total", "a", "true", "completed"): 7.0,
    }
    assert values(told["agentainer_run_retries"]) == {
        ("agentainer_run_retries_total", "a", "false"): 2.0,
        ("agentainer_run_retries_total", "a", "true"): 1.0,
    }
    durations = told["agentainer_run_duration_seconds"]
    assert durations.type == "summary"
    assert values(durations) == {
        ("agentainer_run_duration_seconds", "a", "0.5"): 1.0,
        ("agentainer_run_duration_seconds", "a", "0.9"): 9.0,
        ("agentainer_run_duration_seconds", "a", "0.99"): 9.0,
        ("agentainer_run_duration_seconds_sum", "a"): 61.0,
        ("agentainer_run_duration_seconds_count", "a"): 4.0,
    }
    assert told["agentainer_active_runs"].type == "gauge"
    assert values(told["agentainer_active_runs"])["agentainer_active_runs", "a", "running"] == 2.0
    assert values(told["agentainer_last_run_timestamp_seconds"]) == {
        ("agentainer_last_run_timestamp_seconds", "a"): NOW.timestamp()
    }
    assert told["agentainer_memory_peak_bytes"].documentation.startswith("The most memory")


def test_of_nothing_there_are_only_headings() -> None:
    text = exposition([], [])
    assert text.endswith("\n")
    assert all(line.startswith("# ") for line in text.splitlines())
    assert all(not family.samples for family in families(text).values())


@pytest.mark.parametrize(
    "name", ['say "hi"', "back\\slash", "two\nlines", "émoji 🚀", 'x"} 1\nevil{a="b', "\\n"]
)
def test_names_are_escaped(name: str) -> None:
    told = values(families(exposition([counters(name)], []))["agentainer_runs"])
    assert told == {("agentainer_runs_total", name, "false", "completed"): 3.0}


@given(st.text(max_size=40))
def test_whatever_a_workflow_is_called_each_sample_is_one_line(name: str) -> None:
    plain = exposition([counters("plain")], [aggregate("plain")]).count("\n")
    text = exposition([counters(name)], [aggregate(name)])
    assert text.count("\n") == plain
    assert text.encode("utf-8")
