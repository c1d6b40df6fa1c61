"""What a retry runs again and what it takes over from the run that it retries.

Steps of `on_failure` and `finally` belong to the run that they end: a retry always has its own. A decision
that is made again may come out otherwise, so everything behind it runs again; one that stands keeps its
choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import Reason, UsageError
from engine.events import StepStatus
from engine.history.records import RunDetail, StepRecord
from engine.workflows.plan import Plan, PlanStep, StepRole, StepType


@dataclass(frozen=True, slots=True)
class RetryScope:
    """Which part of a run is run again: all of it, or exactly one of the three."""

    from_step: str | None = None
    only_step: str | None = None
    failed: bool = False

    def describe(self) -> str:
        """For history: `all`, `from x`, `only x` or `failed`."""
        if self.from_step:
            return f"from {self.from_step}"
        if self.only_step:
            return f"only {self.only_step}"
        return "failed" if self.failed else "all"


@dataclass(frozen=True, slots=True)
class Reuse:
    """What is taken over.

    Attributes:
        steps: ids of steps whose outcome stands.
        items: for a map step that runs again in part: the indexes whose outcome stands.
    """

    steps: frozenset[str] = frozenset()
    items: dict[str, frozenset[int]] = field(default_factory=dict)


def reuse_for(plan: Plan, detail: RunDetail, scope: RetryScope) -> Reuse:
    """Work out what a retry of `detail` takes over.

    Raises:
        UsageError: an unknown step, nothing that failed, or a step whose upstreams have nothing to give.
    """
    records = {record.id: record for record in detail.steps}
    if scope.failed:
        return _reuse_good(plan, detail, records)
    if scope.from_step is not None:
        return _reuse_before(plan, records, _known(plan, scope.from_step))
    if scope.only_step is not None:
        return _reuse_others(plan, detail, records, plan.steps[_known(plan, scope.only_step)])
    return Reuse()


def _reuse_good(plan: Plan, detail: RunDetail, records: dict[str, StepRecord]) -> Reuse:
    again = {
        step_id for step_id, record in records.items() if _is_own(plan, step_id) and _needs_rerun(record)
    }
    if not again and not any(map(_needs_rerun, records.values())):
        raise UsageError(f"nothing failed in run {detail.run.id}", hint="retry it whole, or --from a step")
    again |= _downstream(plan, again)
    return Reuse(_rest(plan, records, again), _good_items(plan, records, again))


def _reuse_before(plan: Plan, records: dict[str, StepRecord], root: str) -> Reuse:
    again = {root} | _downstream(plan, {root})
    again |= _broken_upstreams(plan, records, again)
    again |= _downstream(plan, again)
    _check_way(plan, records, root, again)
    return Reuse(_rest(plan, records, again))


def _reuse_others(plan: Plan, detail: RunDetail, records: dict[str, StepRecord], only: PlanStep) -> Reuse:
    if only.route is not None:
        raise UsageError(
            f"step {only.id!r} decides what runs behind it, so it cannot be run again alone",
            hint=f"use --from {only.id}",
        )
    again = {only.id, *only.members}
    _check_way(plan, records, only.id, again)
    if broken := _broken_upstreams(plan, records, again) - again:
        names = ", ".join(sorted(broken))
        raise UsageError(
            f"step {only.id!r} needs {names}, which did not complete in run {detail.run.id}",
            hint=f"use --from {sorted(broken)[0]}, or --failed",
        )
    if only.parent is not None:  # it runs its members; the others of them stand as they are
        again.add(only.parent)
    return Reuse(_rest(plan, records, again))


def _known(plan: Plan, word: str) -> str:
    named = [step.id for step in plan.steps.values() if step.name == word]
    step_id = word if word in plan.steps else named[0] if len(named) == 1 else None
    own = [name for name in plan.steps if _is_own(plan, name)]
    if step_id is None:
        raise UsageError(f"there is no step {word!r}", hint=f"steps: {', '.join(own)}")
    if step_id not in own:
        raise UsageError(
            f"{word!r} is a step of {plan.steps[step_id].role}, which every retry runs anew",
            hint=f"retry from one of the steps {', '.join(own)}",
        )
    return step_id


def _check_way(plan: Plan, records: Mapping[str, StepRecord], root: str, again: set[str]) -> None:
    """Refuse to run only what decisions that stand have not chosen: it would be skipped again.

    Raises:
        UsageError: they have not.
    """
    record = records.get(root)
    if record is None or record.reason != Reason.BRANCH_NOT_TAKEN:
        return
    deciding = [name for name in _all_upstreams(plan, root) if plan.steps[name].route is not None]
    if deciding and again.isdisjoint(deciding):
        raise UsageError(
            f"step {root!r} has no turn as long as its decisions stand: {record.error}",
            hint=f"use --from {deciding[-1]}",
        )


def _all_upstreams(plan: Plan, step_id: str) -> list[str]:
    """What a step depends on, however far, in document order."""
    found: set[str] = set()
    rest = [step_id]
    while rest:
        fresh = _upstreams(plan, plan.steps[rest.pop()]) - found
        found |= fresh
        rest += fresh
    return [name for name in plan.steps if name in found]


def _is_own(plan: Plan, step_id: str) -> bool:
    return plan.steps[step_id].role is StepRole.MAIN


def _needs_rerun(record: StepRecord) -> bool:
    if record.status in (StepStatus.FAILED, StepStatus.CANCELLED):
        return True
    if record.status == StepStatus.SKIPPED:
        return record.reason == Reason.UPSTREAM_FAILED
    if record.partial or any(item.status == StepStatus.FAILED for item in record.items):
        return True
    return not StepStatus(record.status).is_terminal


def _ended_well(record: StepRecord) -> bool:
    if record.status == StepStatus.SKIPPED:
        return record.reason != Reason.UPSTREAM_FAILED
    return record.status == StepStatus.COMPLETED


def _upstreams(plan: Plan, step: PlanStep) -> set[str]:
    """Edges as the graph has them: a member also waits for what its parent waits for."""
    found = set(step.depends_on) | set(step.members)
    if step.parent is not None:
        found |= set(plan.steps[step.parent].depends_on)
    return found


def _downstream(plan: Plan, roots: set[str]) -> set[str]:
    """Everything that depends on one of `roots`, and the members of what runs again."""
    found = set(roots)
    grown = True
    while grown:
        fresh = {
            step.id
            for step in plan.steps.values()
            if step.id not in found
            and (_upstreams(plan, step) & found or (step.parent in found and step.parent in roots))
        }
        found |= fresh
        grown = bool(fresh)
    return found


def _broken_upstreams(plan: Plan, records: dict[str, StepRecord], again: set[str]) -> set[str]:
    """Upstreams of `again`, however far, that did not end well and so must run too."""
    broken: set[str] = set()
    rest = list(again)
    seen = set(again)
    while rest:
        for upstream in _upstreams(plan, plan.steps[rest.pop()]) - seen:
            seen.add(upstream)
            rest.append(upstream)
            record = records.get(upstream)
            if record is None or not _ended_well(record):
                broken.add(upstream)
    return broken


def _rest(plan: Plan, records: dict[str, StepRecord], again: set[str]) -> frozenset[str]:
    return frozenset(
        step_id
        for step_id in plan.steps
        if step_id not in again
        and step_id in records
        and StepStatus(records[step_id].status).is_terminal
        and _is_own(plan, step_id)
    )


def _good_items(plan: Plan, records: dict[str, StepRecord], again: set[str]) -> dict[str, frozenset[int]]:
    """Completed items of map steps that failed themselves; a map downstream of a failure runs whole."""
    found: dict[str, frozenset[int]] = {}
    for step_id in again:
        step, record = plan.steps[step_id], records.get(step_id)
        if record is None or step.type is not StepType.MAP or not record.items:
            continue
        if _upstreams(plan, step) & again:
            continue
        found[step_id] = frozenset(
            item.index
            for item in record.items
            if item.status in (StepStatus.COMPLETED, StepStatus.SKIPPED) and not item.partial
        )
    return found
