"""Differences in words: times, values in a line, the paths inside JSON where something is different."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from agentainer_tui.comparison.runs import Comparison, Fact, Row, is_worth_a_word
from agentainer_tui.inspector.entries import Delta, Entry
from agentainer_tui.inspector.json_path import json_path
from agentainer_tui.inspector.state_change import difference
from agentainer_tui.text import brief, counted, duration, precise, size

_VALUE = 160


class Change(NamedTuple):
    """What is different at one place of a value; `mark` is `+`, `-` or `~`."""

    path: str
    mark: str
    before: Any
    after: Any


def changes_of(fact: Fact, limit: int = 200) -> list[Change]:
    """The places inside a fact's values where they differ; one with an empty path if it is the whole."""
    delta = difference(fact.before, fact.after)
    if delta is None:
        mark = "+" if fact.before is None else "-" if fact.after is None else "~"
        return [Change("", mark, fact.before, fact.after)]
    return list(islice(_inside(delta, ()), limit))


def _inside(delta: Delta, above: tuple[str | int, ...]) -> Iterator[Change]:
    for entry in delta.parts:
        if entry.mark == "=" or entry.part is None:
            continue
        yield from _at(entry, (*above, entry.part))


def _at(entry: Entry, path: tuple[str | int, ...]) -> Iterator[Change]:
    if isinstance(entry.value, Delta):
        yield from _inside(entry.value, path)
    elif entry.mark == "-":
        yield Change(json_path(path), "-", entry.value, None)
    else:
        yield Change(json_path(path), entry.mark, entry.old if entry.mark == "~" else None, entry.value)


def change_words(change: Change) -> str:
    """`$.sum 3 → 4`, each value in a few words."""
    where = f"{change.path} " if change.path else ""
    if change.mark == "+":
        return f"{where}{value_words(change.after)} is new"
    if change.mark == "-":
        return f"{where}{value_words(change.before)} is gone"
    return f"{where}{value_words(change.before)} → {value_words(change.after)}"


def value_words(value: Any) -> str:
    """A value in a few words; text in quotes where it is not a word."""
    if value is None:
        return "nothing"
    if value == "":
        return '""'
    text = brief(value, limit=_VALUE)
    return text if len(text) < _VALUE else f"{text}…"


def delta_words(before: float | None, after: float | None) -> str:
    """`+4.9s` or `-0.3s`; empty where nothing worth a word changed, or one side is missing."""
    if before is None or after is None or not is_worth_a_word(before, after):
        return ""
    change = after - before
    return f"{'+' if change > 0 else '-'}{duration(abs(change))}"


def factor_words(before: float | None, after: float | None) -> str:
    """`2.2x` of what took longer, `40 %` of what took less; empty where it says little."""
    if not before or after is None or not is_worth_a_word(before, after):
        return ""
    return f"{after / before:.1f}x" if after >= before else f"{100 * after / before:.0f} %"


def measured_words(fact: Fact, value: Any) -> str:
    """A measured value in its unit."""
    if value is None:
        return "-"
    if fact.name == "duration" or fact.name.startswith("time: "):
        return precise(value)
    if fact.name.startswith("bytes") or fact.name.startswith("memory"):
        return size(value)
    return f"{value:g}"


def summary(comparison: Comparison) -> str:
    """The whole comparison in half a line."""
    steps = [row for row in comparison.rows if row.key.startswith("step:")]
    marks = [row.mark for row in steps]
    words = (("~", "different"), ("+", "only in the second"), ("-", "only in the first"))
    parts = [f"{counted(marks.count(mark), 'step')} {word}" for mark, word in words if mark in marks]
    if not comparison.telling:
        return "no differences"
    others = [row.name.lower() for row in comparison.differing if not row.key.startswith("step:")]
    same = marks.count("=")
    if same:
        parts.append(f"{same} the same")
    changes = [row.delta or 0.0 for row in steps if is_worth_a_word(*row.took)]
    for word, number in (("longer", sum(c > 0 for c in changes)), ("less", sum(c < 0 for c in changes))):
        if number:
            parts.append(f"{number} took {word}")
    return "; ".join(part for part in (", ".join(others), ", ".join(parts)) if part)


def row_words(row: Row) -> str:
    """What is different about a row, by name."""
    if row.mark in ("+", "-"):
        return "only in the second" if row.mark == "+" else "only in the first"
    return ", ".join(fact.name for fact in row.differences)
