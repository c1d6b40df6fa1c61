"""Agents as they are now: at work, kept, warm pools, orphans; figures move only while this is seen."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker

from agentainer_tui import copying
from agentainer_tui.agent_details import agent_lines
from agentainer_tui.agent_rows import AT_WORK, KEPT, ORPHANS, AgentRow, AgentTable, running_names, table
from agentainer_tui.areas import AGENTS
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.cleaning import remove
from agentainer_tui.flows.entering import enter
from agentainer_tui.flows.stopping import cancel
from agentainer_tui.keymap import bindings
from agentainer_tui.loads import Meter
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import clean, counted, size
from agentainer_tui.widgets.agent_list import AgentList
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.lines_view import LinesView
from agentainer_tui.widgets.list_filter import ListFilter
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from engine.facade import Roster
    from engine.inventory import Orphan, PoolReport

# Seconds between two looks at pools and ages; between two questions to the backend, which cost it something.
_EVERY, _ROSTER_EVERY = 1.0, 5.0
# What changed in a burst is asked for once.
_SETTLE = 0.3


class AgentsScreen(AreaScreen):
    """A list in sections, and beside it (or below) all that is known of the selected row."""

    CSS_PATH = "agents.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("agents")]
    AUTO_FOCUS = "#agents"
    AREA: ClassVar[str] = AGENTS

    def __init__(self, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self._roster: Roster | None = None
        self._pools: tuple[PoolReport, ...] = ()
        self._orphans: tuple[Orphan, ...] = ()
        self._notes: tuple[str, ...] = ()
        self._unknown = frozenset({KEPT, ORPHANS})
        self._meters: dict[str, Meter] = {}
        self._streams: dict[str, Worker[None]] = {}
        self._at_work: frozenset[str] = frozenset()
        self._looked_at = 0.0
        self._timer: Timer | None = None

    def compose_body(self) -> Iterable[Widget]:
        """The list with its filter, and what is known of one."""
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield AgentList(id="agents", now=self.now)
                yield ListFilter("agents")
            yield LinesView(id="about", wrap=True)

    def on_mount(self) -> None:
        """Look around for the first time."""
        self.agents.border_title = "Agents"
        self.about.border_title = "Selected"
        self._timer = self.set_interval(_EVERY, self._each_second)
        self._look()
        self._look_for_orphans()

    @property
    def agents(self) -> AgentList:
        """The list."""
        return self.query_one("#agents", AgentList)

    @property
    def about(self) -> LinesView:
        """What is known of the selected row."""
        return self.query_one("#about", LinesView)

    # -- what is shown --------------------------------------------------------------------------------

    def crumbs(self) -> Sequence[Crumb]:
        """The area, and what is marked."""
        marked = len(self.agents.marks)
        return (Crumb("Agents"), *([Crumb(f"{marked} marked")] if marked else []))

    def concerns(self, changes: Changes) -> bool:
        """Runs come and go, and their agents with them."""
        return bool(changes.rows)

    def show(self) -> None:
        """Show everything as it is now; ask the backend if other agents run than when it was asked last."""
        self.show_header()
        running = running_names(self.feed.views.values())
        if running != self._at_work:
            self._at_work = running
            self._look()
        self._show_rows()

    def _show_rows(self) -> None:
        kept_of = {agent.attempt.run_id for agent in self._roster.kept} if self._roster is not None else set()
        workflows = {row.id: row.workflow for run_id in kept_of if (row := self.feed.rows.get(run_id))}
        whole = table(self.feed.views.values(), self._roster, self._pools, self._orphans, workflows)
        line = self.query_one(ListFilter)
        kept = set(map(id, line.keep(whole.by_key().values(), lambda row: row.text)))
        shown = {name: [row for row in rows if id(row) in kept] for name, rows in whole.rows.items()}
        counts = {name: len(rows) for name, rows in whole.rows.items()}
        self.agents.show(AgentTable(shown), self._meters, counts, self._unknown)
        disk = sum(row.size or 0 for row in whole.of(KEPT))
        self.agents.border_subtitle = f"{size(disk)} kept" if disk else ""
        self._show_about()

    def _show_about(self) -> None:
        row = self.agents.row
        meter = self._meters.get(row.name) if row is not None else None
        glyphs = self.app.glyphs
        lines = agent_lines(row, meter, self.now(), self.about.inner_width, ascii_only=glyphs.is_ascii)
        self.about.set_lines(lines)
        self.about.border_subtitle = Content(clean("; ".join(self._notes), limit=200))

    # -- looking --------------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        """Seen again: what may have changed meanwhile is asked for."""
        super().on_screen_resume()
        if self._timer is not None:
            self._timer.resume()
            self._look()

    def on_screen_suspend(self) -> None:
        """Not seen: nothing is asked for, nobody is watched."""
        if self._timer is not None:
            self._timer.pause()
        self._watch(frozenset())

    @work(exclusive=True, group="look", exit_on_error=False)
    async def _look(self) -> None:
        """Ask for the agents and the pools."""
        from asyncio import sleep

        if self.app.facts is None:
            return
        await sleep(_SETTLE if self._roster is not None else 0)
        self._looked_at = self.now()
        self._roster = await self.app.client.roster()
        self._pools = await self.app.client.pools()
        self._unknown -= {KEPT}
        self._show_rows()
        self._watch(self.agents.running_on_screen())

    @work(exclusive=True, group="orphans", exit_on_error=False)
    async def _look_for_orphans(self) -> None:
        """Ask every backend, which takes a moment: only when the area is first shown, and when asked to."""
        if self.app.facts is None:
            return
        try:
            self._orphans, self._notes = await self.app.client.orphans()
        finally:
            self._unknown -= {ORPHANS}
            self._show_rows()

    @work(exclusive=True, group="second", exit_on_error=False)
    async def _each_second(self) -> None:
        """Pools, ages, and who is watched. Nothing is asked for while nothing runs and no pool exists."""
        if self.app.facts is None or not self.is_current:
            return
        if self._unknown and self._roster is None:
            self._look()
            self._look_for_orphans()
            return
        if self._pools or self._at_work:
            pools = await self.app.client.pools()
            if pools != self._pools:
                self._pools = pools
                self._show_rows()
            if self.now() - self._looked_at >= _ROSTER_EVERY:
                self._look()
        self._watch(self.agents.running_on_screen())
        self.agents.refresh_rows()
        self._show_about()

    # -- figures --------------------------------------------------------------------------------------

    def _watch(self, names: Iterable[str]) -> None:
        """Watch these agents and no others."""
        wanted = set(names)
        for name in set(self._streams) - wanted:
            self._streams.pop(name).cancel()
        for name in wanted - set(self._streams):
            self._streams[name] = self.run_worker(self._follow(name), group="samples", exit_on_error=False)
        for name in set(self._meters) - {row.name for row in self._rows_at_work()}:
            del self._meters[name]

    def _rows_at_work(self) -> Sequence[AgentRow]:
        return table(self.feed.views.values(), self._roster, (), ()).of(AT_WORK)

    async def _follow(self, name: str) -> None:
        """Take what an agent uses, until it ends or is not seen any more."""
        async with aclosing(self.app.client.samples(name)) as batches:
            async for batch in batches:
                meter = self._meters.setdefault(name, Meter())
                for sample in batch:
                    meter.take(sample)
                self.agents.refresh_keys([(AT_WORK, name)])
                if self.agents.row is not None and self.agents.row.name == name:
                    self._show_about()

    # -- what a person does ---------------------------------------------------------------------------

    @on(RowList.Moved, "#agents")
    def _moved(self) -> None:
        self._show_about()
        self.refresh_bindings()

    @on(ListFilter.Changed)
    def _filtered(self) -> None:
        self._show_rows()

    @on(AgentList.Marked)
    def _marked(self) -> None:
        marked = self.agents.marks
        words = counted(len(marked), "agent")
        self.agents.border_title = f"Agents · {words} marked" if marked else "Agents"
        self.show_header()
        self.refresh_bindings()

    @on(RowList.Chosen, "#agents")
    def _chosen(self) -> None:
        row = self.agents.row
        if row is not None and row.run_id and row.section in (AT_WORK, KEPT):
            self.app.open_run(row.run_id, row.step_id, row.item)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense for what is selected."""
        if not self.is_mounted:
            return True
        row = self.agents.row
        if action in ("mark", "mark_all"):
            return row is not None and row.removable
        if action == "unmark":
            return bool(self.agents.marks)
        if action == "shell":
            return row is not None and row.section in (AT_WORK, KEPT)
        if action == "clean":
            return any(each.removable for each in self.agents.chosen)
        if action == "cancel":
            return row is not None and row.section == AT_WORK and bool(row.run_id)
        if action == "copy":
            return row is not None
        return True

    def in_sight(self) -> tuple[str, str]:
        """The run and step that the selected agent serves."""
        row = self.agents.row
        return (row.run_id, row.step_id) if row is not None and row.section == KEPT else ("", "")

    def twin(self, action: str) -> str:
        """The command line of an action on what is selected."""
        row, twins = self.agents.row, self.app.twins
        if action == "shell" and row is not None:
            return twins.shell(row.name)
        if action == "clean":
            return twins.cleanup(agents=[each.name for each in self.agents.chosen if each.section == KEPT])
        if action == "cancel" and row is not None and row.run_id:
            return twins.cancel(row.run_id)
        return twins.line("agents", "--orphans") if action == "refresh" else ""

    def action_mark(self) -> None:
        """Mark the selected row, or take its mark away."""
        self.agents.toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all of the section, or none."""
        self.agents.toggle_section()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.agents.unmark()

    def action_shell(self) -> None:
        """A shell in the selected agent."""
        row = self.agents.row
        if row is not None:
            copied = row.size if row.section == KEPT and row.backend == "docker" else None
            self.app.command(enter(self.app, row.name, copied=copied))

    def action_clean(self) -> None:
        """Remove what is marked, else what is selected, after asking."""
        rows = [row for row in self.agents.chosen if row.removable]
        if rows:
            self.app.command(self._remove(rows))

    async def _remove(self, rows: Sequence[AgentRow]) -> None:
        if await remove(self.app, rows):
            self.agents.unmark()
            self._look()
            if any(row.section == ORPHANS for row in rows):
                self._look_for_orphans()

    def action_cancel(self) -> None:
        """Cancel the run that the selected agent works for."""
        row = self.agents.row
        if row is not None and row.run_id:
            self.app.command(cancel(self.app, row.run_id))

    def action_copy(self) -> None:
        """Copy the selected agent's name, or the command that removes an orphan."""
        row = self.agents.row
        if row is not None:
            text = shlex.join(row.remedy) if row.remedy else row.name
            self.app.tell(f"Copied {copying.copy(self.app, text)}.")

    def action_refresh(self) -> None:
        """Ask for everything again."""
        self._unknown = frozenset({ORPHANS})
        self._orphans, self._notes = (), ()
        self._show_rows()
        self._look()
        self._look_for_orphans()
