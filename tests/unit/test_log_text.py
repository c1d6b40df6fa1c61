"""Colours of programs, and queries: pure functions over text of others."""

from __future__ import annotations

import time

import pytest

from agentainer_tui.ansi import coloured, without_colours
from agentainer_tui.log_query import Numbers, Query
from agentainer_tui.widgets.log_paint import column_to_letter, fold_spans
from agentainer_tui.widgets.log_selection import Selected
from engine.errors import UsageError


def test_colours_are_kept_with_the_text_that_they_are_for() -> None:
    text, styles = coloured("a \x1b[1;31mred\x1b[0m b \x1b[38;5;208mo\x1b[48;2;1;2;3mp\x1b[39;49m q")
    assert text == "a red b op q"
    assert [(text[start:end], bool(style.bold)) for start, end, style in styles] == [
        ("red", True),
        ("o", False),
        ("p", False),
    ]
    colours = [style.color for _, _, style in styles]
    assert [colour.number for colour in colours if colour] == [1, 208, 208]
    background = styles[2][2].bgcolor
    assert background is not None
    assert tuple(background.triplet or ()) == (1, 2, 3)


@pytest.mark.parametrize(
    "line",
    [
        "\x1b[2J\x1b[Hgone",
        "\x1b]0;title\x07x",
        "\x1b]52;c;aGk=\x1b\\x",
        "a\rb\x08c\x00\x7f",
        "\x9b31mx",
        "abc\u202egnp.exe\u2066",
        "\x1b[31",
        "\x1b[99999999999999999999m\x1b[38;5mx\x1b[38;2;300;1;1my\x1b[38;9m",
    ],
)
def test_nothing_else_that_a_terminal_obeys_passes(line: str) -> None:
    for text in (coloured(line).text, without_colours(line)):
        assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) <= 0x9F for sign in text)
        assert not any(sign in text for sign in "\u202e\u2066")


def test_text_cannot_hide_itself() -> None:
    _, styles = coloured("\x1b[8;31;41msecret")
    assert styles[0][2].bgcolor is None
    assert not styles[0][2].conceal


def test_plain_queries_take_everything_letter_by_letter() -> None:
    assert Query("a.b[").matches("xa.b[y")
    assert not Query("a.b").matches("aXb")
    assert Query("ERROR").matches("an error")
    assert not Query("ERROR", case=True).matches("an error")
    assert Query("error", invert=True).matches("fine")
    assert Query("in\u00e4").matches("IN\u00c4")


def test_queries_look_at_what_is_shown_and_not_at_colour_codes() -> None:
    assert Query("redword").matches("\x1b[31mred\x1b[0mword")
    assert not Query("31").matches("\x1b[31mred\x1b[0m")


def test_a_bad_expression_is_an_error_that_says_why() -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        Query("a(", regex=True).check()


def test_no_expression_takes_forever() -> None:
    start = time.monotonic()
    assert not Query(r"(a+)+$", regex=True).matches("a" * 5_000 + "b")
    assert time.monotonic() - start < 10, "backtracking would take longer than the universe is old"


def test_spans_are_places_in_letters_also_after_wide_ones() -> None:
    assert list(Query(r"\d+", regex=True).spans("漢字 12 é 345")) == [(3, 5), (8, 11)]
    assert list(Query("x*", regex=True).spans("aaa")) == []
    assert list(Query("a", invert=True).spans("aaa")) == []


def test_numbers_rise_whichever_way_they_come_in() -> None:
    numbers = Numbers(10)
    for number in (10, 12, 9, 5, 7, 11, 12, 5, -3):
        numbers.add(number)
    assert [numbers[place] for place in range(len(numbers))] == [-3, 5, 7, 9, 10, 11, 12]
    assert numbers[-1] == 12
    assert [numbers.before(number) for number in (-9, -3, 6, 10, 13)] == [0, 0, 2, 4, 7]


@pytest.mark.parametrize("text", ["", "abc" * 30, "漢字カナ" * 9, "e\u0301" * 50, "a漢" * 20])
def test_folds_lose_nothing(text: str) -> None:
    spans = fold_spans(text, 7)
    assert "".join(text[start:end] for start, end in spans) == text


def test_a_cell_leads_to_the_letter_that_stands_there() -> None:
    assert [column_to_letter("abc", column) for column in (-1, 0, 2, 9)] == [0, 0, 2, 3]
    assert [column_to_letter("漢字x", column) for column in (0, 1, 2, 4, 9)] == [0, 0, 1, 2, 3]


def test_a_selection_covers_the_lines_between_its_ends_whole() -> None:
    selected = Selected()
    selected.begin(5, 3)
    selected.extend(3, 2)
    assert [list(selected.spans(line, 10)) for line in (2, 3, 4, 5, 6)] == [
        [],
        [(2, 10)],
        [(0, 10)],
        [(0, 3)],
        [],
    ]
