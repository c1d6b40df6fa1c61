"""A field of the params form: a list for choices, lines for JSON, else one line of text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import DescendantBlur
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Select, Static, TextArea

from agentainer_tui.text import brief, clean, plain
from engine.facade import ParamSpec, read_param

_EXPECTED = {
    "integer": "whole number",
    "number": "number",
    "array": "JSON list",
    "object": "JSON object",
    "boolean": "true or false",
    "string": "text",
}
_LINES = frozenset({"array", "object"})


class ParamField(Vertical):
    """Name, type, default, description, the input, and what is wrong with what is in it.

    What is wrong is said when the field is left, and from then on with every key.
    """

    DEFAULT_CSS = """
    ParamField { height: auto; margin: 1 0 0 0; }
    ParamField TextArea {
        height: 5;
        border: round $border-blurred;
        background: $surface;
        padding: 0 1;
    }
    ParamField TextArea:focus { border: round $accent; background-tint: $foreground 0%; }
    ParamField TextArea.-bad { border: round $error; }
    """

    class Edited(Message):
        """Something else is in the field now."""

    def __init__(self, spec: ParamSpec, last: Any = None) -> None:
        super().__init__()
        self.spec = spec
        self.problem = ""
        self._judged = False
        self._start = last if last is not None else spec.default

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield Static(Content.assemble(*self._label()))
        if self.spec.description:
            yield Static(plain(self.spec.description), classes="hint")
        yield self._input()
        yield Static(classes="problem")

    def _label(self) -> Iterable[tuple[str, str]]:
        spec = self.spec
        yield clean(spec.name), "bold"
        yield "  " + ("one of the choices" if spec.choices else _EXPECTED.get(spec.type, spec.type)), _QUIET
        if spec.required:
            yield "  required", "$warning"
        elif spec.default is not None:
            yield f"  default {brief(spec.default, limit=40) or 'empty'}", _QUIET

    @property
    def _choices(self) -> tuple[Any, ...]:
        return self.spec.choices or ((True, False) if self.spec.type == "boolean" else ())

    def _input(self) -> Widget:
        if self._choices:
            options = [(Content(clean(_text(choice))), place) for place, choice in enumerate(self._choices)]
            chosen = self._choice(self._start)
            return Select(options, value=chosen, allow_blank=not self.spec.required or chosen is Select.NULL)
        if self.spec.type in _LINES:
            return TextArea(_pretty(self._start), tab_behavior="focus", soft_wrap=True)
        return Input(_text(self._start))

    def _choice(self, value: Any) -> Any:
        return self._choices.index(value) if value in self._choices else Select.NULL

    # -- for the form ---------------------------------------------------------------------------------

    @property
    def is_missing(self) -> bool:
        """Whether it needs a value and began without one."""
        return self.spec.required and self._start is None

    def focus_field(self) -> None:
        """Put the cursor into its input."""
        self.query("Input, Select, TextArea").first().focus()

    def fill(self, value: Any) -> None:
        """Put a value into it."""
        for select in self.query(Select):
            chosen = self._choice(value)
            if chosen is Select.NULL:
                select.clear()
            else:
                select.value = chosen
        for area in self.query(TextArea):
            area.text = _pretty(value)
        for field in self.query(Input):
            field.value = _text(value)

    def read(self) -> tuple[bool, Any, str]:
        """Whether a value was given, the value, and what is wrong with it."""
        given, value = self._value()
        if not given:
            return False, None, "is required" if self.spec.required else ""
        try:
            return True, read_param(self.spec, value), ""
        except ValueError as error:
            return True, value, str(error)

    def judge(self) -> None:
        """Say what is wrong, from now on with every key."""
        self._judged = True
        _, _, self.problem = self.read()
        label = self.query_one(".problem", Static)
        label.update(plain(self.problem))
        label.set_class(bool(self.problem), "-shown")
        for field in self.query("Input, TextArea"):
            field.set_class(bool(self.problem), "-bad")

    # -- typing ---------------------------------------------------------------------------------------

    def _value(self) -> tuple[bool, Any]:
        for select in self.query(Select):
            if select.value is Select.NULL:
                return False, None
            return True, self._choices[int(str(select.value))]
        for area in self.query(TextArea):
            return bool(area.text.strip()), area.text
        text = self.query_one(Input).value
        if not text and (self.spec.type != "string" or self.spec.default is None or self.spec.required):
            return False, None
        return True, text

    @on(Input.Changed)
    @on(Select.Changed)
    @on(TextArea.Changed)
    def _changed(self) -> None:
        if self._judged:
            self.judge()
        self.post_message(self.Edited())

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """The field was left: what is wrong in it is said, if anything was typed."""
        given, _ = self._value()
        if given and self.is_attached:
            self.judge()


_QUIET = "$foreground 50%"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    """JSON over several lines where it is long."""
    text = _text(value)
    return (
        text if isinstance(value, str) or len(text) < 60 else json.dumps(value, ensure_ascii=False, indent=2)
    )
