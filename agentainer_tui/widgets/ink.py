"""Colours by name, rows made of cells, and the base of every widget that draws line by line."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from agentainer_tui.looks import LOOKS, UNKNOWN, Glyphs
from agentainer_tui.text import fit
from agentainer_tui.theme import Palette


class Inked(ScrollView):
    """A scrolling widget that draws its own lines, with the colours of the theme by name."""

    DEFAULT_CSS = """
    Inked { overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    def ink(self, name: str) -> Style:
        """The foreground style of a colour name; the background stays whatever the row has."""
        return self.palette.inks[name]

    def status_ink(self, status: str) -> Style:
        """The foreground style of a status."""
        return self.ink(LOOKS.get(status, UNKNOWN).ink)

    @property
    def palette(self) -> Palette:
        """The colours of the app's theme."""
        app: Any = self.app
        palette: Palette = app.palette
        return palette

    @property
    def glyphs(self) -> Glyphs:
        """The signs that this terminal can show, as the app found out."""
        app: Any = self.app
        glyphs: Glyphs = app.glyphs
        return glyphs

    @property
    def inner_width(self) -> int:
        """Columns that can be drawn on, without the scroll bar."""
        return self.scrollable_content_region.width


class Row:
    """One line being drawn, cell by cell, from left to right."""

    __slots__ = ("_segments", "width")

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self.width = 0

    def put(self, text: str, style: Style | None = None) -> Row:
        """Add text of our own as it stands."""
        self._segments.append(Segment(text, style))
        self.width += cell_len(text)
        return self

    def cell(self, text: str, width: int, style: Style | None = None, *, right: bool = False) -> Row:
        """Add text of anyone in exactly `width` cells."""
        if width > 0:
            self._segments.append(Segment(fit(text, width, right=right), style))
            self.width += width
        return self

    def gap(self, width: int = 1) -> Row:
        """Add blanks."""
        return self.put(" " * width) if width > 0 else self

    def strip(self, width: int, base: Style) -> Strip:
        """The finished line, `width` cells over the style `base`."""
        line = Strip(self._segments, self.width).adjust_cell_length(width)
        return line.apply_style(base)
