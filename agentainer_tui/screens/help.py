"""Every key, from the one list of them."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.keymap import KEYS, SCOPES, key_text
from agentainer_tui.screens.dialog import Dialog


class HelpScreen(Dialog[None]):
    """Groups of keys with a sentence each; the groups of the screen below come first."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__("Keys")
        self._scopes = [*scopes, *(scope for scope in SCOPES if scope not in scopes)]

    def compose_body(self) -> Iterable[Widget]:
        """One block a scope."""
        blocks: list[Widget] = []
        for scope in self._scopes:
            blocks.append(Static(Content(SCOPES[scope]), classes="group"))
            rows = [
                Content.assemble((f"{key_text(key):>14}  ", "bold"), (key.help, "$foreground 80%"))
                for key in KEYS
                if key.scope == scope
            ]
            blocks.append(Static(Content("\n").join(rows)))
        blocks.append(Static(""))
        yield VerticalScroll(*blocks, id="body")

    def on_mount(self) -> None:
        """The keys that scroll work at once."""
        self.query_one("#body").focus()
