"""What a retry runs again and what it takes over from the run that it retries.

Steps of `on_failure` and `finally` belong to the run that they end: a retry always has its own. A decision
that is made again may come out otherwise, so everything behind it runs again; one that stands keeps its
choice. With an edited document, what was changed and everything behind it runs again in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from engine.errors import Reason, UsageError
from engine.events import StepStatus
from engine.history.records import RunDetail, StepRecord
from engine.orchestrator.edits import Edits
from engine.orchestrator.fates import Decision, Fate, StepFate
from engine.workflows.plan import Plan, PlanStep, StepRole, StepType

# Why steps run again; what depends on them follows.
_Again = dict[str, tuple[Fate, str]]


@dataclass(frozen=True, slots=True)
class RetryScope:
    """Which part of a run is run again: all of it, or exactly one of the three.

    `edited` says that another version of the document is run than the run had; what was changed then runs
    again, too.
    """

    from_step: str | None = None
    only_step: str | None = None
    failed: bool = False
    edited: bool = False

    def describe(self) -> str:
        """For history: `all`, `from x`, `only x` or `failed`; `edited`, `edited from x` and so on."""
        if self.from_step:
            part = f"from {self.from_step}"
        elif self.only_step:
            part = f"only {self.only_step}"
        elif self.failed:
            part = "" if self.edited else "failed"
        else:
            part = "all"
        return f"edited {part}".strip() if self.edited else part


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the run that is retried.

    Attributes:
        plan: that the retry runs.
        records: of the run's steps, by id.
        edited: whether `plan` is another version of the run's document.
        edits: what that changed.
        lost: steps of which something is not there any more, and what.
    """

    plan: Plan
    run_id: str
    records: Mapping[str, StepRecord]
    edited: bool = False
    edits: Edits = field(default_factory=Edits)
    lost: Mapping[str, str] = field(default_factory=dict)


def decide(
    plan: Plan,
    detail: RunDetail,
    scope: RetryScope,
    *,
    edits: Edits | None = None,
    lost: Mapping[str, str] | None = None,
) -> Decision:
    """Work out what a retry of `detail` runs again and what it takes over.

    Raises:
        UsageError: an unknown step, nothing that failed, or a step whose upstreams have nothing to give.
    """
    records = {record.id: record for record in detail.steps}
    run = Standing(
        plan, detail.run.id, records, scope.edited, edits if edits is not None else Edits(), lost or {}
    )
    if scope.failed:
        again = _again_what_failed(run)
    elif scope.from_step is not None:
        again = _again_from(run, _known(plan, scope.from_step))
    elif scope.only_step is not None:
        again = _again_only(run, plan.steps[_known(plan, scope.only_step)])
    else:
        again = dict.fromkeys(plan.steps, (Fate.RERUN, "the whole run is run again"))
    items = _good_items(run, set(again)) if scope.failed else {}
    fates = [_fate(run, step, again, items.get(step.id, frozenset())) for step in plan.steps.values()]
    gone = [
        StepFate(record.id, record.name, Fate.GONE, "it is not in the document any more")
        for record in detail.steps
        if record.id not in plan.steps
    ]
    return Decision((*fates, *gone))


def _fate(run: Standing, step: PlanStep, again: _Again, items: frozenset[int]) -> StepFate:
    holder = (step.parent,) if step.parent is not None else ()
    fate, why = _what_and_why(run, step, again)
    if step.id in again and items:
        why += f"; {len(items)} of its {len(run.records[step.id].items)} items stand"
    changed = step.id in run.edits.changed or bool(run.edits.everywhere)
    return StepFate(step.id, step.name, fate, why, items, changed, (*holder, *step.depends_on))


def _what_and_why(run: Standing, step: PlanStep, again: _Again) -> tuple[Fate, str]:
    record = run.records.get(step.id)
    if record is None:
        return Fate.NEW, "it was not in the run"
    if step.role is not StepRole.MAIN:
        return Fate.RERUN, f"every run has its own {step.role} steps"
    if step.id in again:
        return again[step.id]
    if not StepStatus(record.status).is_terminal:
        return Fate.INELIGIBLE, f"it was still {record.status}"
    return Fate.REUSED, _standing(record)


def _standing(record: StepRecord) -> str:
    """How the outcome that is taken over is called."""
    if record.status == StepStatus.COMPLETED:
        return "its result stands"
    return f"it stays {record.status}" + (f" ({record.reason})" if record.reason else "")


def _again_what_failed(run: Standing) -> _Again:
    again = _edited(run)
    failed = {name for name, record in run.records.items() if _needs_rerun(record)}
    for name in run.plan.steps:
        if name in failed and _is_own(run.plan, name):
            again.setdefault(name, (Fate.RERUN, _lack(run.records[name])))
    _add_lost(run, again, set(run.plan.steps))
    if not again and not failed:
        matters = "nothing that matters in its document was changed"
        edited = (
            f", and {matters if run.edits.diff else 'its document was not changed'}" if run.edited else ""
        )
        raise UsageError(
            f"nothing failed in run {run.run_id}{edited}", hint="retry it whole, or --from a step"
        )
    return _with_downstream(run, again)


def _again_from(run: Standing, root: str) -> _Again:
    again = _edited(run)
    again.setdefault(root, (Fate.RERUN, "it was chosen"))
    again = _with_downstream(run, again)
    _add_broken_upstreams(run, again)
    again = _with_downstream(run, again)
    _check_way(run, root, set(again))
    return again


