"""From a checked document to the Plan: everything that can be known before anything runs is decided here."""

from __future__ import annotations

import re
from dataclasses import replace

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import ConfigDocument, WorkflowDocument
from engine.workflows.fitness import check_fitness
from engine.workflows.gates import plan_approval, plan_cache, plan_delay
from engine.workflows.graph import Draft, Upstream, check_item_ids, connect, draft_steps
from engine.workflows.params import plan_params
from engine.workflows.plan import Plan, PlanStep, StepType
from engine.workflows.routes import check_routing
from engine.workflows.routing import ROUTING
from engine.workflows.schedules import plan_schedule
from engine.workflows.surroundings import plan_env_files, plan_secrets
from engine.workflows.tasks import plan_map, plan_retry, plan_task, plan_timeout, plan_workers_path
from engine.workflows.wording import quoted, shorten, show

# The block that makes a step of a type, in the order in which a type is inferred.
_BLOCKS: tuple[tuple[str, StepType], ...] = (
    ("decision_node", StepType.DECISION),
    ("branch_config", StepType.BRANCH),
    ("map_config", StepType.MAP),
    ("sub_workflow_id", StepType.SUBWORKFLOW),
    ("sub_workflow_name", StepType.SUBWORKFLOW),
    ("approval", StepType.APPROVAL),
    ("delay", StepType.DELAY),
    ("steps", StepType.PARALLEL),
    ("workers_path", StepType.PARALLEL),
)


def make_plan(
    document: WorkflowDocument, compiler: Compiler, *, text: str, digest: str, path: str | None
) -> Plan | None:
    """The Plan of a document, or None with the problems noted in the compiler's findings."""
    config = document.config
    drafts = draft_steps(document.steps, compiler)
    for draft in drafts:
        draft.type = _type_of(draft, compiler)
    check_item_ids(drafts, compiler)
    params = plan_params(document.params, compiler)
    schedule = plan_schedule(config.schedule, params, compiler)
    secrets = plan_secrets(document, compiler)
    env_files = plan_env_files(document, compiler)
    _check_state(document, compiler)
    _check_metadata(document, compiler)
    steps = [_plan_step(draft, document, compiler) for draft in drafts]
    acyclic = connect(drafts, compiler)
    upstream = Upstream(drafts) if acyclic and compiler.reads_steps() else None
    compiler.check_readings([draft.id for draft in drafts], upstream, document.params, document.state)
    if compiler.findings.failed:
        return None
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
        max_active_runs=config.max_active_runs,
        finally_timeout=config.finally_timeout,
        schedule=schedule,
        secrets=secrets,
        env_files=env_files,
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
    needy = kind in ROUTING | {StepType.MAP, StepType.DELAY}
    lacking = needy and not any(meant is kind for _, meant in present)
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


def _check_metadata(document: WorkflowDocument, compiler: Compiler) -> None:
    """Metadata becomes environment variables; say where two of them are one, or one is the engine's."""
    taken = {"WORKFLOW_ID": "the run's id"}
    for key in document.metadata:
        variable = f"WORKFLOW_{re.sub(r'[^A-Z0-9]', '_', key.upper())}"
        if variable in taken:
            compiler.warning(
                ("metadata", key),
                f"the metadata {show(key)} would be the variable {shorten(variable)}, which is taken by "
                f"{taken[variable]}: rename it",
            )
        taken.setdefault(variable, f"the metadata {show(key)}")


def _plan_step(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> PlanStep:
    step, config = draft.document, document.config
    levels = (step, *((draft.parent.document,) if draft.parent else ()))  # nearest first
    condition = None
    if step.condition is not None:
        condition = compiler.condition(step.condition, (*draft.at, "condition"), draft.id, "condition")
    check_routing(draft, compiler)
    check_fitness(draft, compiler)
    _warn_step(draft, compiler)
    return PlanStep(
        id=draft.id,
        name=draft.name,
        type=draft.type,
        ordinal=draft.ordinal,
        parent=draft.parent.id if draft.parent else None,
        members=tuple(member.id for member in draft.members),
        task=plan_task(draft, document, compiler),
        condition=condition,
        retry=plan_retry(draft, config),
        timeout=plan_timeout(draft),
        cleanup=next(
            (level.cleanup_policy for level in levels if level.cleanup_policy is not None),
            config.cleanup_policy,
        ),
        workers=(step.max_workers or 1) if draft.type is StepType.PARALLEL and not draft.members else 1,
        workers_path=plan_workers_path(draft, compiler),
        map=plan_map(draft, document, compiler),
        metadata=step.metadata,
        trigger=step.trigger,
        failure_strategy=next(
            (level.failure_strategy for level in levels if level.failure_strategy is not None),
            config.failure_strategy,
        ),
        approval=plan_approval(draft, compiler),
        delay=plan_delay(draft),
        cache=plan_cache(draft, compiler),
    )


def _connected(step: PlanStep, draft: Draft) -> PlanStep:
    return replace(step, depends_on=tuple(draft.depends_on))


def _warn_step(draft: Draft, compiler: Compiler) -> None:
    """Say what is read but has no effect (yet)."""
    step, at = draft.document, draft.at
    if draft.type in ROUTING:
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


def _warn_config(config: ConfigDocument, compiler: Compiler) -> None:
    if config.enable_profiling:
        _later(compiler, ("config", "enable_profiling"), "nothing is profiled")


def _later(compiler: Compiler, at: At, now: str) -> None:
    compiler.warning(at, f"`{at[-1]}` is read but not honoured in this version: {now}")
