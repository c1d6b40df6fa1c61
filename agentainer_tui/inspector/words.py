"""The lines that tabs are written with."""

from __future__ import annotations

from agentainer_tui.inspector.entries import Entry, Words
from agentainer_tui.text import clean_lines

# Where the values of named facts begin.
COLUMN = 12
# Lines of a text that are shown; a copy or the pager takes all of it.
_MOST_LINES = 400

BLANK = Entry(Words(()))


def say(text: str, ink: str = "text") -> Entry:
    """A line of its own."""
    return Entry(Words(((text, ink),)))


def fact(name: str, value: str, ink: str = "text", more: str = "", copied: str | None = None) -> Entry:
    """`name   value` with the names in a column; `more` is said after it."""
    line = ((f"{name:<{COLUMN}}", "muted"), (value, ink), *(((f"  {more}", "muted"),) if more else ()))
    return Entry(Words(line, hang=COLUMN, copied=value if copied is None else copied))


def facts(name: str, text: str, ink: str = "text") -> list[Entry]:
    """As `fact`, for a text of several lines."""
    rows = clean_lines(text.rstrip("\n"))
    return [fact(name if not at else "", row, ink, copied=text) for at, row in enumerate(rows[:_MOST_LINES])]


def heading(text: str) -> list[Entry]:
    """A blank line and a heading."""
    return [BLANK, Entry(Words(((text, "strong"),)))]


def paragraph(text: str, ink: str = "text") -> list[Entry]:
    """A text of someone else, line by line, not without end."""
    rows = clean_lines(text[: 200 * _MOST_LINES].rstrip("\n"))
    found = [Entry(Words(((row, ink),), copied=text)) for row in rows[:_MOST_LINES]]
    if len(rows) > _MOST_LINES or len(text) > 200 * _MOST_LINES:
        found.append(Entry(Words((("… y copies all of it", "muted"),), copied=text)))
    return found
