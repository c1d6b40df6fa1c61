"""The workflow document as typed models: every field of both dialects (contract §1).

The models take the tree of a document with the config of each step lifted onto the step (`lift`), so a
field has one place whichever way it was written. What a field means for a run is decided in the planner.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

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
    read_command,
    read_identifier,
    read_literal,
    read_text,
    word,
    wrong,
)
from engine.workflows.plan import CleanupPolicy, FailureStrategy, StepType, Trigger
from engine.workflows.policy_documents import (
    MAX_WORKERS,
    ApprovalDocument,
    Artifact,
    Cache,
    LimitsDocument,
    Part,
    PoolDocument,
    RetryDocument,
    Schedule,
    Secret,
    Volume,
)
from engine.workflows.quantities import Duration
from engine.workflows.routing_documents import (
    BranchDocument,
    ConditionDocument,
    DecisionDocument,
    MapDocument,
)
from engine.workflows.tree import Items, Node, Position, Report, Table, describe
from engine.workflows.wording import show

Command = Annotated[Any, Reads(read_command, COMMAND_SCHEMA)]
CONTINUE: dict[str, StrEnum] = {"continue_on_partial": FailureStrategy.CONTINUE}


def _read_outputs(node: object) -> object:
    if isinstance(node, Table):
        return {read_identifier(key): read_text(node[key]) for key in node}
    text = read_text(node)
    if text not in ("merge", "step"):
        raise wrong(node, "merge, step, or a mapping of fields to paths")
    return text


_PATHS = {"type": "object", "additionalProperties": {"type": "string"}}
Outputs = Annotated[Any, Reads(_read_outputs, {"enum": ["merge", "step"]}, short=_PATHS)]
Image = Annotated[str, Reads(read_text, {"type": "string", "pattern": r"^\S{1,4096}$|\{\{"})]
User = Annotated[str, Reads(read_literal, {"type": ["string", "integer"]})]


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

    image: Image | None = Field(None, description="container image; may hold templates")
    command: Command = Field(None, description="a list (may hold templates), or one text for a shell")
    env_vars: dict[EnvironmentName, TextAsWritten] = Field(
        default_factory=dict, description="environment; values may hold templates"
    )
    max_workers: Annotated[int, integer(1, MAX_WORKERS)] | None = Field(
        None, description="of a parallel step: that many agents run its task"
    )
    dynamic: Boolean | None = Field(None, description="one worker for each element of `workers_path`")
    workers_path: Text | None = Field(None, description="of a parallel step: the list of its workers")
    parallel: Boolean | None = Field(None, description="older spelling of `type: parallel`")
    reduce: Boolean | None = Field(None, description="older spelling of `type: reduce`")
    timeout: Duration | None = Field(None, description="bounds each attempt; 0 = no bound")
    retry_policy: RetryDocument | None = None
    resource_limits: LimitsDocument | None = None
    execution_mode: Annotated[str, word("standard", "pooled")] = Field(
        "standard", description="a new agent for each task, or a warm one"
    )
    pool_config: PoolDocument | None = None
    pool: Identifier | None = Field(None, description="the warm agents of this name, see `pools`")
    condition: ConditionDocument | None = Field(None, description="the step is skipped unless it is true")
    trigger: Annotated[Trigger, choice(Trigger)] | None = Field(
        None, description="what it asks of the steps it depends on; default: none failed, one completed"
    )
    failure_strategy: Annotated[FailureStrategy, choice(FailureStrategy, CONTINUE)] | None = Field(
        None, description="what its failure does to the run; default: what `config` says"
    )
    branch_config: BranchDocument | None = None
    decision_node: DecisionDocument | None = None
    sub_workflow_id: WorkflowName | None = Field(None, description="the workflow that this step runs")
    sub_workflow_name: WorkflowName | None = Field(None, description="the workflow that this step runs")
    workflow: InlineWorkflowDocument | None = Field(None, description="the workflow that this step runs")
    inputs: dict[Identifier, Json] | None = Field(
        None, description="state and params of the sub-workflow; default: the whole state"
    )
    outputs: Outputs | None = Field(
        None, description="`merge` (default), `step`, or a mapping of fields to paths in the child's state"
    )
    approval: ApprovalDocument | None = Field(None, description="of an approval step: what is asked")
    delay: Duration | None = Field(None, description="of a delay step: how long it waits")
    cache: Cache = Field(None, description="reuse of earlier results of the same work")
    map_config: MapDocument | None = None
    cleanup_policy: Annotated[CleanupPolicy, choice(CleanupPolicy)] | None = Field(
        None, description="when its agents are removed"
    )
    redis_access: Annotated[Literal["run", "open", "none"], word("run", "open", "none")] = Field(
        "run", description="what its agents may do with Redis"
    )
    network: Text = Field(
        "default",
        description="default, run (shared by the steps of a run), none (without Redis), host, or a network",
    )
    volumes: list[Volume] = Field(default_factory=list, description="host paths and volumes it sees")
    working_dir: Text | None = Field(None, description="where the command starts")
    user: User | None = Field(None, description="`uid[:gid]` or a name known to the image")
    privileged: Boolean = Field(False, description="all rights on the host; needs a setting")
    secrets: list[EnvironmentName] | None = Field(
        None, description="which of the workflow's secrets it gets; default: all of them"
    )
    artifacts: list[Artifact] = Field(default_factory=list, description="what is kept of what it leaves")
    pull_policy: Annotated[Literal["missing", "always", "never"], word("missing", "always", "never")] = Field(
        "missing", description="when the image is fetched"
    )


STEP_LISTS = ("steps", "on_failure", "finally")
STEP_OWN = frozenset(("id", "name", "type", "depends_on", "steps", "metadata"))


class ConfigDocument(Part):
    """Settings of the whole workflow; a step's own settings win."""

    max_parallel: Annotated[int, integer(0, MAX_WORKERS, "0 means only the machine's bound")] = Field(
        0, description="tasks of one run at the same time; 0 = only the machine's bound"
    )
    timeout: Duration | None = Field(None, description="bounds the whole run; 0 = no bound")
    retry_policy: RetryDocument | None = None
    failure_strategy: Annotated[FailureStrategy, choice(FailureStrategy, CONTINUE)] = Field(
        FailureStrategy.FAIL_FAST, description="what a failed step does to the run"
    )
    resource_limits: LimitsDocument | None = None
    cleanup_policy: Annotated[CleanupPolicy, choice(CleanupPolicy)] = Field(
        CleanupPolicy.ALWAYS, description="when an attempt's agent is removed"
    )
    enable_profiling: Boolean = Field(False, description="record what agents use, second by second")
    schedule: Schedule | None = Field(None, description="when runs start by themselves")
    max_active_runs: Annotated[int, integer(0, MAX_WORKERS, "0 means no bound")] = Field(
        0, description="runs of this workflow at the same time, further ones wait; 0 = no bound"
    )
    finally_timeout: Duration = Field(300.0, description="bounds `on_failure` and `finally` steps together")


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


