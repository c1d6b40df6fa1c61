"""A line of choices: what is chosen, and a click that chooses the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from agentainer_tui.text import fit, plain


@dataclass(frozen=True, slots=True)
class Choices:
    """One choice: what it is about, what is chosen (text of anyone), whether that is not the usual."""

    label: str
    value: str
    action: str
    on: bool = False


class _Chip(Static):
    """One choice; a click is the action's key."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = action

    async def on_click(self, event: events.Click) -> None:
        """As the key."""
        event.stop()
        await self.run_action(f"screen.{self._action}")


class ChoiceBar(Horizontal):
    """Choices on the left, a few words about what is shown on the right."""

    DEFAULT_CSS = """
    ChoiceBar { height: 1; padding: 0 1; background: $background; }
    ChoiceBar _Chip { width: auto; margin: 0 2 0 0; }
    ChoiceBar _Chip:hover { background: $panel; }
    ChoiceBar #told { width: 1fr; text-align: right; color: $foreground 62%; }
    ChoiceBar Static { text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, actions: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(*(_Chip(action) for action in actions), Static(id="told"), id=id)
        self._actions = tuple(actions)

    def show(self, choices: Sequence[Choices], told: str) -> None:
        """Show what is chosen, in the order of the actions."""
        widest = 20 if self.size.width < 110 else 32
        for chip, one in zip(self.query(_Chip), choices, strict=True):
            value = fit(one.value, widest).rstrip()
            chip.update(
                Content.assemble(
                    (f"{one.label} " if one.label else "", "$foreground 50%"),
                    (value, "bold $accent" if one.on else "$foreground"),
                )
            )
        self.query_one("#told", Static).update(plain(told))
