"""Who may run: the rule of the reference as tables, without anything that runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import Reason
from engine.events import StepStatus
from engine.orchestrator.aftermath import Aftermath, aftermath_of
from engine.orchestrator.outcome import Outcome, cancelled, failed, skipped
from engine.orchestrator.triggers import chosen_by, failure_is_tolerated, is_broken, judge
from engine.workflows.plan import FailureStrategy, PlanStep, StepRole, StepType, Trigger

GOOD = Outcome(StepStatus.COMPLETED)
BAD = failed(Reason.TASK_FAILED, "x")
STOPPED = cancelled(Reason.CANCELLED)
BEHIND = skipped(Reason.UPSTREAM_FAILED)
UNWANTED = skipped(Reason.CONDITION_FALSE)
UNTAKEN = skipped(Reason.BRANCH_NOT_TAKEN)
CHOSE = Outcome(StepStatus.COMPLETED, result={"choice": "1", "next": ["it"]})
CHOSE_OTHER = Outcome(StepStatus.COMPLETED, result={"choice": "2", "next": ["other"]})

RUNS = "runs"
UF, CF, BNT = Reason.UPSTREAM_FAILED, Reason.CONDITION_FALSE, Reason.BRANCH_NOT_TAKEN


def node(step_id: str, **fields: Any) -> PlanStep:
    return PlanStep(step_id, step_id, StepType.SEQUENTIAL, 0, **fields)


def verdict(step: PlanStep, outcomes: Mapping[str, Outcome], *, tolerated: bool = False) -> str:
    outcome = judge(step, outcomes, lambda name: tolerated)
    if outcome is None:
        return RUNS
    assert outcome.status is StepStatus.SKIPPED
    assert outcome.error, "a skip says why"
    return outcome.reason or ""


def behind(trigger: Trigger | None, *outcomes: Outcome, tolerated: bool = False, order_only: str = "") -> str:
    """The verdict on a step behind `a`, `b`, … that ended so."""
    known = dict(zip("abcdef", outcomes, strict=False))
    step = node("it", depends_on=tuple(known), trigger=trigger, order_only=frozenset(order_only))
    return verdict(step, known, tolerated=tolerated)


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ((), RUNS),
        ((GOOD,), RUNS),
        ((BAD,), UF),
        ((STOPPED,), UF),
        ((BEHIND,), UF),
        ((UNWANTED,), RUNS),
        ((UNTAKEN,), BNT),
        ((GOOD, BAD), UF),
        ((GOOD, UNWANTED), RUNS),
        ((UNWANTED, UNWANTED), RUNS),
        ((GOOD, UNTAKEN), RUNS),
        ((UNTAKEN, UNTAKEN), BNT),
        ((UNWANTED, UNTAKEN), BNT),
        ((UNTAKEN, BAD), UF),
        ((UNTAKEN, BEHIND), UF),
    ],
)
def test_without_a_trigger(upstreams: tuple[Outcome, ...], expected: str) -> None:
    assert behind(None, *upstreams) == expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [((BAD,), RUNS), ((BAD, UNTAKEN), RUNS), ((UNTAKEN,), BNT)],
)
def test_without_a_trigger_a_tolerated_failure_is_as_good_as_success(
    upstreams: tuple[Outcome, ...], expected: str
) -> None:
    assert behind(None, *upstreams, tolerated=True) == expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ((), RUNS),
        ((GOOD, GOOD), RUNS),
        ((GOOD, BAD), UF),
        ((GOOD, STOPPED), UF),
        ((GOOD, BEHIND), UF),
        ((GOOD, UNWANTED), CF),
        ((GOOD, UNTAKEN), BNT),
        ((UNWANTED, UNTAKEN), CF),
        ((UNTAKEN, UNWANTED), BNT),
        ((UNTAKEN, BAD), UF),
    ],
)
def test_all_success_wants_every_one(upstreams: tuple[Outcome, ...], expected: str) -> None:
    assert behind(Trigger.ALL_SUCCESS, *upstreams) == expected
    assert behind(Trigger.ALL_SUCCESS, *upstreams, tolerated=True) == expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ((), RUNS),
        ((GOOD, BAD), RUNS),
        ((GOOD, STOPPED), RUNS),
        ((GOOD, UNTAKEN), RUNS),
        ((BAD, UNWANTED), UF),
        ((STOPPED,), UF),
        ((BEHIND, UNTAKEN), UF),
        ((UNWANTED, UNTAKEN), CF),
        ((UNTAKEN, UNWANTED), BNT),
    ],
)
def test_one_success_wants_one(upstreams: tuple[Outcome, ...], expected: str) -> None:
    assert behind(Trigger.ONE_SUCCESS, *upstreams) == expected
    assert behind(Trigger.ONE_SUCCESS, *upstreams, tolerated=True) == expected


@pytest.mark.parametrize(
    ("upstreams", "expected"),
    [
        ((), RUNS),
        ((GOOD, UNWANTED, UNTAKEN), RUNS),
        ((UNTAKEN,), RUNS),
        ((GOOD, BAD), UF),
        ((STOPPED,), UF),
        ((BEHIND,), UF),
    ],
)
def test_none_failed_minds_no_skip(upstreams: tuple[Outcome, ...], expected: str) -> None:
    assert behind(Trigger.NONE_FAILED, *upstreams) == expected
    assert behind(Trigger.NONE_FAILED, *upstreams, tolerated=True) == expected


def test_all_done_runs_whatever_happened() -> None:
    ends = (GOOD, BAD, STOPPED, BEHIND, UNWANTED, UNTAKEN)
    for some in itertools.product(ends, repeat=2):
        assert behind(Trigger.ALL_DONE, *some) == RUNS


@pytest.mark.parametrize("trigger", [None, Trigger.ALL_SUCCESS, Trigger.NONE_FAILED])
@pytest.mark.parametrize(("before", "expected"), [(UNTAKEN, RUNS), (UNWANTED, RUNS), (BAD, UF), (BEHIND, UF)])
def test_the_order_of_the_document_waits_and_fails_but_skips_nothing(
    trigger: Trigger | None, before: Outcome, expected: str
) -> None:
    assert behind(trigger, before, order_only="a") == expected


@pytest.mark.parametrize(
    ("routers", "expected"),
    [
        ((CHOSE,), RUNS),
        ((CHOSE_OTHER,), BNT),
        ((CHOSE, CHOSE_OTHER), RUNS),
        ((CHOSE, BAD), RUNS),
        ((CHOSE_OTHER, BAD), UF),
        ((CHOSE_OTHER, STOPPED), UF),
        ((CHOSE_OTHER, BEHIND), UF),
        ((UNTAKEN,), BNT),
        ((UNWANTED,), BNT),
        ((BAD,), UF),
        ((GOOD,), BNT),  # completed without a word about what comes next
    ],
)
@pytest.mark.parametrize("trigger", [None, *Trigger])
def test_a_target_runs_only_if_one_of_its_decisions_chose_it(
    trigger: Trigger | None, routers: tuple[Outcome, ...], expected: str
) -> None:
    known = dict(zip("abc", routers, strict=False))
    step = node("it", depends_on=tuple(known), routers=tuple(known), trigger=trigger)
    assert verdict(step, known) == expected


@pytest.mark.parametrize(
    ("other", "expected"), [(GOOD, RUNS), (BAD, UF), (UNTAKEN, RUNS), (UNWANTED, RUNS), (BEHIND, UF)]
)
def test_a_target_also_minds_what_else_it_depends_on(other: Outcome, expected: str) -> None:
    step = node("it", depends_on=("router", "other"), routers=("router",))
    assert verdict(step, {"router": CHOSE, "other": other}) == expected


def test_a_decision_that_merely_stands_before_a_step_chooses_nothing_for_it() -> None:
    assert verdict(node("it", depends_on=("d",)), {"d": CHOSE_OTHER}) == RUNS


def test_what_a_decision_chose_is_known_only_when_it_completed() -> None:
    assert chosen_by(CHOSE) == ["it"]
    assert chosen_by(BAD) == chosen_by(UNTAKEN) == chosen_by(GOOD) == ()
    assert chosen_by(Outcome(StepStatus.COMPLETED, result={"next": "it"})) == ()


def test_what_is_broken() -> None:
    assert [is_broken(end) for end in (GOOD, BAD, STOPPED, BEHIND, UNWANTED, UNTAKEN)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_whose_failure_is_tolerated() -> None:
    assert not failure_is_tolerated(node("a"))
    assert failure_is_tolerated(node("a", failure_strategy=FailureStrategy.CONTINUE))
    assert failure_is_tolerated(node("a", role=StepRole.FINALLY))
    assert failure_is_tolerated(node("a", role=StepRole.ON_FAILURE))


# -- the aftermath of a failure that stops the run ----------------------------------------------------


def after(failed_step: str, *steps: PlanStep) -> Aftermath:
    return aftermath_of(failed_step, {step.id: step for step in steps})


def test_what_is_behind_a_failure_and_what_of_it_goes_on() -> None:
    found = after(
        "f",
        node("f"),
        node("beside"),
        node("next", depends_on=("f",)),
        node("last", depends_on=("next", "beside"), trigger=Trigger.ALL_DONE),
        node("elsewhere", depends_on=("beside",), trigger=Trigger.ALL_DONE),
    )
    assert found.behind == {"next", "last"}
    assert found.going_on == {"last"}


def test_members_share_the_lot_of_the_step_that_holds_them() -> None:
    found = after(
        "f",
        node("f"),
        node("p", depends_on=("f",), trigger=Trigger.ALL_DONE, members=("m", "n")),
        node("m", parent="p"),
        node("n", parent="p"),
    )
    assert found.behind == found.going_on == {"p", "m", "n"}


def test_behind_a_member_is_what_is_behind_the_step_that_holds_it() -> None:
    found = after(
        "m",
        node("p", members=("m", "n")),
        node("m", parent="p"),
        node("n", parent="p"),
        node("next", depends_on=("p",)),
    )
    assert found.behind == {"next"}
    assert found.going_on == {"p"}, "it ends by itself, once its members have"
