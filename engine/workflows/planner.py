"""From a checked document to the Plan: everything that can be known before anything runs is decided here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.workflows.circles import Upstream, check_circles
from engine.workflows.compiling import Compiler
from engine.workflows.documents import WorkflowDocument
from engine.workflows.fitness import check_fitness
from engine.workflows.gates import plan_approval, plan_cache, plan_delay
from engine.workflows.graph import Draft, check_item_ids, connect, draft_steps
from engine.workflows.params import plan_params
from engine.workflows.plan import Plan, PlanStep, StepRole, StepType
from engine.workflows.pools import plan_pool
from engine.workflows.reachability import check_reachable
from engine.workflows.routes import plan_route
from engine.workflows.schedules import plan_schedule
from engine.workflows.step_types import type_of
from engine.workflows.subworkflows import plan_named, plan_sub
from engine.workflows.surroundings import plan_env_files, plan_secrets
from engine.workflows.tasks import plan_map, plan_retry, plan_task, plan_timeout, plan_workers_path
from engine.workflows.wording import quoted, shorten, show


def make_plan(
    document: WorkflowDocument, compiler: Compiler, *, text: str, digest: str, path: str | None
) -> Plan | None:
    """The Plan of a document, or None with the problems noted in the compiler's findings."""
    config = document.config
    drafts = draft_steps(document, compiler)
    for draft in drafts:
        draft.type = type_of(draft, compiler)
    check_item_ids(drafts, compiler)
    params = plan_params(document.params, compiler)
    schedule = plan_schedule(config.schedule, params, compiler)
    secrets = plan_secrets(document, compiler)
    env_files = plan_env_files(document, compiler)
    _check_state(document, compiler)
    _check_metadata(document, compiler)
    connect(drafts, compiler)
    steps = {draft.id: _plan_step(draft, document, compiler, path) for draft in drafts}
    acyclic = check_circles(drafts, compiler)
    upstream = Upstream(drafts) if acyclic and compiler.reads_steps() else None
    _check_readings(drafts, document, upstream, compiler)
    if acyclic and not compiler.findings.failed:
        check_reachable(drafts, steps, compiler)
    if compiler.findings.failed:
        return None
    return Plan(
        workflow=document.name,
        digest=digest,
        document=text,
        path=path,
        steps=steps,
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
        profiling=config.enable_profiling,
        warnings=tuple(str(problem) for problem in compiler.findings.sorted()),
    )


def _check_state(document: WorkflowDocument, compiler: Compiler) -> None:
    taken = {"steps": "the run's own steps"}
    if document.params:
        taken["params"] = "the run's own params"
    if document.on_failure or document.finally_:
        taken["run"] = "the run itself"
    for name in taken.keys() & document.state:
        compiler.error(
            ("state", name),
            f"`state.{name}`: the name {quoted(name)} stands for {taken[name]} in templates: choose another",
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


def _plan_step(draft: Draft, document: WorkflowDocument, compiler: Compiler, path: str | None) -> PlanStep:
    step, config = draft.document, document.config
    levels = (step, *((draft.parent.document,) if draft.parent else ()))  # nearest first
    condition = None
    if step.condition is not None:
        condition = compiler.condition(step.condition, (*draft.at, "condition"), draft.id, "condition")
    check_fitness(draft, compiler)
    return PlanStep(
        id=draft.id,
        name=draft.name,
        type=draft.type,
        ordinal=draft.ordinal,
        role=draft.role,
        depends_on=tuple(draft.depends_on),
        order_only=frozenset(draft.order_only),
        routers=tuple(draft.routers),
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
        route=plan_route(draft, compiler, lambda word: plan_named(draft, word, compiler)),
        sub=plan_sub(draft, document, compiler, path, make_plan),
        approval=plan_approval(draft, compiler),
        delay=plan_delay(draft),
        cache=plan_cache(draft, compiler),
        pool=plan_pool(draft, document, compiler),
    )


def _check_readings(
    drafts: Sequence[Draft], document: WorkflowDocument, upstream: Upstream | None, compiler: Compiler
) -> None:
    handlers = frozenset(draft.id for draft in drafts if draft.role is not StepRole.MAIN)
    steps = [draft.id for draft in drafts]
    compiler.check_readings(steps, upstream, document.params, document.state, handlers)
