"""When and after how long a failed attempt is tried again (design §4, Retry)."""

from __future__ import annotations

import random

from engine.errors import Reason
from engine.orchestrator.outcome import Outcome
from engine.workflows.plan import Backoff, Jitter, RetryPolicy

# What trying again cannot mend: the document, the input, a command that is not there, an image that is not
# there. Platform failures have a budget of their own and are not retried a second time here.
_NEVER = frozenset(
    {
        Reason.INVALID_DEFINITION,
        Reason.INPUT_ERROR,
        Reason.NO_CHOICE_MATCHED,
        Reason.IMAGE_ERROR,
        Reason.INFRA_ERROR,
        Reason.START_FAILED,
        Reason.CANCELLED,
    }
)

# Beyond this the doubling stops: 2^40 times any delay is longer than any machine lives.
_MAX_EXPONENT = 40


def retry_delay(policy: RetryPolicy, failures: int, seed: str) -> float:
    """Seconds to wait after the `failures`-th failure (from 1): d, d*k or d*2^(k-1), capped, then jittered.

    `seed` names run, step, item and attempt, so that a resumed run waits exactly as the first one would.
    """
    match policy.backoff:
        case Backoff.CONSTANT:
            raw = policy.delay
        case Backoff.LINEAR:
            raw = policy.delay * failures
        case Backoff.EXPONENTIAL:
            raw = policy.delay * 2.0 ** min(failures - 1, _MAX_EXPONENT)
    capped = raw if policy.max_delay is None else min(raw, policy.max_delay)
    if policy.jitter is Jitter.NONE:
        return capped
    lowest = capped / 2 if policy.jitter is Jitter.EQUAL else 0.0
    return random.Random(seed).uniform(lowest, capped)


def may_retry(policy: RetryPolicy, outcome: Outcome, failures: int) -> bool:
    """Whether the `failures`-th failure (from 1) may be followed by another try."""
    if failures >= policy.max_attempts or outcome.reason is None or outcome.reason in _NEVER:
        return False
    if policy.retry_on is not None and outcome.reason.value not in policy.retry_on:
        return False
    return policy.exit_codes is None or outcome.exit_code in policy.exit_codes
