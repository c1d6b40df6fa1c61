"""Where the time of a run went: parts, critical path, steps, tasks with what their containers used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.areas import RUN
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.profiling import export_profile
from agentainer_tui.keymap import bindings
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.plots import Line
from agentainer_tui.profile_page import legend, overview, path_lines, sample_lines, step_lines
from agentainer_tui.profile_words import exact
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import clean
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.chart_view import ChartView
from agentainer_tui.widgets.choice_bar import ChoiceBar, Choices
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.task_list import TaskKey, TaskList

if TYPE_CHECKING:
    from engine.profiling import Profile

TABS = ("overview", "critical path", "steps", "tasks")
_TASKS = TABS[-1]
# Seconds between two readings of a run in progress.
_PAUSE = 2.0


class ProfileScreen(AreaScreen):
    """Stands above the run; going back leads to it."""

    CSS_PATH = "profile.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("profile")]
    AUTO_FOCUS = "#page"
    AREA: ClassVar[str] = RUN

    def __init__(self, run_id: str, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self.run_id = run_id
        self.profile: Profile | None = None
        self._tab = TABS[0]
        self._stale = True
        self._reading = False
        self._read_at = 0.0

    def compose_body(self) -> Iterable[Widget]:
        """Title, tabs, a page of lines, or tasks above what one of them used."""
        yield Static(id="what")
        yield ChoiceBar([f"tab_named('{name}')" for name in TABS], id="tabs")
        yield ChartView(id="page")
        with Vertical(id="tasks-pane"):
            yield TaskList(id="tasks")
            yield ChartView(id="samples")

    def on_mount(self) -> None:
        """Titles."""
        self.tasks.border_title = "Tasks"
        self.page.set_lines([(("Reading the events of the run…", "muted"),)])
        self._show_tab()

    @property
    def page(self) -> ChartView:
        """The page of the first tabs."""
        return self.query_one("#page", ChartView)

    @property
    def tasks(self) -> TaskList:
        """The tasks."""
        return self.query_one("#tasks", TaskList)

    def crumbs(self) -> Sequence[Crumb]:
        """Workflow, run, and here."""
        outer = [Crumb(self.profile.workflow, self.app.leave_area)] if self.profile is not None else []
        return (*outer, Crumb(self.run_id, self.action_back), Crumb("profile"))

    # -- what is shown --------------------------------------------------------------------------------

    def concerns(self, changes: Changes) -> bool:
        """Whatever happens in the run, or in one that is part of it."""
        return bool(changes.views)

    def show(self) -> None:
        """Show what is known, and read a run that goes on again, though not all the time."""
        self.show_header()
        self._show_profile()
        row = self.feed.rows.get(self.run_id)
        ended = row is not None and row.status.is_terminal and self.profile is not None and self.profile.live
        if self.profile is None or ended:
            self._stale = True
        self._read_if_due(now=ended)

    def tick(self) -> None:
        """A run in progress is read again every few seconds."""
        if self.profile is not None and self.profile.live:
            self._stale = True
        self._read_if_due()

    def _read_if_due(self, *, now: bool = False) -> None:
        due = now or time.monotonic() - self._read_at >= _PAUSE
        if self._stale and not self._reading and due and self.app.facts is not None:
            self._read()

    @work(group="profile", exit_on_error=False)
    async def _read(self) -> None:
        self._reading, self._stale = True, False
        try:
            self.profile = await self.app.client.profile(self.run_id)
        finally:
            self._reading, self._read_at = False, time.monotonic()
        self.tasks.show(self.profile)
        self.show_header()
        self._show_profile()

    def _show_profile(self) -> None:
        found = self.profile
        choices = [Choices("", name, f"tab_named('{name}')", name == self._tab) for name in TABS]
        told = "read again while it goes on" if found is not None and found.live else ""
        self.query_one(ChoiceBar).show(choices, told)
        if found is None:
            return
        self.query_one("#what", Static).update(self._title(found))
        width, glyphs = max(30, self.page.inner_width - 2), self.app.chart_glyphs
        draw = {"overview": overview, "critical path": path_lines, "steps": step_lines}.get(self._tab)
        if draw is not None:
            self.page.set_lines(draw(found, width, glyphs))
        else:
            self._show_samples()

    def _title(self, found: Profile) -> Content:
        look = LOOKS.get(found.status, UNKNOWN)
        so_far = ", so far" if found.live else ""
        waited = f", after {exact(found.waited)} of waiting to start" if found.waited >= 0.05 else ""
        return Content.assemble(
            (clean(found.workflow, limit=60), "bold"),
            f"  {self.app.glyphs.sign(look)} {look.word}{so_far}: took {exact(found.duration)}{waited}",
        )

    def _show_samples(self) -> None:
        view = self.query_one("#samples", ChartView)
        attempt = self.tasks.attempt
        width, height = max(30, view.inner_width - 2), max(8, view.size.height)
        lines: list[Line] = [legend(self.app.chart_glyphs)] if attempt is not None else []
        view.set_lines([*lines, *sample_lines(attempt, width, height - 1, self.app.chart_glyphs)])

    def on_resize(self) -> None:
        """Charts are drawn for their width; what that is, is known after the layout."""
        self.call_after_refresh(self._show_profile)

    @on(RowList.Moved, "#tasks")
    def _other_task(self) -> None:
        if self._tab == _TASKS:
            self._show_samples()

    # -- actions --------------------------------------------------------------------------------------

    def _show_tab(self) -> None:
        tasks = self._tab == _TASKS
        self.page.display = not tasks
        self.query_one("#tasks-pane").display = tasks
        (self.tasks if tasks else self.page).focus()
        self.call_after_refresh(self._show_profile)

    def action_tab_named(self, name: str) -> None:
        """Show a tab."""
        if name != self._tab:
            self._tab = name
            self.page.scroll_home(animate=False)
            self._show_tab()

    def action_tab(self, by: int) -> None:
        """The next tab, or the one before."""
        self.action_tab_named(TABS[(TABS.index(self._tab) + by) % len(TABS)])

    def action_back(self) -> None:
        """Back to the run."""
        self.app.pop_screen()

    def action_export(self) -> None:
        """Write the profile into a file for another program."""
        if self.profile is not None:
            self.app.command(export_profile(self.app, self.profile))

    @on(RowList.Chosen, "#tasks")
    def _open_task(self) -> None:
        """The step of the task, in its run."""
        key = self.tasks.key
        if isinstance(key, TaskKey):
            self.app.pop_screen()
            self.app.open_run(key.run_id, key.step_id, key.item)
