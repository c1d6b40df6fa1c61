"""One failure: why, its last words, what changed since it went well, and what can be done about it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.areas import RUN
from agentainer_tui.client import AttemptKey
from agentainer_tui.failure.causes import causes_of
from agentainer_tui.failure.finding import Failure
from agentainer_tui.failure.panel import last_words, since_lines, why_lines
from agentainer_tui.failure.report import Case
from agentainer_tui.failure.tail import last_lines
from agentainer_tui.failure.words import last_attempt, verdict
from agentainer_tui.feed import Changes, Feed
from agentainer_tui.flows import failures
from agentainer_tui.flows.editing import edit_run, open_editor
from agentainer_tui.flows.entering import enter_step
from agentainer_tui.flows.retrying import retry
from agentainer_tui.keymap import bindings
from agentainer_tui.lines import line
from agentainer_tui.looks import LOOKS
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.text import ago, clean, counted
from agentainer_tui.twins import run_twin
from agentainer_tui.views import RunView
from agentainer_tui.widgets.breadcrumbs import Crumb
from agentainer_tui.widgets.cause_list import CauseList
from agentainer_tui.widgets.header import StatusHeader
from agentainer_tui.widgets.lines_view import LinesView
from agentainer_tui.widgets.row_list import RowList
from engine.errors import UnavailableError, UsageError
from engine.events import StepStatus

# Items that fail in a burst are grouped once, after so many seconds.
_SETTLE = 0.5
# Rows of causes and of reasons that are seen at once; lines that the last words have at least.
_CAUSES, _WHY, _WORDS = 7, 9, 6
# Lines of breadcrumbs and footer.
_AROUND = 2


class FailureScreen(AreaScreen):
    """Stands above the run; going back leads to the step in it."""

    CSS_PATH = "failure.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("failure")]
    AUTO_FOCUS = "#words"
    AREA: ClassVar[str] = RUN

    def __init__(self, failure: Failure, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=now)
        self.failure = failure
        self.case: Case | None = None
        self._stream = ""
        self._read = False
        self._zoomed: LinesView | None = None

    def compose_body(self) -> Iterable[Widget]:
        """A title, causes if there are several, why on one side, what changed on the other."""
        yield Static(id="what")
        yield CauseList(id="causes")
        with Horizontal(id="panes"):
            with Vertical(id="left"):
                yield LinesView(id="why", wrap=True)
                yield LinesView(id="words", wrap=True)
            yield LinesView(id="since", wrap=True)

    def on_mount(self) -> None:
        """Begin to read."""
        self.why.border_title = "Why"
        self.since.border_title = "Changed since it went well"
        self.words.border_title = "Last lines"
        self.causes.border_title = "Causes"
        self.why.set_lines([line("Reading the run…", "muted")])
        self.since.set_lines([line("Looking for the last run that went well…", "muted")])
        self._load()

    @property
    def why(self) -> LinesView:
        """Why it failed."""
        return self.query_one("#why", LinesView)

    @property
    def words(self) -> LinesView:
        """The last lines of the task."""
        return self.query_one("#words", LinesView)

    @property
    def since(self) -> LinesView:
        """What changed since it went well."""
        return self.query_one("#since", LinesView)

    @property
    def causes(self) -> CauseList:
        """Why its items failed."""
        return self.query_one("#causes", CauseList)

    # -- what is shown --------------------------------------------------------------------------------

    def crumbs(self) -> Sequence[Crumb]:
        """Workflow, run, and which of how many failures."""
        case = self.case
        outer = [Crumb(case.run.workflow, self.app.leave_area)] if case is not None else []
        place = self.feed.failures.place(self.failure)
        which = f"failure {place[0]} of {place[1]}" if place[1] > 1 else "failure"
        return (*outer, Crumb(self.failure.run_id, self.action_back), Crumb(which))

    def concerns(self, changes: Changes) -> bool:
        """More items of the step may have failed."""
        return self.failure.run_id in changes.views

    def show(self) -> None:
        """Show what is known so far."""
        self.show_header()
        view = self.feed.views.get(self.failure.run_id)
        if self.case is not None and view is not None and view.id == self.case.run.id:
            self._renew(view)
        self._show_case()

    def _renew(self, view: RunView) -> None:
        """The run as it is now: the same failure, with the items that have failed meanwhile."""
        case = self.case
        step = view.steps.get(case.step.id) if case is not None else None
        if case is None or step is None or step is case.step:
            return
        item = step.items[case.item.index] if case.item is not None else None
        failed = step.tally.get(StepStatus.FAILED) != case.step.tally.get(StepStatus.FAILED)
        self.case = replace(case, run=view, step=step, item=item)
        if failed:
            self._group()

    @work(exclusive=True, group="causes", exit_on_error=False)
    async def _group(self) -> None:
        """Group the items that have failed meanwhile: there may be many, and more to come."""
        await asyncio.sleep(_SETTLE)
        if self.case is not None:
            causes = await asyncio.to_thread(causes_of, self.case.step.items)
            self.case = replace(self.case, causes=causes)
            self._show_case()

    def _show_case(self) -> None:
        case = self.case
        if case is None:
            return
        self.query_one("#what", Static).update(self._title(case))
        self.set_class(case.is_many, "-many")
        if case.is_many:
            failed = sum(len(cause.items) for cause in case.causes)
            self.causes.border_title = f"{failed:,} of {counted(len(case.step.items), 'item')} failed"
            self.causes.border_subtitle = counted(len(case.causes), "cause")
            self.causes.styles.height = self._causes_height
            self.causes.show(case.causes)
        self.why.set_lines(why_lines(case, self.now()))
        self.words.set_lines(last_words(case, read=self._read))
        self.words.to_end()
        of = {"stderr": " of standard error", "stdout": " of the output"}.get(self._stream, "")
        self.words.border_title = f"Last lines{of}"
        self.call_after_refresh(self._arrange)

    def _arrange(self) -> None:
        """Panes are as high as what is in them, as far as that leaves room for the last lines."""
        why = 2 + min(_WHY, max(1, self.why.row_count))
        since: int | str = "1fr"
        if self.has_class("-narrow"):
            above = self.query_one(StatusHeader).size.height + self.query_one("#what").size.height
            room = self.size.height - above - _AROUND - self._causes_height
            why = min(why, max(3, room // 3))
            since = max(3, min(2 + self.since.row_count, room - why - _WORDS))
        for pane, height in ((self.why, why), (self.words, "1fr"), (self.since, since)):
            pane.styles.height = "1fr" if self._zoomed is pane else height

    @property
    def _causes_height(self) -> int:
        case = self.case
        return 2 + min(_CAUSES, len(case.causes)) if case is not None and case.is_many else 0

    @on(LinesView.Folded)
    def _folded(self) -> None:
        self._arrange()

    def on_resize(self) -> None:
        """There may be another number of columns of panes now."""
        self.call_after_refresh(self._arrange)

    def _title(self, case: Case) -> Content:
        """What failed, in a line."""
        glyph = self.app.glyphs.of("failed")
        inner = (
            "" if case.run.id == self.failure.run_id else f"{self.failure.step_id} {self.app.glyphs.crumb} "
        )
        words = verdict(case.node).words
        # The step of an item that failed may have gone on, and completed.
        what = "" if case.item is None else f", item {case.item.index}"
        return Content.assemble(
            (f"{glyph} ", "$error"),
            (clean(f"{inner}{case.step.name}", limit=120) + what, "bold"),
            (f" {LOOKS['failed'].word}: {clean(words, limit=200)}", "$error"),
            (f"  {clean(case.run.workflow, limit=60)} {case.run.id[:6]}", "$foreground 62%"),
        )

    # -- reading --------------------------------------------------------------------------------------

    @work(exclusive=True, group="case", exit_on_error=False)
    async def _load(self) -> None:
        """The run, then the log, then the run to compare with: each is shown as soon as it is known."""
        view, inner = await failures.innermost(self.app, self.failure)
        step = view.steps.get(inner.step_id)
        if step is None:
            raise UsageError(f"run {view.id} has no step {inner.step_id!r}")
        causes = await asyncio.to_thread(causes_of, step.items)
        item = step.items[causes[0].items[0]] if causes else None
        self.case = Case(view, step, item, causes=causes)
        self.show_header()
        self._show_case()
        if self.case.is_many and self.words.has_focus:
            self.causes.focus()
        self.refresh_bindings()
        self._load_log()
        found = await failures.compared(self.app, view, step.id)
        usual = await self.app.client.usual_times(view.workflow, before=view.created_seq)
        self.case = replace(self.case, usual_seconds=usual.steps.get(step.id))
        if found is not None:
            self.case = replace(self.case, good=found[0], changes=found[1])
        self.since.set_lines(since_lines(self.case, self.app.glyphs.into))
        if self.case is not None and (good := self.case.good) is not None:
            when = f", {ago(self.now() - good.finished_at)}" if good.finished_at is not None else ""
            self.since.border_subtitle = f"run {good.id[:6]}{when}"
        self._show_case()

    @work(exclusive=True, group="log", exit_on_error=False)
    async def _load_log(self) -> None:
        """The last lines of the try that is shown."""
        case = self.case
        attempt = last_attempt(case.node) if case is not None else None
        self._read, self._stream = True, ""
        if case is None or attempt is None or not attempt.log:
            self._show_case()
            return
        item = case.item.index if case.item is not None else None
        key = AttemptKey(case.run.id, case.step.id, item, attempt.number, attempt.log)
        try:
            lines = await last_lines(self.app.client.log(key))
        except UnavailableError:  # the log is gone, or was never made
            lines = []
        if self.case is not None and self.case.item is case.item:
            self._stream = lines[-1].stream if lines else ""
            self.case = replace(self.case, lines=[each.text for each in lines])
        self._show_case()

    @on(RowList.Moved, "#causes")
    def _other_cause(self) -> None:
        """Tell about the first item of the chosen cause."""
        case, cause = self.case, self.causes.cause
        if case is None or cause is None:
            return
        item = case.step.items[cause.items[0]]
        if case.item is None or item.index != case.item.index:
            self.case = replace(case, item=item, lines=())
            self._read = False
            self._show_case()
            self._load_log()

    # -- what a person does ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what makes sense."""
        if not self.is_mounted:
            return True
        case = self.case
        if action == "retry":
            return case is not None and case.run.status.is_terminal
        if action == "edit":
            return case is not None and bool(case.run.path)
        if action in ("shell", "report", "write_report", "open_step"):
            return case is not None
        if action == "neighbour":
            return len(self.feed.failures.all) > 1
        return True

    def action_back(self) -> None:
        """To the run, whose cursor is on the step; a pane that has all the room gives it back first."""
        if self._zoomed is not None:
            self._zoom(None)
        else:
            self.app.pop_screen()

    def action_open_step(self) -> None:
        """To the step (and item) in its run, with the log."""
        case = self.case
        self.app.pop_screen()
        if case is not None:
            self.app.open_run(case.run.id, case.step.id, case.item.index if case.item is not None else None)

    @on(RowList.Chosen, "#causes")
    def _chosen(self) -> None:
        self.action_open_step()

    def action_neighbour(self, by: int) -> None:
        """An older failure, or a newer one; at the end the first again."""
        everything = self.feed.failures.all
        if self.failure in everything:
            place = (everything.index(self.failure) + by) % len(everything)
            failures.show(self.app, everything[place])

    def action_zoom(self) -> None:
        """The focused pane alone, or all again."""
        self._zoom(self.focused if self._zoomed is None else None)

    def _zoom(self, pane: Widget | None) -> None:
        self._zoomed = pane if isinstance(pane, LinesView) else None
        self.set_class(self._zoomed is not None, "-zoomed")
        for each in (self.why, self.words, self.since):
            each.set_class(each is self._zoomed, "-zoom")
        self.query_one("#left").set_class(self._zoomed in (self.why, self.words), "-zoom")
        self._arrange()

    def action_shell(self) -> None:
        """A shell in the agent that failed."""
        if self.case is not None:
            self.app.command(enter_step(self.app, self.case.step, self.case.item))

    def action_retry(self) -> None:
        """Retry the run, from this step if that is what is wanted."""
        if self.case is not None:
            self.app.command(retry(self.app, self.failure.run_id, self.failure.step_id))

    def action_edit(self) -> None:
        """Edit the workflow file at the step; what was changed can be run from here."""
        case = self.case
        if case is not None and case.run.id == self.failure.run_id:
            self.app.command(edit_run(self.app, case.run.id, case.step.id))
        elif case is not None:  # the file of a workflow within: a retry of the whole takes it from there
            open_editor(self.app, case.run.path)

    def twin(self, action: str) -> str:
        """The command line of an action."""
        case, twins = self.case, self.app.twins
        if case is None:
            return ""
        item = case.item.index if case.item is not None else None
        if action == "shell":
            return twins.shell_of(case.run.id, case.step.id, item)
        if action == "open_step":
            return twins.logs(case.run.id, case.step.id, item)
        return run_twin(twins, action, self.failure.run_id, self.failure.step_id)

    def action_write_report(self) -> None:
        """Write all that is known into a file."""
        if self.case is not None:
            self.app.command(failures.write_report(self.app, self.case))

    def action_report(self) -> None:
        """Copy all that is known as Markdown."""
        if self.case is not None:
            failures.copy_report(self.app, self.case)
