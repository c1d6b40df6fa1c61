"""From a checked document to the Plan: everything that can be known before anything runs is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import (
    ConfigDocument,
    LimitsDocument,
    RetryDocument,
    WorkflowDocument,
)
from engine.workflows.expressions import TextTemplate
from engine.workflows.graph import Draft, Upstream, check_item_ids, connect, draft_steps
from engine.workflows.params import plan_params
from engine.workflows.plan import (
    MapPlan,
    Plan,
    PlanStep,
    ResourceLimits,
    RetryPolicy,
    StepType,
    TaskPlan,
)
from engine.workflows.wording import advice, quoted, show

# The names that every task's environment has from us (contract §2), which win over the step's own.
_OURS = frozenset(
    (
        "WORKFLOW_ID",
        "STEP_ID",
        "TASK_ID",
        "AGENT_ID",
        "WORKER_ID",
        "MAP_INDEX",
        "MAP_ITEM",
        "TASK_INPUT",
        "AGENTAINER_ATTEMPT",
        "REDIS_URL",
        "REDIS_USERNAME",
        "REDIS_PASSWORD",
    )
)
_SCOPE_NAMES = frozenset(("params", "steps", "_map_index"))
_ROUTING = frozenset((StepType.DECISION, StepType.BRANCH, StepType.SUBWORKFLOW))

# The block that makes a step of a type, in the order in which a type is inferred.
_BLOCKS: tuple[tuple[str, StepType], ...] = (
    ("decision_node", StepType.DECISION),
    ("branch_config", StepType.BRANCH),
    ("map_config", StepType.MAP),
    ("sub_workflow_id", StepType.SUBWORKFLOW),
    ("sub_workflow_name", StepType.SUBWORKFLOW),
    ("steps", StepType.PARALLEL),
)


def make_plan(
    document: WorkflowDocument, compiler: Compiler, *, text: str, digest: str, path: str | None
) -> Plan | None:
    """The Plan of a document, or None with the problems noted in the compiler's findings."""
    drafts = draft_steps(document.steps, compiler)
    for draft in drafts:
        draft.type = _type_of(draft, compiler)
    check_item_ids(drafts, compiler)
    params = plan_params(document.params, compiler)
    _check_state(document, compiler)
    steps = [_plan_step(draft, document, compiler) for draft in drafts]
    acyclic = connect(drafts, compiler)
    upstream = Upstream(drafts) if acyclic and compiler.reads_steps() else None
    compiler.check_readings([draft.id for draft in drafts], upstream, document.params, document.state)
    if compiler.findings.failed:
        return None
    config = document.config
    _warn_config(config, compiler)
    return Plan(
        workflow=document.name,
        digest=digest,
        document=text,
        path=path,
        steps={draft.id: _connected(step, draft) for draft, step in zip(drafts, steps, strict=True)},
        description=document.description,
        max_parallel=config.max_parallel,
        timeout=config.timeout or None,
        failure_strategy=config.failure_strategy,
        state=document.state,
        metadata=document.metadata,
        params=params,
        warnings=tuple(str(problem) for problem in compiler.findings.sorted()),
    )


def _type_of(draft: Draft, compiler: Compiler) -> StepType:
    """The type that is written, else the one that a block says; contradictions are noted."""
    document = draft.document
    present = [(key, kind) for key, kind in _BLOCKS if getattr(document, key) is not None]
    kind = document.type
    if kind is None:
        if present:
            kind = present[0][1]
        elif document.parallel:
            kind = StepType.PARALLEL
        else:
            kind = StepType.REDUCE if document.reduce else StepType.SEQUENTIAL
    for key, meant in present:
        if meant is not kind:
            compiler.error(
                (*draft.at, key),
                f"`{key}` belongs to {meant} steps, but this is a {kind} step: "
                f"write `type: {meant}`, or take `{key}` out",
            )
    needed = " or ".join(f"`{key}`" for key, meant in _BLOCKS if meant is kind)
    lacking = kind in _ROUTING | {StepType.MAP} and not any(meant is kind for _, meant in present)
    if lacking and not compiler.damaged(draft.at):
        compiler.error((*draft.at, "type"), f"a {kind} step needs {needed}: add it, or take `type` out")
    return kind


def _check_state(document: WorkflowDocument, compiler: Compiler) -> None:
    for name in document.state:
        if name == "steps" or (name == "params" and document.params):
            compiler.error(
                ("state", name),
                f"`state.{name}`: the name {quoted(name)} stands for the run's own {name} in templates: "
                "choose another",
            )


