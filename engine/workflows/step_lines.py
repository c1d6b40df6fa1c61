"""Where things stand in a document: the lines of its steps, for editors that can open a file there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.workflows.source import UnreadableError, parse, read_text
from engine.workflows.tree import Findings, Items, Scalar, Table

_LISTS = ("steps", "on_failure", "finally")


def step_lines(path: Path) -> dict[str, int]:
    """The line of each step of a file, by its id and by its name; empty where the file cannot be read."""
    try:
        text = read_text(path)
    except UnreadableError:
        return {}
    root = parse(text, str(path), Findings(str(path)))
    found: dict[str, int] = {}
    if root is not None:
        for word, line in _steps(root):
            found.setdefault(word, line)
    return found


def _steps(table: Table) -> Iterator[tuple[str, int]]:
    for name in _LISTS:
        steps = table.get(name)
        for step in steps if isinstance(steps, Items) else ():
            if isinstance(step, Table):
                yield from _words(step)
    config = table.get("config")
    if isinstance(config, Table):  # where the other dialect keeps the settings of a step
        yield from _steps(config)


def _words(step: Table) -> Iterator[tuple[str, int]]:
    for key in ("id", "name"):
        word = step.get(key)
        if isinstance(word, Scalar) and word.text:
            yield word.text, step.position.line
    yield from _steps(step)
