"""The rows of large JSON values: lazily made, found, folded, and named by JSONPaths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath_ng.parser import parse

from agentainer_tui.inspector.drawing import draw, plain_text
from agentainer_tui.inspector.entries import Delta, Entry, Words, fold, is_container, parts_of
from agentainer_tui.inspector.finding import Finding
from agentainer_tui.inspector.json_path import json_path
from agentainer_tui.inspector.state_change import change_of_state, difference
from agentainer_tui.inspector.tree import Address, Tree
from agentainer_tui.inspector.writing import copied, written
from agentainer_tui.log_query import Query
from agentainer_tui.looks import ASCII, UNICODE
from engine.workflows.expressions import compile_path

KEYS = st.text(max_size=6) | st.sampled_from(["where", "a-b", "$", "it's", "\\", "a\nb", "", "0", "名"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def rows(tree: Tree) -> list[str]:
    return [plain_text(draw(tree.row(number), UNICODE)) for number in range(len(tree))]


def walk(entries: Iterable[Entry]) -> Iterator[Address]:
    """The addresses of all entries and of what is below them, in the order of their rows."""
    for place, entry in enumerate(entries):
        yield (place,)
        if is_container(entry.value):
            yield from ((place, *address) for address in walk(parts_of(entry.value)))


class Watched(list[Any]):
    """A list that counts how many of its elements were looked at."""

    looked = 0

    def __getitem__(self, place: Any) -> Any:
        Watched.looked += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Any]:
        for value in super().__iter__():
            Watched.looked += 1
            yield value


@pytest.fixture
def watched() -> Watched:
    Watched.looked = 0
    return Watched(range(100_000))


# -- rows ---------------------------------------------------------------------------------------------


@given(VALUES, st.lists(st.integers(0, 40), max_size=12))
@settings(max_examples=80, deadline=None)
def test_rows_are_those_of_a_walk_over_what_is_open(value: Any, toggles: list[int]) -> None:
    tree = Tree([Entry(Words((("a line", "text"),))), Entry(value, label="Value", base="$")])
    for number in toggles:
        if number < len(tree):
            tree.toggle(tree.row(number).address)
    opened = {tree.row(number).address for number in range(len(tree)) if tree.row(number).is_open}
    expected = [
        address
        for address in walk(tree.top)
        if all(address[:depth] in opened for depth in range(1, len(address)))
    ]
    assert [tree.row(number).address for number in range(len(tree))] == expected
    assert [tree.number(address) for address in expected] == list(range(len(tree)))


def test_small_values_are_open_and_large_ones_open_as_far_as_they_fit() -> None:
    small = Tree([Entry({"a": [1, {"b": None}], "c": "text"}, label="Result", base="$")])
    assert rows(small) == [
        "▾ Result  {2}",
        "  ▾ a: [2]",
        "      0: 1",
        "    ▾ 1: {1}",
        "        b: null",
        '    c: "text"',
    ]
    large = Tree([Entry({"short": [1, 2], "long": list(range(10_000))}, label="Result")])
    assert rows(large)[1:] == [
        "  ▾ short: [2]",
        "      0: 1",
        "      1: 2",
        "  ▸ long: [10,000]  0, 1, 2, 3, 4, 5, 6, 7, …",
    ]


def test_a_list_of_a_hundred_thousand_opens_and_is_drawn_by_looking_at_what_is_seen(watched: Watched) -> None:
    tree = Tree([Entry(watched, label="Result", base="$")])
    assert len(tree) == 100_001
    for number in (*range(40), *range(99_960, 100_001)):
        draw(tree.row(number), UNICODE)
    assert tree.path(tree.row(99_961).address) == "$[99960]"
    assert Watched.looked < 500


def test_a_folded_container_is_previewed_by_its_first_parts_only(watched: Watched) -> None:
    tree = Tree([Entry({"inner": watched}, label="Result")])
    assert "inner: [100,000]  0, 1, 2" in rows(tree)[1]
    assert Watched.looked < 50


def test_a_long_text_is_one_row_until_it_is_opened_and_then_not_all_of_it_is_made_into_rows() -> None:
    text = "x" * 10_000_000
    tree = Tree([Entry({"text": text}, label="Result")], width=80)
    assert len(tree) == 2
    assert len(rows(tree)[1]) < 500, "what is cut on screen is not carried there"
    assert tree.toggle((0, 0))
    assert len(tree) < 4_000
    assert "9,800,000 characters more: y copies all of it" in rows(tree)[-1]
    last = tree.row(len(tree) - 2)
    assert copied(last.entry) == text, "a copy of any of its rows takes all of it"


def test_a_text_of_several_lines_opens_to_its_lines_folded_at_the_width() -> None:
    tree = Tree([Entry("one\ntwo " + "long " * 20 + "\n\x1b[31mred", label="Result", base="$")], width=40)
    lines = rows(tree)
    assert lines[0].startswith("▾ Result  text, 3 lines")
    assert lines[1] == "  one"
    assert all(len(line) <= 40 for line in lines)
    assert lines[-1] == "  ␛[31mred"


def test_what_is_open_stays_open_when_the_value_changes_around_it() -> None:
    before = Tree([Entry({"a": {"x": 1}, "b": {"y": [1, 2]}}, label="State")])
    before.close((0, 0))
    names = before.names((0, 1, 0))
    after = Tree([Entry({"new": {}, "b": {"y": [1, 2, 3]}, "a": {"x": 2}}, label="State")], like=before)
    assert rows(after) == [
        "▾ State  {3}",
        "    new: {0}",
        "  ▾ b: {1}",
        "    ▾ y: [3]",
        "        0: 1",
        "        1: 2",
        "        2: 3",
        "  ▸ a: {1}  x: 2",
    ]
    assert after.find(names) == (0, 1, 0)


def test_everything_opens_within_bounds_and_says_if_something_stays_closed() -> None:
    value = {"few": {"a": {"b": {"c": 1}}}, "many": [list(range(100)) for _ in range(100)]}
    tree = Tree([Entry(value, label="Result")])
    tree.close_all()
    assert tree.open_all((0, 0))
    assert rows(tree)[3:5] == ["      ▾ b: {1}", "          c: 1"]
    assert not tree.open_all((0,), most=1_000)
    assert len(tree) <= 1_000 + 100


# -- search -------------------------------------------------------------------------------------------


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_a_search_finds_names_and_values_wherever_they_are(value: Any) -> None:
    entries = [Entry({"before": 1, "here": value, "needle": {"needle": "a needle"}}, label="Result")]
    finding = Finding(Query("needle"), entries)
    while finding.step(3):
        pass
    assert finding.found[-2:] == [(0, 2), (0, 2, 0)]
    assert finding.found == sorted(finding.found)


def test_a_search_works_in_bounded_steps_and_stops_when_it_is_not_asked_on(watched: Watched) -> None:
    finding = Finding(Query("99999"), [Entry(watched)])
    assert finding.step(1_000)
    assert Watched.looked <= 1_100
    assert finding.step(1_000)
    assert Watched.looked <= 2_200
    while finding.step():
        pass
    assert finding.found == [(0, 99_999)]


def test_long_texts_weigh_more_in_a_step_than_short_values() -> None:
    finding = Finding(Query("zebra"), [Entry(["x" * 1_000_000 for _ in range(50)])])
    assert finding.step(4_000)
    assert finding.looked < 10


def test_from_one_that_was_found_to_the_next_and_round() -> None:
    finding = Finding(Query("yes"), [Entry(["yes", "no", "yes", {"yes": "no"}])])
    while finding.step():
        pass
    assert finding.found == [(0, 0), (0, 2), (0, 3, 0)]
    assert finding.after((0,), 1) == (0, 0)
    assert finding.after((0, 0), 1) == (0, 2)
    assert finding.after((0, 3, 0), 1) == (0, 0)
    assert finding.after((0, 0), -1) == (0, 3, 0)
    assert [finding.nth(each) for each in ((0, 1), (0, 2))] == [0, 2]


def test_regular_expressions_find_too() -> None:
    finding = Finding(Query(r"^doc://\w+$", regex=True), [Entry({"a": "doc://one", "b": "see doc://one"})])
    while finding.step():
        pass
    assert finding.found == [(0, 0)]


# -- paths --------------------------------------------------------------------------------------------


def places(value: Any, address: Address = (0,)) -> Iterator[tuple[Address, Any]]:
    yield address, value
    if isinstance(value, dict | list):
        for place, part in enumerate(parts_of(value)):
            yield from places(part.value, (*address, place))


@given(VALUES)
@settings(max_examples=80, deadline=None)
def test_the_path_of_every_row_finds_the_same_value_again(value: Any) -> None:
    tree = Tree([Entry({"top": value}, label="Result", base="$")])
    for address, part in places({"top": value}):
        path = tree.path(address)
        if path:  # a name that is nothing but * has none
            assert [match.value for match in parse(path).find({"top": value})] == [part]
            assert compile_path(path).lookup({"top": value}) == (True, part)
        else:
            assert any(name == "*" for name in tree.names(address))


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((), "$"),
        (("a", 0, "b_1"), "$.a[0].b_1"),
        (("a b", "it's", 'say "x"'), """$['a b']['it\\'s']['say "x"']"""),
        (("where", "wherenot"), "$['where']['wherenot']"),
        (("back\\slash", "a\nb", ""), "$['back\\\\slash']['a\nb']['']"),
        (("*",), ""),
    ],
)
def test_names_are_quoted_where_the_path_language_needs_it(parts: tuple[str | int, ...], path: str) -> None:
    assert json_path(parts) == path


