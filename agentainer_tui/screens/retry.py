"""Retry: how much of a run to do again, with what becomes of every step beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Click
from textual.widget import Widget
from textual.widgets import Button, OptionList, Static

from agentainer_tui.client import Preview, RetryScope, WorkflowEntry
from agentainer_tui.edit_words import diff_lines
from agentainer_tui.excerpts import problem_lines
from agentainer_tui.feed import Changes
from agentainer_tui.flows.editing import open_editor
from agentainer_tui.inspector.entries import Line
from agentainer_tui.keymap import bindings
from agentainer_tui.lines import line
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted, duration, plain
from agentainer_tui.views import RunView
from agentainer_tui.widgets.fate_list import FateList
from agentainer_tui.widgets.lines_view import LinesView
from agentainer_tui.widgets.row_list import RowList
from engine.errors import AgentainerError, DocumentError
from engine.events import StepStatus

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

Submit = Callable[[RetryScope, str, Mapping[str, Any]], Awaitable[str]]
_DIFF_LINES = 4
_LOWEST, _USUAL_WIDTH = 8, 72


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of retrying; `needs_step`: of which step?"""

    name: str
    label: str
    needs_step: bool = False

    def scope(self, step: str | None) -> RetryScope:
        """What is asked of the engine."""
        edited = self.name == "edited"
        return RetryScope(
            from_step=step if self.name == "from" else None,
            only_step=step if self.name == "only" else None,
            failed=edited or self.name == "failed",
            edited=edited,
        )


MODES = (
    Mode("failed", "What failed"),
    Mode("from", "This step and downstream", True),
    Mode("only", "This step only", True),
    Mode("whole", "The whole run"),
    Mode("edited", "With the edited file"),
)
_PLACES = {mode.name: place for place, mode in enumerate(MODES)}


class ScopeList(OptionList):
    """The scopes. A click looks at one; only Enter and the button start something."""

    def on_click(self, event: Click) -> None:
        """Choose without starting."""
        event.prevent_default()
        clicked = event.style.meta.get("option")
        if clicked is not None:
            self.highlighted = clicked


