from __future__ import annotations

import random

import pytest

from agentainer_tui.boxes import Picture, arrange, neighbours, stacked
from agentainer_tui.lanes import DOWN, LEFT, RIGHT, UP, LaneNode
from agentainer_tui.looks import UNICODE
from agentainer_tui.step_rows import GridKey, RowKey
from tests.tui.driving import dashboard, on_screen, run_screen, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import COUNT, HELLO, counting
from tests.tui.story import Story, node

BOX = (5, 3)
TALL, WIDE = (12, 200), (300, 20)


def graph(**depends_on: str) -> list[LaneNode]:
    return [LaneNode(key, tuple(before.split())) for key, before in depends_on.items()]


def drawn(picture: Picture) -> list[str]:
    lines = [[" "] * picture.width for _ in range(picture.height)]
    for y, strokes in picture.strokes.items():
        for x, stroke in strokes.items():
            lines[y][x] = ">" if stroke.head else UNICODE.lines[stroke.directions]
    for box in picture.boxes.values():
        for y in range(box.y, box.y + BOX[1]):
            lines[y][box.x : box.x + BOX[0]] = "#" * BOX[0]
        lines[box.y + 1][box.x + 2] = str(box.key)
    return ["".join(line).rstrip() for line in lines]


def test_layers_go_to_the_right_where_there_is_width() -> None:
    picture = arrange(graph(a="", b="a", c="a", d="b c"), BOX, WIDE)
    assert picture.right
    assert drawn(picture) == [
        "          #####",
        "       ╭─>##b##──╮",
        "#####  │  #####  │  #####",
        "##a##──┤         ├─>##d##",
        "#####  │  #####  │  #####",
        "       ╰─>##c##──╯",
        "          #####",
    ]


def test_layers_go_down_where_there_is_height() -> None:
    picture = arrange(graph(a="", b="a", c="a"), BOX, TALL)
    assert not picture.right
    rows = drawn(picture)
    assert rows[0].strip() == "#####"
    assert rows[-2].split() == ["##b##", "##c##"]
    assert picture.boxes["b"].y == picture.boxes["c"].y > picture.boxes["a"].y + 3


@pytest.mark.parametrize("room", [TALL, WIDE])
def test_no_two_boxes_overlap_and_every_arrow_ends_at_a_box(room: tuple[int, int]) -> None:
    chance = random.Random(11)
    for size in (2, 9, 40):
        nodes = [
            LaneNode(number, tuple(chance.sample(range(number), min(number, chance.randint(0, 3)))))
            for number in range(size)
        ]
        picture = arrange(nodes, BOX, room)
        taken: set[tuple[int, int]] = set()
        for box in picture.boxes.values():
            cells = {(box.x + dx, box.y + dy) for dx in range(BOX[0]) for dy in range(BOX[1])}
            assert not cells & taken
            taken |= cells
        assert len(picture.boxes) == size
        assert all(0 <= x < picture.width and 0 <= y < picture.height for x, y in taken)
        heads = [(x, y) for y, row in picture.strokes.items() for x, stroke in row.items() if stroke.head]
        beyond = {(x + 1, y) if picture.right else (x, y + 1) for x, y in heads}
        assert beyond <= taken
        entered = {key for key, before in picture.before.items() if before}
        assert len(heads) == len(entered)
        lines = {(x, y) for y, row in picture.strokes.items() for x in row}
        assert not lines & taken, "no line runs through a box"


def test_lines_lead_somewhere() -> None:
    picture = arrange(graph(a="", b="", c="a b", d="a", e="c d"), BOX, WIDE)
    cells = {(x, y): stroke for y, row in picture.strokes.items() for x, stroke in row.items()}
    boxes = {
        (box.x + dx, box.y + dy)
        for box in picture.boxes.values()
        for dx in range(BOX[0])
        for dy in range(BOX[1])
    }
    ways = {UP: (0, -1, DOWN), DOWN: (0, 1, UP), LEFT: (-1, 0, RIGHT), RIGHT: (1, 0, LEFT)}
    for (x, y), stroke in cells.items():
        for way, (dx, dy, back) in ways.items():
            if stroke.directions & way:
                other = (x + dx, y + dy)
                assert (
                    other in boxes or cells[other].directions & back or cells[other].directions == UP | DOWN
                )


def test_the_cursor_goes_along_edges_and_within_layers() -> None:
    picture = arrange(graph(a="", b="a", c="a", d="b c"), BOX, WIDE)
    assert picture.step("a", 1, 0) in ("b", "c")
    assert picture.step("b", 0, 1) == "c"
    assert picture.step("c", 0, -1) == "b"
    assert picture.step("c", 1, 0) == "d"
    assert picture.step("d", 1, 0) == "d", "nothing comes after it"
    down = arrange(graph(a="", b="a", c="a"), BOX, TALL)
    assert down.step("b", 1, 0) == "c"
    assert down.step("c", 0, -1) == "a"


