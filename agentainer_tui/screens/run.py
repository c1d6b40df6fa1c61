"""One run: its steps on a time axis, and the log and details of the selected one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import TabbedContent

from agentainer_tui.areas import RUN
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows.answering import answer
from agentainer_tui.flows.cleaning import clean_up
from agentainer_tui.flows.comparing import show_comparison
from agentainer_tui.flows.editing import edit_run
from agentainer_tui.flows.entering import enter_step
from agentainer_tui.flows.exporting import export
from agentainer_tui.flows.profiling import show_profile
from agentainer_tui.flows.retrying import retry
from agentainer_tui.flows.stopping import cancel
from agentainer_tui.keymap import bindings
from agentainer_tui.log_merge import MergedLog
from agentainer_tui.log_source import LogSource
from agentainer_tui.log_until import LogUntil
from agentainer_tui.screens.watching import Watching
from agentainer_tui.text import clean
from agentainer_tui.twins import run_twin
from agentainer_tui.views import RunView
from agentainer_tui.widgets.breadcrumbs import Breadcrumbs, Crumb
from agentainer_tui.widgets.details_pane import DetailsPane
from agentainer_tui.widgets.row_list import RowList
from agentainer_tui.widgets.run_title import RunTitle
from agentainer_tui.widgets.scrubber import Scrubber
from agentainer_tui.widgets.step_list import RowKey
from agentainer_tui.widgets.steps_pane import StepsPane
from engine.events import StepStatus


class RunScreen(Watching):
    """Steps above (or left), details below (or right)."""

    CSS_PATH = "run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run")]
    AUTO_FOCUS = "#steps"
    AREA: ClassVar[str] = RUN

    def __init__(self, run_id: str, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(run_id, feed, now=now)
        # Until the cursor is moved by hand it follows what runs, in the end what failed.
        self._guided = True
        self._offered: tuple[bool, ...] = ()
        # How the logs were opened: as they are, or as they were at a moment that can be moved.
        self._logs_are_past = False
        self._past_log: LogUntil | None = None
        # Where the cursor is to go as soon as the run is known.
        self._wanted: RowKey | None = None

    def compose_body(self) -> Iterable[Widget]:
        """Title and two panes."""
        yield RunTitle(now=self.now)
        yield Scrubber(id="scrubber")
        with Horizontal(id="panes"):
            yield StepsPane(id="steps-pane", now=self.now)
            yield DetailsPane(id="details", now=self.now)

    def on_mount(self) -> None:
        """Read the run if it is not known yet."""
        self.feed.open(self.run_id)
        if self.live_view is None:
            self.app.load_view(self.run_id)

    def on_unmount(self) -> None:
        """The view is not needed any more."""
        self.feed.close(self.run_id)

    def on_screen_suspend(self) -> None:
        """Who leaves it has seen what failed in it."""
        self.feed.failures.see_run(self.run_id)

    @property
    def details(self) -> DetailsPane:
        """The details."""
        return self.query_one("#details", DetailsPane)

    # -- what is shown --------------------------------------------------------------------------------

    def concerns(self, changes: Changes) -> bool:
        """Only what is new of this run is seen here."""
        return self.run_id in changes.views

    def crumbs(self) -> Sequence[Crumb]:
        """Workflow, the runs that this one is part of, this one, and the selected step or item."""
        view = self.view
        runs = [screen for screen in self.app.screen_stack if isinstance(screen, RunScreen)]
        outer = [Crumb(each.run_id, partial(self.app.back_to, each)) for each in runs if each is not self]
        name = view.workflow if view is not None else ""
        back = Crumb(name, self.app.leave_area) if name else None
        return (*([back] if back else []), *outer, Crumb(self.run_id), *self._step_crumb())

    def _step_crumb(self) -> Sequence[Crumb]:
        step, item = self.steps.selected()
        if step is None:
            return ()
        place = f"[{item.index}]" if item is not None else ""
        return (Crumb(f"{clean(step.id, limit=40)}{place}", self.steps.focus),)

    def show(self) -> None:
        """Show everything as it is now, or was at the moment that is shown."""
        self.take_news()
        self.take_aim()
        self.show_header()
        view = self.view
        if view is None:
            return
        self.steps_pane.show(view)
        self.look_ahead(view)
        self.query_one(RunTitle).show(view)
        self._guide(view)
        self._show_selection()

    def _show_selection(self) -> None:
        view = self.view
        if view is None:
            return
        step, item = self.steps.selected()
        self.details.show(view, step, item)
        self.query_one(Breadcrumbs).show(self.crumbs())
        # The footer is built anew by every refresh of the bindings, so that is done only for a reason.
        offered = (
            self._is_over,
            self.steps_pane.can_fold(),
            bool(self.feed.gates(self.run_id)),
            self.details.tab == "log",
        )
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def tick(self) -> None:
        """Bars and durations grow while the run does."""
        view = self.view
        if self.frame is None and view is not None and not view.status.is_terminal:
            self.steps_pane.tick()
            self.look_ahead(view)
            self.query_one(RunTitle).refresh()
            self.details.tick()

    def go_to(self, step_id: str, item: int | None = None) -> None:
        """Put the cursor on a step or item, now or as soon as the run is known; "" leaves it where it is."""
        if step_id:
            self._wanted = RowKey(step_id, item)
            self._guided = False
            if self.is_mounted:
                self.show()

    def _guide(self, view: RunView) -> None:
        """Move the cursor to where it was sent, else to what runs or failed, unless it was moved by hand."""
        if self._wanted is not None:
            aim, self._wanted = self._wanted, None
            if aim.item is not None:
                self.steps.unfold(aim.step_id, True)
            self.steps.select(aim)
        if not self._guided:
            return
        over = view.status.is_terminal
        wanted = (StepStatus.FAILED,) if over else (StepStatus.RUNNING, StepStatus.RETRYING)
        parents = {step.parent for step in view.steps.values()}
        found = [step for step in view.steps.values() if step.status in wanted]
        selected, _ = self.steps.selected()
        if selected in found:
            return
        # Those with a log of their own first.
        found.sort(key=lambda step: bool(step.items) or step.id in parents)
        if found:
            self.steps.select(RowKey(found[0].id))

    @on(RowList.Moved, "#steps")
    def _moved(self, message: RowList.Moved) -> None:
        if message.by_hand:
            self._guided = False
        self._show_selection()

    # -- reading --------------------------------------------------------------------------------------

    @on(TabbedContent.TabActivated)
    def _tab_turned(self) -> None:
        self._show_selection()

    @on(DetailsPane.Wanted)
    def _show_logs(self) -> None:
        keys, names = self.details.logs
        client = self.app.client

        self._logs_are_past, self._past_log = self.frame is not None, None

        def open_logs() -> LogSource:
            sources = [client.log(key) for key in keys]
            source = MergedLog(sources) if names else sources[0]
            if not self._logs_are_past:
                return source
            self._past_log = LogUntil(source, self.now())
            return self._past_log

        step, item = self.details.selection
        place = "" if item is None else f"-{item.index}"
        name = f"{self.run_id}-{step.id if step is not None else ''}{place}"
        notice = self.details.log_notice()
        self.details.log_pane.show(open_logs if keys else None, name=name, origins=names, notice=notice)

    def follow_frame(self) -> None:
        """Logs end where they ended at the moment that is shown."""
        if self._logs_are_past != (self.frame is not None):
            self._show_logs()
        elif self._past_log is not None:
            self._past_log.move(self.now())

    # -- actions --------------------------------------------------------------------------------------

    def in_sight(self) -> tuple[str, str]:
        """This run, and the selected step."""
        step, _ = self.steps.selected()
        return self.run_id, step.id if step is not None else ""

    def twin(self, action: str) -> str:
        """The command line of an action on this run."""
        step, item = self.steps.selected()
        step_id = step.id if step is not None else ""
        if action in ("follow", "merge", "wrap", "times"):
            return self.app.twins.logs(self.run_id, step_id, item.index if item is not None else None)
        return run_twin(self.app.twins, action, self.run_id, step_id)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense now."""
        if not self.is_mounted:
            return True
        if action == "retry":
            return self._is_over
        if action == "cancel":
            return self.live_view is not None and not self._is_over
        if action == "answer":
            return bool(self.feed.gates(self.run_id))
        if action == "parent":
            return self.view is not None and self.view.parent is not None
        if action in ("follow", "times", "wrap", "merge"):
            return self.details.tab == "log"
        if action == "fold":
            return self.details.has_focus_within or self.steps_pane.can_fold()
        return True

    @property
    def _is_over(self) -> bool:
        """Whether the run is over, also while a moment before its end is shown."""
        return self.live_view is not None and self.live_view.status.is_terminal

    @property
    def _zoomed(self) -> bool:
        return self.has_class("zoom-steps") or self.has_class("zoom-details")

    def action_back(self) -> None:
        """Back to the lists; from the past to the present first, a zoomed pane to its size after that."""
        if self.return_to_live():
            return
        if self._zoomed:
            self.remove_class("zoom-steps", "zoom-details")
        else:
            self.app.leave_run()

    def action_retry(self) -> None:
        """Retry this run."""
        step, _ = self.steps.selected()
        self.app.command(retry(self.app, self.run_id, step.id if step is not None else None))

    def action_edit(self) -> None:
        """Edit the file at the selected step; what was changed can be run from here."""
        step, _ = self.steps.selected()
        self.app.command(edit_run(self.app, self.run_id, step.id if step is not None else None))

    def action_cancel(self) -> None:
        """Cancel this run."""
        self.app.command(cancel(self.app, self.run_id))

    def action_answer(self) -> None:
        """Answer the selected step if it waits for a person, else the one that waits longest."""
        step, _ = self.steps.selected()
        self.app.command(answer(self.app, self.run_id, step.id if step is not None else None))

    def action_parent(self) -> None:
        """Open the run that this one is a part of."""
        view = self.view
        if view is None or view.parent is None:
            return
        below = self.app.screen_stack[-2]
        if isinstance(below, RunScreen) and below.run_id == view.parent.run_id:
            self.app.leave_run()
        else:
            self.app.open_run(view.parent.run_id)

    def action_shell(self) -> None:
        """A shell in the agent of the selected step or item."""
        step, item = self.steps.selected()
        if step is not None:
            self.app.command(enter_step(self.app, step, item))

    def action_clean(self) -> None:
        """Clean up after this run."""
        self.app.command(clean_up(self.app, self.run_id))

    def action_compare(self) -> None:
        """Compare this run with an earlier one."""
        self.app.command(show_comparison(self.app, (), self.run_id))

    def action_export(self) -> None:
        """Write this run into a file."""
        self.app.command(export(self.app, self.run_id))

    def action_fold(self) -> None:
        """Show or hide the items of the selected step, or what is below a row of the details."""
        if not self.details.fold():
            self.steps_pane.fold()

    def action_tab(self, by: int) -> None:
        """Another tab."""
        self.details.turn(by)

    def action_profile(self) -> None:
        """Show where the time of this run went."""
        show_profile(self.app, self.run_id)

    def action_follow(self) -> None:
        """Follow the log, or stop."""
        self.details.log_pane.view.action_follow()

    def action_times(self) -> None:
        """Show or hide the times of log lines."""
        self.details.log_pane.view.action_times()

    def action_wrap(self) -> None:
        """Fold long log lines, or do not."""
        self.details.log_pane.view.action_wrap()

    def action_merge(self) -> None:
        """Whose logs are shown as one."""
        self.details.next_merge()

    def _show_details(self) -> None:
        if self._zoomed:
            self.remove_class("zoom-steps")
            self.add_class("zoom-details")
        self.details.focus_view()

    def action_zoom(self) -> None:
        """The focused pane alone, or both again."""
        if self._zoomed:
            self.remove_class("zoom-steps", "zoom-details")
        else:
            self.add_class("zoom-details" if self.details.has_focus_within else "zoom-steps")

    @on(RowList.Chosen, "#steps")
    def _chosen(self) -> None:
        step, item = self.steps.selected()
        node = item if item is not None else step
        if step is not None and step.items and item is None:
            self.steps.toggle()
        elif step is not None and step.is_gate:
            self.action_answer()
        elif node is not None and node.child_run:
            self.app.open_child(node.child_run, at=self.now() if self.frame is not None else None)
        else:
            self._show_details()
