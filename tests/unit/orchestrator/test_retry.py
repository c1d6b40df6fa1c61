"""The figures of back-off, and which failures are tried again."""

from __future__ import annotations

import pytest

from engine.errors import Reason
from engine.orchestrator.outcome import failed
from engine.orchestrator.retry import may_retry, retry_delay
from engine.workflows.plan import Backoff, Jitter, RetryPolicy


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        (Backoff.CONSTANT, [5, 5, 5, 5, 5]),
        (Backoff.LINEAR, [5, 10, 15, 20, 25]),
        (Backoff.EXPONENTIAL, [5, 10, 20, 40, 80]),
    ],
)
def test_delays_after_k_failures(backoff: Backoff, expected: list[float]) -> None:
    policy = RetryPolicy(max_attempts=9, backoff=backoff, delay=5)
    assert [retry_delay(policy, failures, "seed") for failures in range(1, 6)] == expected


def test_max_delay_caps_before_the_jitter() -> None:
    policy = RetryPolicy(backoff=Backoff.EXPONENTIAL, delay=5, max_delay=12)
    assert [retry_delay(policy, failures, "s") for failures in (1, 2, 3, 4)] == [5, 10, 12, 12]


def test_a_huge_number_of_failures_does_not_overflow() -> None:
    policy = RetryPolicy(backoff=Backoff.EXPONENTIAL, delay=5, max_delay=60)
    assert retry_delay(policy, 1_000_000, "s") == 60


@pytest.mark.parametrize(("jitter", "lowest"), [(Jitter.FULL, 0.0), (Jitter.EQUAL, 5.0)])
def test_jitter_stays_in_its_range_and_is_reproducible(jitter: Jitter, lowest: float) -> None:
    policy = RetryPolicy(delay=10, jitter=jitter)
    delays = [retry_delay(policy, 1, f"run/step/{number}") for number in range(200)]
    assert all(lowest <= delay <= 10 for delay in delays)
    assert len(set(delays)) > 150
    assert delays == [retry_delay(policy, 1, f"run/step/{number}") for number in range(200)]


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        (Reason.TASK_FAILED, True),
        (Reason.OOM_KILLED, True),
        (Reason.TIMED_OUT, True),
        (Reason.LOST, True),
        (Reason.BAD_RESULT, True),
        (Reason.INPUT_ERROR, False),
        (Reason.IMAGE_ERROR, False),
        (Reason.INFRA_ERROR, False),
        (Reason.START_FAILED, False),
        (Reason.CANCELLED, False),
    ],
)
def test_what_trying_again_cannot_mend_is_not_tried_again(reason: Reason, again: bool) -> None:
    assert may_retry(RetryPolicy(max_attempts=2), failed(reason, "x"), 1) is again


def test_max_attempts_counts_the_first_try() -> None:
    policy = RetryPolicy(max_attempts=3)
    outcome = failed(Reason.TASK_FAILED, "x")
    assert [may_retry(policy, outcome, failures) for failures in (1, 2, 3)] == [True, True, False]


def test_retry_on_and_exit_codes_narrow_it() -> None:
    policy = RetryPolicy(max_attempts=2, retry_on=frozenset({"task_failed"}), exit_codes=frozenset({75}))
    assert may_retry(policy, failed(Reason.TASK_FAILED, "x", exit_code=75), 1)
    assert not may_retry(policy, failed(Reason.TASK_FAILED, "x", exit_code=1), 1)
    assert not may_retry(policy, failed(Reason.TIMED_OUT, "x"), 1)
