"""Which format, and which name, a profile is written in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual import on
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from agentainer_tui.flows.profiling import FORMATS, name_problem
from agentainer_tui.screens.dialog import Choice, Dialog, Question
from agentainer_tui.text import clean, homely, plain

_KINDS = tuple(FORMATS)


class ExportProfile(Dialog[tuple[str, str]]):
    """Answers the format and the name of a file in the working directory."""

    def __init__(self, stem: str, here: Path) -> None:
        super().__init__("Export the profile")
        self._stem = stem
        self._here = here

    def compose_body(self) -> Iterable[Widget]:
        """Formats, the name, buttons."""
        options = [
            Option(Content.assemble(f"{kind:<12}", (f"for {program}", "$foreground 62%")), id=kind)
            for kind, program in FORMATS.items()
        ]
        yield OptionList(*options, id="scope")
        yield Static(plain(f"\nName of the file in {homely(self._here)}"), classes="hint")
        yield Input(id="name")
        yield Static(classes="problem")
        yield Horizontal(Button("Cancel", id="close"), Button("Write", id="write"), id="buttons")

    def on_mount(self) -> None:
        """The first format, and a name for it."""
        formats = self.query_one("#scope", OptionList)
        formats.highlighted = 0
        formats.focus()

    @property
    def _kind(self) -> str:
        return _KINDS[self.query_one("#scope", OptionList).highlighted or 0]

    @on(OptionList.OptionHighlighted)
    def _propose(self) -> None:
        field = self.query_one("#name", Input)
        proposals = {f"{self._stem}.{kind}.json" for kind in _KINDS}
        if not field.value or field.value in proposals:  # a name of one's own stays
            field.value = f"{self._stem}.{self._kind}.json"

    @on(OptionList.OptionSelected)
    def _to_name(self) -> None:
        self.query_one("#name", Input).focus()

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#write")
    def _done(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        problem = name_problem(name)
        told = self.query_one(".problem", Static)
        told.update(plain(problem))
        told.set_class(bool(problem), "-shown")
        if not problem:
            self.dismiss((self._kind, name))


def overwrite_question(path: Path) -> Question[bool]:
    """Whether a file that is there may be replaced."""
    return Question(
        "Replace the file?",
        [f"{clean(homely(path))} is there already."],
        [Choice("Keep it", None), Choice("Replace it", True, danger=True)],
    )
