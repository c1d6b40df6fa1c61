"""A new workflow: a template to start from, a name, and what will be written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Key
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static

from agentainer_tui.lines import line
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, plain
from agentainer_tui.widgets.lines_view import LinesView
from engine.errors import AgentainerError, UsageError
from engine.facade import TEMPLATES, check_new_name

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

Create = Callable[[str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Made:
    """A workflow that was written: its name and template, and whether it is to be edited now."""

    path: str
    name: str
    template: str
    edit: bool


class NewWorkflow(Dialog[Made]):
    """Templates beside their text; the name is checked as it is typed. The dialog writes the file itself."""

    CSS_PATH = ["dialog.tcss", "new_workflow.tcss"]  # noqa: RUF012
    app: DashboardApp

    def __init__(self, create: Create) -> None:
        super().__init__("New workflow")
        self._create = create

    def compose_body(self) -> Iterable[Widget]:
        """Templates, the document, the name, buttons."""
        with Horizontal(id="choice"):
            yield OptionList(
                *(_option(each.name, each.summary) for each in TEMPLATES), id="templates", markup=False
            )
            yield LinesView(id="document")
        yield Static(Content("Name"), classes="hint")
        yield Input(
            id="name", placeholder="for example nightly-report", max_length=100, select_on_focus=False
        )
        yield Static(id="place", classes="hint")
        yield Horizontal(
            Button("Create and edit", variant="primary", id="edit"),
            Button("Create", id="create"),
            Button("Close", id="close"),
            id="buttons",
        )

    def on_mount(self) -> None:
        """The first template; the name is asked for."""
        self.query_one("#templates", OptionList).highlighted = 0
        self.query_one("#templates").focus()
        self._check()

    @property
    def _template(self) -> str:
        return TEMPLATES[self.query_one("#templates", OptionList).highlighted or 0].name

    @property
    def _typed(self) -> str:
        return self.query_one("#name", Input).value.strip()

    @on(OptionList.OptionHighlighted)
    @on(Input.Changed)
    def _check(self) -> None:
        """Show what would be written, and where, or why it cannot be."""
        name, template = self._typed, next(each for each in TEMPLATES if each.name == self._template)
        text = template.document(clean(name) or "…", f"{clean(name) or '…'}.yaml")
        self.query_one("#document", LinesView).set_lines([_painted(each) for each in text.splitlines()])
        place = self.query_one("#place", Static)
        try:
            file = check_new_name(self.app.directory, name) if name else None
        except UsageError as error:
            place.update(plain(error.message, "$error"))
        else:
            place.update(plain(f"writes {file}" if file else "Give it a name.", "$foreground 62%"))
            for button in self.query("#edit, #create").results(Button):
                button.disabled = file is None
            return
        for button in self.query("#edit, #create").results(Button):
            button.disabled = True

    def on_key(self, event: Key) -> None:
        """Letters are for the name, also while the templates have the focus."""
        name = self.query_one("#name", Input)
        if event.is_printable and event.character and self.focused is self.query_one("#templates"):
            event.stop()
            name.focus()
            name.insert_text_at_cursor(event.character)

    @on(OptionList.OptionSelected)
    def _to_name(self) -> None:
        self.query_one("#name").focus()

    @on(Input.Submitted)
    @on(Button.Pressed, "#edit")
    def _create_and_edit(self) -> None:
        self._write(edit=True)

    @on(Button.Pressed, "#create")
    def _create_only(self) -> None:
        self._write(edit=False)

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    def _write(self, *, edit: bool) -> None:
        if self.query_one("#edit", Button).disabled:
            self.query_one("#name").focus()
        else:
            self._write_file(self._typed, self._template, edit)

    @work(exclusive=True, group="write", exit_on_error=False)
    async def _write_file(self, name: str, template: str, edit: bool) -> None:
        try:
            path = await self._create(name, template)
        except AgentainerError as error:
            self.query_one("#place", Static).update(plain(error, "$error"))
            return
        self.dismiss(Made(path, name, template, edit))


def _option(name: str, summary: str) -> Content:
    return Content.assemble((name, "bold"), "\n", (summary, "$foreground 62%"))


def _painted(text: str) -> tuple[tuple[str, str], ...]:
    """A line of YAML: comments are quiet, keys stand out."""
    safe = clean(text)
    if safe.lstrip().startswith("#"):
        return line(safe, "faint")
    key, colon, rest = safe.partition(":")
    return ((key + colon, "accent"), (rest, "text")) if colon else line(safe)
