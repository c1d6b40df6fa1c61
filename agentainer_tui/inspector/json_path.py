"""The JSONPath of a place in a JSON value, as a workflow document takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Names that need no quotes, but for words that the path language keeps for itself.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = frozenset({"where", "wherenot"})


def json_path(parts: Iterable[str | int], base: str = "$") -> str:
    """The path that leads over names and indices; "" if there is none, which only a name `*` comes to."""
    path = base
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _PLAIN.fullmatch(part) and part not in _KEPT:
            path += f".{part}"
        elif part == "*":
            return ""
        else:
            path += "['" + part.replace("\\", "\\\\").replace("'", "\\'") + "']"
    return path
