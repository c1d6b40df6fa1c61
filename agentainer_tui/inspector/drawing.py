"""An entry as one line of coloured text: never more of a value is looked at than fits on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from agentainer_tui.inspector.entries import Delta, Entry, Line, Rest, Words, is_container
from agentainer_tui.inspector.tree import Spot
from agentainer_tui.looks import Glyphs
from agentainer_tui.text import clean, counted

# Letters of a value that are looked at for one line, and parts of a container for its preview.
_LETTERS = 400
_PARTS = 8
_MARKS = {"+": "success", "-": "error", "~": "warning", "=": "faint"}


def draw(spot: Spot, glyphs: Glyphs) -> Line:
    """The line of a row."""
    entry = spot.entry
    value = entry.value
    mark = (f"{entry.mark} " if entry.mark else "  ", _MARKS.get(entry.mark, "text"))
    indent = ("  " * spot.depth, "text")
    if isinstance(value, Words):
        return (indent, *value.line) if spot.depth else value.line
    if isinstance(value, Rest):
        more = f"{glyphs.ellipsis} {value.length:,} characters more: y copies all of it, o opens it"
        return (indent, (more, "muted"))
    sign = "  " if spot.is_open is None else f"{glyphs.unfolded if spot.is_open else glyphs.folded} "
    # Marks stand in one column at the left, where an eye that looks for changes goes down.
    begin: Line = (
        (mark, ("  " * (spot.depth - 1), "text"), (sign, "muted")) if spot.depth else ((sign, "muted"),)
    )
    if entry.head is not None:
        return (*begin, *entry.head)
    line: Line = (*begin, *_label(entry))
    if entry.mark == "~" and not isinstance(value, Delta):
        arrow = (" -> " if glyphs.is_ascii else " → ", "warning")
        return (
            *line,
            *_value(entry.old, spot.is_open, glyphs, "muted"),
            arrow,
            *_value(value, False, glyphs),
        )
    return (*line, *_value(value, spot.is_open, glyphs))


def _label(entry: Entry) -> Line:
    if entry.label:
        return ((clean(entry.label, limit=_LETTERS), "strong"), ("  ", "text"))
    if isinstance(entry.part, str):
        return ((clean(entry.part, limit=_LETTERS) or '""', "key"), (": ", "muted"))
    return ((str(entry.part), "faint"), (": ", "faint")) if entry.part is not None else ()


def _value(value: Any, is_open: bool | None, glyphs: Glyphs, ink: str = "") -> Line:
    if isinstance(value, Delta):
        return ((_summary(value), "muted"),)
    if is_container(value):
        count = (count_of(value), ink or "muted")
        return (count,) if is_open or not value else (count, ("  " + _preview(value, glyphs), "faint"))
    if isinstance(value, str):
        return _text(value, is_open, ink)
    return ((scalar(value), ink or ("muted" if isinstance(value, bool) or value is None else "number")),)


def _text(value: str, is_open: bool | None, ink: str) -> Line:
    if is_open:
        lines = value.count("\n", 0, 1_000_000) + 1
        return ((f"text, {counted(lines, 'line')}, {len(value):,} characters", "muted"),)
    shown = f'"{clean(value, limit=_LETTERS)}' + ('"' if len(value) <= _LETTERS else "")
    return ((shown, ink or "text"),)


def count_of(value: Any) -> str:
    """`{3}` or `[10,000]`."""
    return f"{{{len(value):,}}}" if isinstance(value, dict) else f"[{len(value):,}]"


def scalar(value: Any) -> str:
    """A number, true, false or null, as JSON has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    try:
        text = str(value) if isinstance(value, int) else json.dumps(value, default=str)
        return clean(text, limit=_LETTERS)
    except ValueError:  # a number of more than 4,300 digits
        return "a very long number"


def _summary(delta: Delta) -> str:
    marks = [part.mark for part in delta.parts]
    words = (("+", "added"), ("~", "changed"), ("-", "removed"))
    return ", ".join(f"{marks.count(mark)} {word}" for mark, word in words if mark in marks)


def _preview(value: Any, glyphs: Glyphs) -> str:
    shown, room = [], 120
    for text in _previews(value, glyphs.ellipsis):
        shown.append(text)
        room -= len(text)
        if room < 0:
            break
    more = f", {glyphs.ellipsis}" if len(shown) < len(value) else ""
    return ", ".join(shown) + more


def _previews(value: Any, ellipsis: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in islice(value.items(), _PARTS):
            yield f"{clean(name, limit=24)}: {_brief(part, ellipsis)}"
    else:
        for part in islice(value, _PARTS):
            yield _brief(part, ellipsis)


def _brief(value: Any, ellipsis: str) -> str:
    """A value in a few letters, whatever its size."""
    if isinstance(value, str):
        return f'"{clean(value, limit=24)}' + ('"' if len(value) <= 24 else ellipsis)
    if is_container(value):
        return count_of(value) if value else ("{}" if isinstance(value, dict) else "[]")
    return scalar(value)


def plain_text(line: Line) -> str:
    """The text of a line without its inks."""
    return "".join(text for text, _ in line)


def searched(entry: Entry) -> Iterator[str]:
    """The texts of an entry that a search looks at."""
    value = entry.value
    if isinstance(value, Words):
        yield value.text
        return
    if entry.head is not None:
        yield plain_text(entry.head)
    for text in (entry.part, entry.label):
        if isinstance(text, str) and text:
            yield text
    if entry.mark == "~":
        yield (
            entry.old if isinstance(entry.old, str) else "" if is_container(entry.old) else scalar(entry.old)
        )
    if isinstance(value, str):
        yield value
    elif not is_container(value) and not isinstance(value, Rest):
        yield scalar(value)
