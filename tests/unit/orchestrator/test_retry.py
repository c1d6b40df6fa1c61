"""The figures of back-off, and which failures are tried again."""

from __future__ import annotations

import pytest

from engine.errors import Reason
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.retry import may_retry, retry_delay
from engine.workflows.plan import Backoff, Jitter, RetryPolicy
from engine.workflows.policy_documents import RETRYABLE


@pytest.mark.parametrize(
    ("backoff", "cap", "expected"),
    [
        (Backoff.CONSTANT, None, [5, 5, 5, 5, 5]),
        (Backoff.LINEAR, None, [5, 10, 15, 20, 25]),
        (Backoff.EXPONENTIAL, None, [5, 10, 20, 40, 80]),
        (Backoff.CONSTANT, 3, [3, 3, 3, 3, 3]),
        (Backoff.LINEAR, 12, [5, 10, 12, 12, 12]),
        (Backoff.EXPONENTIAL, 12, [5, 10, 12, 12, 12]),
        (Backoff.EXPONENTIAL, 40, [5, 10, 20, 40, 40]),
    ],
)
def test_delays_after_k_failures(backoff: Backoff, cap: float | None, expected: list[float]) -> None:
    policy = RetryPolicy(max_attempts=9, backoff=backoff, delay=5, max_delay=cap)
    assert [retry_delay(policy, failures, "seed") for failures in range(1, 6)] == expected


def test_a_huge_number_of_failures_does_not_overflow() -> None:
    policy = RetryPolicy(backoff=Backoff.EXPONENTIAL, delay=5, max_delay=60)
    assert retry_delay(policy, 1_000_000, "s") == 60


@pytest.mark.parametrize(("jitter", "lowest"), [(Jitter.FULL, 0.0), (Jitter.EQUAL, 6.0)])
def test_jitter_spreads_the_capped_delay_and_is_reproducible(jitter: Jitter, lowest: float) -> None:
    policy = RetryPolicy(backoff=Backoff.EXPONENTIAL, delay=10, max_delay=12, jitter=jitter)
    delays = [retry_delay(policy, 3, f"run/step/{number}") for number in range(200)]
    assert all(lowest <= delay <= 12 for delay in delays)
    assert len(set(delays)) > 150
    assert delays == [retry_delay(policy, 3, f"run/step/{number}") for number in range(200)]


ALWAYS, ON_REQUEST, NEVER = "unless something else is asked for", "only where retry_on names it", "never"


@pytest.mark.parametrize(
    ("reason", "when"),
    [
        (Reason.TASK_FAILED, ALWAYS),
        (Reason.OOM_KILLED, ALWAYS),
        (Reason.TIMED_OUT, ALWAYS),
        (Reason.LOST, ALWAYS),
        (Reason.BAD_RESULT, ALWAYS),
        (Reason.SUB_WORKFLOW_FAILED, ALWAYS),
        (Reason.IMAGE_ERROR, ON_REQUEST),
        (Reason.START_FAILED, ON_REQUEST),
        (Reason.INFRA_ERROR, ON_REQUEST),
        (Reason.INPUT_ERROR, NEVER),
        (Reason.INVALID_DEFINITION, NEVER),
        (Reason.NO_CHOICE_MATCHED, NEVER),
        (Reason.REJECTED, NEVER),
        (Reason.CANCELLED, NEVER),
    ],
)
def test_what_is_tried_again_for_which_reason(reason: Reason, when: str) -> None:
    plain, named = (
        RetryPolicy(max_attempts=2),
        RetryPolicy(max_attempts=2, retry_on=frozenset({reason.value})),
    )
    other = RetryPolicy(max_attempts=2, retry_on=frozenset({"another"}))
    outcome = failed(reason, "x")
    assert may_retry(plain, outcome, 1) is (when is ALWAYS)
    assert may_retry(named, outcome, 1) is (when is not NEVER)
    assert not may_retry(other, outcome, 1)


@pytest.mark.parametrize("reason", RETRYABLE)
def test_every_reason_that_a_document_may_name_is_honoured(reason: str) -> None:
    policy = RetryPolicy(max_attempts=2, retry_on=frozenset({reason}))
    assert may_retry(policy, failed(Reason(reason), "x"), 1)


def test_max_attempts_counts_the_first_try() -> None:
    policy = RetryPolicy(max_attempts=3)
    outcome = failed(Reason.TASK_FAILED, "x")
    assert [may_retry(policy, outcome, failures) for failures in (1, 2, 3)] == [True, True, False]


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        (failed(Reason.TASK_FAILED, "x", exit_code=75), True),
        (failed(Reason.TASK_FAILED, "x", exit_code=1), False),
        (failed(Reason.OOM_KILLED, "x", exit_code=75), False),
        (failed(Reason.TIMED_OUT, "x"), False),
    ],
)
def test_reasons_and_exit_codes_narrow_it_together(outcome: Outcome, again: bool) -> None:
    policy = RetryPolicy(max_attempts=2, retry_on=frozenset({"task_failed"}), exit_codes=frozenset({75}))
    assert may_retry(policy, outcome, 1) is again


def test_exit_codes_alone_exclude_failures_that_have_none() -> None:
    policy = RetryPolicy(max_attempts=2, exit_codes=frozenset({75}))
    assert may_retry(policy, failed(Reason.TASK_FAILED, "x", exit_code=75), 1)
    assert not may_retry(policy, failed(Reason.TIMED_OUT, "x"), 1)
