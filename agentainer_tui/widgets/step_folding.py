"""Rows of steps and items: what is folded, found or put first, and a cursor that goes through them all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from textual import events

from agentainer_tui.step_rows import (
    FoldedKey,
    GridKey,
    RowKey,
    Rows,
    Section,
    TallyKey,
    Wanted,
    next_failed,
    siblings_of,
)
from agentainer_tui.views import ItemView, RunView, StepView
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.step_drawing import find


class FoldingList(RowList, inherit_bindings=False):
    """The part of the list that is about which rows there are; how they look is up to `StepList`."""

    def __init__(self, *, id: str | None = None, empty: Sequence[str] = ()) -> None:
        super().__init__(id=id, empty=empty)
        self.view: RunView | None = None
        self._wanted = Wanted({})
        self._rows = Rows(())
        self._groups: Mapping[str, Sequence[str]] = {}
        self._column = 0  # in a line of a grid
        # The ids of all steps in the order of the rows, and where each stands therein.
        self._order: Sequence[str] = ()
        self._place_in_order: Mapping[str, int] = {}

    def show(self, view: RunView) -> None:
        """Take a newer view of the run."""
        raise NotImplementedError

    def column_at(self, x: int) -> int | None:
        """The item at a cell of a line of a grid."""
        raise NotImplementedError

    def is_fold_sign(self, x: int) -> bool:
        """Whether the sign that folds a row is at this cell."""
        raise NotImplementedError

    # -- selection ------------------------------------------------------------------------------------

    def selected(self) -> tuple[StepView | None, ItemView | None]:
        """The step (and item) under the cursor."""
        key, view = self.key, self.view
        if view is None:
            return None, None
        if isinstance(key, GridKey):
            step = view.steps.get(key.step_id)
            items = step.items[key.first : key.first + self._wanted.grid] if step is not None else ()
            return step, items[min(self._column, len(items) - 1)] if items else None
        return find(view, key)

    def select(self, key: Hashable) -> bool:
        """Move the cursor to a step or item, in a grid too; False if no row shows it."""
        if super().select(key):
            return True
        if not isinstance(key, RowKey) or key.item is None:
            return False
        first = key.item - key.item % self._wanted.grid
        if not super().select(GridKey(key.step_id, first)):
            return False
        self._to_column(key.item - first, by_hand=False)
        return True

    def reveal(self, key: RowKey) -> bool:
        """Unfold what hides a step or item, and move the cursor there."""
        view = self.view
        if view is None or key.step_id not in view.steps:
            return False
        if self.select(key):
            return True
        opened = dict(self._wanted.open)
        step: StepView | None = view.steps[key.step_id]
        if key.item is not None:
            opened[key.step_id] = True
        while step is not None:
            step = view.steps.get(step.parent or "")
            if step is not None:
                opened[step.id] = True
        self._want(replace(self._wanted, open=opened))
        return self.select(key)

    def follow(self, step_id: str) -> None:
        """Move the cursor to a step that was chosen by hand elsewhere."""
        if self.reveal(RowKey(step_id)):
            self.post_message(self.Moved(self, self.key, by_hand=True))

    def can_select(self, place: int) -> bool:
        """The cursor skips the lines above sections and grids."""
        return not isinstance(self.keys[place], Section | TallyKey)

    def _to_column(self, column: int, *, by_hand: bool = True) -> None:
        if column != self._column:
            self._column = column
            self.refresh_keys([self.key])
            self.post_message(self.Moved(self, self.key, by_hand=by_hand))

    # -- what is shown --------------------------------------------------------------------------------

    @property
    def wanted(self) -> Wanted:
        """What a person wants to see."""
        return self._wanted

    def _want(self, wanted: Wanted) -> None:
        self._wanted = wanted
        if self.view is not None:
            self.show(self.view)

    def search(self, matches: Callable[[str], bool] | None) -> None:
        """Show only the steps and items that match; None shows all."""
        step, item = self.selected()
        self._want(replace(self._wanted, matches=matches))
        if step is not None:
            self.select(RowKey(step.id, item.index if item is not None else None))

    def is_unfolded(self, step: StepView) -> bool | None:
        """Whether what is in a step is shown; None if nothing is in it."""
        if step.items:
            return self._wanted.shows(step)
        if step.id in self._groups and self._rows.nodes:
            return self._wanted.open.get(step.id, True)
        return None

    def unfold(self, step_id: str, shown: bool) -> None:
        """Show or hide the items or members of a step."""
        self._want(replace(self._wanted, open={**self._wanted.open, step_id: shown}))
        if not shown:
            self.select(RowKey(step_id))

    def can_fold(self) -> bool:
        """Whether there is something to fold or unfold at the cursor."""
        step, _ = self.selected()
        if step is None or self.view is None or self._wanted.matches is not None:
            return False
        if isinstance(self.key, FoldedKey) or self.is_unfolded(step) is not None:
            return True
        return step.parent is not None or bool(self._siblings(self.view, step))

    def _siblings(self, view: RunView, step: StepView) -> list[str]:
        return siblings_of(view, step.id, self._order, self._place_in_order[step.id])

    def toggle(self) -> None:
        """Fold or unfold at the cursor: items, members, or the finished siblings of a step."""
        step, _ = self.selected()
        view = self.view
        if step is None or view is None or self._wanted.matches is not None:
            return
        shown = self.is_unfolded(step)
        siblings = self._siblings(view, step)
        if isinstance(self.key, FoldedKey) or (shown is None and siblings):
            folded = self._wanted.folded.symmetric_difference(siblings)
            self._want(replace(self._wanted, folded=folded))
            self.select(RowKey(step.id))
            self.select(FoldedKey(siblings[0], len(siblings)) if siblings else None)
        elif shown is not None:
            self.unfold(step.id, not shown)
        elif step.parent is not None:
            self.unfold(step.parent, False)

    def toggle_finished(self) -> None:
        """Make one row each of all finished siblings, or show them again."""
        self._want(replace(self._wanted, fold_all=not self._wanted.fold_all, folded=frozenset()))

    def toggle_failed_first(self) -> None:
        """Order by status, what failed first; or by the graph again."""
        self._want(replace(self._wanted, failed_first=not self._wanted.failed_first))

    def to_failed(self, by: int) -> bool:
        """To the next step or item that failed, or the one before; False if none did."""
        view = self.view
        step, item = self.selected()
        here = RowKey(step.id, item.index if item is not None else None) if step is not None else None
        found = next_failed(view, self._rows.keys, here, by) if view is not None else None
        if found is None:
            return False
        if self.reveal(found):
            self.post_message(self.Moved(self, self.key, by_hand=True))
        return True

    # -- input ----------------------------------------------------------------------------------------

    def action_choose(self) -> None:
        """Open the row under the cursor; one that stands for several shows them."""
        if isinstance(self.key, FoldedKey):
            self.toggle()
        else:
            super().action_choose()

    def on_click(self, event: events.Click) -> None:
        """Select the row, and in a grid the item; the sign before a name folds and unfolds."""
        super().on_click(event)
        offset = event.get_content_offset(self)
        if offset is None or offset.y < self.HEADER:
            return
        step, item = self.selected()
        on_sign = event.chain == 1 and self.is_fold_sign(offset.x)
        if on_sign and step is not None and item is None and self.is_unfolded(step) is not None:
            self.toggle()
        elif isinstance(self.key, GridKey):
            column = self.column_at(offset.x)
            if column is not None and column < self._wanted.grid:
                self._to_column(column)

    def go(self, way: str) -> None:
        """To the `left` or `right`: in a grid by one item, else fold or unfold."""
        step, item = self.selected()
        if isinstance(self.key, GridKey):
            self._to_item(1 if way == "right" else -1)
        elif isinstance(self.key, FoldedKey):
            self.toggle()
        elif step is not None and way == "left" and (item is not None or self.is_unfolded(step)):
            self.unfold(step.id, False)
        elif step is not None and way == "right" and item is None and self.is_unfolded(step) is False:
            self.unfold(step.id, True)

    def _to_item(self, by: int) -> None:
        """One item on or back, over the ends of lines."""
        step, item = self.selected()
        if step is not None and item is not None and 0 <= item.index + by < len(step.items):
            key = RowKey(step.id, item.index + by)
            place = self.key
            self.select(key)
            if self.key != place:
                self.post_message(self.Moved(self, self.key, by_hand=True))

    def to_match(self, by: int) -> None:
        """To the next row that was found, round the end."""
        if self._wanted.matches is None or not self.keys:
            return
        place = self.place_of(self.key) or 0
        self._move((place + by) % len(self.keys))
