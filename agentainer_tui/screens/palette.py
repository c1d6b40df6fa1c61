"""The menu: a field to type in, what matches, and what it would do, also as a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import FuzzySearch
from textual.widgets import Input, Static

from agentainer_tui.keymap import bindings
from agentainer_tui.palette import Command, Found, Step, find
from agentainer_tui.screens.modal import AnsweredOnce
from agentainer_tui.text import clean, fit
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

_KEY_WIDTH = 12
_TEXT_WIDTH = 16
# The sentence about a line is shown beside it if so many cells of it have room.
_ENOUGH = 20


class CommandRows(RowList):
    """The lines that match, their letters that do marked, their keys on the right."""

    BINDINGS: ClassVar[list[BindingType]] = []
    can_focus = False

    def __init__(self) -> None:
        super().__init__(id="commands", empty=("Nothing matches.", "Fewer letters find more."))
        self._found: Sequence[Found] = ()

    def show(self, found: Sequence[Found]) -> None:
        """Take what matches; the cursor goes to the best."""
        self._found = found
        self.set_keys(range(len(found)))
        self.action_cursor_first()
        self.refresh()

    @property
    def command(self) -> Command | None:
        """The line under the cursor."""
        return self._found[self.key].command if isinstance(self.key, int) and self._found else None

    def draw_row(self, place: int, width: int) -> Row:
        """Text and keys."""
        found = self._found[place]
        row = Row().put(self.glyphs.cursor if place == self.key else " ", self.ink("accent")).gap()
        keys = min(cell_len(found.command.key), _KEY_WIDTH)
        room = max(1, width - 3 - (keys + 2 if keys else 0))
        hit = self.ink("accent") + Style(bold=True, underline=True)
        text = fit(found.command.text, min(max(cell_len(found.command.text), _TEXT_WIDTH), room))
        for piece, marked in _pieces(text, set(found.places)):
            row.put(piece, hit if marked else self.ink("text"))
        left = room + 2 - row.width
        if left > _ENOUGH:
            row.gap(2).cell(found.command.help, left - 2, self.ink("muted"))
        else:
            row.gap(left)
        return row.gap(2 if keys else 0).cell(found.command.key, keys, self.ink("key"), right=True)

    def _base(self, place: int) -> Style:
        return self.rich_style + self.palette.cursor if place == self.key else self.rich_style

    def on_click(self, event: events.Click) -> None:
        """One click is enough here."""
        super().on_click(event)
        offset = event.get_content_offset(self)
        if event.chain == 1 and offset is not None and offset.y + self.scroll_offset.y < len(self.keys):
            self.action_choose()


class PaletteScreen(AnsweredOnce[None]):
    """Some lines lead to another list; escape leads back, in the end out of it."""

    CSS_PATH = "palette.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("palette")]
    AUTO_FOCUS = "Input"
    app: DashboardApp

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._steps: list[tuple[Step, str]] = [(step, "")]
        self._fuzzy = FuzzySearch()

    def compose(self) -> ComposeResult:
        """Field, list, explanation."""
        with Vertical(id="box"):
            yield Input(id="typed", compact=True)
            yield CommandRows()
            yield Static(id="explained")

    def on_mount(self) -> None:
        """Everything that there is, as long as nothing is typed."""
        self._show()

    @property
    def rows(self) -> CommandRows:
        """The list."""
        return self.query_one(CommandRows)

    @property
    def _step(self) -> Step:
        return self._steps[-1][0]

    def _show(self) -> None:
        field = self.query_one(Input)
        field.placeholder = self._step.prompt
        self.rows.show(find(self._step.commands, field.value, self._fuzzy))
        self._explain()

    def _explain(self) -> None:
        command = self.rows.command
        if command is None:
            self.query_one("#explained", Static).update(Content(""))
            return
        copies = f"   {self.app.key_of('palette.copy')} copies" if command.twin else ""
        twin = f"$ {clean(command.twin, limit=300)}" if command.twin else ""
        width = max(10, self.query_one("#explained").content_size.width or 70)
        twin = fit(twin, min(cell_len(twin), max(4, width - len(copies))))
        self.query_one("#explained", Static).update(
            Content.assemble(
                (twin, "$accent"),
                (copies, "$foreground 45%"),
            )
        )

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if (safe := clean(event.value)) != event.value:  # pasted: fields draw it as it is
            event.input.value = safe
        else:
            self._show()
            self._preview()

    @on(RowList.Moved)
    def _moved(self, message: RowList.Moved) -> None:
        message.stop()
        self._explain()
        self._preview()

    def _preview(self) -> None:
        command = self.rows.command
        if command is not None and command.preview is not None:
            command.preview()

    @on(Input.Submitted)
    @on(RowList.Chosen)
    def _chosen(self, message: Input.Submitted | RowList.Chosen) -> None:
        message.stop()
        command = self.rows.command
        if command is None or not self.is_active:  # chosen again before the menu was gone
            return
        if command.step is not None:
            field = self.query_one(Input)
            self._steps[-1] = (self._step, field.value)
            self._steps.append((command.step, ""))
            field.value = ""
            self._show()
        else:
            self.dismiss(None)
            if command.call is not None:
                self.app.call_later(command.call)

    def action_leave(self) -> None:
        """To the list before, else close it."""
        if self._step.leave is not None:
            self._step.leave()
        if len(self._steps) == 1:
            self.dismiss(None)
            return
        self._steps.pop()
        field = self.query_one(Input)
        field.value = self._steps[-1][1]
        field.cursor_position = len(field.value)
        self._show()

    def action_move(self, where: str) -> None:
        """Move the cursor in the list while the field keeps the focus."""
        getattr(self.rows, f"action_{where}")()

    def action_copy(self) -> None:
        """Copy the command line of the line under the cursor."""
        command = self.rows.command
        if command is not None and command.twin:
            self.app.copy_text(command.twin)

    async def on_click(self, event: events.Click) -> None:
        """A click beside it closes it."""
        if event.widget is self:
            self.action_leave()


def _pieces(text: str, marked: set[int]) -> list[tuple[str, bool]]:
    """The text in runs of letters that are marked or not."""
    pieces: list[tuple[str, bool]] = []
    for place, letter in enumerate(text):
        on = place in marked
        if pieces and pieces[-1][1] == on:
            pieces[-1] = (pieces[-1][0] + letter, on)
        else:
            pieces.append((letter, on))
    return pieces
