"""The words that a workflow document chooses from, and a plan speaks in."""

from __future__ import annotations

from enum import StrEnum


class StepType(StrEnum):
    """Kinds of steps (contract §1)."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    MAP = "map"
    REDUCE = "reduce"
    DECISION = "decision"
    BRANCH = "branch"
    SUBWORKFLOW = "subworkflow"
    APPROVAL = "approval"
    DELAY = "delay"


class Backoff(StrEnum):
    """How the delay grows with k failures so far: d, d*k, d*2^(k-1)."""

    CONSTANT = "constant"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class Jitter(StrEnum):
    """Randomness of a delay x: none = x, full = U[0, x], equal = U[x/2, x]."""

    NONE = "none"
    FULL = "full"
    EQUAL = "equal"


class Trigger(StrEnum):
    """What a step asks of the steps that it depends on, all of which have ended by then (design §4)."""

    ALL_SUCCESS = "all_success"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"
    NONE_FAILED = "none_failed"


class StepRole(StrEnum):
    """When a step has its turn: with the workflow's own steps, after a failure, or at the very end."""

    MAIN = "main"
    ON_FAILURE = "on_failure"
    FINALLY = "finally"


class Overlap(StrEnum):
    """What a scheduled run does while an earlier one of the schedule is still going on."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_PREVIOUS = "cancel_previous"


class Missed(StrEnum):
    """What becomes of the times at which no engine was up: nothing, or one run for all of them."""

    SKIP = "skip"
    RUN_ONCE = "run_once"


class FailureStrategy(StrEnum):
    """What a failed step does to the run."""

    FAIL_FAST = "fail_fast"
    CONTINUE = "continue"


class CleanupPolicy(StrEnum):
    """When an attempt's agent is removed."""

    ALWAYS = "always"
    ON_SUCCESS = "on_success"
    NEVER = "never"


class ItemErrors(StrEnum):
    """What a failed item does to its map step."""

    FAIL_FAST = "fail_fast"
    CONTINUE = "continue_on_error"
