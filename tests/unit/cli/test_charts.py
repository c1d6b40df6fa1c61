"""Bars and lines made of characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentainer_tui.charts import bar, sparkline, thin
from agentainer_tui.text import precise

values = st.lists(st.none() | st.floats(0, 1e9), max_size=80)


@pytest.mark.parametrize(
    ("value", "whole", "expected"),
    [
        (0, 10, ""),
        (10, 10, "██████████"),
        (5, 10, "█████"),
        (5.5, 10, "█████▌"),
        (0.001, 10, "▏"),
        (1, 0, ""),
    ],
)
def test_a_bar_is_as_long_as_its_part(value: float, whole: float, expected: str) -> None:
    assert bar(value, whole, 10) == expected


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(1, 100), st.booleans())
def test_a_bar_never_exceeds_its_room(value: float, whole: float, width: int, plain: bool) -> None:
    drawn = bar(value, whole, width, ascii_only=plain)
    assert len(drawn) <= width
    assert bool(drawn) == (value > 0 and whole > 0)
    assert not plain or drawn.isascii()


@given(values, st.booleans())
def test_a_line_has_a_cell_for_each_value_and_a_blank_for_none(
    found: list[float | None], plain: bool
) -> None:
    drawn = sparkline(found, ascii_only=plain)
    assert len(drawn) == len(found)
    assert [cell == " " for cell in drawn] == [not value for value in found]


@given(values, st.integers(1, 60))
def test_thinning_keeps_the_highest_and_the_room(found: list[float | None], width: int) -> None:
    few = thin(found, width)
    assert len(few) == min(width, len(found))
    assert max((v for v in few if v is not None), default=None) == max(
        (v for v in found if v is not None), default=None
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0, "0.0s"),
        (0.0001, "1ms"),
        (0.0042, "4ms"),
        (0.099, "99ms"),
        (0.0999, "0.1s"),
        (61, "1m01s"),
    ],
)
def test_short_times_are_told_in_milliseconds(seconds: float | None, expected: str) -> None:
    assert precise(seconds) == expected
