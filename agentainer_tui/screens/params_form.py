"""The form that asks for a workflow's params before it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.keymap import bindings
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, plain
from agentainer_tui.widgets.param_field import ParamField
from engine.errors import AgentainerError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

Submit = Callable[[Mapping[str, Any]], Awaitable[str]]


class ParamsForm(Dialog[str]):
    """One field a param, filled with the value of the last run or its default; answers the run's id.

    The form itself starts the run, so that whatever the engine objects to is shown beside what was typed.
    `verb` says what it does with the params, `twin` makes the command that does the same.
    """

    CSS_PATH = ["dialog.tcss", "params_form.tcss"]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("params")]
    app: DashboardApp

    def __init__(
        self,
        entry: WorkflowEntry,
        last: Mapping[str, Any],
        submit: Submit,
        *,
        verb: str = "Run",
        twin: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        super().__init__(f"{verb} {clean(entry.name, limit=60)}")
        self._verb = verb
        self._twin = twin
        self._entry = entry
        self._last = last
        self._submit = submit
        self._starting = False  # pressed once more, it starts nothing more

    def compose_body(self) -> Iterable[Widget]:
        """Description, fields, problem, what it is as a command, buttons."""
        if self._entry.description:
            yield Static(plain(self._entry.description), classes="hint", id="description")
        yield VerticalScroll(
            *(ParamField(spec, self._last.get(spec.name)) for spec in self._entry.params),
            id="body",
            can_focus=False,
        )
        yield Static(classes="problem", id="refused")
        yield Static(id="twin")
        start = Button(Content(self._verb), variant="primary", id="start")
        yield Horizontal(start, Button("Close", id="close"), id="buttons")

    def on_mount(self) -> None:
        """Begin with the first field that needs a value, else with the first."""
        fields = list(self.query(ParamField))
        next((field for field in fields if field.is_missing), fields[0]).focus_field()
        keys = "f4 defaults · " + ("f5 last run · " if self._last else "")
        self.query_one("#box").border_subtitle = f"{keys}esc closes"
        self._tell_twin()

    @on(ParamField.Edited)
    def _tell_twin(self) -> None:
        values, _ = self._values()
        make = self._twin or partial(self.app.twins.run, self._entry.path)
        twin = clean(make(values))
        self.query_one("#twin", Static).update(Content(f"$ {twin}"))

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        fields = list(self.query(ParamField))
        place = next((n for n, field in enumerate(fields) if event.input in field.query(Input)), len(fields))
        if place + 1 < len(fields):
            fields[place + 1].focus_field()
        else:
            self._start()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        for field in self.query(ParamField):
            field.judge()
        values, bad = self._values()
        if bad is not None:
            bad.focus_field()
        elif not self._starting:
            self._starting = True
            self._run(values)

    def _values(self) -> tuple[dict[str, Any], ParamField | None]:
        """What was given, and the first field with a problem."""
        values: dict[str, Any] = {}
        bad: ParamField | None = None
        for field in self.query(ParamField):
            given, value, problem = field.read()
            if problem:
                bad = bad or field
            elif given:
                values[field.spec.name] = value
        return values, bad

    def action_defaults(self) -> None:
        """Put the defaults into all fields."""
        for field in self.query(ParamField):
            field.fill(field.spec.default)

    def action_last(self) -> None:
        """Put the values of the last run into all fields."""
        for field in self.query(ParamField):
            field.fill(self._last.get(field.spec.name, field.spec.default))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There are values of a last run only if there was one."""
        return bool(self._last) if action == "last" else True

    @work(exclusive=True, group="submit", exit_on_error=False)
    async def _run(self, values: Mapping[str, Any]) -> None:
        refused = self.query_one("#refused", Static)
        try:
            run_id = await self._submit(values)
        except AgentainerError as error:
            self._starting = False
            refused.update(plain(error))
            refused.add_class("-shown")
            return
        self.dismiss(run_id)
