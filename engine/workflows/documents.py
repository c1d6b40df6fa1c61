"""The workflow document as typed models: every field of both dialects (contract §1).

The models take the tree of a document with the config of each step lifted onto the step (`lift`), so a
field has one place whichever way it was written. What a field means for a run is decided in the planner.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.errors import Reason
from engine.workflows.conditions import OPERATORS, SPELLINGS
from engine.workflows.fields import (
    COMMAND_SCHEMA,
    Boolean,
    EnvironmentName,
    Identifier,
    Json,
    Key,
    Names,
    Reads,
    StepId,
    Text,
    TextAsWritten,
    Title,
    WorkflowName,
    choice,
    integer,
    list_of,
    problem,
    read_command,
    read_text,
    word,
)
from engine.workflows.plan import Backoff, CleanupPolicy, FailureStrategy, ItemErrors, Jitter, StepType
from engine.workflows.quantities import Cpus, Duration, Memory, Percentage
from engine.workflows.tree import Items, Node, Position, Report, Table, describe
from engine.workflows.wording import show

MAX_WORKERS = 10_000

RETRYABLE = tuple(
    reason.value
    for reason in (
        Reason.TASK_FAILED,
        Reason.TIMED_OUT,
        Reason.OOM_KILLED,
        Reason.START_FAILED,
        Reason.BAD_RESULT,
        Reason.IMAGE_ERROR,
        Reason.INFRA_ERROR,
        Reason.LOST,
    )
)


class Part(BaseModel):
    """Base of all parts of a document: no unknown keys, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class RetryDocument(Part):
    """When and how often a failed attempt is tried again."""

    max_attempts: Annotated[int, integer(1, 1000, "it counts the first try, so 1 means no retry")] = Field(
        1, description="tries in all, the first one included"
    )
    backoff: Annotated[Backoff, choice(Backoff)] = Field(
        Backoff.CONSTANT, description="how the delay grows with the failures so far: d, d*k or d*2^(k-1)"
    )
    delay: Duration = Field(5.0, description="the delay d after the first failure")
    max_delay: Duration | None = Field(None, description="no delay is longer than this")
    jitter: Annotated[Jitter, choice(Jitter)] = Field(
        Jitter.NONE, description="randomness of a delay x: none = x, full = 0 to x, equal = x/2 to x"
    )
    retry_on: Annotated[list[Annotated[str, word(*RETRYABLE)]], list_of({"enum": list(RETRYABLE)})] | None = (
        Field(
            None,
            description="only failures for these reasons are tried again; default: all that a retry can mend",
        )
    )
    exit_codes: list[Annotated[int, integer(0, 255)]] | None = Field(
        None, description="only failures with these exit codes are tried again"
    )


class LimitsDocument(Part):
    """Resource limits of one agent."""

    cpu_limit: Cpus | None = Field(None, description='nano-CPUs (500000000) or CPUs ("0.5")')
    memory_limit: Memory | None = Field(None, description='bytes or a size such as "256Mi"')
    gpu_limit: Annotated[int, integer(0, 64)] | None = Field(None, description="number of GPUs")


class MapDocument(Part):
    """How a map step goes over a list in the state."""

    input_path: Text = Field(description="where the list is: `urls`, `$.urls` or any JSONPath")
    item_alias: Identifier = Field("item", description="the name of the element in the task's input")
    max_concurrency: Annotated[int, integer(0, MAX_WORKERS, "0 means no bound of its own")] = Field(
        0, description="items at the same time; 0 = only the run's and the machine's bound"
    )
    error_handling: Annotated[ItemErrors, choice(ItemErrors)] = Field(
        ItemErrors.FAIL_FAST, description="what a failed item does to the others"
    )
    tolerated_failure_count: Annotated[int, integer(0, 10**9)] | None = Field(
        None, description="failed items that are still all right"
    )
    tolerated_failure_percentage: Percentage | None = Field(
        None, description="failed items that are still all right, in percent"
    )


class PoolDocument(Part):
    """Warm agents kept for a step."""

    min_size: Annotated[int, integer(0, 1000)] = Field(0, description="agents kept ready")
    max_size: Annotated[int, integer(1, 1000)] | None = Field(None, description="agents at most")
    idle_timeout: Duration = Field(
        300.0, description="an agent beyond min_size that is idle so long is removed"
    )
    max_agent_uses: Annotated[int, integer(0, 10**9, "0 means no limit")] = Field(
        0, description="tasks after which an agent is replaced; 0 = no limit"
    )
    warm_up: Boolean = Field(False, description="start min_size agents before they are needed")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.max_size is not None and self.max_size < self.min_size:
            raise problem(
                f"found {self.max_size}, but min_size is {self.min_size}: expected at least that",
                field="max_size",
            )
        return self