def _plan_step(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> PlanStep:
    step, config = draft.document, document.config
    levels = (step, *((draft.parent.document,) if draft.parent else ()))  # nearest first
    condition = None
    if step.condition is not None:
        condition = compiler.condition(step.condition, (*draft.at, "condition"), draft.id, "condition")
    _check_routing(draft, compiler)
    _warn_step(draft, compiler)
    return PlanStep(
        id=draft.id,
        name=draft.name,
        type=draft.type,
        ordinal=draft.ordinal,
        parent=draft.parent.id if draft.parent else None,
        members=tuple(member.id for member in draft.members),
        task=_plan_task(draft, config, compiler),
        condition=condition,
        retry=_retry(*(level.retry_policy for level in (*levels, config))),
        timeout=next((level.timeout for level in levels if level.timeout is not None), None) or None,
        cleanup=next(
            (level.cleanup_policy for level in levels if level.cleanup_policy is not None),
            config.cleanup_policy,
        ),
        workers=(step.max_workers or 1) if draft.type is StepType.PARALLEL and not draft.members else 1,
        map=_plan_map(draft, document, compiler),
        metadata=step.metadata,
        unsupported=f"{draft.type} steps cannot run in this version" if draft.type in _ROUTING else "",
    )


def _connected(step: PlanStep, draft: Draft) -> PlanStep:
    return replace(step, depends_on=tuple(draft.depends_on))


def _plan_task(draft: Draft, config: ConfigDocument, compiler: Compiler) -> TaskPlan | None:
    step, at = draft.document, draft.at
    if draft.type in _ROUTING or step.steps is not None:
        _refuse_task(draft, compiler)
        return None
    if step.image is None and step.command is None and not compiler.damaged(at):
        compiler.error(
            at,
            f"the step {quoted(draft.id)} has nothing to run: give it an `image`, a `command`, or both",
        )
    if step.network == "none" and step.redis_access != "none":
        compiler.error(
            (*at, "network"),
            "`network: none` cuts the task off from Redis: add `redis_access: none`, or take `network` out",
        )
    image = (
        compiler.template(step.image, (*at, "image"), draft.id, "image") if step.image is not None else None
    )
    inherited = draft.parent.document.resource_limits if draft.parent else None
    return TaskPlan(
        image=image,
        command=_plan_command(draft, compiler),
        env=_plan_environment(draft, compiler),
        limits=_limits(step.resource_limits, inherited, config.resource_limits),
        redis_access=step.redis_access,
        network=step.network,
        pull_policy=step.pull_policy,
    )


def _refuse_task(draft: Draft, compiler: Compiler) -> None:
    what = (
        "a parallel step with nested `steps`" if draft.document.steps is not None else f"a {draft.type} step"
    )
    for key in ("image", "command", "env_vars"):
        if key in draft.document.model_fields_set:
            compiler.error(
                (*draft.at, key),
                f"`{key}`: {what} has no task of its own: move it to the steps that run",
            )
    if draft.document.steps is not None and not draft.document.steps:
        compiler.error((*draft.at, "steps"), "`steps` is empty: write at least one member, or take it out")


def _plan_command(draft: Draft, compiler: Compiler) -> tuple[TextTemplate, ...] | str | None:
    command, at = draft.document.command, (*draft.at, "command")
    if isinstance(command, str):
        if "{{" in command:
            compiler.error(
                at,
                "`command`: a command given as one text runs under a shell, where a value put in by "
                "{{ … }} would become code: put the template into `env_vars` and use the variable in "
                'quotes ("$NAME"), or write the command as a list',
            )
        return command
    if command is None:
        return None
    words = [
        compiler.template(word, (*at, index), draft.id, f"command[{index}]")
        for index, word in enumerate(command)
    ]
    return tuple(word for word in words if word is not None)


def _plan_environment(draft: Draft, compiler: Compiler) -> dict[str, TextTemplate]:
    environment = {}
    for name, text in draft.document.env_vars.items():
        at: At = (*draft.at, "env_vars", name)
        template = compiler.template(text, at, draft.id, f"env_vars.{name}")
        if template is not None:
            environment[name] = template
        if name in _OURS:
            compiler.warning(
                at, f"`env_vars.{name}` is set by the engine for every task, which wins: rename it"
            )
    return environment


def _plan_map(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> MapPlan | None:
    config, at = draft.document.map_config, (*draft.at, "map_config")
    if config is None or draft.type is not StepType.MAP:
        return None
    path = compiler.path(config.input_path, (*at, "input_path"), draft.id, "map_config.input_path")
    alias: At = (*at, "item_alias")
    if config.item_alias in _SCOPE_NAMES:
        compiler.error(
            alias,
            f"`map_config.item_alias`: {quoted(config.item_alias)} stands for something else in templates: "
            "choose another name",
        )
    elif config.item_alias in document.state:
        compiler.warning(
            alias,
            f"the alias {quoted(config.item_alias)} hides the state's field of that name from the items",
        )
    if path is None:
        return None
    return MapPlan(
        input_path=path,
        item_alias=config.item_alias,
        max_concurrency=config.max_concurrency,
        error_handling=config.error_handling,
        tolerated_failure_count=config.tolerated_failure_count,
        tolerated_failure_percentage=config.tolerated_failure_percentage,
    )


def _check_routing(draft: Draft, compiler: Compiler) -> None:
    """Compile what a decision or branch judges: it runs in a later version, its mistakes are found now."""
    decision, branch = draft.document.decision_node, draft.document.branch_config
    if draft.type in _ROUTING and draft.parent is not None:
        compiler.error(
            (*draft.at, "type"),
            f"a {draft.type} step cannot be a member of a parallel step: move it out of `steps`",
        )
    if decision is not None:
        at: At = (*draft.at, "decision_node")
        if decision.input_path is not None:
            compiler.path(decision.input_path, (*at, "input_path"), draft.id, "decision_node.input_path")
        for index, one in enumerate(decision.choices or ()):
            where: At = (*at, "choices", index, "condition")
            compiler.condition(one.condition, where, draft.id, "condition")
        _check_decision_branches(draft, compiler)
    if branch is not None:
        where = (*draft.at, "branch_config", "condition")
        compiler.condition(branch.condition, where, draft.id, "branch_config.condition")


def _check_decision_branches(draft: Draft, compiler: Compiler) -> None:
    decision = draft.document.decision_node
    if decision is None or decision.branches is None:
        return
    at: At = (*draft.at, "decision_node")
    ids: dict[str, int] = {}
    for index, way in enumerate(decision.branches):
        if ids.setdefault(way.id, index) != index:
            compiler.error(
                (*at, "branches", index, "id"), f"two branches have the id {quoted(way.id)}: rename one"
            )
        if way.condition is not None:
            compiler.condition(way.condition, (*at, "branches", index, "condition"), draft.id, "condition")
        elif way.id != decision.default:
            compiler.error(
                (*at, "branches", index),
                f"the branch {quoted(way.id)} has no `condition` and is not the `default`: add one",
            )
    if decision.default is not None and decision.default not in {*ids, *compiler.forgiven}:
        compiler.error(
            (*at, "default"),
            f"`default`: there is no branch {show(decision.default)}: "
            f"{advice(decision.default, ids, kind='branches')}",
        )


def _retry(*documents: RetryDocument | None) -> RetryPolicy:
    values = _merged(documents)
    if values.get("retry_on") is not None:
        values["retry_on"] = frozenset(values["retry_on"])
    if values.get("exit_codes") is not None:
        values["exit_codes"] = frozenset(values["exit_codes"])
    return RetryPolicy(**values)


def _limits(*documents: LimitsDocument | None) -> ResourceLimits:
    values = _merged(documents)
    return ResourceLimits(
        values.get("cpu_limit"), values.get("memory_limit"), values.get("gpu_limit") or None
    )


def _merged(documents: Iterable[BaseModel | None]) -> dict[str, Any]:
    """What is written in these, nearest first, field by field."""
    values: dict[str, Any] = {}
    for document in documents:
        for name in document.model_fields_set if document is not None else ():
            values.setdefault(name, getattr(document, name))
    return values


def _warn_step(draft: Draft, compiler: Compiler) -> None:
    """Say what is read but has no effect (yet)."""
    step, at = draft.document, draft.at
    if draft.type in _ROUTING:
        key = next(
            (key for key, kind in _BLOCKS if kind is draft.type and getattr(step, key) is not None), "type"
        )
        compiler.warning(
            (*at, key),
            f"{draft.type} steps are checked, but cannot run in this version: a run would be refused",
        )
    if step.execution_mode == "pooled":
        _later(compiler, (*at, "execution_mode"), "each task gets a new agent")
    elif step.pool_config is not None:
        _later(compiler, (*at, "pool_config"), "each task gets a new agent")
    if step.dynamic:
        _later(compiler, (*at, "dynamic"), "the number of workers is `max_workers`")
    for key, kind in (("parallel", StepType.PARALLEL), ("reduce", StepType.REDUCE)):
        if getattr(step, key) and draft.type is not kind:
            compiler.warning(
                (*at, key), f"`{key}` has no effect on a {draft.type} step: write `type: {kind}`"
            )
    if step.max_workers is not None and (draft.type is not StepType.PARALLEL or draft.members):
        instead = (
            "`config.max_parallel`" if draft.members else "`map_config.max_concurrency` or `type: parallel`"
        )
        compiler.warning(
            (*at, "max_workers"),
            f"`max_workers` counts the workers of one task and has no effect here: see {instead}",
        )


def _warn_config(config: ConfigDocument, compiler: Compiler) -> None:
    if config.schedule is not None:
        _later(compiler, ("config", "schedule"), "runs start when you start them")
    if config.enable_profiling:
        _later(compiler, ("config", "enable_profiling"), "nothing is profiled")


def _later(compiler: Compiler, at: At, now: str) -> None:
    compiler.warning(at, f"`{at[-1]}` is read but not honoured in this version: {now}")
