"""When and after how long a failed attempt is tried again (design §4, Retry)."""

from __future__ import annotations

import random

from engine.errors import Reason
from engine.orchestrator.outcome import Outcome
from engine.workflows.plan import Backoff, Jitter, RetryPolicy

# What trying again cannot mend: the document, the input, what a person wanted.
_NEVER = frozenset(
    {
        Reason.INVALID_DEFINITION,
        Reason.INPUT_ERROR,
        Reason.NO_CHOICE_MATCHED,
        Reason.REJECTED,
        Reason.CANCELLED,
    }
)

# Tried again only where `retry_on` names them: an image or a command that is not there seldom comes, and
# platform failures have been tried on a budget of their own before.
_ON_REQUEST = frozenset({Reason.IMAGE_ERROR, Reason.START_FAILED, Reason.INFRA_ERROR})

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
    if policy.retry_on is None:
        wanted = outcome.reason not in _ON_REQUEST
    else:
        wanted = outcome.reason.value in policy.retry_on
    if not wanted:
        return False
    return policy.exit_codes is None or outcome.exit_code in policy.exit_codes
