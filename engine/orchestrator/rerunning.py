"""What a retry comes to, worked out once: a preview shows it, the retry acts on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.clock import parse_time
from engine.errors import UsageError
from engine.events import RunStatus
from engine.history.reader import Reader
from engine.history.records import ItemRecord, RunDetail, RunRecord, StepRecord
from engine.orchestrator.artifacts import ArtifactStore
from engine.orchestrator.creation import initial_state, with_params
from engine.orchestrator.edits import edits_between
from engine.orchestrator.family import EarlierChildren, earlier_children
from engine.orchestrator.fates import Decision, Fate
from engine.orchestrator.kept import plan_of
from engine.orchestrator.scopes import RetryScope, decide
from engine.workflows.params import carried_params
from engine.workflows.plan import Plan
from engine.workflows.plan_diff import PlanDiff


@dataclass(frozen=True, slots=True)
class Rerun:
    """A retry that is worked out.

    Attributes:
        plan: what it runs.
        params, state: what it begins with.
        decision: what becomes of each step.
        earlier_children: the child runs that it goes on from, as in `creation.Beginning`.
        diff: what an edited plan changed.
    """

    plan: Plan
    params: Mapping[str, Any]
    state: Mapping[str, Any]
    decision: Decision
    earlier_children: EarlierChildren
    diff: PlanDiff


@dataclass(frozen=True, slots=True)
class RetryPreview:
    """What a retry would do.

    Attributes:
        run: that would be retried.
        scope: as it would be asked for.
        rerun: what it comes to.
        worked: seconds that the steps and items which it takes over once took, by step.
        seconds_saved: those of all of them; what ran side by side counts once.
    """

    run: RunRecord
    scope: RetryScope
    rerun: Rerun
    worked: Mapping[str, float]
    seconds_saved: float


async def work_out(
    detail: RunDetail,
    scope: RetryScope,
    plan: Plan,
    history: Reader,
    artifacts: ArtifactStore,
    given: Mapping[str, Any],
) -> Rerun:
    """What a retry of a finished run by `plan` comes to.

    Args:
        detail: the run.
        scope: what of it runs again.
        plan: its own; with `scope.edited` another version.
        history: where it is recorded.
        artifacts: of the home.
        given: params that are to be others than they were; with `scope.edited` only.

    Raises:
        UsageError: it is not over yet, the scope makes no sense for it, or its params do not fit any more.
        DocumentError: its own document is not valid any more.
    """
    run = detail.run
    if not RunStatus(run.status).is_terminal:
        raise UsageError(f"run {run.id} is still {run.status}", hint="cancel it, or wait for its end")
    # Not the plan's: a child run began with what its parent gave it.
    state = await history.state_at(run.id, run.seq)
    params: Mapping[str, Any] = run.params
    edits = None
    if scope.edited:
        before = await plan_of(run, history)
        is_child = run.parent is not None
        params = carried_params(before, plan, run.params, given)
        edits = edits_between(before, plan, run.params, params, is_child=is_child)
        state = with_params(plan, state, params) if is_child else initial_state(plan, params)
    decision = decide(plan, detail, scope, edits=edits, lost=await _lost(detail, artifacts))
    children = await earlier_children(detail, history) if scope.failed else {}
    if edits is not None:
        children = {unit: child for unit, child in children.items() if _goes_on(plan, decision, unit[0])}
    return Rerun(plan, params, state, decision, children, edits.diff if edits is not None else PlanDiff())


async def preview(
    detail: RunDetail,
    scope: RetryScope,
    plan: Plan,
    history: Reader,
    artifacts: ArtifactStore,
    given: Mapping[str, Any],
) -> RetryPreview:
    """What a retry would do, and what it saves; as `work_out`."""
    rerun = await work_out(detail, scope, plan, history, artifacts, given)
    reuse = rerun.decision.reuse
    wanted = dict.fromkeys(reuse.steps) | {**reuse.items}
    spans = await _spans(detail, wanted, history)
    return RetryPreview(
        detail.run,
        scope,
        rerun,
        {name: covered(found) for name, found in spans.items()},
        covered(span for found in spans.values() for span in found),
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The seconds that lie in any of the spans."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _goes_on(plan: Plan, decision: Decision, step_id: str) -> bool:
    """Whether a step that runs again is as it was, and so is all before it."""
    reused = {step.id for step in decision.fates if step.fate is Fate.REUSED}
    step = plan.steps.get(step_id)
    fate = next((step for step in decision.fates if step.id == step_id), None)
    unchanged = fate is not None and fate.fate is Fate.RERUN and not fate.changed
    return step is not None and unchanged and set(step.depends_on) <= reused


async def _lost(detail: RunDetail, artifacts: ArtifactStore) -> dict[str, str]:
    """Steps that left artifacts which are not there any more."""
    lost = {}
    for step in detail.steps:
        units: list[tuple[StepRecord | ItemRecord, int | None]] = [(step, None)]
        units += [(item, item.index) for item in step.items]
        for unit, item in units:
            if not unit.artifacts:
                continue
            there = {artifact.name for artifact in await artifacts.kept(detail.run.id, step.id, item)}
            if missing := [name for one in unit.artifacts if (name := str(one.get("name"))) not in there]:
                lost[step.id] = f"its artifact {missing[0]} is not there any more"
    return lost


Wanted = Mapping[str, frozenset[int] | None]


async def _spans(detail: RunDetail, wanted: Wanted, history: Reader) -> dict[str, list[tuple[float, float]]]:
    """When the work was done whose results stand, by step: in this run, or in one that it took them from.

    `wanted` says for each step which of its items, None for all of it.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    earlier: dict[str, frozenset[int] | None] = {}
    for step in detail.steps:
        if step.id not in wanted:
            continue
        items = wanted[step.id]
        if items is None and not step.reused:
            found[step.id] = _span(step)
            continue
        if items is None and not step.items:
            earlier[step.id] = None
            continue
        chosen = [item for item in step.items if items is None or item.index in items]
        found[step.id] = [span for item in chosen if not item.reused for span in _span(item)]
        if before := frozenset(item.index for item in chosen if item.reused):
            earlier[step.id] = None if items is None and len(before) == len(step.items) else before
    if earlier and detail.run.retry_of is not None:
        try:
            before_it = await history.detail(detail.run.retry_of)
        except UsageError:  # it was pruned
            return found
        for name, spans in (await _spans(before_it, earlier, history)).items():
            found[name] = [*found.get(name, ()), *spans]
    return found


def _span(unit: StepRecord | ItemRecord) -> list[tuple[float, float]]:
    if unit.started_at is None or unit.finished_at is None:
        return []
    return [(parse_time(unit.started_at).timestamp(), parse_time(unit.finished_at).timestamp())]
