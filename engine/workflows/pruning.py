"""Takes what is wrong out of a tree, so that the rest of the document can still be checked.

A person wants all problems of a document at once: an unknown step in one place must be found although a
duration is misspelt in another. What is taken out leaves its mapping marked as damaged, and its id, if it was
one, among the forgiven words, so that nothing is reported because of what is no longer there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic_core import ErrorDetails

from engine.workflows.documents import STEP_LISTS
from engine.workflows.tree import START, Items, Scalar, Table, node_at

Path = tuple[str | int, ...]


def prune(tree: Table, details: Iterable[ErrorDetails]) -> set[str]:
    """Take out what these errors are about; returns the ids and names that went with it."""
    forgiven: set[str] = set()
    targets = {_target(detail) for detail in details}
    # The last of a list first, so that the indices of the others stay right; nothing inside of what is gone.
    for path in sorted(targets, key=_order, reverse=True):
        if not any(path[:length] in targets for length in range(1, len(path))):
            _remove(tree, path, forgiven)
    if "name" not in tree:
        tree.put("name", Scalar("unnamed", False, START), START)
    return forgiven


def _order(path: Path) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def _target(detail: ErrorDetails) -> Path:
    path: Path = tuple(detail["loc"])
    if path[-1:] == ("[key]",):
        return path[:-1]
    if detail["type"] == "missing":
        return path[:-1] or path
    field = detail.get("ctx", {}).get("field")
    return (*path, field) if field else path


def _remove(tree: Table, path: Path, forgiven: set[str]) -> None:
    parent = node_at(tree, path[:-1])
    last = path[-1]
    if isinstance(parent, Items) and isinstance(last, int) and last < len(parent):
        forgiven |= _words(parent.pop(last))
    elif isinstance(parent, Table) and isinstance(last, str) and last in parent:
        gone = parent.pop(last)
        position = parent.key_positions.pop(last)
        forgiven.add(last)
        if last in ("id", "name") and isinstance(gone, Scalar) and _is_step(path[:-1]):
            forgiven.add(gone.text)
            if "id" not in parent and "name" not in parent:
                parent.put(
                    "id", Scalar(f"wrong-{position.line}-{position.column}", False, position), position
                )
    _mark(tree, path[:-1])


def _is_step(path: Sequence[str | int]) -> bool:
    return len(path) >= 2 and path[-2] in STEP_LISTS and isinstance(path[-1], int)


def _words(node: object) -> set[str]:
    """The id and name of something that is gone."""
    if not isinstance(node, Table):
        return set()
    return {word.text for word in (node.get("id"), node.get("name")) if isinstance(word, Scalar)}


def _mark(tree: Table, path: Path) -> None:
    """Mark the mappings on the way to what was taken out."""
    for length in range(len(path) + 1):
        node = node_at(tree, path[:length])
        if isinstance(node, Table):
            node.damaged = True


def in_damaged(tree: Table, path: Sequence[str | int]) -> bool:
    """Whether the nearest mapping around `path` has lost something."""
    for length in range(len(path), 0, -1):
        node = node_at(tree, path[:length])
        if isinstance(node, Table):
            return node.damaged
    return tree.damaged
