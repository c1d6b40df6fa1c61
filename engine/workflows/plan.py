"""The Plan: the checked, immutable graph that is made from a Workflow before anything runs.

Nothing here reads YAML or touches the outside world. Values that depend on the run's state (templates,
JSONPaths, conditions) are compiled objects, made once at load; evaluating one takes a `Scope`: the state's
fields at the top level, `params`, `steps.<id>.{status,result,error,exit_code}`, and for a map item its
alias and `_map_index`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Scope = Mapping[str, Any]


class StepType(StrEnum):
    """Kinds of steps (contract §1)."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    MAP = "map"
    REDUCE = "reduce"
    DECISION = "decision"
    BRANCH = "branch"
    SUBWORKFLOW = "subworkflow"


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition said, with the warnings to record (mismatched types, a slow expression)."""

    value: bool
    warnings: tuple[str, ...] = ()


class Condition(Protocol):
    """A compiled condition."""

    def evaluate(self, scope: Scope) -> Verdict:
        """True or false; a missing field is false, never an error (contract §1)."""
        ...


class Template(Protocol):
    """A compiled text with `{{ $.path }}` places."""

    @property
    def source(self) -> str:
        """The text as written."""
        ...

    def render(self, scope: Scope) -> str:
        """The text; text values as they are, null as "", the rest as compact JSON.

        Raises:
            InputError: a path finds nothing; the message names the template, the path and the field.
        """
        ...


class Path(Protocol):
    """A compiled JSONPath."""

    @property
    def source(self) -> str:
        """The path as written."""
        ...

    def find(self, scope: Scope) -> Any:
        """The one value it finds (a list of them when the path has wildcards, filters or slices).

        Raises:
            InputError: it finds nothing; the message says how far it got.
        """
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retry of a failed attempt. `max_attempts` counts the first try; delays are seconds.

    `retry_on` None retries every failure of the user's code; else only those reasons. `exit_codes` None
    means any code; else only failures with those codes are tried again.
    """

    max_attempts: int = 1
    backoff: Backoff = Backoff.CONSTANT
    delay: float = 5.0
    max_delay: float | None = None
    jitter: Jitter = Jitter.NONE
    retry_on: frozenset[str] | None = None
    exit_codes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Limits of one agent; None is no limit."""

    nano_cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What an attempt of a step hands to its agent.

    `command` is an argv of templates, or one string for a shell (never templated), or None: the image's own.
    """

    image: Template | None = None
    command: tuple[Template, ...] | str | None = None
    env: Mapping[str, Template] = field(default_factory=dict)
    limits: ResourceLimits = ResourceLimits()
    redis_access: str = "run"  # run | open | none
    network: str = "default"  # default | none
    pull_policy: str = "missing"  # missing | always | never


@dataclass(frozen=True, slots=True)
class MapPlan:
    """How a map step expands. `tolerated_*` None: no explicit tolerance (design §4, Map)."""

    input_path: Path
    item_alias: str = "item"
    max_concurrency: int = 0
    error_handling: ItemErrors = ItemErrors.FAIL_FAST
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None

    @property
    def has_tolerance(self) -> bool:
        """Whether the document names a tolerance; failures within it leave the run `completed`."""
        return self.tolerated_failure_count is not None or self.tolerated_failure_percentage is not None


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One node of the graph.

    Attributes:
        id: unique in the plan, safe in keys, file names and labels.
        name: for people.
        type: its kind.
        ordinal: position in the document, from 0.
        depends_on: ids it waits for (edges of the graph: explicit ones, or those of document order).
        parent: id of the parallel step whose nested `steps:` holds it, else None.
        members: for a parallel step with nested steps: their ids in order.
        task: what it runs; None for a parallel step with members and for kinds without a task.
        condition: skip unless true.
        retry, timeout, cleanup: resolved against the workflow's config; timeout in seconds bounds each
            attempt (of a map: of each item's attempt), None = unbounded.
        workers: for a parallel step without members: how many agents of the one task.
        map: for a map step.
        metadata: the step's own.
        unsupported: why it cannot run yet, empty if it can.
    """

    id: str
    name: str
    type: StepType
    ordinal: int
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    members: tuple[str, ...] = ()
    task: TaskPlan | None = None
    condition: Condition | None = None
    retry: RetryPolicy = RetryPolicy()
    timeout: float | None = None
    cleanup: CleanupPolicy = CleanupPolicy.ALWAYS
    workers: int = 1
    map: MapPlan | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    unsupported: str = ""


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One declared param. `type` is string, integer, number, boolean, array or object."""

    name: str
    type: str = "string"
    default: Any = None
    required: bool = False
    description: str = ""
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole checked graph. `steps` is in document order, nested members right after their parent.

    Attributes:
        workflow: the workflow's name.
        digest: sha256 of the document's text, hex.
        document: the text it was made from, kept with every run.
        path: where it came from, if a file.
        steps: the nodes by id, in document order.
        max_parallel: bound on tasks of one run; 0 = only the machine's bound.
        timeout: seconds for the whole run, None = unbounded.
        failure_strategy: what a failed step does.
        state: the initial shared state.
        metadata: the workflow's own, handed on as `WORKFLOW_<KEY>`.
        params: the declared params by name.
        warnings: what was read but is not honoured yet, and other findings, as shown at load.
    """

    workflow: str
    digest: str
    document: str
    path: str | None
    steps: Mapping[str, PlanStep]
    description: str = ""
    max_parallel: int = 0
    timeout: float | None = None
    failure_strategy: FailureStrategy = FailureStrategy.FAIL_FAST
    state: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, ParamSpec] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
