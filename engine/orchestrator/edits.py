"""What an edit of the document means for a retry: which earlier results say nothing any more, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.workflows.plan import Plan
from engine.workflows.plan_diff import FieldChange, PlanDiff, StepChange, diff_plans

_NAMES = 4


@dataclass(frozen=True, slots=True)
class Edits:
    """What was edited since a run.

    Attributes:
        changed: of each step that does something else now, what was changed.
        regrouped: parallel steps of which only the members were changed: those that were not stand.
        everywhere: what reaches every task; empty if nothing does.
        diff: everything that differs.
    """

    changed: Mapping[str, str] = field(default_factory=dict)
    regrouped: frozenset[str] = frozenset()
    everywhere: str = ""
    diff: PlanDiff = field(default_factory=PlanDiff)


def edits_between(
    before: Plan, after: Plan, old_params: Mapping[str, Any], params: Mapping[str, Any], *, is_child: bool
) -> Edits:
    """Compare the plan of a run with an edited one, and the params that they are run with.

    The initial state of a child run comes from its parent, not from its document.
    """
    diff = diff_plans(before, after)
    seen = [change.name for change in diff.seen_by_all if not (is_child and change.name.startswith("state."))]
    seen += [f"params.{name}" for name, value in params.items() if old_params.get(name, value) != value]
    changed = {step.id: _words(step) for step in diff.steps if step.kind == "changed" and step.matters}
    return Edits(
        changed,
        frozenset(step.id for step in diff.steps if step.id in changed and _is_regrouped(step)),
        f"{_listing(seen)} changed, which every task sees" if seen else "",
        diff,
    )


def _words(step: StepChange) -> str:
    return f"changed: {_listing([change.name for change in _mattering(step)])}"


def _is_regrouped(step: StepChange) -> bool:
    return all(change.name == "steps" for change in _mattering(step))


def _mattering(step: StepChange) -> list[FieldChange]:
    return [change for change in step.fields if change.matters]


def _listing(names: list[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
