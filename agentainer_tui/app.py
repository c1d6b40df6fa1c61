"""The dashboard: one worker drains the engine's events, one timer publishes what they changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.actions import ActionParseResult
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from agentainer_tui.areas import AREAS, RUN, WORKFLOWS
from agentainer_tui.client import Client, EngineFacts
from agentainer_tui.edit_words import news_of_saves
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows import stopping
from agentainer_tui.keymap import CHANGING
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.model import reduce_all
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.screens.run import RunScreen
from agentainer_tui.shell import ShellApp
from agentainer_tui.text import clean, duration
from agentainer_tui.titles import window_title
from agentainer_tui.views import RunView, elapsed
from engine.errors import AgentainerError, UnavailableError

if TYPE_CHECKING:
    from agentainer_tui.bridge.client import EngineClient
    from engine.settings import Settings

# Runs read from the history at a time; events of one run likewise.
PAGE = 100
EVENT_PAGE = 1_000
# Seconds between two looks at what was pushed; ticks of clocks on screen, at first and after a while.
_FLUSH = 0.1
_TICK, _SLOW_TICK, _LONG = 0.2, 1.0, 60.0
# Files of one save that are told of.
_SAVES_TOLD = 3


class DashboardApp(ShellApp):
    """Knows the engine through its client only. `failure` is why it could not start or go on."""

    TITLE = "agentainer"
    CSS_PATH = "app.tcss"
    DEFAULT_MODE = WORKFLOWS
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-narrow"),
        (96, "-normal"),
        (160, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        client: Client,
        directory: Path,
        *,
        now: Callable[[], float] = time.time,
        first_run: str = "",
        **around: Any,
    ) -> None:
        super().__init__(**around)
        self.client = client
        self.directory = directory
        self.feed = Feed()
        self.facts: EngineFacts | None = None
        self.failure: Exception | None = None
        self.now = now
        self._first_run = first_run
        self._came_from = WORKFLOWS
        self._leaving = False
        self._last_tick = 0.0
        self.changes: Signal[Changes] = Signal(self, "changes")
        self.ticks: Signal[float] = Signal(self, "ticks")
        for area in AREAS:
            self.add_mode(area.name, area.opener(self))

    def on_mount(self) -> None:
        """Paint first; the engine starts behind the first screen."""
        self._timer = self.set_interval(_FLUSH, self._publish, pause=True)
        self.call_after_refresh(self._live)

    # -- events ---------------------------------------------------------------------------------------

    @work(exclusive=True, group="engine", exit_on_error=False)
    async def _live(self) -> None:
        """Start the engine, then take its events for as long as the app lives."""
        try:
            await self.client.open()
            snapshot = await self.client.snapshot(page=PAGE)
        except Exception as error:  # whatever it is, without an engine there is nothing to show
            self.failure = error
            self.exit(return_code=error.exit_code if isinstance(error, AgentainerError) else 4)
            return
        self.facts = snapshot.facts
        self.feed.seed(snapshot, PAGE)
        for row in self.feed.live():
            self.load_view(row.id)
        self.changes.publish(Changes(rows=True, workflows=True))
        if self._first_run:
            self.open_run(self._first_run)
        self._watch_workflows()
        self.show_title(window_title(self.feed.active(), self.glyphs))
        self.tell_problems()
        if not self.is_recording:
            self.offer_tour()
        async for batch in self.client.events():
            self.feed.push(batch)
            self._timer.resume()
        raise UnavailableError("the engine sends no more events", hint="leave and start again")

    @work(exclusive=True, group="workflows", exit_on_error=False)
    async def _watch_workflows(self) -> None:
        async for entries in self.client.workflow_changes():
            for text, is_bad in islice(news_of_saves(self.feed.workflows, entries), _SAVES_TOLD):
                self.tell(text, severity="warning" if is_bad else "information")
            self.feed.workflows = entries
            self.changes.publish(Changes(workflows=True))

    def _publish(self) -> None:
        """Publish what changed; let clocks tick while something runs; rest when nothing does."""
        changes = self.feed.flush()
        if changes is not None:
            self.changes.publish(changes)
            self.show_title(window_title(self.feed.active(), self.glyphs))
            for run_id in changes.finished:
                self._tell_end(run_id)
            for run_id, step_id in changes.gates:
                self._tell_gate(run_id, step_id)
        active = self.feed.active() if not self.is_recording else []  # there, no clock goes on
        if not active:
            self._timer.pause()
            if self._leaving:
                self.exit(0)
            return
        now = self.now()
        young = any(now - (row.started_at or now) < _LONG for row in active)
        if now - self._last_tick >= (_TICK if young else _SLOW_TICK):
            self._last_tick = now
            self.ticks.publish(now)

    def _tell_end(self, run_id: str) -> None:
        """Say that a run is over, unless it is the one on screen, or a part of another.

        A failure rings, but only for whoever looks at another window.
        """
        row = self.feed.rows[run_id]
        if row.status == "failed" and not row.parent_run and not self.app_focus:
            self.bell()
        if self._is_shown(run_id) or row.parent_run:
            return
        word = LOOKS.get(row.status, UNKNOWN).word
        took = duration(elapsed(row.started_at, row.finished_at, self.now()))
        severity = "error" if row.status == "failed" else "information"
        hint = "\n! shows why" if row.status in ("failed", "partially_completed") else ""
        self.tell(f"{clean(row.workflow, limit=60)} {word} after {took}{hint}", severity=severity)

    def _tell_gate(self, run_id: str, step_id: str) -> None:
        """Say that a step waits for a person, and ring: nothing goes on without them."""
        view = self.feed.views.get(run_id)
        step = view.steps.get(step_id) if view is not None else None
        if view is None or step is None:
            return
        self.bell()
        if not self._is_shown(run_id):
            name = f"{clean(view.workflow, limit=40)}, {clean(step.name, limit=40)}"
            self.tell(
                f"{name} waits for approval: {clean(step.waiting.detail, limit=200)}", severity="warning"
            )

    def _is_shown(self, run_id: str) -> bool:
        return isinstance(self.screen, RunScreen) and self.screen.run_id == run_id

    # -- reading --------------------------------------------------------------------------------------

    @work(group="views", exit_on_error=False)
    async def load_view(self, run_id: str) -> None:
        """Read all events of a run and reduce them to its view."""
        if not self.feed.begin_loading(run_id):
            return
        view: RunView | None = None
        try:
            view = await self._read_view(run_id)
        finally:
            self.feed.end_loading(run_id, view)
        self.changes.publish(Changes(rows=True, views=frozenset({run_id})))
        self._timer.resume()

    @work(group="pages", exit_on_error=False)
    async def load_runs(self, workflow: str | None, *, first: bool = False) -> None:
        """Read the next page of a workflow's history (or of all); with `first`, only if none was read."""
        more, before = self.feed.next_page(workflow)
        if not more or (first and before is not None) or self.facts is None:
            return
        rows = await self.client.runs(limit=PAGE, before=before, workflow=workflow)
        self.feed.add_page(workflow, rows, PAGE)
        self.changes.publish(Changes(rows=True))

    async def view_of(self, run_id: str) -> RunView:
        """The view of a run, read for the purpose if no screen has it.

        Raises:
            UnavailableError: there are no events of it.
        """
        known = self.feed.views.get(run_id)
        if known is not None:
            return known
        view = await self._read_view(run_id)
        if view is None:
            raise UnavailableError(f"the history has no events of run {run_id}")
        return view

    async def _read_view(self, run_id: str) -> RunView | None:
        view: RunView | None = None
        after = 0
        while page := await self.client.run_events(run_id, after=after, limit=EVENT_PAGE):
            view = reduce_all(view, page)
            after = page[-1].seq
        return view

    # -- places ---------------------------------------------------------------------------------------

    def show_area(self, name: str) -> None:
        """Go to an area, as it was left."""
        if name != self.current_mode:
            if name == RUN:
                self._came_from = self.current_mode
            self.switch_mode(name)

    def action_area(self, name: str) -> None:
        """Go to an area."""
        self.show_area(name)

    def open_run(self, run_id: str, step_id: str = "", item: int | None = None) -> None:
        """Show a run in the area of runs, instead of the one that was open there (cursor on that step)."""
        self.show_area(RUN)
        screen = self.screen
        if isinstance(screen, RunScreen) and screen.run_id == run_id:
            screen.go_to(step_id, item)
            return
        while len(self.screen_stack) > 2:
            self.pop_screen()
        opened = RunScreen(run_id, self.feed, now=self.now)
        opened.go_to(step_id, item)
        if len(self.screen_stack) == 2:
            self.switch_screen(opened)
        else:
            self.push_screen(opened)

    def open_child(self, run_id: str, *, at: float | None = None) -> None:
        """Show a run that is part of the one on screen, above it: going back leads to that one.

        With `at`, as it was at that time.
        """
        child = RunScreen(run_id, self.feed, now=self.now)
        self.push_screen(child)
        if at is not None:
            child.travel_to(at)

    def leave_run(self) -> None:
        """Back from a run: to the one that it is part of, else to the area that led here."""
        below = self.screen_stack[-2] if len(self.screen_stack) > 1 else None
        if isinstance(below, RunScreen):
            self.pop_screen()
        else:
            self.leave_area()

    def leave_area(self) -> None:
        """Back to the area that led to the run."""
        self.show_area(self._came_from)

    def back_to(self, screen: RunScreen) -> None:
        """Close what is above a run."""
        while self.screen is not screen and len(self.screen_stack) > 1:
            self.pop_screen()

    def action_failure(self) -> None:
        """Go to the newest failure."""
        from agentainer_tui.flows.failures import show_newest

        self.command(show_newest(self))

    # -- commands -------------------------------------------------------------------------------------

    def action_command_palette(self) -> None:
        """Show the menu."""
        from agentainer_tui.palette import main_step
        from agentainer_tui.screens.palette import PaletteScreen

        if not isinstance(self.screen, ModalScreen):
            self.push_screen(PaletteScreen(main_step(self)))

    def action_change_theme(self) -> None:
        """Choose the colours."""
        from agentainer_tui.palette import theme_step
        from agentainer_tui.screens.palette import PaletteScreen

        self.push_screen(PaletteScreen(theme_step(self)))

    def twin_of(self, action: str) -> str:
        """The command line that does what an action would do now; empty if there is none."""
        screen, action = self.screen, action.removeprefix("screen.")
        if action.startswith("area("):
            return self.area_twin(action.removeprefix("area('").removesuffix("')"))
        return screen.twin(action) if isinstance(screen, AreaScreen) else ""

    def area_twin(self, area: str) -> str:
        """The command line that shows what an area shows."""
        twins = self.twins
        shown = {
            "workflows": twins.list,
            "history": twins.history,
            "agents": twins.agents,
            "metrics": twins.stats,
        }
        return shown[area]() if area in shown else ""

    def command(self, work_to_do: Coroutine[Any, Any, None]) -> None:
        """Carry out a command of the user; what goes wrong is said, and the app goes on."""
        self.run_worker(work_to_do, group="commands", exit_on_error=False)

    @property
    def is_recording(self) -> bool:
        """Whether a file is shown in place of an engine: nothing can be changed."""
        return self.facts is not None and bool(self.facts.recording)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key or a click asks for; in a recording nothing that would change something."""
        name = action if isinstance(action, str) else action[1]
        if self.is_recording and name.partition("(")[0] in CHANGING:
            self.tell("This is a recording: nothing in it can be changed or run.")
            return True
        return await super().run_action(action, default_namespace, namespaces)

    # -- leaving --------------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Leave; with runs in progress, ask what becomes of them."""
        if self.feed.active() and not self.is_recording and self.failure is None:
            self.command(stopping.leave(self))
        else:
            self.exit(0)

    def leave_when_done(self, *, leaving: bool) -> None:
        """Leave as soon as no run is in progress any more, or do not."""
        self._leaving = leaving
        self._timer.resume()

    # -- messages -------------------------------------------------------------------------------------

    @on(Worker.StateChanged)
    def worker_failed(self, event: Worker.StateChanged) -> None:
        """Every error of every worker ends here: it is said, and the app goes on.

        Textual tells only the node that a worker is of; screens pass it on.
        """
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None:
            return
        if isinstance(error, AgentainerError):
            self.tell(str(error), severity="error")
        else:
            self.log.error(f"worker {event.worker.name}: {error!r}")
            self.tell(f"{type(error).__name__}: {error}", severity="error", title="This should not happen")


def run_dashboard(client: EngineClient, settings: Settings, directory: Path, **more: Any) -> int:
    """Show the dashboard until it is left, then shut its client down; returns the exit code.

    Raises:
        AgentainerError: the engine could not be started.
    """
    from agentainer_tui.surroundings import surroundings

    app = DashboardApp(client, directory, **surroundings(settings, directory), **more)
    try:
        app.run_until_left()
    finally:
        app.restore_title()
        client.shutdown()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
