"""JSONPaths in the hands of jsonpath-ng: all that the plain walk over names and indices cannot do."""

from __future__ import annotations

import re
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.jsonpath import Child, Descendants, Fields, Index, Root, Slice, This, Wildcard
from jsonpath_ng.parser import parse

from engine.workflows.expressions import ExpressionError
from engine.workflows.wording import shorten, show


def parse_path(path: str, source: str) -> tuple[tuple[str | int, ...], Any, bool]:
    """Parse `path`, written as `source`.

    Returns:
        The leading names and indices; the library's tree of the whole path, None where they are all of it;
        and whether the path finds a list.

    Raises:
        ExpressionError: it is no JSONPath.
    """
    tree = _parse(path, source)
    chain = _chain(tree)
    parts: list[str | int] = []
    for node in chain[1:]:
        part = _single(node)
        if part is None:
            break
        parts.append(part)
    whole = isinstance(chain[0], Root) and len(parts) == len(chain) - 1
    return tuple(parts), None if whole else tree, any(map(_finds_many, chain))


def _parse(path: str, source: str) -> Any:
    try:
        return parse(path)
    except (JSONPathError, ValueError, RecursionError) as plain:
        from jsonpath_ng.ext.parser import parse as parse_extended  # filters, only where they are used

        try:
            return parse_extended(path)
        except (JSONPathError, ValueError, RecursionError) as extended:
            error = extended if "?" in path or "`" in path else plain
            raise ExpressionError(f"{show(source)} is no JSONPath: {_reason(error, path)}") from None


def _reason(error: Exception, path: str) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if odd := re.search(r"[^\x20-\x7e]|\.(where|wherenot|parent)\b", path):
        name = odd[0].lstrip(".")
        return f"put a name like {show(name)} in brackets and quotes, as in $['{shorten(name)}']"
    words = str(error).strip().rstrip("!")[:120]
    if "end of string" in words:
        return "it ends too early; write it like $.name, $.list[0], $.list[*].field or $['a name']"
    return f"{words[:1].lower()}{words[1:]}; write it like $.name, $.list[0] or $['a name']"


def _chain(tree: Any) -> list[Any]:
    """`Child(Child(a, b), c)` as `[a, b, c]`."""
    parts: list[Any] = []
    while isinstance(tree, Child):
        parts.append(tree.right)
        tree = tree.left
    return [tree, *reversed(parts)]


def _single(node: Any) -> str | int | None:
    if isinstance(node, Fields) and len(node.fields) == 1:
        return str(node.fields[0])
    if isinstance(node, Index) and len(node.indices) == 1 and isinstance(node.indices[0], int):
        return int(node.indices[0])
    return None


def _finds_many(node: Any) -> bool:
    if isinstance(node, (Root, This)) or _single(node) is not None:
        return False
    # Filters and the like are in modules that are imported only where they are used.
    return isinstance(node, (Descendants, Slice, Wildcard, Fields, Index)) or type(node).__name__ in (
        "Filter",
        "Intersect",
        "Where",
        "WhereNot",
    )
