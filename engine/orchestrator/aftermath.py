"""What a failure that stops a run means for the other steps: which are behind it, which run all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.workflows.plan import PlanStep, Trigger


@dataclass(frozen=True, slots=True)
class Aftermath:
    """Of one failed step.

    Attributes:
        behind: the steps that depend on it, however far, and their members.
        going_on: those of them that ask to run after a failure too (`all_done`), with their members; and the
            parallel step that the failed one is a member of, which ends by itself once all members have.
    """

    behind: frozenset[str] = frozenset()
    going_on: frozenset[str] = frozenset()


def aftermath_of(failed_step: str, steps: Mapping[str, PlanStep]) -> Aftermath:
    """Work out what a failure means for the other steps of the plan."""
    holder = steps[failed_step].parent
    behind = _downstream({failed_step, holder or failed_step}, steps.values())
    asked = {name for name in behind if steps[name].trigger is Trigger.ALL_DONE}
    going_on = _with_members(asked, steps) | ({holder} if holder is not None else set())
    return Aftermath(frozenset(_with_members(behind, steps)), frozenset(going_on))


def _downstream(roots: set[str], steps: Iterable[PlanStep]) -> set[str]:
    dependents: dict[str, list[str]] = {}
    for step in steps:
        for upstream in step.depends_on:
            dependents.setdefault(upstream, []).append(step.id)
    found: set[str] = set()
    rest = list(roots)
    while rest:
        fresh = set(dependents.get(rest.pop(), ())) - found
        found |= fresh
        rest += fresh
    return found


def _with_members(names: set[str], steps: Mapping[str, PlanStep]) -> set[str]:
    return names | {member for name in names for member in steps[name].members}