def _again_only(run: Standing, only: PlanStep) -> _Again:
    if only.route is not None:
        raise UsageError(
            f"step {only.id!r} decides what runs behind it, so it cannot be run again alone",
            hint=f"use --from {only.id}",
        )
    again: _Again = {only.id: (Fate.RERUN, "it was chosen")}
    again |= dict.fromkeys(only.members, (Fate.RERUN, f"it is part of {only.id}"))
    others = [name for name in _edited(run) if name not in again and name != only.parent]
    if others:
        raise UsageError(
            f"step {only.id!r} cannot be run again alone: {', '.join(others)} changed in the document, too",
            hint="leave --only out: what was changed and what follows from it runs again",
        )
    _check_way(run, only.id, set(again))
    broken: _Again = dict(again)
    _add_broken_upstreams(run, broken)
    if missing := sorted(broken.keys() - again.keys()):
        lost = [run.lost[name] for name in missing if name in run.lost]
        raise UsageError(
            f"step {only.id!r} needs {', '.join(missing)}, "
            + (lost[0] if lost else f"which did not complete in run {run.run_id}"),
            hint=f"use --from {missing[0]}, or --failed",
        )
    if only.parent is not None:  # it runs its members; the others of them stand as they are
        again[only.parent] = (Fate.RERUN, f"it holds {only.id}")
    return again


def _edited(run: Standing) -> _Again:
    """What does something else now, and what is new."""
    again: _Again = {}
    for name in run.plan.steps:
        if not _is_own(run.plan, name):
            continue
        if name in run.edits.changed:
            again[name] = (Fate.RERUN, run.edits.changed[name])
        elif name not in run.records:
            again[name] = (Fate.NEW, "it was not in the run")
        elif run.edits.everywhere:
            again[name] = (Fate.RERUN, run.edits.everywhere)
    return again


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


def _check_way(run: Standing, root: str, again: set[str]) -> None:
    """Refuse to run only what decisions that stand have not chosen: it would be skipped again.

    Raises:
        UsageError: they have not.
    """
    record = run.records.get(root)
    if record is None or record.reason != Reason.BRANCH_NOT_TAKEN:
        return
    deciding = [name for name in _all_upstreams(run.plan, root) if run.plan.steps[name].route is not None]
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


def _lack(record: StepRecord) -> str:
    """Why an outcome does not stand."""
    match record.status:
        case StepStatus.FAILED:
            return f"it failed ({record.reason})" if record.reason else "it failed"
        case StepStatus.CANCELLED:
            return "it was cancelled"
        case StepStatus.SKIPPED:
            return "it was not reached"
        case StepStatus.COMPLETED:
            return "parts of it failed"
    return f"it was still {record.status}"


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


def _with_downstream(run: Standing, roots: _Again) -> _Again:
    """Everything that depends on one of `roots`, and the members of what runs again."""
    found = dict(roots)
    whole = roots.keys() - run.edits.regrouped
    grown = True
    while grown:
        grown = False
        for step in run.plan.steps.values():
            if step.id in found or not _is_own(run.plan, step.id):
                continue
            cause = _cause(run, step, found, whole)
            if cause is not None:
                found[step.id] = (Fate.RERUN, cause)
                grown = True
    return found


def _cause(run: Standing, step: PlanStep, again: _Again, whole: Set[str]) -> str | None:
    """Why a step follows what runs again, None if it does not."""
    causes = [name for name in _upstreams(run.plan, step) if name in again]
    if causes:
        first = min(causes, key=lambda name: run.plan.steps[name].ordinal)
        changed = "was changed" if first in run.edits.changed else "runs again"
        relation = "holds" if first in step.members else "follows"
        return f"it {relation} {first}, which {changed}"
    return f"it is part of {step.parent}" if step.parent in again and step.parent in whole else None


def _add_broken_upstreams(run: Standing, again: _Again) -> None:
    """Add upstreams of `again`, however far, that have nothing to give and so must run too."""
    rest = list(again)
    seen = set(again)
    while rest:
        for upstream in _upstreams(run.plan, run.plan.steps[rest.pop()]) - seen:
            seen.add(upstream)
            rest.append(upstream)
    _add_lost(run, again, seen)
    for name in run.plan.steps:
        record = run.records.get(name)
        if name in seen and name not in again and (record is None or not _ended_well(record)):
            why = "it was not in the run" if record is None else _lack(record)
            again[name] = (Fate.INELIGIBLE, why)


def _add_lost(run: Standing, again: _Again, among: Set[str]) -> None:
    """Add steps whose outcome is not there any more."""
    for name in run.plan.steps:
        if name in among and name in run.lost and _is_own(run.plan, name):
            again.setdefault(name, (Fate.INELIGIBLE, run.lost[name]))


def _good_items(run: Standing, again: set[str]) -> dict[str, frozenset[int]]:
    """Completed items of map steps that failed themselves; a map downstream of a failure runs whole."""
    found: dict[str, frozenset[int]] = {}
    for step_id in again:
        step, record = run.plan.steps[step_id], run.records.get(step_id)
        if record is None or step.type is not StepType.MAP or not record.items or step_id in run.lost:
            continue
        if _upstreams(run.plan, step) & again or step_id in run.edits.changed or run.edits.everywhere:
            continue
        found[step_id] = frozenset(
            item.index
            for item in record.items
            if item.status in (StepStatus.COMPLETED, StepStatus.SKIPPED) and not item.partial
        )
    return found
