"""Clean-up: lists exactly the agents that would go, and removes those and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, counted, size

if TYPE_CHECKING:
    from engine.facade import KeptAgent


class CleanupDialog(Dialog[tuple[str, ...]]):
    """Answers the names that were listed when it opened: what is kept later is not touched."""

    def __init__(self, agents: Sequence[KeptAgent]) -> None:
        super().__init__(f"Remove {counted(len(agents), 'kept agent')}?")
        self._agents = tuple(agents)

    def compose_body(self) -> Iterable[Widget]:
        """The list, what goes with it, buttons."""
        rows = [self._row(agent) for agent in self._agents]
        yield VerticalScroll(Static(Content("\n").join(rows), id="agents"), id="body")
        yield Static(Content(f"\n{self._summary()}"), classes="hint")
        yield Horizontal(
            Button("Cancel", id="close"),
            Button(Content(f"Remove {len(self._agents)}"), variant="error", id="remove"),
            id="buttons",
        )

    def on_mount(self) -> None:
        """Enter alone removes nothing."""
        self.query_one("#close", Button).focus()

    def _row(self, agent: KeptAgent) -> Content:
        attempt = agent.attempt
        item = "" if attempt.item is None else f"[{attempt.item}]"
        return Content.assemble(
            clean(agent.name),
            (
                f"\n  {clean(agent.workflow, limit=40)} {attempt.run_id[:6]}, {clean(attempt.step_id)}{item},"
                f" try {attempt.number}{_size(agent.size_bytes)}",
                "$foreground 62%",
            ),
        )

    def _summary(self) -> str:
        total = sum(agent.size_bytes or 0 for agent in self._agents)
        freed = f" and {size(total)} of disk" if total else ""
        return f"These agents{freed} go for good. Logs, results and history stay."

    @on(Button.Pressed, "#close")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#remove")
    def _remove(self) -> None:
        self.dismiss(tuple(agent.name for agent in self._agents))


def _size(size_bytes: int | None) -> str:
    return f", {size(size_bytes)}" if size_bytes else ""