class ConditionDocument(Part):
    """One comparison, or `and`, `or`, `not` over others."""

    type: Annotated[str, word("simple", "and", "or", "not")] | None = Field(None, description="optional kind")
    field: Text | None = Field(None, description="what is compared: `$.a.b`, or `a.b`")
    operator: Annotated[str, Reads(read_text, {"enum": [*OPERATORS, *SPELLINGS]})] | None = Field(
        None, description="how it is compared"
    )
    value: Json = Field(None, description="what it is compared with")
    and_: list[ConditionDocument] | None = Field(None, alias="and", description="all of these are true")
    or_: list[ConditionDocument] | None = Field(None, alias="or", description="one of these is true")
    not_: ConditionDocument | None = Field(None, alias="not", description="this is false")


class ChoiceDocument(Part):
    """A choice of a decision (dialect of the specification)."""

    condition: ConditionDocument
    next: Text = Field(description="id or name of the step that runs if it is chosen")


class DecisionBranchDocument(Part):
    """A branch of a decision (dialect of Agentainer's code)."""

    id: StepId = Field(description="for `default`")
    name: Title | None = Field(None, description="for people")
    condition: ConditionDocument | None = None
    next_steps: Names = Field(default_factory=list, description="ids or names of the steps that run")
    priority: Annotated[int, integer(-(10**6), 10**6)] = Field(0, description="higher ones are judged first")


class DecisionDocument(Part):
    """Where the run goes on: the first choice whose condition is true."""

    input_path: Text | None = Field(
        None, description="the value that the conditions' `$` is, default the state"
    )
    choices: list[ChoiceDocument] | None = Field(None, description="in the order in which they are judged")
    branches: list[DecisionBranchDocument] | None = Field(None, description="the same in the code's dialect")
    default: Text | None = Field(None, description="id of the step, or of the branch, when nothing is true")

    @model_validator(mode="after")
    def _one_dialect(self) -> Self:
        if self.choices is not None and self.branches is not None:
            raise problem("has both `choices` and `branches`: keep one of the two", field="branches")
        if not self.choices and not self.branches:
            raise problem("decides nothing: expected `choices`, a list of `{condition, next}`")
        return self


class BranchDocument(Part):
    """Two ways to go on."""

    condition: ConditionDocument
    true_steps: Names = Field(default_factory=list, description="ids or names of the steps that run if true")
    false_steps: Names = Field(default_factory=list, description="ids or names of the steps that run if not")
    true_workflow: WorkflowName | None = Field(None, description="the workflow that runs if true")
    false_workflow: WorkflowName | None = Field(None, description="the workflow that runs if not")


Command = Annotated[Any, Reads(read_command, COMMAND_SCHEMA)]


class StepDocument(Part):
    """One step. Its config fields stand directly on it or under `config:`."""

    id: StepId | None = Field(None, description="unique; default: made from the name")
    name: Title | None = Field(None, description="for people; default: the id")
    type: (
        Annotated[
            StepType, choice(StepType, {"sub_workflow": StepType.SUBWORKFLOW, "mapreduce": StepType.MAP})
        ]
        | None
    ) = Field(None, description="default: what its blocks say, else sequential")
    depends_on: Names | None = Field(None, description="ids or unique names of the steps it waits for")
    steps: list[StepDocument] | None = Field(None, description="members of a parallel step")
    metadata: dict[Key, TextAsWritten] = Field(default_factory=dict, description="notes of your own")

    image: Text | None = Field(None, description="container image; may hold templates")
    command: Command = Field(None, description="a list (may hold templates), or one text for a shell")
    env_vars: dict[EnvironmentName, TextAsWritten] = Field(
        default_factory=dict, description="environment; values may hold templates"
    )
    max_workers: Annotated[int, integer(1, MAX_WORKERS)] | None = Field(
        None, description="of a parallel step: that many agents run its task"
    )
    dynamic: Boolean | None = Field(None, description="workers from the state (not honoured yet)")
    parallel: Boolean | None = Field(None, description="older spelling of `type: parallel`")
    reduce: Boolean | None = Field(None, description="older spelling of `type: reduce`")
    timeout: Duration | None = Field(None, description="bounds each attempt; 0 = no bound")
    retry_policy: RetryDocument | None = None
    resource_limits: LimitsDocument | None = None
    execution_mode: Annotated[str, word("standard", "pooled")] = Field(
        "standard", description="a new agent for each task, or a warm one"
    )
    pool_config: PoolDocument | None = None
    condition: ConditionDocument | None = Field(None, description="the step is skipped unless it is true")
    branch_config: BranchDocument | None = None
    decision_node: DecisionDocument | None = None
    sub_workflow_id: WorkflowName | None = Field(None, description="the workflow that this step runs")
    sub_workflow_name: WorkflowName | None = Field(None, description="the workflow that this step runs")
    map_config: MapDocument | None = None
    cleanup_policy: Annotated[CleanupPolicy, choice(CleanupPolicy)] | None = Field(
        None, description="when its agents are removed"
    )
    redis_access: Annotated[Literal["run", "open", "none"], word("run", "open", "none")] = Field(
        "run", description="what its agents may do with Redis"
    )
    network: Annotated[Literal["default", "none"], word("default", "none")] = Field(
        "default", description="the engine's network, or none at all (then without Redis)"
    )
    pull_policy: Annotated[Literal["missing", "always", "never"], word("missing", "always", "never")] = Field(
        "missing", description="when the image is fetched"
    )


