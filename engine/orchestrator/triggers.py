"""Whether a step may run, judged from the ends of all the steps that it depends on (design §4, Skips)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.outcome import Outcome, skipped
from engine.workflows.plan import FailureStrategy, PlanStep, StepRole, Trigger

Tolerated = Callable[[str], bool]

_BROKEN = frozenset({StepStatus.FAILED, StepStatus.CANCELLED})


def failure_is_tolerated(step: PlanStep) -> bool:
    """Whether the steps behind a failed step run all the same, and the run goes on."""
    return step.role is not StepRole.MAIN or step.failure_strategy is FailureStrategy.CONTINUE


def judge(step: PlanStep, outcomes: Mapping[str, Outcome], tolerated: Tolerated) -> Outcome | None:
    """The outcome of a step that must not run, None if it may.

    Args:
        step: the step.
        outcomes: of all that it depends on, every one terminal.
        tolerated: whether the failure of a step with that id is tolerated.
    """
    chosen = any(step.id in chosen_by(outcomes[router]) for router in step.routers)
    if step.routers and not chosen:
        return _not_chosen(step, outcomes)
    upstreams = {
        name: outcomes[name] for name in step.depends_on if name not in step.routers and name in outcomes
    }
    bad = [name for name, outcome in upstreams.items() if is_broken(outcome)]
    if step.trigger is None:
        # What was skipped for a failure hands it on, whatever it would have done about one of its own.
        untolerated = [
            name for name in bad if upstreams[name].status is not StepStatus.FAILED or not tolerated(name)
        ]
        return _by_default(step, upstreams, untolerated, chosen=chosen)
    return _by_trigger(step, upstreams, bad)


def chosen_by(outcome: Outcome) -> Sequence[str]:
    """The steps that a decision or branch has chosen; none if it did not complete."""
    if not outcome.ok or not isinstance(outcome.result, dict):
        return ()
    targets = outcome.result.get("next", ())
    return targets if isinstance(targets, list | tuple) else ()


def is_broken(outcome: Outcome) -> bool:
    """Failed, stopped, or skipped because something before it was."""
    return outcome.status in _BROKEN or outcome.reason is Reason.UPSTREAM_FAILED


def _not_chosen(step: PlanStep, outcomes: Mapping[str, Outcome]) -> Outcome:
    for router in step.routers:
        if is_broken(outcomes[router]):
            return _upstream_failed(router, outcomes[router])
    names = " or ".join(repr(router) for router in step.routers)
    return skipped(Reason.BRANCH_NOT_TAKEN, f"step {names} did not choose it")


def _by_default(
    step: PlanStep, upstreams: Mapping[str, Outcome], untolerated: Sequence[str], *, chosen: bool
) -> Outcome | None:
    if untolerated:
        return _upstream_failed(untolerated[0], upstreams[untolerated[0]])
    counting = {name: outcome for name, outcome in upstreams.items() if name not in step.order_only}
    not_taken = [name for name, outcome in counting.items() if outcome.reason is Reason.BRANCH_NOT_TAKEN]
    done = any(outcome.status in (StepStatus.COMPLETED, StepStatus.FAILED) for outcome in counting.values())
    if not_taken and not (chosen or done):
        return _as_skipped(not_taken[0], upstreams[not_taken[0]])
    return None


def _by_trigger(step: PlanStep, upstreams: Mapping[str, Outcome], bad: Sequence[str]) -> Outcome | None:
    passed_over = [
        name
        for name, outcome in upstreams.items()
        if outcome.status is StepStatus.SKIPPED and name not in bad and name not in step.order_only
    ]
    match step.trigger:
        case Trigger.ALL_DONE:
            return None
        case Trigger.NONE_FAILED:
            return _upstream_failed(bad[0], upstreams[bad[0]]) if bad else None
        case Trigger.ONE_SUCCESS if not upstreams or any(outcome.ok for outcome in upstreams.values()):
            return None
    if bad:
        return _upstream_failed(bad[0], upstreams[bad[0]])
    return _as_skipped(passed_over[0], upstreams[passed_over[0]]) if passed_over else None


def _upstream_failed(name: str, outcome: Outcome) -> Outcome:
    return skipped(Reason.UPSTREAM_FAILED, f"step {name!r} is {outcome.status}, which this step needs")


def _as_skipped(name: str, outcome: Outcome) -> Outcome:
    reason = outcome.reason or Reason.CONDITION_FALSE
    return skipped(reason, f"step {name!r}, which this step needs, was skipped: {outcome.error}")
