"""Lines of named facts, as panes beside lists show them."""

from __future__ import annotations

from agentainer_tui.inspector.entries import Line
from agentainer_tui.inspector.words import COLUMN


def line(text: str, ink: str = "text") -> Line:
    """A line in one ink."""
    return ((text, ink),)


def field(name: str, value: str, ink: str = "text") -> Line:
    """`name   value` with the names in a column."""
    return ((f"{name:<{COLUMN}}", "muted"), (value, ink))


def heading(text: str) -> list[Line]:
    """A blank line and a heading."""
    return [(), line(text, "strong")]