STEP_OWN = frozenset(("id", "name", "type", "depends_on", "steps", "metadata"))


class ConfigDocument(Part):
    """Settings of the whole workflow; a step's own settings win."""

    max_parallel: Annotated[int, integer(0, MAX_WORKERS, "0 means only the machine's bound")] = Field(
        0, description="tasks of one run at the same time; 0 = only the machine's bound"
    )
    timeout: Duration | None = Field(None, description="bounds the whole run; 0 = no bound")
    retry_policy: RetryDocument | None = None
    failure_strategy: Annotated[
        FailureStrategy, choice(FailureStrategy, {"continue_on_partial": FailureStrategy.CONTINUE})
    ] = Field(FailureStrategy.FAIL_FAST, description="what a failed step does to the run")
    resource_limits: LimitsDocument | None = None
    cleanup_policy: Annotated[CleanupPolicy, choice(CleanupPolicy)] = Field(
        CleanupPolicy.ALWAYS, description="when an attempt's agent is removed"
    )
    enable_profiling: Boolean | None = Field(None, description="record where the time goes")
    schedule: Text | None = Field(None, description="cron expression")


class ParamDocument(Part):
    """A declared param; a plain value instead of a mapping is its default."""

    type: Annotated[str, word("string", "integer", "number", "boolean", "array", "object")] | None = Field(
        None, description="default: that of the default or of the choices, else string"
    )
    default: Json = Field(None, description="its value where none is given")
    required: Boolean = Field(False, description="a run must be given it")
    description: Text = Field("", description="for people")
    choices: list[Json] | None = Field(None, description="the only values it can have")


def _short_param(node: Any) -> object:
    if isinstance(node, Table):
        return node
    table = Table(node.position)
    table.put("default", node, node.position)
    return table


Param = Annotated[ParamDocument, Reads(_short_param)]


class WorkflowDocument(Part):
    """A workflow document."""

    name: WorkflowName = Field(description="the workflow's name")
    description: Text = Field("", description="for people")
    config: ConfigDocument = Field(default_factory=ConfigDocument.model_construct)
    params: dict[Identifier, Param] = Field(default_factory=dict, description="what a run can be given")
    state: dict[Key, Json] = Field(default_factory=dict, description="the initial shared state")
    metadata: dict[Key, TextAsWritten] = Field(
        default_factory=dict, description="handed on as WORKFLOW_<KEY>"
    )
    steps: list[StepDocument] = Field(min_length=1, description="what it does")


def lift(root: Table, report: Report) -> Table:
    """Bring both ways of writing a step, and `env` for `env_vars`, to one; drop `x-…` keys at the top."""
    lifted = Table(root.position)
    for key, node in root.items():
        if not key.startswith("x-"):
            lifted.put(key, node, root.key_positions[key])
    _lift_steps(lifted.get("steps"), report)
    return lifted


def _lift_steps(steps: Node | None, report: Report) -> None:
    for step in steps if isinstance(steps, Items) else ():
        if isinstance(step, Table):
            _lift_step(step, report)
            _lift_steps(step.get("steps"), report)


def _lift_step(step: Table, report: Report) -> None:
    config = step.pop("config", None)
    where = step.key_positions.pop("config", step.position)
    if isinstance(config, Table):
        _lift_config(step, config, where, report)
    elif config is not None:
        step.damaged = True
        report(config.position, f"`config`: found {describe(config)}, expected a mapping `key: value`")
    if "env" in step and "env_vars" in step:
        report(
            step.key_positions["env"],
            "`env` is another spelling of `env_vars`, which stands here too: join them",
        )
        del step["env"]
    elif "env" in step:
        step.move("env", step, "env_vars")


def _lift_config(step: Table, config: Table, where: Position, report: Report) -> None:
    for key in list(config):
        position = config.key_positions[key]
        here = step.key_positions.get(key)
        if key in STEP_OWN and key != "steps":
            report(position, f"`{key}` belongs on the step itself, not under its `config`: move it up")
        elif here is not None:
            report(
                position,
                f"{show(key)} stands on the step (line {here.line}) and under its `config` "
                f"(line {where.line}): keep one of the two",
            )
        else:
            config.move(key, step, key)
