"""A comparison as Markdown, for an issue or a colleague, and as JSON, for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentainer_tui.comparison.runs import Comparison, Fact, Row
from agentainer_tui.comparison.words import (
    change_words,
    changes_of,
    delta_words,
    measured_words,
    summary,
)
from agentainer_tui.markdown_text import cell, code, fenced
from agentainer_tui.secrecy import masked
from agentainer_tui.text import duration
from agentainer_tui.views import RunView

# Changes inside one value, and lines of a diff, that are written.
_CHANGES, _LINES = 30, 300
_SIGNS = {"=": "", "~": "different", "+": "only in the second", "-": "only in the first"}


def markdown(comparison: Comparison) -> str:
    """The comparison, with what differs and nothing else."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    yield f"## `{code(after.workflow)}`: run `{before.id}` and run `{after.id}`"
    yield ""
    yield f"{summary(comparison)[:1].upper()}{summary(comparison)[1:]}."
    yield ""
    yield f"| | `{before.id}` | `{after.id}` | |"
    yield "|---|---|---|---|"
    for row in comparison.rows:
        if row.key == "run":
            yield f"| status | {row.status[0]} | {row.status[1]} | |"
            for fact in row.facts:
                if fact.kind == "measured":
                    yield _measured(fact)
    steps = [row for row in comparison.rows if row.key.startswith("step:")]
    yield from ("", "| step | first | second | time | |", "|---|---|---|---|---|")
    for row in steps:
        sides = f"{_side(row, 0)} | {_side(row, 1)}"
        yield f"| `{cell(row.name)}` | {sides} | {delta_words(*row.took)} | {_SIGNS[row.mark]} |"
    for row in comparison.differing:
        if row.differences and row.mark == "~":
            yield from _details(row)


def _measured(fact: Fact) -> str:
    delta = delta_words(fact.before, fact.after) if fact.name == "duration" else ""
    before, after = measured_words(fact, fact.before), measured_words(fact, fact.after)
    return f"| {fact.name} | {before} | {after} | {delta} |"


def _side(row: Row, place: int) -> str:
    return f"{row.status[place] or '-'} {duration(row.took[place])}".rstrip()


def _details(row: Row) -> Iterator[str]:
    yield from ("", f"### {code(row.name)}", "")
    for fact in row.differences:
        if fact.kind == "diff":
            left = len(fact.lines) - _LINES
            yield from fenced(fact.lines[:_LINES], "diff")
            if left > 0:
                yield f"and {left} more lines"
            continue
        for change in changes_of(_without_secrets(row, fact), _CHANGES):
            yield f"- {code(fact.name)}: `{code(change_words(change))}`"


def _without_secrets(row: Row, fact: Fact) -> Fact:
    """A param that is called like a secret, without its values."""
    if row.key != "params":
        return fact
    sides = (masked({fact.name: value})[fact.name] for value in (fact.before, fact.after))
    return Fact(fact.name, *sides)


def to_json(comparison: Comparison, *, everything: bool = False) -> dict[str, Any]:
    """The comparison as `agentainer diff --json` prints it; with `everything`, what is the same too."""
    rows = comparison.rows if everything else comparison.telling
    return {
        "before": _run(comparison.before),
        "after": _run(comparison.after),
        "same": not comparison.differing,
        "rows": [
            {
                "key": row.key,
                "name": row.name,
                "mark": row.mark,
                "status": list(row.status),
                "took": list(row.took),
                "delta": row.delta,
                "differences": [_fact(fact) for fact in row.differences],
                "measured": [_fact(fact) for fact in row.facts if fact.kind == "measured"],
            }
            for row in rows
        ],
    }


def _run(run: RunView) -> dict[str, Any]:
    return {"id": run.id, "workflow": run.workflow, "status": run.status.value}


def _fact(fact: Fact) -> dict[str, Any]:
    if fact.kind == "diff":
        return {"name": fact.name, "lines": list(fact.lines)}
    found: dict[str, Any] = {"name": fact.name, "before": fact.before, "after": fact.after}
    inside = [change for change in changes_of(fact) if change.path] if fact.kind == "" else []
    if inside:
        found["changes"] = [change._asdict() for change in inside]
    return found
