"""The steps of a run as one canvas: the graph as lanes, and in each row a bar on the shared time axis."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from itertools import islice
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from agentainer_tui.estimate import NOTHING_USUAL, Forecast, SteadyEnd, Usual, forecast
from agentainer_tui.keymap import bindings
from agentainer_tui.lanes import NODE, Lanes, lay_out
from agentainer_tui.loads import Meter
from agentainer_tui.step_rows import (
    FoldedKey,
    GridKey,
    Key,
    TallyKey,
    members,
    ordered,
    rows_of,
    shape_of,
)
from agentainer_tui.step_rows import RowKey as RowKey
from agentainer_tui.views import ItemView, RunView, StepView
from agentainer_tui.widgets import step_drawing
from agentainer_tui.widgets.gantt import TimeScale
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.step_drawing import LIVE, Columns, Sight, find
from agentainer_tui.widgets.step_folding import FoldingList
from engine.events import StepStatus

# Seconds between two looks ahead while a run goes on.
_AHEAD = 1.0
# An agent that has run so many seconds is worth watching; so many are watched at once.
_SETTLED = 1.0
_WATCHED = 16
# Rows that are drawn within so many seconds show the same moment.
_AT_ONCE = 0.05
# The axis reaches ahead for so many seconds, or so many times as far as the run has come.
_AXIS, _TIMES = 60.0, 4.0
# A list narrower than this has no room for lanes.
_LANES_FROM = 40


class StepList(FoldingList, inherit_bindings=False):
    """All steps of one run. What is folded away costs nothing; nothing costs more for being long."""

    # The footer of a run has more to say than how to move in a list.
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list", quiet=True)]
    HEADER = 1

    class Scrolled(Message):
        """Other rows are to be seen now."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id, empty=("No steps yet.",))
        self.forecast = Forecast()
        self.usage: dict[RowKey, Meter] = {}
        self._now = now
        self._usual: Usual = NOTHING_USUAL
        self._looked_ahead = 0.0
        self._steady = SteadyEnd()
        self._steady_steps: dict[str, SteadyEnd] = {}
        self._lanes: Lanes | None = None
        self._shape: object = None
        self._drawn_scale: TimeScale | None = None
        self._depths: dict[str, int] = {}
        self._name_width = 0
        self._folds = False
        self._widest = (0, 0)  # lanes so far, and of how many columns there could be
        self._inks: dict[int, str] = {}  # of the buses, for the view that is shown
        self._near: dict[Hashable, set[int]] = {}  # of each step the buses that it is at
        self._last_sight: tuple[tuple[object, ...], Sight] | None = None

    # -- data -----------------------------------------------------------------------------------------

    def show(self, view: RunView) -> None:
        """Take a newer view of the run; rows are rebuilt only when they are others."""
        old, self.view = self.view, view
        over = old is not None and old.status is not view.status
        if old is None or over or abs(self._now() - self._looked_ahead) >= _AHEAD:
            self._look_ahead(view)
        shape = shape_of(view, self._wanted)
        if old is None or shape != self._shape:
            self._shape = shape
            self._arrange(view)
        else:
            self._redraw_changed(old, view)

    def expect(self, usual: Usual) -> None:
        """Take how long this workflow usually takes."""
        self._usual = usual
        if self.view is not None:
            self._look_ahead(self.view)
            self.refresh()

    def measure(self, key: RowKey, usage: Meter) -> None:
        """Take what a running step or item uses."""
        self.usage[key] = usage
        self.refresh_keys([key])

    def visible_agents(self) -> dict[RowKey, str]:
        """The agents of the rows on screen that have been running for a while, where their use is shown."""
        view, now = self.view, self._now()
        found: dict[RowKey, str] = {}
        if view is None or view.status.is_terminal or not self._columns(self.inner_width).usage:
            return found
        for key in self.visible_keys():
            step, item = find(view, key) if isinstance(key, RowKey) else (None, None)
            node = item if item is not None else step
            if node is None or not node.attempts or node.status is not StepStatus.RUNNING:
                continue
            last = node.attempts[-1]
            begun = last.started_at if last.finished_at is None else None
            if last.agent and begun is not None and now - begun >= _SETTLED and isinstance(key, RowKey):
                found[key] = last.agent
        return dict(islice(found.items(), _WATCHED))

    def _look_ahead(self, view: RunView) -> None:
        now = self._now()
        self._looked_ahead = now
        found = forecast(view, self._usual, now)
        if all(step.id in found.path or step.status is StepStatus.SKIPPED for step in view.steps.values()):
            found = replace(found, path=frozenset())  # all of it is critical: that goes without saying
        if found.path != self.forecast.path:
            self._inks = {}
        ends = dict(found.ends)
        for step in view.steps.values():
            if step.items and step.status in LIVE:  # the pace of items wavers
                steady = self._steady_steps.setdefault(step.id, SteadyEnd())
                ends[step.id] = steady.take(ends.get(step.id), now) or now
        self.forecast = replace(found, ends=ends, end=self._steady.take(found.end, now))

    def _arrange(self, view: RunView) -> None:
        """Work out the rows, and the lanes beside them."""
        self._groups = members(view)
        self._depths = _depths(view)
        self._order = [step.id for step in ordered(view)]
        self._place_in_order = {step_id: place for place, step_id in enumerate(self._order)}
        self._name_width = max(map(step_drawing.name_width, view.steps.values()), default=0)
        self._folds = bool(self._groups) or any(
            step.items or step.type in ("map", "parallel") for step in view.steps.values()
        )
        self._rows = rows_of(view, self._wanted)
        self._lay_out()
        if self.filter_bar is not None:
            self.filter_bar.count(self._rows.found, self._rows.total)
        self.set_keys(list(self._rows.keys))

    def _lay_out(self) -> None:
        nodes, width = self._rows.nodes, self.inner_width
        has_lanes = bool(nodes) and width >= _LANES_FROM
        self._lanes = None
        if has_lanes:
            most = step_drawing.most_lanes(width)
            lanes = lay_out(nodes, most)
            # Names stay in their column when lanes are folded away.
            self._widest = (most, max(lanes.width, self._widest[1] if self._widest[0] == most else 0))
            self._lanes = replace(lanes, width=self._widest[1])
        self._inks = {}
        self._near = {}
        for number, bus in enumerate(self._lanes.buses if self._lanes is not None else ()):
            for step_id in (*bus.sources, *bus.targets):
                self._near.setdefault(step_id, set()).add(number)

    def _near_of(self, key: Hashable) -> frozenset[int]:
        """The buses that lead to a row's step and from it."""
        step_id = key.step_id if isinstance(key, RowKey | GridKey | FoldedKey) else None
        return frozenset(self._near.get(step_id, ()))

    def cursor_moved(self, old: Hashable, new: Hashable) -> None:
        """The lanes of the step under the cursor are bright: they are drawn again with it."""
        lanes = self._lanes
        changed = self._near_of(old) ^ self._near_of(new)
        if lanes is None or not changed:
            return
        for key in self.visible_keys():
            place = self.place_of(key)
            if place is not None and any(cell.bus in changed for cell in lanes.rows[place]):
                self.refresh_keys([key])

    def tick(self) -> None:
        """Time went on: bars, counters and countdowns of what runs are drawn again."""
        view = self.view
        if view is None or view.status.is_terminal:
            return
        if abs(self._now() - self._looked_ahead) >= _AHEAD:
            before = self.forecast
            self._look_ahead(view)
            if before.path != self.forecast.path:
                self.refresh()
                return
        self._redraw(lambda key, old, new: new is not None and new.status in LIVE, None)

    def _redraw_changed(self, old: RunView, new: RunView) -> None:
        """Draw the visible rows that differ; views share what did not change."""
        if old.status is not new.status:
            self.refresh()
            return

        old_inks, self._inks = self._inks, {}

        # What waits may wait for something else by now, without having changed itself.
        def differs(key: Key, before: StepView | ItemView | None, after: StepView | ItemView | None) -> bool:
            pending = after is not None and after.status is StepStatus.PENDING
            return before is not after or pending or self._lanes_differ(key, old_inks, new)

        self._redraw(differs, old)

    def _redraw(
        self,
        wanted: Callable[[Key, StepView | ItemView | None, StepView | ItemView | None], bool],
        old: RunView | None,
    ) -> None:
        """Draw the visible rows that are `wanted`; all of them if the time axis has moved."""
        view = self.view
        if view is None:
            return
        scale = self._scale(view)
        if scale != self._drawn_scale:
            self._drawn_scale = scale
            self.refresh()
            return
        keys: list[Hashable] = []
        for key in self.visible_keys():
            if isinstance(key, GridKey):
                if old is not None and self._grid_differs(key, old, view):
                    keys.append(key)
            elif isinstance(key, RowKey | FoldedKey | TallyKey):
                step, item = find(view, key)
                old_step, old_item = find(old, key) if old is not None else (None, None)
                after, before = (item, old_item) if item is not None else (step, old_step)
                if wanted(key, before, after):
                    keys.append(key)
        self.refresh_keys(keys)

    def _grid_differs(self, key: GridKey, old: RunView, new: RunView) -> bool:
        before, after = old.steps.get(key.step_id), new.steps.get(key.step_id)
        if before is after or before is None or after is None:
            return before is not after
        end = key.first + self._wanted.grid
        pairs = zip(before.items[key.first : end], after.items[key.first : end], strict=False)
        return any(one is not other for one, other in pairs)

    def _lanes_differ(self, key: Key, old_inks: Mapping[int, str], view: RunView) -> bool:
        """Whether a lane beside a row has another colour now."""
        lanes, place = self._lanes, self.place_of(key)
        if lanes is None or place is None or place >= len(lanes.rows):
            return False
        # The step's own place is a cell too, but of no bus: a run of one step has none at all.
        lines = [cell for cell in lanes.rows[place] if cell.directions and not cell.directions & NODE]
        for bus in {cell.bus for cell in lines if cell.bus >= 0}:
            if bus not in self._inks:
                self._inks[bus] = step_drawing.bus_ink(view, self.forecast, lanes.buses[bus])
            if self._inks[bus] != old_inks.get(bus, self._inks[bus]):
                return True
        return False

    # -- drawing --------------------------------------------------------------------------------------

    def _columns(self, width: int) -> Columns:
        lanes = self._lanes.width if self._lanes is not None else 1
        live = self.view is not None and not self.view.status.is_terminal
        return Columns.of(width, lanes, self._folds, self._name_width, live or bool(self.usage))

    def _scale(self, view: RunView) -> TimeScale:
        """The axis: to the expected end, but not so far that what has happened can hardly be seen."""
        now, bar = self._now(), self._columns(self.inner_width).bar
        begun, end = view.begun_at, self.forecast.end
        if end is not None and begun is not None:
            end = min(end, begun + max(_AXIS, _TIMES * (now - begun)))
        return TimeScale.of(view, now, bar, end)

    def _sight(self, view: RunView, width: int) -> Sight:
        """What rows are drawn from: the same for all that are drawn at one time."""
        now, key = self._now(), self.key
        parts = map(id, (view, self.forecast, self._lanes, self._inks))
        made_of = (*parts, self._wanted, key, self._column, width, self.has_focus)
        old = self._last_sight
        if old is not None and abs(now - old[1].now) < _AT_ONCE and old[0] == made_of:
            return old[1]
        columns = self._columns(width)
        sight = Sight(
            view=view,
            now=now,
            columns=columns,
            scale=self._scale(view),
            lanes=self._lanes,
            inks=self._inks,
            near=self._near_of(key),
            forecast=self.forecast,
            usage=self.usage,
            depths=self._depths,
            unfolded=self.is_unfolded,
            grid=self._wanted.grid,
            ink=self.ink,
            glyphs=self.glyphs,
            grid_cursor=(key, self._column) if isinstance(key, GridKey) else None,
            cursor=self.palette.cursor if self.has_focus else self.palette.cursor_blurred,
        )
        self._last_sight = (made_of, sight)
        return sight

    def column_at(self, x: int) -> int | None:
        """The item at a cell of a line of a grid."""
        return step_drawing.grid_column(self._columns(self.inner_width), x)

    def is_fold_sign(self, x: int) -> bool:
        """Whether the sign that folds a row is at this cell."""
        head = self._columns(self.inner_width).head
        return self._folds and head - 2 <= x < head

    def draw_header(self, width: int) -> Row:
        """The time axis, and what the columns are."""
        if self.view is None:
            return Row()
        return step_drawing.draw_header(self._sight(self.view, width))

    def draw_row(self, place: int, width: int) -> Row:
        """One step, item, line of a grid, or the line above a section."""
        row, view = self.mark(place), self.view
        if view is None:
            return row
        key = self._rows.keys[place]
        return step_drawing.draw_row(row, self._sight(view, width), place, key, width)

    # -- input ----------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Lanes and grids depend on the width."""
        grid = step_drawing.grid_line(self.inner_width)
        if grid != self._wanted.grid:
            step, item = self.selected()
            self._want(replace(self._wanted, grid=grid))
            if step is not None and item is not None:
                self.select(RowKey(step.id, item.index))
        self._lay_out()
        super().on_resize()
        self.post_message(self.Scrolled())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are to be seen."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())


def _depths(view: RunView) -> dict[str, int]:
    depths: dict[str, int] = {}
    for step_id, step in view.steps.items():
        depths[step_id] = depths.get(step.parent, 0) + 1 if step.parent else 0
    return depths
