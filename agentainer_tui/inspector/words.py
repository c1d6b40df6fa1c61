"""The lines that tabs are written with."""

from __future__ import annotations

from agentainer_tui.inspector.entries import Entry, Line, Words
from agentainer_tui.text import clean, clean_lines, counted

# Where the values of named facts begin.
COLUMN = 12
# Lines of a text that are shown; a copy or the pager takes all of it.
_MOST_LINES = 400
# Letters above which a command is closed at first.
_LONG_COMMAND = 240

BLANK = Entry(Words(()))


def say(text: str, ink: str = "text") -> Entry:
    """A line of its own."""
    return Entry(Words(((text, ink),)))


def fact(name: str, value: str, ink: str = "text", more: str = "", copied: str | None = None) -> Entry:
    """`name   value` with the names in a column; `more` is said after it."""
    line = ((f"{name:<{COLUMN}}", "muted"), (value, ink), *(((f"  {more}", "muted"),) if more else ()))
    return Entry(Words(line, hang=COLUMN, copied=value if copied is None else copied))


def command_entries(command: str) -> list[Entry]:
    """A command: as a fact, or closed if it is a whole script."""
    text = command.strip("\n")
    if not text:
        return []
    if "\n" in text or len(text) > _LONG_COMMAND:
        return [
            Entry(text, label="command", head=((f"{'command':<{COLUMN - 2}}", "muted"), *_first_line(text)))
        ]
    return [fact("command", clean(text))]


def _first_line(text: str) -> Line:
    first, _, rest = text.partition("\n")
    lines = rest.count("\n", 0, 1_000_000) + 1 if rest else 0
    more = f"  and {counted(lines, 'line')} more" if lines else ""
    return ((clean(first, limit=200), "text"), (more, "muted"))


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
