"""What an edit of a workflow changed, in words: one line a step, calm enough to be read at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.text import brief, clean, counted, duration

if TYPE_CHECKING:
    from agentainer_tui.client import WorkflowEntry
    from engine.facade import FieldChange, PlanDiff, StepChange

# Characters of a value: shown, before the first that differs, looked at.
_VALUE, _LEAD, _LOOKED_AT = 32, 12, 10_000
_NAMES = 4
# Fields that are seconds.
_SECONDS = frozenset({"timeout", "finally_timeout", "delay", "max_delay", "max_age", "idle_timeout"})
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def summary(diff: PlanDiff) -> str:
    """The whole edit in half a line: `2 steps changed (fetch, parse), 1 added; config: timeout`."""
    parts = []
    for kind in ("changed", "added", "removed"):
        names = [clean(step.id, limit=24) for step in diff.steps if step.kind == kind]
        if names:
            shown = ", ".join(names[:_NAMES]) + (", …" if len(names) > _NAMES else "")
            parts.append(f"{counted(len(names), 'step')} {kind} ({shown})")
    if diff.workflow:
        names = list(dict.fromkeys(clean(field.name, limit=24) for field in diff.workflow))
        parts.append("workflow: " + ", ".join(names[:_NAMES]) + (", …" if len(names) > _NAMES else ""))
    return "; ".join(parts)


def news_of_saves(
    before: Sequence[WorkflowEntry], after: Sequence[WorkflowEntry]
) -> Iterator[tuple[str, bool]]:
    """A sentence for each file that was saved, and whether it says that something is wrong."""
    known = {entry.path: entry for entry in before}
    for entry in after:
        old = known.get(entry.path)
        name = clean(Path(entry.path).name, limit=60)
        bad = [problem for problem in entry.problems if problem.severity == "error"]
        if old is None:
            yield f"{name} is new here." if not bad else f"{name} cannot be loaded.", bool(bad)
        elif bad and entry.problems != old.problems:
            place = f" at {bad[0].line}:{bad[0].column}" if bad[0].line else ""
            yield f"{name} has {counted(len(bad), 'error')}{place}.", True
        elif entry.digest != old.digest and not bad:
            yield (
                f"{name}: {summary(entry.save) if entry.save else 'saved; nothing that runs was changed'}",
                False,
            )
        elif not bad and any(problem.severity == "error" for problem in old.problems):
            yield f"{name} is good again.", False


def diff_lines(diff: PlanDiff) -> Iterator[str]:
    """A line for each field of the workflow, and for each step that was added, removed or changed."""
    common = shared_fields(diff)
    for field in diff.workflow:
        yield f"~ {field_words(field)}"
    for field in common:
        yield f"~ every step: {field_words(field)}"
    for step in diff.steps:
        if line := step_line(step, without=common):
            yield line


def step_line(step: StepChange, *, without: tuple[FieldChange, ...] = ()) -> str:
    """`~ fetch: command "a" → "b"`; empty for a change that is told elsewhere."""
    name = clean(step.id, limit=40)
    if step.kind != "changed":
        return f"{_SIGNS[step.kind]} {name}: {step.kind}"
    own = [field for field in step.fields if field not in without]
    return f"{_SIGNS[step.kind]} {name}: {', '.join(map(field_words, own))}" if own else ""


def shared_fields(diff: PlanDiff) -> tuple[FieldChange, ...]:
    """Changes that all changed steps have alike: of a default in the workflow's config."""
    changed = [step for step in diff.steps if step.kind == "changed"]
    if len(changed) < 2:
        return ()
    return tuple(field for field in changed[0].fields if all(field in step.fields for step in changed[1:]))


def field_words(field: FieldChange) -> str:
    """`timeout 30 → 60`, with long values shortened; a digest says nothing to a person."""
    name = clean(field.name, limit=40)
    if field.name.startswith("workflow "):
        return f"{name} changed"
    if field.before is None:
        return f"{name} set to {_part(_value(field.name, field.after), 0)}"
    if field.after is None:
        return f"{name} taken out"
    before, after = _value(field.name, field.before), _value(field.name, field.after)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    longest = max(len(before), len(after))
    begin = max(0, min(same - _LEAD, longest - _VALUE)) if longest > _VALUE else 0
    return f"{name} {_part(before, begin)} → {_part(after, begin)}"


def _value(name: str, value: Any) -> str:
    if isinstance(value, float) and name.rpartition(".")[2] in _SECONDS:
        return duration(value)
    return brief(int(value) if isinstance(value, float) and value.is_integer() else value, limit=_LOOKED_AT)


def _part(text: str, begin: int) -> str:
    """At most a few words of a value, from where it differs."""
    shown = text[begin : begin + _VALUE]
    return f"{'…' if begin else ''}{shown}{'…' if begin + _VALUE < len(text) else ''}" or '""'