def test_paths_begin_where_a_document_finds_the_value() -> None:
    tree = Tree([Entry({"urls": ["a", "b"]}, label="Result", base="$.steps.fetch.result")])
    assert tree.path((0, 0, 1)) == "$.steps.fetch.result.urls[1]"


# -- differences --------------------------------------------------------------------------------------


def test_a_change_of_the_state_shows_what_is_new_other_and_gone_and_folds_the_rest() -> None:
    before = {"kept": [1, 2], "counts": {"a": 1, "b": 2}, "list": [1, 2, 3], "gone": True, "flag": 1}
    changes = {
        "set": {"counts": {"a": 5, "b": 2, "c": 3}, "list": [1, 2, 3, 4], "new": "x", "flag": True},
        "removed": ["gone"],
    }
    tree = Tree([Entry(change_of_state(before, changes), label="Changed by this step", base="$")])
    assert rows(tree) == [
        "▾ Changed by this step  1 added, 3 changed, 1 removed",
        "~ ▾ counts: 1 added, 1 changed",
        "~     a: 1 → 5",
        "+     c: 3",
        "=   ▸ 1 unchanged  {1}  b: 2",
        "~ ▾ list: 1 added",
        "=   ▸ 3 elements unchanged  [3]  1, 2, 3",
        "+     3: 4",
        "~   flag: 1 → true",
        '+   new: "x"',
        "-   gone: true",
        "= ▸ 1 unchanged  {1}  kept: [2]",
    ]
    paths = {rows(tree)[number].split(":")[0]: tree.path(tree.row(number).address) for number in range(12)}
    assert paths["+     3"] == "$.list[3]"
    assert paths["~     a"] == "$.counts.a"


