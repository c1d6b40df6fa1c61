"""Figures over periods from hand-made rows, and what holds of them whatever the rows are."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.clock import isoformat
from engine.metrics.aggregate import Period, aggregate, by_workflow
from engine.metrics.aggregate_records import Aggregate
from engine.metrics.periods import cut

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=7)
STATUSES = ("completed", "partially_completed", "failed", "cancelled", "running", "pending")


@dataclass
class Rows:
    runs: list[Any] = field(default_factory=list)
    sums: list[Any] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    sampled: int = 0
    steps: list[Any] = field(default_factory=list)
    tasks: list[Any] = field(default_factory=list)


def run(status: str, seconds: float | None, *, workflow: str = "w", child: int = 0, day: float = 0.5) -> Any:
    return (workflow, child, status, isoformat(START + timedelta(days=day)), seconds)


def period(**more: Any) -> Period:
    return Period(**{"workflow": None, "since": START, "until": END, **more})


def test_an_empty_period_has_zeroes_and_nothing_that_is_no_number() -> None:
    found = aggregate(Rows(), period(cuts=cut(START, END, UTC)))
    document = found.to_json()
    assert document["total_workflows"] == document["total_steps"] == document["agents_deployed"] == 0
    assert document["success_rate"] == document["avg_duration"] == document["pool_efficiency"] == 0.0
    assert document["duration"]["p50"] is None
    assert document["period"] == 7 * 86400
    assert [bucket["runs"] for bucket in document["buckets"]] == [0] * 7
    assert "NaN" not in json.dumps(document)


def test_one_run_is_its_own_median_and_fills_its_day() -> None:
    found = aggregate(Rows([run("completed", 4.5, day=2.25)]), period(cuts=cut(START, END, UTC)))
    assert (found.runs, found.success_rate) == (1, 1.0)
    assert found.duration.p50 == found.duration.p99 == found.duration.average == 4.5
    assert [bucket.runs for bucket in found.buckets] == [0, 0, 1, 0, 0, 0, 0]
    assert found.buckets[1].success_rate is None and found.buckets[2].success_rate == 1.0


def test_what_a_person_cancelled_counts_neither_as_success_nor_as_failure() -> None:
    runs = [run("completed", float(n)) for n in range(1, 8)]
    runs += [run("failed", 8.0), run("failed", 9.0), run("cancelled", 1000.0), run("running", None)]
    found = aggregate(Rows(runs), period())
    assert found.by_status == {"cancelled": 1, "completed": 7, "failed": 2, "running": 1}
    assert found.success_rate == 7 / 9
    assert (found.duration.p50, found.duration.p90, found.duration.longest) == (5.0, 9.0, 9.0)


def test_child_runs_are_told_apart_and_left_out_unless_asked_for() -> None:
    rows = Rows(
        [run("completed", 1.0), run("failed", 2.0, child=1), run("failed", 3.0, workflow="inner", child=1)],
        sums=[
            ("w", 0, 1, 2, 0, 2, 2, 0, 0, 1.5, 100, 7, 8),
            ("w", 1, 10, 20, 1, 20, 20, 0, 0, 15.0, 1000, 70, 80),
        ],
    )
    without = aggregate(rows, period())
    assert (without.runs, without.child_runs, without.success_rate) == (1, 2, 1.0)
    assert (without.retries, without.steps, without.memory_peak) == (1, 2, 100)
    everything = aggregate(rows, period(children=True))
    assert (everything.runs, everything.child_runs, everything.success_rate) == (3, 2, 1 / 3)
    assert (everything.retries, everything.steps, everything.memory_peak) == (11, 22, 1000)
    inner, w = by_workflow(rows, period())
    assert (inner.workflow, inner.runs, inner.child_runs) == ("inner", 0, 1)
    assert (w.workflow, w.runs, w.child_runs) == ("w", 1, 1)


def test_reasons_are_merged_over_workflows_with_the_newest_example() -> None:
    errors = [
        ("a", 0, "task_failed", 3, "a3", "old", "2026-11-02T00:00:00.000000Z"),
        ("b", 0, "task_failed", 1, "b1", "new", "2026-11-03T00:00:00.000000Z"),
        ("b", 0, "timed_out", 9, "b9", None, "2026-11-01T00:00:00.000000Z"),
    ]
    found = aggregate(Rows(errors=errors), period()).errors
    assert [(one.reason, one.count, one.run_id, one.workflow) for one in found] == [
        ("timed_out", 9, "b9", "b"),
        ("task_failed", 4, "b1", "b"),
    ]


def test_steps_are_listed_slowest_first_with_what_their_tasks_waited() -> None:
    rows = Rows(
        sampled=2,
        steps=[
            ("w", "fast", "Fast", "completed", 0.1),
            ("w", "slow", "Slow", "failed", 30.0),
            ("w", "slow", "Slow", "completed", 10.0),
        ],
        tasks=[
            ("w", "slow", 0.5, 2.0, 4.0, 500, 1),
            ("w", "slow", 1.5, None, 1.0, 900, 2),
            ("w", "fast", None, 1.0, None, None, 1),
        ],
    )
    found = aggregate(rows, period())
    slow, fast = found.step_figures
    assert (slow.step_id, slow.started, slow.failed, slow.retries) == ("slow", 2, 1, 1)
    assert (slow.duration.p50, slow.duration.p90, slow.queue.p90, slow.startup.count) == (10.0, 30.0, 1.5, 1)
    assert (slow.cpu_seconds, slow.memory_peak) == (5.0, 900)
    assert (fast.cpu_seconds, fast.memory_peak, fast.queue.p50) == (0.0, 0, None)
    assert (found.queue.count, found.queue.p50, found.startup.p90) == (2, 0.5, 2.0)


def test_a_run_on_the_edge_of_a_bucket_belongs_to_the_later_one() -> None:
    edge = Rows([run("completed", 1.0, day=1.0), run("completed", 1.0, day=0.0)])
    assert [b.runs for b in aggregate(edge, period(cuts=cut(START, END, UTC))).buckets][:2] == [1, 1]


runs_of_any_kind = st.lists(
    st.builds(
        run,
        st.sampled_from(STATUSES),
        st.none() | st.floats(0, 1e7),
        workflow=st.sampled_from("abc"),
        child=st.integers(0, 1),
        day=st.floats(0, 6.999),
    )
)
numbers = st.integers(0, 10**6)
perhaps = st.none() | numbers
sums_of_any_kind = st.lists(
    st.tuples(
        *(st.sampled_from("abc"), st.integers(0, 1)),
        *[numbers] * 7,
        *(st.floats(0, 1e9), perhaps, perhaps, perhaps),
    )
)


@given(runs_of_any_kind, sums_of_any_kind, st.booleans())
def test_figures_are_numbers_and_add_up_whatever_the_rows_are(
    runs: list[Any], sums: list[Any], children: bool
) -> None:
    rows = Rows(runs, sums)
    asked = period(children=children, cuts=cut(START, END, UTC))
    found, parts = aggregate(rows, asked), by_workflow(rows, asked)
    assert found.runs == sum(part.runs for part in parts) == sum(bucket.runs for bucket in found.buckets)
    assert found.child_runs == sum(part.child_runs for part in parts)
    assert found.duration.count == sum(bucket.duration.count for bucket in found.buckets)
    for one in (found, *parts):
        check_numbers(one)


def check_numbers(figures: Aggregate) -> None:
    assert 0.0 <= figures.success_rate <= 1.0 and 0.0 <= figures.pool_efficiency <= 1.0
    assert figures.judged <= figures.runs
    ranks = [figures.duration.p50, figures.duration.p90, figures.duration.p99, figures.duration.longest]
    known = [rank for rank in ranks if rank is not None]
    assert known == sorted(known) and len(known) in (0, 4)
    assert all(math.isfinite(number) for number in numbers_in(figures.to_json()))


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_in(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers_in(part)]
    return [value] if isinstance(value, int | float) else []
