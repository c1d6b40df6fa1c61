"""Colours by name, rows made of cells, and the base of every widget that draws line by line."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.scroll_view import ScrollView
from textual.strip import Strip

from agentainer_tui.looks import LOOKS, UNICODE, UNKNOWN, Glyphs
from agentainer_tui.text import fit

INKS = (
    "text", "strong", "muted", "faint", "accent", "running", "success", "warning", "error", "key", "number",
)  # fmt: skip


class Inked(ScrollView):
    """A scrolling widget that draws its own lines, with the colours of the theme by name."""

    COMPONENT_CLASSES = {*(f"ink--{name}" for name in INKS), "row--cursor", "row--cursor-blurred"}  # noqa: RUF012
    DEFAULT_CSS = """
    Inked {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .ink--text { color: $foreground; }
        & > .ink--strong { color: $foreground; text-style: bold; }
        & > .ink--muted { color: $foreground 62%; }
        & > .ink--faint { color: $foreground 38%; }
        & > .ink--accent { color: $accent; }
        & > .ink--running { color: $primary; }
        & > .ink--success { color: $success; }
        & > .ink--warning { color: $warning; }
        & > .ink--error { color: $error; }
        & > .ink--key { color: $primary; }
        & > .ink--number { color: $secondary; }
        & > .row--cursor { background: $primary 22%; }
        & > .row--cursor-blurred { background: $foreground 7%; }
        &:ansi > .row--cursor { text-style: reverse; }
        &:ansi > .ink--muted, &:ansi > .ink--faint { color: ansi_bright_black; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._inks: dict[str, Style] = {}

    def ink(self, name: str) -> Style:
        """The foreground style of a colour name; the background stays whatever the row has."""
        if name not in self._inks:
            full = self.get_component_rich_style(f"ink--{name}")
            self._inks[name] = Style(color=full.color, bold=full.bold, dim=full.dim)
        return self._inks[name]

    def status_ink(self, status: str) -> Style:
        """The foreground style of a status."""
        return self.ink(LOOKS.get(status, UNKNOWN).ink)

    def notify_style_update(self) -> None:
        """A new theme: colours are looked up again."""
        self._inks.clear()
        super().notify_style_update()

    @property
    def glyphs(self) -> Glyphs:
        """The signs that this terminal can show, as the app found out."""
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
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
