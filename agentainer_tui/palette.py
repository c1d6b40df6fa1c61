"""What the command palette offers: the actions of the screen, workflows to run, runs to open.

Names come from documents, so nothing here goes through Textual's own highlighting, which reads markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.flows.starting import start
from agentainer_tui.keymap import CHANGING, KEYS, key_text
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.text import clean

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

# Runs offered: the newest ones.
_RUNS = 50


class Command(NamedTuple):
    """One line of the palette; `help` is text of our own."""

    text: str
    help: str
    call: Callable[[], Any]


class DashboardCommands(Provider):
    """Everything that can be done from where the user is."""

    @property
    def _app(self) -> DashboardApp:
        app: Any = self.app
        dashboard: DashboardApp = app
        return dashboard

    async def discover(self) -> Hits:
        """Before anything is typed: the actions and the workflows."""
        for command in [*self._actions(), *self._workflows(), *self._general()]:
            yield DiscoveryHit(_content(command.text), command.call, text=command.text, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches the typed letters."""
        matcher = self.matcher(query)
        for command in [*self._actions(), *self._workflows(), *self._runs(), *self._general()]:
            score, offsets = matcher.fuzzy_search.match(query, command.text)
            if score > 0:
                yield Hit(score, _content(command.text, offsets), command.call, command.text, command.help)

    def _actions(self) -> Iterator[Command]:
        screen = self.screen
        scopes = getattr(screen, "SCOPES", ("app",))
        for key in KEYS:
            if not key.palette or key.scope not in scopes:
                continue
            action = key.action.removeprefix("screen.")
            name = action.partition("(")[0]
            if self._app.is_recording and name in CHANGING:
                continue
            if screen.check_action(name, ()):
                call = partial(self.app.run_action, action, screen if key.scope != "app" else self.app)
                yield Command(key.label, f"{key.help}: {key_text(key)}", call)

    def _workflows(self) -> Iterator[Command]:
        last = self._app.feed.last_runs()
        for entry in self._app.feed.workflows:
            name = clean(entry.name, limit=80)
            if entry.runnable:
                yield Command(f"Run {name}", "Start this workflow", partial(self._start, entry))
            run = last.get(entry.name)
            if run is not None:
                call = partial(self._app.open_run, run.id)
                yield Command(f"Open the last run of {name}", "Steps, logs and results", call)

    def _start(self, entry: WorkflowEntry) -> None:
        self._app.command(start(self._app, entry))

    def _general(self) -> Iterator[Command]:
        app = self._app
        yield Command("Theme", "Change the colours", app.action_change_theme)
        yield Command("Screenshot", "Save what is on screen as an SVG file", app.deliver_screenshot)

    def _runs(self) -> Iterator[Command]:
        for run in self._app.feed.runs_of(None)[:_RUNS]:
            word = LOOKS.get(run.status, UNKNOWN).word
            text = f"Open run {run.id} {clean(run.workflow, limit=60)} {word}"
            yield Command(text, "Steps, logs and results", partial(self._app.open_run, run.id))


def _content(text: str, offsets: Sequence[int] = ()) -> Content:
    content = Content(text)
    for offset in offsets:
        content = content.stylize("bold $accent", offset, offset + 1)
    return content
