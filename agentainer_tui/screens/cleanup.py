"""Clean-up: lists exactly the agents that would go, and answers whether those and no others may."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from agentainer_tui.agent_rows import ORPHANS, AgentRow
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted, size

_MUTED = "$foreground 62%"


class CleanupDialog(Dialog[bool]):
    """Answers True for the agents that were listed when it opened: what is kept later is not touched."""

    def __init__(self, rows: Sequence[AgentRow]) -> None:
        super().__init__(f"Remove {counted(len(rows), 'agent')}?")
        self._rows = tuple(rows)

    def compose_body(self) -> Iterable[Widget]:
        """The list, what goes with it, buttons."""
        lines = [self._line(row) for row in self._rows]
        yield VerticalScroll(Static(Content("\n").join(lines), id="agents"), id="body")
        yield Static(Content(f"\n{self._summary()}"), classes="hint")
        yield Horizontal(
            Button("Cancel", id="close"),
            Button(Content(f"Remove {len(self._rows)}"), variant="error", id="remove"),
            id="buttons",
        )

    def on_mount(self) -> None:
        """Enter alone removes nothing."""
        self.query_one("#close", Button).focus()

    def _line(self, row: AgentRow) -> Content:
        return Content.assemble(clean(row.name, limit=200), (f"\n  {self._about(row)}", _MUTED))

    def _about(self, row: AgentRow) -> str:
        if row.section == ORPHANS:
            return clean(shlex.join(row.remedy), limit=300)
        item = "" if row.item is None else f"[{row.item}]"
        where = f"{clean(row.workflow, limit=40)} {row.run_id[:6]}, {clean(row.step_id, limit=80)}{item}"
        disk = f", {size(row.size)}" if row.size else ""
        return f"{where}, try {row.attempt}{disk}"

    def _summary(self) -> str:
        total = sum(row.size or 0 for row in self._rows)
        freed = f" and {size(total)} of disk" if total else ""
        return f"These agents{freed} go for good. Logs, results and history stay."

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#remove")
    def _remove(self) -> None:
        self.dismiss(True)
