"""One row of a comparison as the entries of a sheet."""

from __future__ import annotations

from agentainer_tui.comparison.runs import Fact, Row
from agentainer_tui.comparison.words import factor_words, measured_words
from agentainer_tui.inspector.entries import Delta, Entry, Words
from agentainer_tui.inspector.state_change import difference
from agentainer_tui.inspector.words import BLANK, heading, say
from agentainer_tui.text import clean

_INKS = {"+": "success", "-": "error", "@": "accent", "~": "warning"}


def row_entries(row: Row, *, only_differences: bool = False) -> list[Entry]:
    """Everything about a row, what differs first; with `only_differences` little else."""
    entries: list[Entry] = []
    if row.mark in ("+", "-"):
        entries += [say(f"Only the {'second' if row.mark == '+' else 'first'} run has it.", "muted"), BLANK]
    elif not row.differences:
        entries.append(say("Nothing is different.", "muted"))
    different = [_entry(fact) for fact in row.differences if fact.kind != "diff"]
    if different:
        entries.append(Entry(Delta(tuple(different), None), label="Different"))
    for fact in row.differences:
        if fact.kind == "diff":
            entries += heading("What is different in the plan" if fact.name == "plan" else "The text")
            entries += [_diff_line(line) for line in fact.lines]
    same = {fact.name: fact.after for fact in row.facts if not fact.differs and fact.after is not None}
    if same and not only_differences:
        parts = tuple(Entry(value, name, mark="=") for name, value in same.items())
        entries += [BLANK, Entry(Delta(parts, same), label="The same")]
    measured = [_measured(fact) for fact in row.facts if fact.kind == "measured"]
    if measured and (row.key == "run" or not only_differences):
        entries += [*heading("Measured"), *measured]
    return entries


def _entry(fact: Fact) -> Entry:
    inner = difference(fact.before, fact.after)
    if inner is not None:
        return Entry(inner, fact.name, mark="~")
    if fact.before is None:
        return Entry(fact.after, fact.name, mark="+")
    if fact.after is None:
        return Entry(fact.before, fact.name, mark="-")
    return Entry(fact.after, fact.name, mark="~", old=fact.before)


def _measured(fact: Fact) -> Entry:
    before, after = (measured_words(fact, value) for value in (fact.before, fact.after))
    is_time = fact.name == "duration" or fact.name.startswith("time: ")
    factor = factor_words(fact.before, fact.after) if is_time else ""
    line = (
        (f"  {fact.name:<16} ", "muted"),
        (f"{before:>10}", "text"),
        (f"  {after:>10}", "text"),
        (f"  {factor}" if factor else "", "warning" if factor.endswith("x") else "success"),
    )
    return Entry(Words(line))


def _diff_line(line: str) -> Entry:
    return Entry(Words(((clean(line) or " ", _INKS.get(line[:1], "muted")),), hang=2, copied=line))
