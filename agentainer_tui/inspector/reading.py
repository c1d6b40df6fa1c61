"""What the tabs need and the view of a run does not have: read when a tab is shown, kept with it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from agentainer_tui.client import Client
from agentainer_tui.inspector.agent import Described
from agentainer_tui.inspector.entries import Delta
from agentainer_tui.inspector.state_change import change_of_state
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView
from engine.events import Event

_EVENT_PAGE = 1_000
_MOST_EVENTS = 2_000


class Readings:
    """What was read for one selection.

    Attributes:
        state: the shared state as of the start of the last attempt.
        change: what the step did to the state.
        agent: what the backend says of the last attempt's agent.
        events: the newest ones; `left_out` counts those before.
    """

    def __init__(self) -> None:
        self.state: Mapping[str, Any] | None = None
        self.change: Delta | None = None
        self.agent: Described | None = None
        self.left_out = 0
        self.has_events = False
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._events_to = 0  # the run has no event of the selection up to this one that was not read
        self._known: dict[str, object] = {}

    @property
    def events(self) -> Sequence[Event]:
        """The events of the selection that were read."""
        return self._events

    def wants(self, tab: str, run: RunView, step: StepView, item: ItemView | None) -> bool:
        """Whether something has to be read for a tab."""
        if tab == "events":
            # Of a moment further back, those that were left out are to be had again.
            return run.seq > self._events_to or (self.left_out > 0 and run.seq < self._events_to)
        wanted = _wanted(tab, step, item)
        return wanted is not None and self._known.get(tab) != wanted

    async def read(
        self, client: Client, tab: str, run: RunView, step: StepView, item: ItemView | None
    ) -> None:
        """Read it."""
        if tab == "events":
            await self._read_events(client, run, step, item)
            return
        wanted = _wanted(tab, step, item)
        attempt = _last(step, item)
        match tab:
            case "input" if attempt is not None:
                self.state = await client.state_at(run.id, attempt.created_seq)
            case "state":
                before = await client.state_at(run.id, step.finished_seq - 1)
                self.change = await asyncio.to_thread(change_of_state, before, step.changes)
            case "agent" if attempt is not None:
                self.agent = Described(attempt.agent, await client.describe_agent(attempt.agent))
        self._known[tab] = wanted

    async def _read_events(self, client: Client, run: RunView, step: StepView, item: ItemView | None) -> None:
        index = item.index if item is not None else None
        if run.seq < self._events_to:
            self._events.clear()
            self.left_out = 0
        up_to, more = run.seq, True
        while more:
            after = self._events[-1].seq if self._events else 0
            page = await client.run_events(
                run.id, after=after, limit=_EVENT_PAGE, step_id=step.id, item=index
            )
            found = [event for event in page if event.seq <= up_to]
            self.left_out += max(0, len(self._events) + len(found) - _MOST_EVENTS)
            self._events.extend(found)
            more = len(found) == _EVENT_PAGE
        self.has_events = True
        self._events_to = up_to


def _wanted(tab: str, step: StepView, item: ItemView | None) -> object:
    """What tells whether the same would be read again; None if nothing is to be read."""
    attempt = _last(step, item)
    if tab == "state":
        return step.finished_seq or None
    if attempt is None or (item is None and step.items):
        return None
    if tab == "input":
        return attempt.created_seq
    if tab == "agent" and attempt.agent and not attempt.removed_by:
        return attempt.agent, attempt.status, attempt.kept
    return None


def _last(step: StepView, item: ItemView | None) -> AttemptView | None:
    attempts = (item or step).attempts
    return attempts[-1] if attempts else None