def test_many_siblings_are_one_box_until_they_are_taken_apart() -> None:
    middle = {f"m{number}": "s" for number in range(40)}
    nodes = graph(s="", **middle, j=" ".join(middle))
    kept, stacks = stacked(nodes)
    assert kept == graph(s="", m0="s", j="m0")
    assert stacks == {"m0": tuple(middle)}
    assert stacked(nodes, apart=middle)[1] == {}
    assert stacked(graph(s="", a="s", b="s", c="s"))[1] == {}, "a few stay as they are"


def test_of_a_large_graph_the_nearest_are_laid_out() -> None:
    nodes = [LaneNode(number, (number - 1,) if number else ()) for number in range(500)]
    near = neighbours(nodes, 250, 21)
    assert [node.key for node in near] == list(range(240, 261))
    assert neighbours(nodes[:5], 2, 21) == nodes[:5]


def test_nothing_makes_an_empty_picture() -> None:
    assert arrange([], BOX, WIDE).boxes == {}


# -- on screen ----------------------------------------------------------------------------------------


def wide(number: int = 3) -> Story:
    middle = [f"part{place}" for place in range(number)]
    story = Story().create([node("split"), *(node(each, "split") for each in middle), node("join", *middle)])
    return story.start().run_step("split").step_start("part1").attempt("part1").tick(2)


async def test_boxes_take_the_place_of_the_rows_and_back_on_the_same_step() -> None:
    story = wide()
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part2")
        screen = run_screen(app)
        screen.steps.select(RowKey("part1"))
        await pilot.press("v")
        await until_seen(pilot, "│ ● part1")
        assert screen.steps_pane.boxes.has_focus
        assert screen.steps_pane.boxes.step_id == "part1"
        await pilot.press("right")
        await until(pilot, lambda: screen.details.selection[0] is not None)
        await until(pilot, lambda: screen.steps.key == RowKey("join"))
        await pilot.press("left", "up", "left", "v")
        await until(pilot, lambda: screen.steps.has_focus)
        assert screen.steps.key == RowKey("split")


async def test_boxes_change_with_the_run() -> None:
    story = wide()
    client = FakeClient([HELLO], [story])
    async with dashboard(client, now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part2")
        await pilot.press("v")
        await until_seen(pilot, "│ ● part1")
        client.tell(story.attempt_end("part1").step_end("part1"))
        await until_seen(pilot, "│ ✓ part1")


async def test_a_stack_of_siblings_opens_and_closes() -> None:
    story = wide(12)
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part2")
        boxes = run_screen(app).steps_pane.boxes
        await pilot.press("v")
        await until_seen(pilot, "part ×12")
        await until_seen(pilot, "●1 ○11")
        boxes.select("part1")
        await pilot.press("space")
        await until_seen(pilot, "│ ● part1")
        assert "×12" not in on_screen(app)
        await pilot.press("space")
        await until_seen(pilot, "part ×12")
        await pilot.press("enter")
        await until_seen(pilot, "│ ● part1")


async def test_enter_opens_the_details_of_a_box_and_the_items_of_a_map() -> None:
    story = counting()
    async with dashboard(FakeClient([COUNT], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "a.txt")
        screen = run_screen(app)
        screen.steps.select(RowKey("list"))
        await pilot.press("v", "enter")
        await until(pilot, lambda: screen.details.has_focus_within)
        assert screen.steps_pane.has_boxes
        screen.steps_pane.boxes.focus()
        await pilot.press("right", "enter")
        await until(pilot, lambda: not screen.steps_pane.has_boxes)
        await until_seen(pilot, "a.txt")
        assert screen.steps.key == RowKey("count")


async def test_looking_for_a_step_goes_back_to_the_rows() -> None:
    story = wide()
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part2")
        await pilot.press("v", "slash", *"part2", "enter")
        await until(pilot, lambda: run_screen(app).steps.keys == [RowKey("part2")])


async def test_a_box_is_chosen_with_the_mouse() -> None:
    story = wide()
    async with dashboard(FakeClient([HELLO], [story]), now=story.now.timestamp()) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "part2")
        await pilot.press("v")
        await until_seen(pilot, "│ ○ part2")
        boxes = run_screen(app).steps_pane.boxes
        y, line = next((y, line) for y, line in enumerate(on_screen(app).splitlines()) if "│ ○ part2" in line)
        x = line.index("│ ○ part2") + 4
        await pilot.click(offset=(x, y))
        await until(pilot, lambda: boxes.step_id == "part2")
        assert run_screen(app).steps.key == RowKey("part2")


async def test_a_thousand_steps_show_the_nearest_and_the_cursor_gets_everywhere() -> None:
    story = Story().create([node(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(1000)]).start()
    async with dashboard(FakeClient([HELLO], [story])) as (app, pilot):
        app.open_run(story.run_id)
        await until_seen(pilot, "0/1000 steps")
        await pilot.press("v")
        await until_seen(pilot, "of 1,000 boxes")
        boxes = run_screen(app).steps_pane.boxes
        await pilot.press("G", *["left"] * 70)
        await until(pilot, lambda: boxes.step_id == "s929")
        assert not isinstance(run_screen(app).steps.key, GridKey)
