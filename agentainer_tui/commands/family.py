"""A run that is followed, with the runs that are part of it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from agentainer_tui.commands.narration import label
from agentainer_tui.model import reduce_all
from agentainer_tui.views import ItemView, RunView, StepView
from engine.events import Event, EventType


class Family:
    """The views of a run and of its child runs, theirs too, made from the events of a journal."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._views: dict[str, RunView] = {}

    @property
    def root(self) -> RunView | None:
        """The run itself, as soon as it has an event."""
        return self._views.get(self.run_id)

    def take(self, events: Iterable[Event]) -> list[Event]:
        """Take events in the order of the journal; returns those that are of the family."""
        own: dict[str, list[Event]] = {}
        order = []
        for event in events:
            if self._is_own(event, own):
                own.setdefault(event.run_id, []).append(event)
                order.append(event)
        for run_id, batch in own.items():
            view = reduce_all(self._views.get(run_id), batch)
            if view is not None:
                self._views[run_id] = view
        return order

    def view(self, run_id: str) -> RunView:
        """One run of the family."""
        return self._views[run_id]

    def child_of(self, node: StepView | ItemView) -> RunView | None:
        """The child run of a step or item, as far as it is known."""
        return self._views.get(node.child_run)

    def place(self, run_id: str) -> str:
        """Where a run belongs: `step/`, `step[3]/inner/`; empty for the run itself."""
        parent = self._views[run_id].parent if run_id in self._views else None
        if run_id == self.run_id or parent is None:
            return ""
        return f"{self.place(parent.run_id)}{label(parent.step_id, parent.item)}/"

    def is_of_item(self, run_id: str) -> bool:
        """Whether a run is that of an item, or part of one: there may be thousands of them."""
        while run_id != self.run_id:
            parent = self._views[run_id].parent
            if parent is None or parent.item is not None:
                return parent is not None
            run_id = parent.run_id
        return False

    def _is_own(self, event: Event, known: Container[str]) -> bool:
        """Whether an event is of the family, `known` being members that have no view yet."""
        about = [event.run_id]
        if event.type is EventType.RUN_CREATED and (parent := event.data.get("parent")):
            about.append(parent["run_id"])
        return any(run_id == self.run_id or run_id in self._views or run_id in known for run_id in about)
