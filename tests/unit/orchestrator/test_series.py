"""The samples of one attempt stay few, and say what they said before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.agents.backend import Sample
from engine.orchestrator.series import MAX_ROWS, Series

START = datetime(2026, 1, 1, tzinfo=UTC)


def sample(second: float, cpu: float, memory: int = 100, **rest: int) -> Sample:
    return Sample(START + timedelta(seconds=second), cpu, memory, **rest)


def series_of(*samples: tuple[float, float, int]) -> Series:
    series = Series()
    for second, cpu, memory in samples:
        series.add(second, sample(second, cpu, memory, network_in=int(second), block_write=7))
    return series


def test_a_row_has_the_cpus_since_the_sample_before_and_the_counters_as_they_are() -> None:
    found = series_of((1, 0.5, 10), (2, 1.0, 30), (4, 5.0, 20)).to_json()

    assert found == {
        "every": 1.0,
        "rows": [
            [1, 500.0, 10, 1, None, None, 7],
            [2, 500.0, 30, 2, None, None, 7],
            [4, 2000.0, 20, 4, None, None, 7],
        ],
    }


def test_without_a_sample_there_is_no_series() -> None:
    assert Series().to_json() is None


def test_a_first_sample_right_after_the_start_says_nothing_about_the_cpus() -> None:
    series = Series()
    series.add(0.01, sample(0.01, 0.04))
    found = series.to_json()
    assert found is not None and found["rows"][0][1] == 0.0


def test_an_account_that_shrinks_is_no_negative_use() -> None:
    found = series_of((1, 5.0, 1), (2, 3.0, 1)).to_json()
    assert found is not None and found["rows"][1][1] == 0.0


@pytest.mark.parametrize("number", [1, 2, 599, 600, 601, 1199, 1200, 1201, 5000, 86_400])
def test_however_many_samples_there_are_rows_stay_few_and_nothing_is_lost(number: int) -> None:
    series = Series()
    for second in range(1, number + 1):
        peak = 5_000 if second == number // 2 + 1 else 100
        series.add(second, sample(second, 0.25 * second, peak, network_in=second))
    found = series.to_json()

    assert found is not None
    rows = found["rows"]
    assert len(rows) <= MAX_ROWS
    assert number <= MAX_ROWS or len(rows) >= MAX_ROWS // 2
    assert len(rows) == -(-number // int(found["every"]))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert rows[-1][0] == number and rows[-1][3] == number
    assert max(row[2] for row in rows) == 5_000
    assert {row[1] for row in rows} == {250.0}
