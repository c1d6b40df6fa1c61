"""How a step ends: what it gives goes into the shared state, and its finishing event tells what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Reason, StateStoreError
from engine.events import Event, StepStatus
from engine.history.records import Remembered, StepRecord
from engine.orchestrator.context import RESERVED, RunContext
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.track import Track
from engine.state.store import StateChanges
from engine.workflows.plan import PlanStep


def track_of(run: RunContext, step: PlanStep, prior: StepRecord | None) -> Track:
    """The moves of a step, from where this engine has brought it, or else an earlier one."""
    before = StepStatus(prior.status) if prior else StepStatus.PENDING
    return Track(run, step.id, status=run.standing.get(step.id, before))


async def conclude_step(
    run: RunContext, step: PlanStep, track: Track, outcome: Outcome, merged: Mapping[str, Any]
) -> tuple[Outcome, Event]:
    """Merge what a step gives to the shared state and make its finishing event with all that changed."""
    given = StateChanges(set=merged) if outcome.remembered is None else _changes_of(outcome.remembered)
    try:
        changes = await run.merge(step, given)
    except StateStoreError as error:
        changes = StateChanges()
        if outcome.ok:
            outcome = failed(Reason.INFRA_ERROR, f"its result could not be stored: {error}")
    return outcome, track.finished(outcome, changes=_described(changes))


def _changes_of(remembered: Remembered) -> StateChanges:
    """What remembered work did to the state of its run, to be done to this one's."""
    changes = remembered.changes or {}
    return StateChanges(
        set={name: value for name, value in changes.get("set", {}).items() if name not in RESERVED},
        removed=tuple(changes.get("removed", ())),
        collections=changes.get("collections", {}),
    )


def fields_of(outcome: Outcome) -> Mapping[str, Any]:
    """What a completed step gives to the shared state: the fields of a result that is an object."""
    return outcome.result if outcome.ok and isinstance(outcome.result, dict) else {}


def _described(changes: StateChanges) -> dict[str, Any] | None:
    """Changes as an event has them."""
    if not changes:
        return None
    described: dict[str, Any] = {"set": dict(changes.set), "removed": list(changes.removed)}
    return described | ({"collections": dict(changes.collections)} if changes.collections else {})
