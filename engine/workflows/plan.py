"""The Plan: the checked, immutable graph that is made from a Workflow before anything runs.

Nothing here reads YAML or touches the outside world. What depends on the run's state (templates, JSONPaths,
conditions) is compiled at load, see `compiled`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.workflows.compiled import Condition as Condition
from engine.workflows.compiled import Path as Path
from engine.workflows.compiled import Scope as Scope
from engine.workflows.compiled import Template as Template
from engine.workflows.compiled import Value as Value
from engine.workflows.compiled import Verdict as Verdict
from engine.workflows.vocabulary import Backoff as Backoff
from engine.workflows.vocabulary import CleanupPolicy as CleanupPolicy
from engine.workflows.vocabulary import FailureStrategy as FailureStrategy
from engine.workflows.vocabulary import ItemErrors as ItemErrors
from engine.workflows.vocabulary import Jitter as Jitter
from engine.workflows.vocabulary import Missed as Missed
from engine.workflows.vocabulary import Overlap as Overlap
from engine.workflows.vocabulary import StepRole as StepRole
from engine.workflows.vocabulary import StepType as StepType
from engine.workflows.vocabulary import Trigger as Trigger


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
    """Limits of one agent; None is no limit.

    `places` are the lines and columns of those that the document has, by their names there (`cpu_limit`), for
    problems that only the machine knows of.
    """

    nano_cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """Something mounted into the agent: a host path, relative to the document, or a named volume."""

    source: str
    target: str
    read_only: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class ArtifactPlan:
    """A file or directory that is collected from the agent when its task has ended.

    Attributes:
        path: in the agent: absolute, or relative to its working directory.
        name: what it is called in the run's folder: `<step>/<name>` (of an item: `<step>.<index>/<name>`).
        optional: whether the task may leave it out; else its absence is a `bad_result`.
    """

    path: str
    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Memoised results; `max_age` in seconds. `key` None: digest of image, command, environment and input."""

    key: Template | None = None
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """The warm agents that serve a step.

    Attributes:
        name: of the pool; steps of any workflows that name the same pool share its agents.
        min_size: agents that stay ready, once there are some.
        max_size: agents at most; None = as many as the machine runs tasks.
        idle_timeout: seconds after which an idle agent beyond `min_size` goes.
        max_agent_uses: tasks after which an agent is replaced; 0 = no limit, 1 = one agent per task.
        warm_up: start `min_size` agents (at least one) when a run begins, before a task needs them.
        place: line and column of its sizes in the document, for problems with the machine.
    """

    name: str
    min_size: int = 0
    max_size: int | None = None
    idle_timeout: float = 300.0
    max_agent_uses: int = 0
    warm_up: bool = False
    place: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What an attempt of a step hands to its agent.

    Attributes:
        command: an argv of templates, or one string for a shell (never templated), or None: the image's own.
        network: `default`, `none`, `host`, or the name of a Docker network that the agent joins besides.
        secrets: names of the workflow's secrets that the task gets as environment variables.
        working_dir: absolute in a container; for a local process relative to the document.
        user: `uid[:gid]` or a name known to the image.
    """

    image: Template | None = None
    command: tuple[Template, ...] | str | None = None
    env: Mapping[str, Template] = field(default_factory=dict)
    limits: ResourceLimits = ResourceLimits()
    redis_access: str = "run"  # run | open | none
    network: str = "default"
    pull_policy: str = "missing"  # missing | always | never
    volumes: tuple[VolumePlan, ...] = ()
    working_dir: str | None = None
    user: str | None = None
    privileged: bool = False
    secrets: tuple[str, ...] = ()
    artifacts: tuple[ArtifactPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class MapPlan:
    """How a map step expands (design §4, Map).

    Attributes:
        input_path: the list in the state.
        item_alias: what an item (of a batch: the list of its elements) is called in its task's input.
        tolerated_failure_count, tolerated_failure_percentage: None = no explicit tolerance.
        batch_size: how many elements make one item.
        condition: judged for each item, with its alias and `_map_index` in the scope; false skips the item.
    """

    input_path: Path
    item_alias: str = "item"
    max_concurrency: int = 0
    error_handling: ItemErrors = ItemErrors.FAIL_FAST
    tolerated_failure_count: int | None = None
    tolerated_failure_percentage: float | None = None
    batch_size: int = 1
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One way out of a decision or branch.

    Attributes:
        label: for people and results: `1`, `2`, … of a list of choices, a branch's id, `true`, `false`,
            `default`.
        condition: None is always true (a default).
        targets: ids of the steps that run if it is chosen.
        workflow: the workflow that the step itself runs if it is chosen, before the targets.
    """

    label: str
    condition: Condition | None = None
    targets: tuple[str, ...] = ()
    workflow: SubWorkflowPlan | None = None


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """A decision or branch: the first choice whose condition is true wins, `default` if none is.

    Attributes:
        input_path: the value that the conditions' `$` is; what they do not find there, they look for in the
            state (contract §1). None: the state.
        choices: in the order in which they are judged.
        default: None = the step fails with `no_choice_matched`.
    """

    input_path: Path | None = None
    choices: tuple[Choice, ...] = ()
    default: Choice | None = None

    @property
    def ways(self) -> tuple[Choice, ...]:
        """All ways out, the default last."""
        return (*self.choices, self.default) if self.default else self.choices


