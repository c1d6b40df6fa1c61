"""The steps of a run as boxes and arrows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.strip import Strip

from agentainer_tui.boxes import Box, Picture, arrange, neighbours, stacked
from agentainer_tui.estimate import Forecast
from agentainer_tui.keymap import bindings
from agentainer_tui.lanes import LaneNode
from agentainer_tui.step_rows import ROLES, Wanted, rows_of
from agentainer_tui.views import RunView, StepView
from agentainer_tui.widgets.box_drawing import HEIGHT, BoxSight, draw_box, draw_strokes, worst
from agentainer_tui.widgets.ink import Inked, Row
from agentainer_tui.widgets.step_drawing import LIVE, name_width

_WIDEST, _NARROWEST = 28, 21
# Boxes that are laid out at once: of a larger graph those that are nearest to the cursor.
_MOST = 60


class BoxView(Inked, can_focus=True, inherit_bindings=False):
    """Draws the graph; the cursor goes along its arrows. Many siblings are one box until it is opened."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list", quiet=True)]
    DEFAULT_CSS = """
    BoxView { overflow-x: auto; scrollbar-size-horizontal: 1; background: $background; }
    """
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor is on another step."""

        def __init__(self, step_id: str) -> None:
            super().__init__()
            self.step_id = step_id

    class Chosen(Moved):
        """A step was opened with Enter or a double click."""

    class Search(Message):
        """A step is to be looked for, which the rows do."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._now = now
        self._view: RunView | None = None
        self._forecast = Forecast()
        self._graph: list[LaneNode] = []
        self._plan: object = None
        self._apart: set[Hashable] = set()
        self._stacks: dict[Hashable, tuple[Hashable, ...]] = {}
        self._picture = Picture()
        self._by_line: dict[int, list[Box]] = {}
        self._key: Hashable = None
        self._box = (_WIDEST, HEIGHT)
        self._margin = Offset()
        self.note = ""  # how much of the graph is there

    # -- data -----------------------------------------------------------------------------------------

    def show(self, view: RunView, expected: Forecast) -> None:
        """Take a newer view of the run; the boxes stay where they are as long as the graph is the same."""
        old, self._view, self._forecast = self._view, view, expected
        plan = tuple(view.steps)
        if old is None or plan != self._plan or not self._picture.boxes:
            self._plan = plan
            self._graph = _nodes_of(view)
            widest = max(map(name_width, view.steps.values()), default=0)
            self._box = (max(_NARROWEST, min(_WIDEST, widest + 6)), HEIGHT)
            self._lay_out()
        elif old is not view:
            self._redraw(lambda key: any(old.steps.get(each) is not view.steps.get(each) for each in key))

    def tick(self) -> None:
        """Time went on: what runs is drawn again."""
        view = self._view
        if view is not None and not view.status.is_terminal:
            self._redraw(lambda key: any(view.steps[each].status in LIVE for each in key))

    def _redraw(self, wanted: Callable[[tuple[str, ...]], bool]) -> None:
        """Draw again if a box that is seen is `wanted`: a few dozen lines, whatever the size of the run."""
        seen = Region(*self.scroll_offset, *self.size)
        for key, box in self._picture.boxes.items():
            if seen.overlaps(self._region(box)) and wanted(self._steps_of(key)):
                self.refresh()
                return

    def _steps_of(self, key: Hashable) -> tuple[str, ...]:
        return tuple(map(str, self._stacks.get(key, (key,))))

    def _lay_out(self) -> None:
        """Place the boxes around the cursor."""
        known = {node.key for node in self._graph}
        if self._key not in known:
            self._key = self._graph[0].key if self._graph else None
        nodes, self._stacks = stacked(self._graph, self._apart)
        standing = {each: first for first, keys in self._stacks.items() for each in keys}
        self._key = standing.get(self._key, self._key)
        total = len(nodes)
        nodes = neighbours(nodes, self._key, _MOST)
        room = self.scrollable_content_region.size
        self._picture = arrange(nodes, self._box, (room.width, room.height))
        by_line: defaultdict[int, list[Box]] = defaultdict(list)
        for box in self._picture.boxes.values():
            for y in range(box.y, box.y + HEIGHT):
                by_line[y].append(box)
        self._by_line = {y: sorted(boxes, key=lambda box: box.x) for y, boxes in by_line.items()}
        # What is smaller than its room stands in the middle of it.
        self._margin = Offset(
            max(1, (room.width - self._picture.width) // 2), max(0, (room.height - self._picture.height) // 2)
        )
        self.virtual_size = Size(
            self._margin.x + self._picture.width + 1, self._margin.y + self._picture.height
        )
        self.note = f"the nearest {len(nodes)} of {total:,} boxes" if len(nodes) < total else ""
        self.refresh()
        self._show_cursor()

    # -- the cursor -----------------------------------------------------------------------------------

    @property
    def step_id(self) -> str | None:
        """The step under the cursor; of a stack the first that is worst."""
        if self._key is None or self._view is None:
            return None
        return self._worst(self._steps_of(self._key)).id

    def select(self, step_id: str) -> None:
        """Move the cursor to a step."""
        standing = {each: first for first, keys in self._stacks.items() for each in keys}
        key = standing.get(step_id, step_id)
        if key == self._key or key not in {node.key for node in self._graph}:
            return
        self._to(key)

    def _to(self, key: Hashable) -> None:
        self._key = key
        if key not in self._picture.boxes or self._is_at_the_edge(key):
            self._lay_out()
        self.refresh()
        self._show_cursor()

    def _is_at_the_edge(self, key: Hashable) -> bool:
        """Whether a box has neighbours that are not laid out."""
        if len(self._graph) <= _MOST:
            return False
        shown = set(self._picture.boxes) | {each for keys in self._stacks.values() for each in keys}
        for node in self._graph:
            if node.key == key and any(each not in shown for each in node.depends_on):
                return True
            if key in node.depends_on and node.key not in shown:
                return True
        return False

    def _show_cursor(self) -> None:
        box = self._picture.boxes.get(self._key)
        if box is not None and self.size.height:
            self.scroll_to_region(self._region(box).grow((1, 3, 1, 3)), animate=False, force=True)

    def _region(self, box: Box) -> Region:
        return Region(box.x + self._margin.x, box.y + self._margin.y, *self._box)

    def _step(self, dx: int, dy: int) -> None:
        key = self._picture.step(self._key, dx, dy)
        if key == self._key:
            return
        self._to(key)
        if self.step_id is not None:
            self.post_message(self.Moved(self.step_id))

    def go(self, way: str) -> None:
        """To the box on the `left` or `right`."""
        self._step(1 if way == "right" else -1, 0)

    def can_fold(self) -> bool:
        """Whether the box under the cursor is a stack, or stands on one."""
        return self._key in self._stacks or self._key in self._apart

    def toggle(self) -> bool:
        """Open the stack under the cursor, or put a box back on its stack; False if it has none."""
        if self._key in self._stacks:
            self._apart.update(self._stacks[self._key])
        elif self._key in self._apart:
            self._apart -= set(self._siblings(self._key))
        else:
            return False
        self._lay_out()
        return True

    def _siblings(self, key: Hashable) -> tuple[Hashable, ...]:
        _, stacks = stacked(self._graph)
        return next((keys for keys in stacks.values() if key in keys), ())

    def action_cursor_up(self) -> None:
        """To the box above."""
        self._step(0, -1)

    def action_cursor_down(self) -> None:
        """To the box below."""
        self._step(0, 1)

    def action_page_up(self) -> None:
        """One page up."""
        self.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """One page down."""
        self.scroll_page_down(animate=False)

    def action_cursor_first(self) -> None:
        """To the first box."""
        self._to_end(0)

    def action_cursor_last(self) -> None:
        """To the last box."""
        self._to_end(-1)

    def _to_end(self, place: int) -> None:
        if self._graph:
            self._to(self._graph[place].key)
            if self.step_id is not None:
                self.post_message(self.Moved(self.step_id))

    def action_choose(self) -> None:
        """Open the stack, or the step."""
        if self._key in self._stacks:
            self.toggle()
        elif self.step_id is not None:
            self.post_message(self.Chosen(self.step_id))

    def action_filter(self) -> None:
        """Look for a step."""
        self.post_message(self.Search())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is filtered here."""
        return action != "clear_filter"

    def on_resize(self) -> None:
        """Which way the layers go depends on the room."""
        if self._view is not None:
            self._lay_out()

    def on_focus(self) -> None:
        """The cursor is drawn differently in the focused pane."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor is drawn differently in the focused pane."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Select a box; a double click opens it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        x, y = offset + self.scroll_offset - self._margin
        for box in self._by_line.get(y, ()):
            if box.x <= x < box.x + self._box[0]:
                self._to(box.key)
                if event.chain == 2:
                    self.action_choose()
                elif self.step_id is not None:
                    self.post_message(self.Moved(self.step_id))
                return

    # -- drawing --------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        left, width = self.scroll_offset.x, self.inner_width
        line = y + self.scroll_offset.y - self._margin.y
        row, sight = Row().gap(self._margin.x), self._sight()
        if sight is None:
            return Strip.blank(width, self.rich_style)
        x = 0
        for box in self._by_line.get(line, ()):
            draw_strokes(row, sight, line, x, box.x)
            steps = [sight.view.steps[each] for each in self._steps_of(box.key)]
            draw_box(row, sight, steps, line - box.y, self._cursor_style(box.key))
            x = box.x + self._box[0]
        draw_strokes(row, sight, line, x, self._picture.width)
        whole = row.strip(max(left + width, row.width), self.rich_style)
        return whole.crop(left, left + width)

    def _cursor_style(self, key: Hashable) -> Style | None:
        if key != self._key:
            return None
        return self.palette.cursor if self.has_focus else self.palette.cursor_blurred

    def _sight(self) -> BoxSight | None:
        view = self._view
        if view is None:
            return None
        return BoxSight(view, self._now(), self._forecast, self._picture, self._box, self.ink, self.glyphs)

    def _worst(self, ids: tuple[str, ...]) -> StepView:
        view = self._view
        assert view is not None, "there are boxes"
        return worst(view.steps[each] for each in ids)


def _nodes_of(view: RunView) -> list[LaneNode]:
    """The steps without their items; what has its turn after the run's own steps stands after them."""
    rows = rows_of(view, Wanted({step.id: False for step in view.steps.values() if step.items}))
    nodes = [node for node in rows.nodes if node.key is not None]
    followed = {each for node in nodes for each in node.depends_on}
    by_role: defaultdict[str, list[Hashable]] = defaultdict(list)
    for node in nodes:
        if node.key not in followed:
            by_role[view.steps[str(node.key)].role].append(node.key)
    ends = tuple(by_role[ROLES[0]])
    return [
        LaneNode(node.key, ends)
        if not node.depends_on and view.steps[str(node.key)].role != ROLES[0]
        else node
        for node in nodes
    ]
