"""Entries as plain text, for the clipboard and for files; in full, whatever is cut on screen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from agentainer_tui.inspector.drawing import plain_text
from agentainer_tui.inspector.entries import Delta, Entry, Words, plain_value


def copied(entry: Entry) -> str:
    """What a copy of an entry takes: a text as it is, everything else as JSON, a line as it stands."""
    value = entry.value
    if isinstance(value, Words):
        return value.text if value.copied is None else value.copied
    return value if isinstance(value, str) else json_text(plain_value(value))


def json_text(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def written(entries: Iterable[Entry]) -> Iterator[str]:
    """All of some entries, piece by piece, each with its newline."""
    for entry in entries:
        value = entry.value
        if isinstance(value, Words):
            yield value.text.rstrip() + "\n"
            continue
        if entry.head is not None:
            yield plain_text(entry.head).rstrip() + "\n"
        elif entry.label:
            yield f"{entry.label}\n"
        if isinstance(value, Delta):
            yield from _differences(value, "")
        else:
            yield copied(entry) + "\n"


def _differences(delta: Delta, indent: str) -> Iterator[str]:
    for part in delta.parts:
        if part.mark == "=":
            yield f"{indent}= {part.label}\n"
        elif isinstance(part.value, Delta):
            yield f"{indent}{part.mark} {part.part}:\n"
            yield from _differences(part.value, indent + "  ")
        else:
            old = f"{_compact(part.old)} -> " if part.mark == "~" else ""
            yield f"{indent}{part.mark} {part.part}: {old}{_compact(part.value)}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
