"""The line under a list in which a filter is typed: `/` opens it in every list that has one.

How to give a list a filter:

    def compose(self):
        yield RunList(id="runs")
        yield ListFilter("runs")                       # the line; nothing is seen of it until `/`

    def show(self):
        rows = self.query_one(ListFilter).keep(self._rows, lambda row: f"{row.workflow} {row.id}")
        self.runs.show(rows)                           # rows that are left; the count is on the line

    @on(ListFilter.Changed)                            # while it is typed: show again
    def _filter_changed(self) -> None:
        self.show()

`/` begins to type, Enter and the arrows go on to the list, esc takes the filter away. `!` in front keeps the
rows that do not match; ctrl+r reads the text as a regular expression (RE2: its time is bounded). Capitals do
not matter. With more than one filter on a screen, ask for it by its id, `filter-<id of the list>`, and take
its messages with `@on(ListFilter.Changed, "#filter-<id>")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, TypeVar

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
from agentainer_tui.text import clean
from agentainer_tui.widgets.row_list import RowList
from engine.errors import UsageError

Thing = TypeVar("Thing")
# What is looked at of a text, at most.
_LOOKED_AT = 2_000


def list_query(text: str, *, regex: bool = False) -> Query | None:
    """What was typed as something to look for; None if that is nothing.

    Raises:
        UsageError: it is no regular expression.
    """
    invert = text.startswith("!")
    # Rows are looked at as they are shown, and so is what is looked for.
    wanted = clean(text[1:] if invert else text, limit=_LOOKED_AT)
    if not wanted:
        return None
    query = Query(wanted, regex=regex, invert=invert)
    query.check()
    return query


class ListFilter(Horizontal):
    """Keeps the rows of a list that match what is typed; see the module for how to use it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("filter")]
    DEFAULT_CSS = """
    ListFilter { height: 1; display: none; padding: 0 1; }
    ListFilter.-open { display: block; }
    ListFilter #filter-sign, ListFilter #filter-regex { width: auto; color: $foreground 62%; }
    ListFilter #filter-regex.-on { color: $accent; text-style: bold; }
    ListFilter #filter-count { width: auto; padding: 0 0 0 1; color: $foreground 62%; }
    ListFilter #filter-count.-none { color: $warning; }
    ListFilter #filter-count.-bad { color: $error; }
    ListFilter Input { width: 1fr; min-width: 8; border: none; height: 1; padding: 0; }
    """

    class Changed(Message):
        """Something else is looked for now."""

        def __init__(self, list_filter: ListFilter) -> None:
            super().__init__()
            self.list_filter = list_filter

        @property
        def control(self) -> ListFilter:
            """The filter."""
            return self.list_filter

    def __init__(self, list_id: str, *, can_regex: bool = True) -> None:
        super().__init__(id=f"filter-{list_id}")
        self._list_id = list_id
        self._can_regex = can_regex
        self._regex = False
        self._query: Query | None = None
        self._bad = False
        self._counts = (0, 0)

    def compose(self) -> ComposeResult:
        """Sign, text, switch, count."""
        yield Static(Content("/"), id="filter-sign")
        yield Input(placeholder="text, or !text for the rows without it", id="filter-text", compact=True)
        yield Static(id="filter-regex")
        yield Static(id="filter-count")

    def on_mount(self) -> None:
        """The list learns of its filter, so that `/` leads here."""
        self._list.filter_bar = self
        self._show()

    @property
    def _list(self) -> RowList:
        return self.screen.query_one(f"#{self._list_id}", RowList)

    # -- for the owner --------------------------------------------------------------------------------

    @property
    def wanted(self) -> Query | None:
        """What is looked for, None if everything is shown."""
        return self._query

    @property
    def text(self) -> str:
        """What is typed, for an owner that looks for it in its own way."""
        return self.query_one(Input).value

    @property
    def active(self) -> bool:
        """Whether rows may be hidden by it."""
        return self._query is not None

    def keep(self, things: Iterable[Thing], text_of: Callable[[Thing], str]) -> list[Thing]:
        """Those of `things` whose text matches, in their order; the line says how many of how many."""
        everything = list(things)
        query = self._query
        kept = (
            everything
            if query is None
            else [thing for thing in everything if query.matches(clean(text_of(thing), limit=_LOOKED_AT))]
        )
        self.count(len(kept), len(everything))
        return kept

    def count(self, shown: int, total: int) -> None:
        """Say how many of how many match, where the owner filters by itself (with `wanted`)."""
        if (shown, total) != self._counts:
            self._counts = (shown, total)
            self._show()

    @property
    def empty_lines(self) -> tuple[str, ...]:
        """What an empty list says when it is empty because of this."""
        text = clean(self.query_one(Input).value, limit=60)
        return (f"Nothing matches {text}", "esc takes the filter away.")

    def open(self, text: str | None = None) -> None:
        """Begin to type; with `text`, look for that at once."""
        field = self.query_one(Input)
        self.add_class("-open")
        if text is not None:
            field.value = clean(text)
        field.focus()

    def clear(self) -> None:
        """Show everything again."""
        self.query_one(Input).value = ""
        self.remove_class("-open")

    # -- typing ---------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        """Take the filter away and go back to the list."""
        self.clear()
        self._list.focus()

    def action_to_list(self) -> None:
        """Keep the filter and go on to the list."""
        self._list.focus()
        if not self.query_one(Input).value:
            self.remove_class("-open")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Regular expressions only where the owner can look for them."""
        return self._can_regex if action == "regex" else True

    def action_regex(self) -> None:
        """Read what is typed as a regular expression, or as text."""
        self._regex = self._can_regex and not self._regex
        self._take(self.query_one(Input).value)

    @on(Click, "#filter-regex")
    def _clicked(self) -> None:
        self.action_regex()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_to_list()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if (safe := clean(event.value)) != event.value:  # pasted: fields draw it as it is
            event.input.value = safe
        else:
            self._take(safe)

    def _take(self, text: str) -> None:
        try:
            query = list_query(text, regex=self._regex)
            self._bad = False
        except UsageError:  # half an expression: what was shown before stays until it is whole
            query, self._bad = self._query, True
        old, self._query = self._query, query
        self._show()
        if query != old:
            self.post_message(self.Changed(self))
        if (query is None) != (old is None):
            self.screen.refresh_bindings()  # esc in the list has another meaning now

    def _show(self) -> None:
        if not self.is_mounted:
            return
        switch = self.query_one("#filter-regex", Static)
        switch.set_class(self._regex, "-on")
        switch.display = self._can_regex
        switch.update(Content(f" [{'x' if self._regex else ' '}].*"))
        count = self.query_one("#filter-count", Static)
        shown, total = self._counts
        count.set_class(self._bad, "-bad")
        count.set_class(self.active and not shown, "-none")
        words = f"{shown:,} of {total:,}" if self.active else ""
        count.update(Content("no regular expression" if self._bad else words))
