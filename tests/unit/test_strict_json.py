"""JSON from outside: what is taken, and what would end every walk over it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.strict_json import DEEPEST, is_too_deep, parse


def lists(levels: int, inside: Any = "") -> str:
    return "[" * levels + str(inside) + "]" * levels


@pytest.mark.parametrize("inside", ["", "1", '{"a": 1}'])
def test_as_many_levels_as_there_may_be_are_taken_and_no_more(inside: str) -> None:
    own = inside.count("{")
    parse(lists(DEEPEST - own, inside))
    for more in (1, 400, 100_000):
        with pytest.raises(ValueError, match="nested more than 100 levels deep"):
            parse(lists(DEEPEST - own + more, inside))


def test_brackets_side_by_side_and_in_texts_are_no_levels() -> None:
    wide = json.dumps([{"a": ["[[[["]} for _ in range(500)])
    assert parse(wide) == json.loads(wide)


def test_objects_have_levels_too() -> None:
    text = '{"a":' * 101 + "1" + "}" * 101
    with pytest.raises(ValueError, match="levels"):
        parse(text)
    assert not is_too_deep(parse(text[5:-1]))


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e400", "[1e+999]", "9" * 400 + ".0", "", "1 2"])
def test_what_is_no_json_to_others_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["1e300", "1e-400", "9" * 400, '"NaN 1e999"', "[1.5, -0.0]"])
def test_numbers_that_are_large_or_small_are_taken(text: str) -> None:
    assert parse(text) == json.loads(text)