class RetryDialog(Dialog[str]):
    """Scopes on one side; on the other the steps, one of which two of the scopes are about.

    The dialog starts the run itself, so that what the engine objects to is said here; it answers the new
    run's id.
    """

    CSS_PATH = ["dialog.tcss", "retry.tcss"]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("retry")]
    app: DashboardApp

    def __init__(
        self, run: RunView, submit: Submit, step_id: str | None = None, *, edited: bool = False
    ) -> None:
        super().__init__(f"Retry {clean(run.workflow, limit=40)} {run.id[:6]}")
        self._run = run
        self._submit = submit
        self._step = step_id if step_id in run.steps else _first_failed(run)
        self._first = "edited" if edited else "failed" if _failed(run) else "whole"
        self._preview: Preview | None = None
        # Params that are to be others than the run had; by an edited file only.
        self._params: Mapping[str, Any] = {}

    def compose_body(self) -> Iterable[Widget]:
        """Scopes, steps or what is wrong with the file, what it comes to, buttons."""
        with Horizontal(id="choice"):
            yield ScopeList(*(Content(mode.label) for mode in MODES), id="scope", markup=False)
            with Vertical(id="preview"):
                yield FateList(id="fates")
                yield LinesView(id="problems")
        yield Static(id="effect")
        yield Static(id="changes")
        yield Static(id="twin")
        yield Horizontal(
            Button("Retry", variant="primary", id="start"), Button("Close", id="close"), id="buttons"
        )

    def on_mount(self) -> None:
        """What failed is what most people mean; the step under the cursor is preselected."""
        scope = self.query_one("#scope", OptionList)
        scope.highlighted = _PLACES[self._first]
        scope.focus()
        self.query_one("#problems").display = False
        self.query_one("#box").border_subtitle = "e edits the file · p params · esc closes"
        self.app.changes.subscribe(self, self._saved)
        if self._first == "edited":
            self.app.clear_notifications()  # that the file was saved is told here; it would hide the buttons
        # As high as its steps need, from the beginning, so that nothing moves.
        self.query_one("#preview").styles.height = max(_LOWEST, len(self._run.steps) + 2)

    @property
    def _mode(self) -> Mode:
        return MODES[self.query_one("#scope", OptionList).highlighted or 0]

    @property
    def _scope(self) -> RetryScope:
        return self._mode.scope(self._step)

    # -- preview --------------------------------------------------------------------------------------

    @on(OptionList.OptionHighlighted)
    def _other_scope(self) -> None:
        self._look()

    def _saved(self, changes: Changes) -> None:
        if changes.workflows and self._mode.name == "edited" and self.is_current:
            self.app.clear_notifications()
            self._look()

    @on(RowList.Moved, "#fates")
    def _other_step(self, event: RowList.Moved) -> None:
        if event.by_hand and event.key is not None and event.key != self._step:
            self._step = str(event.key)
            if self._mode.needs_step:
                self._look()

    @work(exclusive=True, group="preview", exit_on_error=False)
    async def _look(self) -> None:
        scope = self._scope
        self._preview = None  # what is started is what was looked at
        params = self._params if scope.edited else {}
        twin = clean(self.app.twins.retry(self._run.id, scope, params))
        self.query_one("#twin", Static).update(Content(f"$ {twin}"))
        try:
            preview = await self.app.client.preview_retry(self._run.id, scope, params=params)
        except DocumentError as error:
            file = await self.app.client.run_file(self._run.id)
            self._refuse("The file has errors: e opens it there.")
            self._show_problems(
                problem_lines(file.problems or error.problems, file.excerpts, self._room, self.app.glyphs)
            )
        except AgentainerError as error:
            self._refuse(str(error))
        else:
            self._show(preview)

    @property
    def _room(self) -> int:
        return (self.query_one("#preview").size.width or _USUAL_WIDTH) - 2

    def _show(self, preview: Preview) -> None:
        self._preview = preview
        fates = self.query_one("#fates", FateList)
        fates.display, self.query_one("#problems").display = True, False
        fates.show(preview)
        if self._step is not None and fates.key != self._step:
            fates.select(self._step)
        self.query_one("#effect", Static).update(_effect(preview))
        self.query_one("#start", Button).disabled = False
        changes = list(diff_lines(preview.diff)) if preview.diff else []
        self._show_changes(changes)

    def _show_changes(self, changes: list[str]) -> None:
        shown = changes[:_DIFF_LINES]
        if len(changes) > len(shown):
            shown[-1:] = [f"… and {len(changes) - len(shown) + 1} more changes"]
        widget = self.query_one("#changes", Static)
        widget.update(
            Content("\n").join(Content.styled(each, _CHANGE_INKS.get(each[:1], "")) for each in shown)
        )
        widget.display = bool(shown)

    def _show_problems(self, lines: Iterator[Line]) -> None:
        self.query_one("#fates").display = False
        problems = self.query_one("#problems", LinesView)
        problems.display = True
        problems.set_lines([*lines] or [line("The file cannot be read.", "error")])

    def _refuse(self, why: str) -> None:
        """Nothing can be started like this."""
        self._preview = None
        self.query_one("#effect", Static).update(plain(why, "$warning"))
        self.query_one("#start", Button).disabled = True
        self.query_one("#fates", FateList).fade()
        self._show_changes([])

    # -- what is done ---------------------------------------------------------------------------------

    @on(OptionList.OptionSelected)
    @on(RowList.Chosen, "#fates")
    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        if self._preview is not None:
            scope, digest = self._scope, self._preview.digest
            self._preview = None  # pressed once more, it starts nothing more
            self._retry(scope, digest, self._params if scope.edited else {})

    @work(exclusive=True, group="submit", exit_on_error=False)
    async def _retry(self, scope: RetryScope, digest: str, params: Mapping[str, Any]) -> None:
        try:
            run_id = await self._submit(scope, digest, params)
        except AgentainerError as error:
            self._refuse(str(error))
            return
        self.dismiss(run_id)

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    def action_edit(self) -> None:
        """Edit the file at the selected step, or at its first error; then look at what that changes."""
        self._edit()

    @work(exclusive=True, group="edit", exit_on_error=False)
    async def _edit(self) -> None:
        file = await self.app.client.run_file(self._run.id)
        bad = next((problem.line for problem in file.problems if problem.line and not file.digest), 0)
        line_number = bad or await self.app.client.step_line(file.path, self._step or "")
        open_editor(self.app, file.path, line_number)
        self._look_at_edited()

    def action_params(self) -> None:
        """Ask for other params; then look at what they change."""
        self._ask_params()

    @work(exclusive=True, group="edit", exit_on_error=False)
    async def _ask_params(self) -> None:
        from agentainer_tui.screens.params_form import ParamsForm

        file = await self.app.client.run_file(self._run.id)
        if not file.params:
            self.app.tell("This workflow has no params.")
            return
        scope = Mode("edited", "").scope(None)
        entry = WorkflowEntry(file.path, f"{self._run.workflow} by other params", params=file.params)

        async def take(params: Mapping[str, Any]) -> str:
            self._params = {name: value for name, value in params.items() if known.get(name, _NONE) != value}
            return "taken"

        def twin(params: Mapping[str, Any]) -> str:
            return self.app.twins.retry(self._run.id, scope, params)

        known = dict(self._run.params)
        form = ParamsForm(entry, {**known, **self._params}, take, verb="Preview", twin=twin)
        if await self.app.push_screen_wait(form) is not None:
            self._look_at_edited()

    def _look_at_edited(self) -> None:
        scope = self.query_one("#scope", OptionList)
        if self._mode.name != "edited":
            scope.highlighted = _PLACES["edited"]
        else:
            self._look()


_NONE = object()
_CHANGE_INKS = {"+": "$success", "-": "$error", "~": "$accent"}


def _effect(preview: Preview) -> Content:
    """What a retry comes to, in one line."""
    runs = sum(step.fate.runs for step in preview.steps)
    reused = sum(step.fate == "reused" for step in preview.steps)
    parts: list[Content | tuple[str, str] | str] = [(counted(runs, "step"), "bold"), " to run"]
    if reused:
        parts.append(f", {counted(reused, 'result')} taken over")
    if preview.worked:
        parts.append((f", {duration(preview.seconds_saved)} saved", "$success"))
    return Content.assemble(*parts)


def _failed(run: RunView) -> bool:
    """Whether anything of a run is worth another try."""
    return any(
        step.status in (StepStatus.FAILED, StepStatus.CANCELLED)
        or step.reason == "upstream_failed"
        or step.partial
        or step.tally.get(StepStatus.FAILED)
        for step in run.steps.values()
    )


def _first_failed(run: RunView) -> str | None:
    own = [step for step in run.steps.values() if step.role == "main"]
    bad = next((step.id for step in own if step.status is StepStatus.FAILED), None)
    return bad or (own[0].id if own else None)
