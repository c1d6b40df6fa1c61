"""The keys of the focused pane, of the screen, then of everywhere, searched while one types; the signs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from textual import on
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget
from textual.widgets import Input, Static

from agentainer_tui.keymap import SCOPES, Key, key_text
from agentainer_tui.looks import DELAY, GATE, LOOKS, Glyphs
from agentainer_tui.screens.dialog import Dialog
from agentainer_tui.text import clean, fit

_KEY_WIDTH = 13
# So wide a help has two columns, with so many blanks between them.
_TWO_COLUMNS = 100
_BETWEEN = 4


class HelpScreen(Dialog[None]):
    """Groups of keys with a sentence each; those that work where the user is come first."""

    def __init__(self, keys: Sequence[Key], scopes: Sequence[str], glyphs: Glyphs) -> None:
        super().__init__("Keys and signs")
        self._keys = keys
        self._here = list(scopes)
        self._glyphs = glyphs

    def compose_body(self) -> Iterable[Widget]:
        """A field to search with, and the groups."""
        yield Input(placeholder="search: a key, or what you want to do", id="search", compact=True)
        yield VerticalScroll(Static(id="keys"), id="body")
        yield Static(Content(""))

    def on_mount(self) -> None:
        """Typing searches; the keys that scroll work at once."""
        self.query_one(Input).focus()
        self._show()

    def on_resize(self, event: Resize) -> None:
        """Two columns need room."""
        self.call_after_refresh(self._show)

    @on(Input.Changed)
    def _typed(self) -> None:
        self._show()

    def on_key(self, event: object) -> None:
        """Arrows and pages scroll, while the field has the focus."""
        key = getattr(event, "key", "")
        body = self.query_one("#body", VerticalScroll)
        moves = {
            "down": body.scroll_down,
            "up": body.scroll_up,
            "pagedown": body.scroll_page_down,
            "pageup": body.scroll_page_up,
        }
        if key in moves:
            moves[key](animate=False)

    def _show(self) -> None:
        wanted = clean(self.query_one(Input).value).lower()
        keys = self.query_one("#keys", Static)
        width = keys.content_size.width or 70
        two = width >= _TWO_COLUMNS
        column = (width - _BETWEEN) // 2 if two else width
        blocks = list(self._groups(wanted, column))
        if not blocks:
            keys.update(Content("Nothing is called that."))
        elif two:
            keys.update(_side_by_side(blocks, column))
        else:
            keys.update(Content("\n\n").join(Content("\n").join(block) for block in blocks))

    def _groups(self, wanted: str, width: int) -> Iterable[list[Content]]:
        order = [*self._here, *(scope for scope in SCOPES if scope not in self._here)]
        if "app" in order:  # what works everywhere comes after what works here
            order.remove("app")
            order.insert(len(self._here) - 1 if "app" in self._here else len(order), "app")
        for scope in order:
            rows = [
                line
                for key in self._keys
                if key.scope == scope and wanted in f"{key_text(key)} {key.help} {key.label}".lower()
                for line in _key_lines(key, width)
            ]
            if rows:
                here = " (here)" if scope in self._here and scope != "app" else ""
                yield [Content.assemble((SCOPES[scope], "bold"), (here, "$foreground 62%")), *rows]
            if scope == "app":
                yield from self._signs(wanted)

    def _signs(self, wanted: str) -> Iterable[list[Content]]:
        glyphs = self._glyphs
        signs = [
            (glyphs.sign(look), f"${_COLOURS.get(look.ink, look.ink)}", look.word) for look in LOOKS.values()
        ]
        signs += [
            (glyphs.sign(GATE), "$accent", "waits for your answer"),
            (glyphs.sign(DELAY), "$primary", "waits for a time"),
            (glyphs.alert, "$warning", "something you should know"),
            (glyphs.folded, "", "has items or steps inside, folded"),
            (glyphs.unfolded, "", "the same, unfolded"),
        ]
        rows = [
            Content.assemble((f"{fit(sign, _KEY_WIDTH)} ", colour), words)
            for sign, colour, words in signs
            if wanted in words
        ]
        if rows:
            yield [Content.styled("Signs", "bold"), *rows]


_COLOURS = {"running": "primary", "faint": "foreground 38%", "muted": "foreground 62%"}


def _key_lines(key: Key, width: int) -> Iterable[Content]:
    """Keys and sentence; what has no room goes on below the sentence."""
    written = key_text(key)
    if cell_len(written) > _KEY_WIDTH:
        yield Content.styled(written, "bold $accent")
        written = ""
    for text in textwrap.wrap(key.help, max(10, width - _KEY_WIDTH - 1)):
        yield Content.assemble((f"{fit(written, _KEY_WIDTH)} ", "bold $accent"), text)
        written = ""


def _side_by_side(blocks: Sequence[list[Content]], width: int) -> Content:
    """The blocks in two columns of about the same height, in reading order."""
    total = sum(len(block) + 1 for block in blocks)
    columns: list[list[Content]] = [[], []]
    for block in blocks:
        column = (
            columns[0] if len(columns[0]) + len(block) / 2 <= total / 2 and not columns[1] else columns[1]
        )
        column += [*block, Content("")]
    lines = []
    for row in range(max(map(len, columns))):
        left, right = (column[row] if row < len(column) else Content("") for column in columns)
        lines.append(Content.assemble(left, " " * (width - left.cell_length + _BETWEEN), right))
    return Content("\n").join(lines)