@dataclass(frozen=True, slots=True)
class SubWorkflowPlan:
    """The workflow that a step runs as a child run.

    Attributes:
        name: its name, or the stem of its file, in the workflow directory; of an inline one: its own name.
        inline: the plan that stands in the step itself, None to look `name` up (`Plan.children`).
        inputs: fields of the child's initial state and params; None hands on the whole state.
        outputs: `merge` the fields that the child set into the state, keep them under the `step` only, or a
            mapping from fields of the state to paths in the child's state.
        line, column: where the document names it, for problems found when workflows are linked; the same
            workflow may stand elsewhere in another text.
    """

    name: str
    inline: Plan | None = None
    inputs: Mapping[str, Value] | None = None
    outputs: str | Mapping[str, Path] = "merge"
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ApprovalPlan:
    """A gate that a person opens or keeps shut. The step's timeout bounds the wait.

    `default` is the answer when nobody gives one in time: True, False, or None to fail with `timed_out`.
    """

    message: Template
    default: bool | None = None


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
        workers_path: for a parallel step with dynamic workers: the list in the state, one worker for each.
        map: for a map step.
        metadata: the step's own.
        role: when it has its turn; steps of different roles never depend on each other.
        trigger: what it asks of its upstreams, None for the rule of design §4, Skips.
        failure_strategy: what its failure does, resolved against the workflow's.
        routers: decisions and branches that have it as a target (`depends_on` has them too).
        order_only: those of `depends_on` that come from the order of the document: it waits for them, but a
            branch not taken there does not skip it.
        route: for a decision or branch.
        sub: for a sub-workflow step, or a map step whose items are child runs; then `task` is None.
        approval: for an approval step.
        delay: for a delay step, seconds.
        cache: reuse of earlier results of the same work, None for never.
        pool: the warm agents that run its tasks, None for a new agent for each task.
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
    workers_path: Path | None = None
    map: MapPlan | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    role: StepRole = StepRole.MAIN
    trigger: Trigger | None = None
    failure_strategy: FailureStrategy = FailureStrategy.FAIL_FAST
    routers: tuple[str, ...] = ()
    order_only: frozenset[str] = frozenset()
    route: RoutePlan | None = None
    sub: SubWorkflowPlan | None = None
    approval: ApprovalPlan | None = None
    delay: float | None = None
    cache: CachePlan | None = None
    pool: PoolPlan | None = None


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
class SecretSpec:
    """A secret of the workflow: tasks see it as the variable `name`.

    Its value comes from the engine's own variable `env` (default: the same name), then from the workflow's
    env files, or from `file` (relative to the document, readable by its owner only).
    """

    name: str
    env: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """When runs start by themselves while an engine watches the workflow. `cron` has five fields."""

    cron: str
    timezone: str = "UTC"
    overlap: Overlap = Overlap.SKIP
    missed: Missed = Missed.SKIP
    params: Mapping[str, Any] = field(default_factory=dict)


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
        max_active_runs: of this workflow at the same time, further ones wait; 0 = no bound.
        finally_timeout: seconds for the `on_failure` and `finally` steps together.
        schedule: when it runs by itself.
        secrets: by name.
        env_files: paths relative to the document; later ones win.
        children: the workflows that its steps run, and theirs, by the name that the steps use; filled in when
            workflows are linked (`linking`).
        profiling: record what the agents use, second by second.
        warnings: what has no effect, and other findings, as shown at load.
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
    max_active_runs: int = 0
    finally_timeout: float = 300.0
    schedule: SchedulePlan | None = None
    secrets: Mapping[str, SecretSpec] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    children: Mapping[str, Plan] = field(default_factory=dict)
    profiling: bool = False
    warnings: tuple[str, ...] = ()