def test_values_that_a_step_did_not_touch_are_not_compared() -> None:
    class Untouchable(dict[str, Any]):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None

    delta = change_of_state({"large": Untouchable(), "x": 1}, {"set": {"x": 2}, "removed": []})
    assert [part.mark for part in delta.parts] == ["~", "="]


@given(VALUES, VALUES)
@settings(max_examples=80, deadline=None)
def test_a_difference_tells_both_values(old: Any, new: Any) -> None:
    delta = difference({"value": old}, {"value": new})
    assert delta is not None
    assert rebuilt(delta, new=True) == {"value": new}
    assert rebuilt(delta, new=False) == {"value": old}


def rebuilt(delta: Delta, *, new: bool) -> Any:
    """One of the two values that a difference was made of, put together from its parts."""
    wanted = isinstance(delta.value, dict)
    pairs: list[tuple[Any, Any]] = []
    for part in delta.parts:
        if part.mark == ("-" if new else "+"):
            continue
        inner = part.value
        if part.label:  # those that are the same
            same = inner.value if isinstance(inner, Delta) else inner
            pairs += same.items() if isinstance(same, dict) else [(None, each) for each in same]
        elif isinstance(inner, Delta):
            pairs.append((part.part, rebuilt(inner, new=new)))
        else:
            pairs.append((part.part, inner if new or part.mark != "~" else part.old))
    return dict(pairs) if wanted else [value for _, value in pairs]


# -- out of the app -----------------------------------------------------------------------------------


def test_what_is_written_is_whole_and_json_again() -> None:
    value = {"text": "x" * 10_000, "list": list(range(5_000))}
    text = "".join(written([Entry(Words((("status  ok", "text"),))), Entry(value, label="Result")]))
    head, _, rest = text.partition("Result\n")
    assert head == "status  ok\n"
    assert json.loads(rest) == value
    assert copied(Entry("two\nlines")) == "two\nlines"


def test_differences_are_written_with_their_marks() -> None:
    delta = change_of_state({"a": 1, "b": 2}, {"set": {"a": 3, "c": [1]}, "removed": []})
    assert "".join(written([Entry(delta, label="Changed")])).splitlines()[1:] == [
        "~ a: 1 -> 3",
        "+ c: [1]",
        "= 1 unchanged",
    ]


def test_rows_have_no_sign_beyond_ascii_where_the_terminal_has_none() -> None:
    delta = change_of_state({"a": 1}, {"set": {"a": 3, "c": list(range(100))}, "removed": []})
    tree = Tree([Entry(delta, label="Changed"), Entry({"x": ["long " * 20] * 1000, "y": "long " * 90})])
    for number in range(len(tree)):
        assert plain_text(draw(tree.row(number), ASCII)).isascii()


# -- long lines ---------------------------------------------------------------------------------------


def test_lines_are_broken_at_blanks_where_there_are_some_near() -> None:
    words = "the quick brown fox jumps over the lazy dog"
    assert [plain_text(line) for line in fold(((words, "text"),), 12)] == [
        *("the quick ", "brown fox ", "jumps over ", "the lazy dog"),
    ]
    tree = Tree([Entry(words + "\n" + "x" * 40, label="Result")], width=19)
    folded = ["the quick ", "brown fox ", "jumps over ", "the lazy dog", "x" * 14, "x" * 14, "x" * 12]
    assert rows(tree)[1:] == ["  " + row for row in folded]


def test_a_line_of_a_megabyte_is_folded_in_one_go_over_it() -> None:
    lines = fold((("x" * 1_000_000, "text"),), 80)
    assert len(lines) == 12_500
    assert "".join(map(plain_text, lines)) == "x" * 1_000_000
