"""The line under a log or another tab in which a search is typed, with its switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Input, Static

from agentainer_tui.keymap import bindings
from agentainer_tui.log_query import Query

CONTEXTS = (0, 1, 3, 10)
SWITCHES = {"mode": "only", "regex": ".*", "case": "Aa", "invert": "not", "context": "ctx"}


class SearchSwitch(Static):
    """A word that is on or off, and says which without colour."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(id=f"switch-{name}", markup=False)
        self.switch = name
        self.words = words

    def show(self, on: bool, words: str = "") -> None:
        """Show the state."""
        self.set_class(on, "-on")
        self.update(Content(f"[{'x' if on else ' '}]{words or self.words} "))

    @on(Click)
    def _clicked(self) -> None:
        bar = self.query_ancestor(SearchBar)
        bar.action_switch(self.switch)


class SearchBar(Horizontal):
    """What to look for: shown while it is typed, gone when it is entered."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("search")]
    DEFAULT_CSS = """
    SearchBar { height: 1; display: none; }
    SearchBar.-open { display: block; }
    SearchBar #search-mode { width: auto; }
    SearchBar Input { width: 1fr; min-width: 10; border: none; height: 1; padding: 0; }
    SearchBar SearchSwitch { width: auto; color: $foreground 55%; }
    SearchBar SearchSwitch.-on { color: $accent; text-style: bold; }
    """

    class Entered(Message):
        """A search was entered, or changed while it is typed; None takes it away."""

        def __init__(self, query: Query | None, *, only: bool, final: bool) -> None:
            super().__init__()
            self.query_wanted = query
            self.only = only
            self.final = final

    def __init__(self, *, id: str | None = None, switches: Sequence[str] = tuple(SWITCHES)) -> None:
        super().__init__(id=id)
        self._switches = switches
        self.only = False
        self._on = {"regex": False, "case": False, "invert": False}
        self._around = 0

    def compose(self) -> ComposeResult:
        """Mode, text, switches."""
        for name in self._switches:
            if name == "mode":
                yield SearchSwitch(name, SWITCHES[name])
        yield Input(placeholder="what to look for", id="search-text", compact=True)
        for name in self._switches:
            if name != "mode":
                yield SearchSwitch(name, SWITCHES[name])

    def open(self, *, only: bool) -> None:
        """Begin to type; `only` shows nothing but what is found."""
        self.only = only
        self.add_class("-open")
        self._show()
        self.query_one(Input).focus()

    @property
    def is_open(self) -> bool:
        """Whether somebody types."""
        return self.has_class("-open")

    def close(self) -> None:
        """Away with it."""
        self.remove_class("-open")

    @property
    def query_typed(self) -> Query | None:
        """What is typed."""
        text = self.query_one(Input).value
        return Query(text, context=self._around if self.only else 0, **self._on) if text else None

    def _show(self) -> None:
        states = {"mode": self.only, **self._on}
        for switch in self.query(SearchSwitch):
            if switch.switch == "context":
                switch.show(self._around > 0, f"ctx{self._around}")
            else:
                switch.show(states[switch.switch])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only the switches that are there."""
        return parameters[0] in self._switches if action == "switch" else True

    def action_switch(self, name: str) -> None:
        """Turn one of the switches."""
        if name == "mode":
            self.only = not self.only
        elif name == "context":
            self._around = CONTEXTS[(CONTEXTS.index(self._around) + 1) % len(CONTEXTS)]
            self.only = True
        else:
            self._on[name] = not self._on[name]
        self._show()
        self._say(final=False)

    def action_leave(self) -> None:
        """Stop typing, and take the search away."""
        self.query_one(Input).value = ""
        self.post_message(self.Entered(None, only=False, final=True))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._say(final=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._say(final=True)

    def _say(self, *, final: bool) -> None:
        self.post_message(self.Entered(self.query_typed, only=self.only, final=final))
