from __future__ import annotations

from agentainer_tui.model import reduce_all
from agentainer_tui.step_rows import (
    FoldedKey,
    GridKey,
    RowKey,
    Section,
    TallyKey,
    Wanted,
    next_failed,
    ordered,
    rows_of,
    shape_of,
    siblings_of,
)
from agentainer_tui.views import RunView
from tests.tui.story import Story, node


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def siblings(view: RunView, step_id: str) -> list[str]:
    order = [step.id for step in ordered(view)]
    return siblings_of(view, step_id, order, order.index(step_id))


def ids(view: RunView, wanted: Wanted | None = None) -> list[str]:
    return [key.step_id for key in rows_of(view, wanted or Wanted({})).keys if isinstance(key, RowKey)]


def fan(number: int = 5, *, done: int = 0) -> Story:
    middle = [f"m{place}" for place in range(number)]
    story = Story().create([node("split"), *(node(each, "split") for each in middle), node("join", *middle)])
    story.start().run_step("split")
    for each in middle[:done]:
        story.run_step(each)
    return story


def test_steps_stand_in_the_order_of_the_document_with_what_they_need_above_them() -> None:
    view = view_of(Story().create([node("late", "early"), node("other"), node("early")]))
    assert [step.id for step in ordered(view)] == ["other", "early", "late"]
    view = view_of(Story().create([node("b"), node("a"), node("c", "a")]))
    assert [step.id for step in ordered(view)] == ["b", "a", "c"]


def test_members_stand_below_their_group_and_lead_to_what_comes_after_it() -> None:
    story = Story().create([
        node("group", type="parallel"), node("one", parent="group"), node("two", "one", parent="group"),
        node("three", parent="group"), node("after", "group"),
    ])  # fmt: skip
    view = view_of(story)
    rows = rows_of(view, Wanted({}))
    assert [each.depends_on for each in rows.nodes] == [
        (), ("group",), ("one", "group"), ("group",), ("two", "three"),
    ]  # fmt: skip
    folded = rows_of(view, Wanted({"group": False}))
    assert folded.keys == (RowKey("group"), RowKey("after"))
    assert folded.nodes[1].depends_on == ("group",)


def test_roles_have_a_line_above_them() -> None:
    view = view_of(Story().create([node("a"), node("tidy", role="finally"), node("page", role="on_failure")]))
    assert rows_of(view, Wanted({})).keys == (
        RowKey("a"), Section("on_failure"), RowKey("page"), Section("finally"), RowKey("tidy"),
    )  # fmt: skip


def test_few_items_are_listed_and_many_make_a_grid_below_their_counts() -> None:
    few = view_of(Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(3)))
    assert rows_of(few, Wanted({})).keys == (RowKey("m"), *(RowKey("m", place) for place in range(3)))
    assert rows_of(few, Wanted({"m": False})).keys == (RowKey("m"),)
    many = view_of(Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(120)))
    assert rows_of(many, Wanted({})).keys == (RowKey("m"),)
    grid = rows_of(many, Wanted({"m": True}, grid=50))
    assert grid.keys == (RowKey("m"), TallyKey("m"), GridKey("m", 0), GridKey("m", 50), GridKey("m", 100))
    assert len(grid.nodes) == len(grid.keys)


def test_finished_siblings_become_one_row_that_lanes_lead_through() -> None:
    view = view_of(fan(done=4))
    assert siblings(view, "m1") == ["m0", "m1", "m2", "m3"]
    rows = rows_of(view, Wanted({}, folded=frozenset(siblings(view, "m1"))))
    assert rows.keys == (RowKey("split"), FoldedKey("m0", 4), RowKey("m4"), RowKey("join"))
    assert rows.nodes[1].depends_on == ("split",)
    assert rows.nodes[3].depends_on == ("m0", "m4")


def test_two_finished_siblings_and_those_that_still_run_stay_as_they_are() -> None:
    view = view_of(fan(done=2))
    assert siblings(view, "m0") == []
    assert siblings(view, "m4") == []
    assert ids(view, Wanted({}, fold_all=True)) == ["split", "m0", "m1", "m2", "m3", "m4", "join"]


def test_all_finished_siblings_can_be_folded_at_once_but_for_some() -> None:
    view = view_of(fan(done=5))
    assert FoldedKey("m0", 5) in rows_of(view, Wanted({}, fold_all=True)).keys
    opened = Wanted({}, fold_all=True, folded=frozenset(f"m{place}" for place in range(5)))
    assert ids(view, opened) == ["split", "m0", "m1", "m2", "m3", "m4", "join"]


def test_failed_first_puts_what_failed_on_top_and_finished_steps_at_the_end() -> None:
    story = fan(done=2).step_start("m2").attempt("m2").step_start("m3").attempt("m3")
    story.attempt_end("m2", status="failed").step_end("m2", "failed", reason="task_failed")
    view = view_of(story)
    rows = rows_of(view, Wanted({}, failed_first=True))
    assert ids(view, Wanted({}, failed_first=True)) == ["m2", "m3", "m4", "join", "split", "m0", "m1"]
    assert rows.nodes == (), "there are no lanes between rows in another order"


def test_failed_items_are_listed_above_a_grid_when_failures_come_first() -> None:
    story = Story().create([node("m", type="map")]).start().step_start("m").expand("m", range(200))
    for index in (7, 150):
        story.step_start("m", index).step_end("m", "failed", index, reason="task_failed")
    keys = rows_of(view_of(story), Wanted({}, failed_first=True)).keys
    assert keys == (RowKey("m"), RowKey("m", 7), RowKey("m", 150))


def test_a_search_keeps_the_steps_and_items_that_match_with_the_step_of_an_item() -> None:
    story = Story().create([node("list", name="List files"), node("m", "list", type="map"), node("sum", "m")])
    story.start().run_step("list").step_start("m").expand("m", ["a.txt", "b.txt", "sum.txt"])
    rows = rows_of(view_of(story), Wanted({}, matches=lambda text: "sum" in text))
    assert rows.keys == (RowKey("m"), RowKey("m", 2), RowKey("sum"))
    assert (rows.found, rows.total) == (2, 6)


def test_the_shape_changes_with_what_rows_depend_on_only() -> None:
    story = fan(done=1)
    before = view_of(story)
    after = view_of(story.run_step("m1"))
    assert shape_of(before, Wanted({})) == shape_of(after, Wanted({}))
    assert shape_of(before, Wanted({}, failed_first=True)) != shape_of(after, Wanted({}, failed_first=True))
    assert shape_of(before, Wanted({}, fold_all=True)) != shape_of(after, Wanted({}, fold_all=True))


def test_the_next_failure_is_found_in_row_order_round_the_end_in_folded_items_too() -> None:
    story = Story().create([node("a"), node("m", type="map"), node("z")]).start()
    for step in ("a", "z"):
        story.step_start(step).step_end(step, "failed", reason="task_failed")
    story.step_start("m").expand("m", range(100)).step_start("m", 70)
    view = view_of(story.step_end("m", "failed", 70, reason="task_failed"))
    keys = rows_of(view, Wanted({})).keys
    assert next_failed(view, keys, None, 1) == RowKey("a")
    assert next_failed(view, keys, RowKey("a"), 1) == RowKey("m", 70)
    assert next_failed(view, keys, RowKey("m", 70), 1) == RowKey("z")
    assert next_failed(view, keys, RowKey("z"), 1) == RowKey("a")
    assert next_failed(view, keys, RowKey("a"), -1) == RowKey("z")
    assert next_failed(view_of(fan()), (), None, 1) is None
