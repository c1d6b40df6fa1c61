"""Percentiles and shares."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.metrics.distribution import Distribution, percentile, share

seconds = st.floats(min_value=0, max_value=1e9)


@pytest.mark.parametrize(
    ("values", "at", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0], 0.9, 2.0),
        ([float(n) for n in range(1, 11)], 0.9, 9.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], at: float, expected: float) -> None:
    assert percentile(values, at) == expected


def test_of_nothing_there_is_nothing() -> None:
    nothing = Distribution.of([])
    assert (nothing.count, nothing.average, nothing.p50, nothing.longest) == (0, None, None, None)


@given(st.lists(seconds, min_size=1))
def test_percentiles_are_values_that_occurred_in_order(values: list[float]) -> None:
    found = Distribution.of(sorted(values))
    assert found.p50 is not None and found.p90 is not None and found.p99 is not None
    assert min(values) <= found.p50 <= found.p90 <= found.p99 <= max(values) == found.longest
    assert {found.p50, found.p90, found.p99} <= set(values)
    assert sum(value <= found.p90 for value in values) >= 0.9 * len(values) - 1e-6
    assert found.average is not None
    assert math.isclose(found.average, math.fsum(values) / len(values))


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_share_is_between_none_and_all(part: int, whole: int) -> None:
    assert 0.0 <= share(part, whole) <= 1.0
    assert share(part, 0) == 0.0
