"""The themes of our own, and the palette that widgets paint with; signs and words are in `looks.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

DARK = Theme(
    name="agentainer-dark",
    primary="#6cb0f5",
    secondary="#a79bf0",
    accent="#5fd3bc",
    success="#74c98f",
    warning="#e2b65d",
    error="#f0787a",
    foreground="#d6dce7",
    background="#10141b",
    surface="#151a23",
    panel="#1c2330",
    dark=True,
    variables={
        "border": "#5fd3bc",
        "border-blurred": "#2b3444",
        "footer-background": "#151a23",
        "footer-key-foreground": "#5fd3bc",
        "footer-description-foreground": "#8b96a8",
        "scrollbar": "#2b3444",
        "scrollbar-hover": "#3a465a",
        "scrollbar-active": "#5fd3bc",
        "scrollbar-background": "#10141b",
        "block-cursor-background": "#274a63",
        "block-cursor-foreground": "#eef3fa",
        "block-cursor-text-style": "none",
    },
)

LIGHT = Theme(
    name="agentainer-light",
    primary="#1f6fbf",
    secondary="#6a55c2",
    accent="#0e8a74",
    success="#22804a",
    warning="#9a6700",
    error="#c2353b",
    foreground="#1f2733",
    background="#fbfbf9",
    surface="#f4f5f4",
    panel="#e9ecee",
    dark=False,
    variables={
        "border": "#0e8a74",
        "border-blurred": "#cdd4da",
        "footer-background": "#f0f2f2",
        "footer-key-foreground": "#0e8a74",
        "footer-description-foreground": "#5d6877",
        "scrollbar": "#cdd4da",
        "scrollbar-hover": "#b4bec7",
        "scrollbar-active": "#0e8a74",
        "scrollbar-background": "#fbfbf9",
        "block-cursor-background": "#cfe3f5",
        "block-cursor-foreground": "#10151c",
        "block-cursor-text-style": "none",
    },
)


CONTRAST = Theme(
    name="agentainer-contrast",
    primary="#5cc8ff",
    secondary="#d0a8ff",
    accent="#ffe14d",
    success="#4dff88",
    warning="#ffb52e",
    error="#ff6b6b",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    dark=True,
    variables={
        "border": "#ffe14d",
        "border-blurred": "#8c8c8c",
        "footer-background": "#000000",
        "footer-key-foreground": "#ffe14d",
        "footer-description-foreground": "#ffffff",
        "scrollbar": "#8c8c8c",
        "scrollbar-hover": "#bfbfbf",
        "scrollbar-active": "#ffe14d",
        "scrollbar-background": "#000000",
        "block-cursor-background": "#ffe14d",
        "block-cursor-foreground": "#000000",
        "block-cursor-text-style": "bold",
    },
)

# For `NO_COLOR`: the terminal's own two, told apart by weight, underline and reverse only.
MONO = Theme(
    name="agentainer-mono",
    ansi=True,
    primary="ansi_default",
    secondary="ansi_default",
    accent="ansi_default",
    success="ansi_default",
    warning="ansi_default",
    error="ansi_default",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "block-cursor-text-style": "reverse",
        "input-cursor-text-style": "reverse",
    },
)

OUR_THEMES = (DARK, LIGHT, CONTRAST, MONO)


@dataclass(frozen=True, slots=True)
class Palette:
    """What the line-drawing widgets paint with: foregrounds by name, and the two backgrounds of a cursor.

    Made once per theme. Component classes would do the same, but each of them is a node of its own whenever
    Textual works out the styles of a widget, and there would be a dozen on every widget.
    """

    inks: Mapping[str, Style]
    cursor: Style
    cursor_blurred: Style

    @classmethod
    def of(cls, theme: Theme) -> Palette:
        """The palette of a theme, Textual's own ones too."""
        if theme.ansi:
            inks = {name: Style.parse(style) for name, style in _ANSI.items()}
            if theme.name == MONO.name:
                inks |= {name: Style(dim=True) for name in ("muted", "faint")}
                inks |= {name: Style(bold=True) for name in ("error", "warning", "accent", "strong")}
            return cls(inks, Style(reverse=True), Style(underline=True))
        colours = theme.to_color_system().generate()
        paper = Color.parse(colours["background"])
        text = Color.parse(colours["foreground"])
        inks = {
            name: Style(color=Color.parse(colours[colour]).rich_color) for name, colour in _COLOURS.items()
        }
        inks |= {
            "text": Style(color=text.rich_color),
            "strong": Style(color=text.rich_color, bold=True),
            "muted": Style(color=paper.blend(text, 0.62).rich_color),
            "faint": Style(color=paper.blend(text, 0.38).rich_color),
        }
        tint = Color.parse(colours["primary"])
        return cls(
            inks,
            Style(bgcolor=paper.blend(tint, 0.22).rich_color),
            Style(bgcolor=paper.blend(text, 0.07).rich_color),
        )


_COLOURS = {
    "accent": "accent",
    "running": "primary",
    "success": "success",
    "warning": "warning",
    "error": "error",
    "key": "primary",
    "number": "secondary",
}
_ANSI = {
    "text": "default",
    "strong": "bold",
    "muted": "bright_black",
    "faint": "bright_black",
    "accent": "cyan",
    "running": "blue",
    "success": "green",
    "warning": "yellow",
    "error": "red",
    "key": "cyan",
    "number": "magenta",
}