Param = Annotated[
    ParamDocument, Reads(_short_param, short={"type": ["string", "number", "boolean", "array", "null"]})
]


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
    env_file: Annotated[list[Text], list_of({"type": "string"})] = Field(
        default_factory=list, description="files of variables for every task, relative to the document"
    )
    secrets: list[Secret] = Field(default_factory=list, description="variables that are never shown")
    pools: dict[Identifier, PoolDocument] = Field(
        default_factory=dict, description="warm agents that steps, also of other workflows, share by name"
    )
    steps: list[StepDocument] = Field(min_length=1, description="what it does")
    on_failure: list[StepDocument] = Field(
        default_factory=list, description="steps that run when the others came to a failure"
    )
    finally_: list[StepDocument] = Field(
        default_factory=list, alias="finally", description="steps that run at the end, whatever happened"
    )


class InlineWorkflowDocument(WorkflowDocument):
    """A workflow that stands in the step that runs it."""

    name: WorkflowName = Field("", description="default: the step's id")


# Other spellings of fields of a step, as good as ours.
OTHER_SPELLINGS = {"env": "env_vars", "when": "condition"}


def lift(root: Table, report: Report) -> Table:
    """Bring the ways of writing a step, and other spellings, to one; drop `x-…` keys at the top."""
    lifted = Table(root.position)
    for key, node in root.items():
        if not key.startswith("x-"):
            lifted.put(key, node, root.key_positions[key])
    for key in STEP_LISTS:
        _lift_steps(lifted.get(key), report)
    return lifted


def _lift_steps(steps: Node | None, report: Report) -> None:
    for step in steps if isinstance(steps, Items) else ():
        if isinstance(step, Table):
            _lift_step(step, report)
            _lift_steps(step.get("steps"), report)
            if isinstance(inline := step.get("workflow"), Table):
                for key in STEP_LISTS:
                    _lift_steps(inline.get(key), report)


def _lift_step(step: Table, report: Report) -> None:
    config = step.pop("config", None)
    where = step.key_positions.pop("config", step.position)
    if isinstance(config, Table):
        _lift_config(step, config, where, report)
    elif config is not None:
        step.damaged = True
        report(config.position, f"`config`: found {describe(config)}, expected a mapping `key: value`")
    for other, ours in OTHER_SPELLINGS.items():
        if other in step and ours in step:
            report(
                step.key_positions[other],
                f"`{other}` is another spelling of `{ours}`, which stands here too: join them",
            )
            del step[other]
        elif other in step:
            step.move(other, step, ours)


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
