from __future__ import annotations

import random
from itertools import pairwise

from agentainer_tui.lanes import BUNDLE, DOWN, LEFT, NODE, RIGHT, UP, LaneCell, LaneNode, lay_out, reduced
from agentainer_tui.looks import ASCII, UNICODE


def graph(**depends_on: str) -> list[LaneNode]:
    return [LaneNode(key, tuple(before.split())) for key, before in depends_on.items()]


def drawn(nodes: list[LaneNode], most: int = 8) -> list[str]:
    return ["".join(map(sign, row)) for row in lay_out(nodes, most).rows]


def sign(cell: LaneCell) -> str:
    if cell.directions & NODE:
        return "●"
    if cell.bus == BUNDLE and cell.directions == UP | DOWN:
        return "┊"
    return UNICODE.lines[cell.directions]


def test_a_chain_stands_in_one_column() -> None:
    assert drawn(graph(a="", b="a", c="b")) == ["●", "●", "●"]


def test_a_fan_out_hangs_from_one_lane_and_a_fan_in_ends_in_another() -> None:
    assert drawn(graph(split="", a="split", b="split", c="split", join="a b c", end="join")) == [
        "●",
        "├─●─╮",
        "├─●─┤",
        "╰─●─┤",
        "●───╯",
        "●",
    ]


def test_steps_that_begin_at_once_are_collected_by_the_step_that_waits_for_them() -> None:
    assert drawn(graph(a="", b="", c="a b")) == ["●─╮", "●─┤", "●─╯"]


def test_chains_that_have_nothing_to_do_with_each_other_do_not_look_like_one() -> None:
    assert drawn(graph(a="", b="a", c="", d="c")) == ["●", "●", "  ●", "  ●"]


def test_steps_without_any_edge_stand_below_each_other() -> None:
    assert drawn(graph(a="", b="", c="")) == ["●", "●", "●"]


def test_two_layers_that_depend_on_each_other_whole_share_a_lane() -> None:
    layers = graph(a="", b="", c="a b", d="a b", e="c d")
    assert drawn(layers) == ["●─╮", "●─┤", "  ├─●─╮", "  ╰─●─┤", "●─────╯"]
    assert len(lay_out(layers, 8).buses) == 2


def test_a_lane_runs_past_rows_that_are_no_steps() -> None:
    nodes = [LaneNode("a"), LaneNode(), LaneNode(), LaneNode("b", ("a",))]
    assert drawn(nodes) == ["●", "│", "│", "●"]


def test_what_follows_from_other_dependencies_is_not_drawn() -> None:
    nodes = graph(a="", b="a", c="a b")
    assert reduced(nodes)[2] == ("c", ("b",))
    assert drawn(nodes) == ["●", "●", "●"]


def test_dependencies_on_what_is_not_there_or_comes_later_are_left_out() -> None:
    assert drawn(graph(a="nowhere b", b="")) == ["●", "●"]


def test_however_many_lanes_there_are_their_columns_are_bounded() -> None:
    chance = random.Random(7)
    nodes = [
        LaneNode(number, tuple(chance.sample(range(max(0, number - 40), number), min(number, 3))))
        for number in range(300)
    ]
    for most in (2, 4, 6, 10):
        lanes = lay_out(nodes, most)
        assert lanes.width <= 2 * (most + 1) + 1
        assert all(sum(bool(cell.directions & NODE) for cell in row) == 1 for row in lanes.rows)
        assert any(cell.bus == BUNDLE for row in lanes.rows for cell in row)


def test_five_hundred_steps_in_between_take_two_lanes() -> None:
    middle = {f"m{number}": "split" for number in range(500)}
    assert lay_out(graph(split="", **middle, join=" ".join(middle)), 4).width == 5


def test_lines_meet_where_rows_do() -> None:
    """What leaves a cell downwards arrives in the row below, unless a step is there."""
    chance = random.Random(3)
    for size in (5, 20, 80):
        nodes = [
            LaneNode(number, tuple(chance.sample(range(number), min(number, chance.randint(0, 3)))))
            for number in range(size)
        ]
        rows = lay_out(nodes, 40).rows
        for above, below in pairwise(rows):
            for place, cell in enumerate(above):
                if cell.directions & NODE or not cell.directions & DOWN:
                    continue
                other = below[place]
                assert other.directions & (UP | NODE), (place, above, below)
        for row in rows:
            for left, right in pairwise(row):
                if not (left.directions | right.directions) & NODE and left.directions & RIGHT:
                    assert right.directions & LEFT or right.directions == UP | DOWN, (
                        "it may pass below a lane"
                    )


def test_both_sets_of_signs_draw_every_direction() -> None:
    assert len(UNICODE.lines) == len(ASCII.lines) == 16
    assert ASCII.lines.isascii()
    assert UNICODE.lines[UP | DOWN] == "│"
    assert UNICODE.lines[LEFT | RIGHT] == "─"
