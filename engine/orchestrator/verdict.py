"""The end of a run from the ends of its steps."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import Reason
from engine.events import RunStatus, StepStatus
from engine.orchestrator.context import Stop
from engine.orchestrator.outcome import Outcome

RunEnd = tuple[RunStatus, Reason | None, str | None]


def run_end(outcomes: Mapping[str, Outcome], stop: Stop | None) -> RunEnd:
    """Status, reason and error of a run whose steps all ended.

    A stop decides by itself: cancelled by a person, or failed (a step under `fail_fast`, the time-out, the
    platform). Else a failure that nobody tolerated makes it `partially_completed` if anything completed,
    `failed` if not; a map with failures outside a tolerance makes it `partially_completed`.
    """
    if stop is not None:
        if stop.reason is Reason.CANCELLED:
            return RunStatus.CANCELLED, Reason.CANCELLED, stop.message or None
        return RunStatus.FAILED, stop.reason, stop.message
    failures = {step_id: outcome for step_id, outcome in outcomes.items() if _is_bad(outcome)}
    partial = [step_id for step_id, outcome in outcomes.items() if outcome.partial]
    if failures:
        step_id, first = next(iter(failures.items()))
        error = f"step {step_id!r} {first.status}: {first.error}"
        anything = any(outcome.ok for outcome in outcomes.values())
        return (
            RunStatus.PARTIALLY_COMPLETED if anything else RunStatus.FAILED,
            first.reason,
            error if len(failures) == 1 else f"{error} (and {len(failures) - 1} more)",
        )
    if partial:
        return RunStatus.PARTIALLY_COMPLETED, None, f"parts of {', '.join(map(repr, partial))} failed"
    return RunStatus.COMPLETED, None, None


def first_failed(outcomes: Mapping[str, Outcome], stop: Stop | None) -> str | None:
    """The step that failed first, as far as the outcomes and the stop tell."""
    if stop is not None and stop.failed_step is not None:
        return stop.failed_step
    failed = (step_id for step_id, outcome in outcomes.items() if outcome.status is StepStatus.FAILED)
    return next(failed, None)


def _is_bad(outcome: Outcome) -> bool:
    """Failed, or taken over as cancelled or skipped for a failure from the run that this one retries."""
    if outcome.status in (StepStatus.FAILED, StepStatus.CANCELLED):
        return True
    return outcome.status is StepStatus.SKIPPED and outcome.reason is Reason.UPSTREAM_FAILED
