"""The question before runs are deleted: lists exactly those that would go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from agentainer_tui.history_rows import HistoryRow
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted, size

_MUTED = "$foreground 62%"


class ForgetDialog(Dialog[tuple[str, ...]]):
    """Answers the ids that were listed when it opened."""

    def __init__(self, rows: Sequence[HistoryRow], sizes: Mapping[str, int], *, left_out: int = 0) -> None:
        super().__init__(f"Delete {counted(len(rows), 'run')}?")
        self._rows = tuple(rows)
        self._sizes = sizes
        self._left_out = left_out

    def compose_body(self) -> Iterable[Widget]:
        """The list, what goes with it, buttons."""
        rows = [self._row(row) for row in self._rows]
        yield VerticalScroll(Static(Content("\n").join(rows), id="runs"), id="body")
        yield Static(Content(f"\n{self._summary()}"), classes="hint")
        yield Horizontal(
            Button("Cancel", id="close"),
            Button(Content(f"Delete {len(self._rows)}"), variant="error", id="delete"),
            id="buttons",
        )

    def on_mount(self) -> None:
        """Enter alone deletes nothing."""
        self.query_one("#close", Button).focus()

    def _row(self, row: HistoryRow) -> Content:
        look = LOOKS.get(row.run.status, UNKNOWN)
        within = f", with {counted(row.children, 'run')} within it" if row.children else ""
        disk = self._sizes.get(row.id, 0)
        return Content.assemble(
            f"{row.id}  {clean(row.run.workflow, limit=40)}",
            (f"\n  {look.word}{within}{f', {size(disk)}' if disk else ''}", _MUTED),
        )

    def _summary(self) -> str:
        total = sum(self._sizes.get(row.id, 0) for row in self._rows)
        freed = f" with {size(total)} of logs and artifacts" if total else " with logs and artifacts"
        left = (
            f" {counted(self._left_out, 'marked run')} in progress or part of another stay."
            if self._left_out
            else ""
        )
        runs = "This run goes" if len(self._rows) == 1 else "These runs go"
        return f"{runs} for good, out of history and figures,{freed}.{left}"

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#delete")
    def _delete(self) -> None:
        self.dismiss(tuple(row.id for row in self._rows))
