"""The base of the screens that fill the terminal: bar of areas, breadcrumbs, a body, footer.

It takes what changed only while it is seen: a screen below another, or of another area, does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import Worker

from agentainer_tui.feed import Changes, Feed
from agentainer_tui.keymap import CHANGING
from agentainer_tui.widgets.breadcrumbs import Breadcrumbs, Crumb
from agentainer_tui.widgets.header import StatusHeader
from agentainer_tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


class AreaScreen(Screen[None]):
    """Subclasses say which area they are of, what is in them, and where they are."""

    AREA: ClassVar[str]
    app: DashboardApp

    def __init__(self, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.feed = feed
        self.now = now
        self._slots_at = 0.0

    # -- for subclasses -------------------------------------------------------------------------------

    def compose_body(self) -> Iterable[Widget]:
        """What is between breadcrumbs and footer."""
        raise NotImplementedError

    def crumbs(self) -> Sequence[Crumb]:
        """Where this is, from the outside in."""
        raise NotImplementedError

    def in_sight(self) -> tuple[str, str]:
        """The run that is shown or selected, and the step of it; "" for none."""
        return "", ""

    def twin(self, action: str) -> str:
        """The command line that does what an action of this screen would do now; empty if there is none."""
        return ""

    def concerns(self, changes: Changes) -> bool:
        """Whether a change is seen here."""
        return changes.rows or changes.workflows

    def show(self) -> None:
        """Show everything as it is now."""
        self.show_header()

    def tick(self) -> None:
        """Time went on."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """What the footer offers: in a recording nothing that would change something."""
        found = super().active_bindings
        if not self.app.is_recording:
            return found
        return {
            key: active
            for key, active in found.items()
            if active.binding.action.partition("(")[0] not in CHANGING
        }

    @property
    def is_current(self) -> bool:
        """Whether it is seen. Textual takes the screen below for seen even where the one above covers it.

        Then each message that reached that screen would have all of the one above drawn anew.
        """
        if not super().is_current:
            return False
        return self.app.screen is self or self.app.screen.styles.background.a < 1

    # -- life -----------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Header, breadcrumbs, body, footer."""
        yield StatusHeader(self.AREA)
        yield Breadcrumbs()
        yield from self.compose_body()
        yield KeyBar()

    def on_mount(self) -> None:
        """Follow the engine; Textual calls this after the subclass's own."""
        self.app.changes.subscribe(self, self._take)
        self.app.ticks.subscribe(self, self._tick)
        self.show()

    def on_screen_resume(self) -> None:
        """Nothing was drawn while another screen was seen."""
        if self.is_mounted:
            self.show()

    def _take(self, changes: Changes) -> None:
        if not self.is_current:
            return
        if self.concerns(changes):
            self.show()
        elif changes.rows:
            self.show_header()

    @on(Worker.StateChanged)
    def _worker_failed(self, event: Worker.StateChanged) -> None:
        self.app.worker_failed(event)

    def _tick(self, _: float) -> None:
        if self.is_current:
            self._show_slots()
            self.tick()

    def _show_slots(self) -> None:
        """Once a second is enough: a number that changes with every task is not read."""
        now = self.now()
        idle = not self.feed.active()
        if idle or not 0 <= now - self._slots_at < 1.0:
            self._slots_at = now
            self.query_one(StatusHeader).slots = self.app.client.slots()

    def show_header(self) -> None:
        """The lines at the top."""
        header = self.query_one(StatusHeader)
        header.facts = self.app.facts
        header.active = len(self.feed.active())
        header.failed = len(self.feed.failures.unseen)
        self._show_slots()
        self.query_one(Breadcrumbs).show(self.crumbs())
