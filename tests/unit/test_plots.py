"""Charts: what is drawn stands for the numbers, in every size, with nothing and with ASCII only."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from agentainer_tui.plots import (
    Axes,
    Line,
    Series,
    beside,
    columns,
    lines,
    round_duration,
    round_number,
    round_size,
)


def text(chart: list[Line]) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in chart]


def axes(width: int = 40, height: int = 8, **more: object) -> Axes:
    return Axes(width, height, lambda value: f"{value:g}", **more)  # type: ignore[arg-type]


def inks(chart: list[Line]) -> set[str]:
    return {ink for line in chart for piece, ink in line if piece.strip()}


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0, 1),
        (0.3, 1),
        (1, 1),
        (1.1, 2),
        (3, 4),
        (5, 6),
        (9, 10),
        (11, 20),
        (99, 100),
        (100, 100),
        (1e6, 1e6),
    ],
)
def test_round_numbers(value: float, rounded: float) -> None:
    assert round_number(value) == rounded


@pytest.mark.parametrize(
    ("seconds", "rounded"),
    [(0, 0.01), (0.3, 0.5), (7, 10), (31, 60), (61, 120), (3601, 7200), (100 * 3600, 168 * 3600),
     (9 * 86400, 10 * 86400)],
)  # fmt: skip
def test_round_durations(seconds: float, rounded: float) -> None:
    assert round_duration(seconds) == rounded


def test_round_sizes_are_powers_of_two() -> None:
    assert [round_size(number) for number in (0, 1, 1025, 3 << 20)] == [1024, 1024, 2048, 4 << 20]


def test_columns_stand_on_zero_and_reach_as_high_as_their_values() -> None:
    chart = text(columns([Series("all", [0, 50, 100], "success")], axes(20, 6)))
    assert chart[0].startswith("100 ┤")
    assert chart[-2].startswith("  0 └")
    column = [[row[5 + place * 5] for row in chart[:-2]] for place in range(3)]
    assert column[0] == [" "] * 4, "nothing is drawn for nothing"
    assert column[1] == [" ", " ", "█", "█"]
    assert column[2] == ["█"] * 4


def test_a_failure_among_thousands_can_be_seen() -> None:
    good, bad = Series("good", [5_000], "success"), Series("bad", [1], "error", "x")
    assert any("error" in ink for ink in inks(columns([good, bad], axes(top=5_001))))


def test_a_cell_of_two_colours_has_the_lower_one_before_the_upper_one() -> None:
    chart = columns([Series("a", [12], "success"), Series("b", [20], "error")], axes(20, 6, top=32))
    assert "success:error" in inks(chart)


def test_more_places_than_cells_are_added_up_and_none_is_lost() -> None:
    chart = columns([Series("a", [1.0] * 300, "success")], axes(40, 6))
    assert text(chart)[0].startswith("10 ┤"), "34 columns of nine each"


def test_ascii_charts_have_nothing_but_ascii() -> None:
    series = [Series("a", [3, None, 5], "success", "+"), Series("b", [1, 2, 0], "error", "x")]
    for draw in (columns, lines):
        drawn = "".join(text(draw(series, axes(ascii_only=True, labels=("Mon", "Tue", "Wed")))))
        assert drawn.isascii()
        assert "+" in drawn and "x" in drawn


def test_a_line_is_broken_where_there_is_no_value() -> None:
    chart = text(lines([Series("a", [5, None, 5], "running")], axes(30, 6, top=10)))
    plot = [row[4:] for row in chart[:-2]]
    filled = [
        place for place in range(len(plot[0])) if any(row[place] != " " for row in plot if place < len(row))
    ]
    assert len(filled) == 2, "two points and nothing between them"
    assert "".join(plot).count("•") == 2, "a point that stands alone is large enough to be seen"


def test_a_flat_line_stands_at_its_height() -> None:
    chart = text(lines([Series("a", [10.0] * 5, "running")], axes(30, 6, top=10)))
    assert set(chart[0].split("┤")[1]) <= {"⠉", "⠈", "⠁"}


def test_labels_do_not_run_into_each_other() -> None:
    chart = text(
        columns([Series("a", [1] * 30, "success")], axes(60, 6, labels=[f"Nov {n}" for n in range(30)]))
    )
    assert len(chart[-1].split("  ")) > 4
    assert "Nov 0" in chart[-1]


def test_no_room_draws_nothing() -> None:
    assert columns([Series("a", [1], "success")], axes(5, 8)) == []
    assert lines([Series("a", [1], "success")], axes(40, 3)) == []


values = st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=80)


@given(first=values, second=values, width=st.integers(0, 90), height=st.integers(0, 20), plain=st.booleans())
def test_every_chart_keeps_to_its_size(
    first: list[float | None], second: list[float | None], width: int, height: int, plain: bool
) -> None:
    longest = max(len(first), len(second))
    series = [
        Series("a", first + [None] * (longest - len(first)), "success", "+"),
        Series("b", second + [None] * (longest - len(second)), "error", "x"),
    ]
    for draw in (columns, lines):
        chart = draw(series, axes(width, height, ascii_only=plain, labels=["Mon"] * longest))
        assert len(chart) in (0, height)
        assert all(cell_len(row.rstrip()) <= width for row in text(chart))
        assert "nan" not in "".join(text(chart)).lower()


def test_what_is_not_finite_does_not_take_the_chart_down() -> None:
    assert math.isfinite(round_number(math.inf))


def test_blocks_stand_beside_each_other() -> None:
    left: list[Line] = [(("ab", "text"),), (("c", "text"),)]
    right: list[Line] = [(("x", "text"),), (("y", "text"),), (("z", "text"),)]
    assert [row.rstrip() for row in text(beside(left, right, 4))] == ["ab    x", "c     y", "      z"]
