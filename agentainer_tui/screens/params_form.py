"""The form that asks for a workflow's params before it runs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from textual import on, work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Select, Static

from agentainer_tui.client import WorkflowEntry
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, plain
from engine.errors import AgentainerError
from engine.facade import ParamSpec, read_param

Submit = Callable[[Mapping[str, Any]], Awaitable[str]]

_EXPECTED = {
    "integer": "whole number",
    "number": "number",
    "array": "JSON list",
    "object": "JSON object",
    "boolean": "true or false",
    "string": "text",
}


class ParamsForm(Dialog[str]):
    """One field a param, filled with its default or the value of the last run; answers the run's id.

    The form itself starts the run, so that whatever the engine objects to is shown beside what was typed.
    """

    def __init__(self, entry: WorkflowEntry, last: Mapping[str, Any], submit: Submit) -> None:
        super().__init__(f"Run {clean(entry.name, limit=60)}")
        self._entry = entry
        self._last = last
        self._submit = submit

    def compose_body(self) -> Iterable[Widget]:
        """Description, fields, problem, buttons."""
        if self._entry.description:
            yield Static(plain(self._entry.description), classes="hint")
        fields = [ParamField(spec, self._last.get(spec.name), n) for n, spec in enumerate(self._entry.params)]
        yield VerticalScroll(*fields, id="body", can_focus=False)
        yield Static(classes="problem", id="refused")
        yield Horizontal(
            Button("Run", variant="primary", id="start"), Button("Close", id="close"), id="buttons"
        )

    def on_mount(self) -> None:
        """Begin with the first field."""
        self.query(ParamField).first().focus_field()

    @on(Input.Submitted)
    def _next(self, event: Input.Submitted) -> None:
        fields = list(self.query(ParamField))
        inputs = [field for field in fields if event.input in field.query(Input)]
        place = fields.index(inputs[0]) if inputs else len(fields) - 1
        if place + 1 < len(fields):
            fields[place + 1].focus_field()
        else:
            self._start()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        values: dict[str, Any] = {}
        first_bad: ParamField | None = None
        for field in self.query(ParamField):
            given, value = field.read()
            if field.problem:
                first_bad = first_bad or field
            elif given:
                values[field.spec.name] = value
        if first_bad is not None:
            first_bad.focus_field()
            return
        self._run(values)

    @work(exclusive=True, group="submit", exit_on_error=False)
    async def _run(self, values: Mapping[str, Any]) -> None:
        refused = self.query_one("#refused", Static)
        try:
            run_id = await self._submit(values)
        except AgentainerError as error:
            refused.update(plain(error))
            refused.add_class("-shown")
            return
        self.dismiss(run_id)


class ParamField(Vertical):
    """Name, type, description, the input, and what is wrong with what is in it."""

    DEFAULT_CSS = """
    ParamField { height: auto; margin: 1 0 0 0; }
    """

    def __init__(self, spec: ParamSpec, last: Any, number: int) -> None:
        super().__init__()
        self.spec = spec
        self.problem = ""
        self._number = number
        self._start = last if last is not None else spec.default

    def compose(self) -> Iterable[Widget]:
        """The parts, from top to bottom."""
        spec = self.spec
        kind = "one of the choices" if spec.choices else _EXPECTED.get(spec.type, spec.type)
        needed = "  required" if spec.required else ""
        yield Static(
            Content.assemble(
                (clean(spec.name), "bold"), ("  " + kind, "$foreground 50%"), (needed, "$warning")
            )
        )
        if spec.description:
            yield Static(plain(spec.description), classes="hint")
        yield self._input()
        yield Static(classes="problem")

    def _input(self) -> Widget:
        spec = self.spec
        choices = spec.choices or ((True, False) if spec.type == "boolean" else ())
        if choices:
            options = [(Content(clean(_text(choice))), place) for place, choice in enumerate(choices)]
            chosen = choices.index(self._start) if self._start in choices else Select.NULL
            return Select(
                options, value=chosen, allow_blank=not spec.required or chosen is Select.NULL, compact=False
            )
        default = f"default {_text(spec.default)}" if spec.default is not None else ""
        value = "" if self._start is None else _text(self._start)
        return Input(value, placeholder=clean(default, limit=60))

    def focus_field(self) -> None:
        """Put the cursor into its input."""
        self.query("Input, Select").first().focus()

    def read(self) -> tuple[bool, Any]:
        """Whether a value was given, and the value; sets `problem` if it does not fit."""
        self.problem = ""
        given, value = self._value()
        if not given:
            if self.spec.required:
                self.problem = "is required"
        else:
            try:
                value = read_param(self.spec, value)
            except ValueError as error:
                self.problem = str(error)
        label = self.query_one(".problem", Static)
        label.update(plain(self.problem))
        label.set_class(bool(self.problem), "-shown")
        for field in self.query(Input):
            field.set_class(bool(self.problem), "-bad")
        return given, value

    def _value(self) -> tuple[bool, Any]:
        selects = list(self.query(Select))
        if selects:
            chosen = selects[0].value
            if chosen is Select.NULL:
                return False, None
            return True, (self.spec.choices or (True, False))[int(str(chosen))]
        text = self.query_one(Input).value
        if not text and (self.spec.type != "string" or self.spec.default is None or self.spec.required):
            return False, None
        return True, text

    @on(Input.Changed)
    @on(Select.Changed)
    def _edited(self) -> None:
        if self.problem:
            self.read()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
