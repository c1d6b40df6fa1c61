"""What can go wrong, in one place: the closed list of reasons and the exceptions that carry them.

Every message says what was found, what was expected and what to do; the command line prints it as it
stands, so no exception here needs a traceback to be understood.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Reason(StrEnum):
    """Why a run, step, item or attempt ended as it did (design §4). The list is closed."""

    INVALID_DEFINITION = "invalid_definition"
    INPUT_ERROR = "input_error"
    NO_CHOICE_MATCHED = "no_choice_matched"
    IMAGE_ERROR = "image_error"
    INFRA_ERROR = "infra_error"
    START_FAILED = "start_failed"
    TASK_FAILED = "task_failed"
    OOM_KILLED = "oom_killed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    BAD_RESULT = "bad_result"
    UPSTREAM_FAILED = "upstream_failed"
    CONDITION_FALSE = "condition_false"
    BRANCH_NOT_TAKEN = "branch_not_taken"
    SUB_WORKFLOW_FAILED = "sub_workflow_failed"
    REJECTED = "rejected"

    @property
    def is_platform(self) -> bool:
        """True where the platform failed rather than the user's code."""
        return self in _PLATFORM


_PLATFORM = frozenset({Reason.INFRA_ERROR, Reason.LOST})


class AgentainerError(Exception):
    """Base of everything we raise on purpose. `hint` says what to do about it, on a line of its own."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class Severity(StrEnum):
    """How bad a problem of a document is: an error refuses it, a warning is shown with it."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding about a document, with its position (1-based; 0 where there is none)."""

    path: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        mark = "" if self.severity is Severity.ERROR else "warning: "
        if not self.line:
            return f"{self.path}: {mark}{self.message}"
        return f"{self.path}:{self.line}:{self.column}: {mark}{self.message}"


class DocumentError(AgentainerError):
    """A workflow document (or the params given to it) was refused; carries every problem at once."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...], *, path: Path | None = None) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
        self.path = path


class UsageError(AgentainerError):
    """The person asked for something that cannot be: unknown run, bad option, wrong param."""

    exit_code = 2


class UnavailableError(AgentainerError):
    """Something the engine stands on is missing: Docker, Redis, the home directory, the lease."""

    exit_code = 4


class HistoryError(UnavailableError):
    """The history database cannot be used: corrupt, from a newer version, read-only or full."""


class StateStoreError(AgentainerError):
    """Redis could not be reached or answered with something that is not ours (a platform failure)."""


class InputError(AgentainerError):
    """A task's input cannot be made: a template or JSONPath that finds nothing, a map over a string."""


class BackendError(AgentainerError):
    """A backend could not do its part of an attempt's life.

    `reason` becomes the attempt's reason. `transient` tells whether the same call may succeed later (a
    daemon that did not answer) or never will (no such image); only transient failures are tried again on
    the platform's own budget.
    """

    def __init__(self, reason: Reason, message: str, *, transient: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.transient = transient


class IllegalTransitionError(AgentainerError):
    """A state move that the frozen table does not allow, or whose old state was not the stored one."""


def known_error(error: BaseException) -> AgentainerError | None:
    """The error of ours that this is, or the first in a group with nothing else in it; None for a fault."""
    if isinstance(error, AgentainerError):
        return error
    if isinstance(error, BaseExceptionGroup):
        inner = [known_error(part) for part in error.exceptions]
        if all(inner):
            return inner[0]
    return None
