"""The agent that an attempt asks for: templates rendered, environment put together (contract §2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import astuple
from functools import lru_cache
from types import MappingProxyType

from engine.agents.backend import AgentIdentity, AgentSpec, Limits, Mount, PullPolicy
from engine.orchestrator import naming
from engine.orchestrator.artifacts import MOUNT_POINT
from engine.orchestrator.attempt import Unit
from engine.orchestrator.context import RunContext
from engine.orchestrator.permissions import mounts_of, working_dir_of
from engine.orchestrator.pool_sizes import pool_settings
from engine.state.store import RedisAccess
from engine.workflows.plan import CleanupPolicy, Scope, TaskPlan

# TASK_INPUT is left out above this: an environment of that size breaks exec on some systems (contract §2).
_TASK_INPUT_LIMIT = 32 * 1024
_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def agent_spec(run: RunContext, unit: Unit, number: int) -> AgentSpec:
    """The agent to make for attempt `number` of a unit, against the state as it is now.

    Raises:
        InputError: a template finds nothing, or a volume may not be mounted (any more).
    """
    task = unit.step.task
    assert task is not None, "the planner gives every task step a task"
    scope = run.scope(unit.input)
    return container_spec(
        run,
        unit,
        number,
        scope,
        command=rendered_command(task, scope),
        env=_environment(run, unit, number, own_environment(run, task, scope)),
    )


def container_spec(
    run: RunContext,
    unit: Unit,
    number: int,
    scope: Scope,
    *,
    command: tuple[str, ...] | str | None = None,
    env: Mapping[str, str] = _NO_ENVIRONMENT,
) -> AgentSpec:
    """The agent, by itself without what is the task's alone: its command and environment.

    Raises:
        InputError: see `agent_spec`.
    """
    step, task = unit.step, unit.step.task
    assert task is not None, "the planner gives every task step a task"
    services, document = run.services, run.plan.path
    where = (run.run_id, step.id, unit.item, number)
    image = task.image.render(scope) if task.image else None
    limits = Limits(task.limits.nano_cpus, task.limits.memory_bytes, task.limits.gpus)
    mounts = (*mounts_of(task, document, services.settings, services.facts), *_artifact_mounts(run))
    working_dir = working_dir_of(task, document, services.backend.name)
    alike = (image, limits, task.network, mounts, working_dir, task.user, task.privileged)
    return AgentSpec(
        name=naming.agent_name(*where),
        identity=AgentIdentity(
            instance=services.instance,
            workflow=run.plan.workflow,
            run_id=run.run_id,
            step_id=step.id,
            item=unit.item,
            attempt=number,
            task_id=naming.task_id(*where),
        ),
        image=image,
        command=command,
        env=env,
        limits=limits,
        network=task.network,
        pull_policy=PullPolicy(task.pull_policy),
        digest=_digest_of(*alike),
        mounts=mounts,
        working_dir=working_dir,
        user=task.user,
        privileged=task.privileged,
        pool=pool_settings(step, services.facts, services.settings),
        run_bound=run.has_artifacts or task.network == "run",
        disposable=not task.artifacts and step.cleanup is CleanupPolicy.ALWAYS,
    )


def rendered_command(task: TaskPlan, scope: Scope) -> tuple[str, ...] | str | None:
    """The command; one string is for a shell and never templated.

    Raises:
        InputError: a template finds nothing.
    """
    if task.command is None or isinstance(task.command, str):
        return task.command
    return tuple(part.render(scope) for part in task.command)


def own_environment(run: RunContext, task: TaskPlan, scope: Scope) -> dict[str, str]:
    """What the user gives a task, the stronger later: env files, the step's variables, secrets.

    Raises:
        InputError: a template finds nothing.
    """
    rendered = {name: value.render(scope) for name, value in task.env.items()}
    return {**run.secrets.variables, **rendered, **run.secrets.environment(task.secrets)}


def _environment(run: RunContext, unit: Unit, number: int, own: Mapping[str, str]) -> dict[str, str]:
    """The environment of contract §2: the user's, then ours; only the place of Redis is the user's first."""
    assert unit.step.task is not None
    where = (run.run_id, unit.step.id, unit.item, number)
    containerised = run.services.backend.name == "docker"
    redis = run.services.store.environment(
        run.run_id, RedisAccess(unit.step.task.redis_access), containerised=containerised
    )
    for kept in ("REDIS_HOST", "REDIS_PORT"):
        if kept in own:
            redis.pop(kept, None)
    ours = {
        **_metadata_variables(run.plan.metadata),
        **unit.env,
        **redis,
        "WORKFLOW_ID": run.run_id,
        "STEP_ID": unit.step.id,
        "TASK_ID": naming.task_id(*where),
        "AGENT_ID": naming.agent_name(*where),
        "AGENTAINER_ATTEMPT": str(number),
        **run.verdict_variables,
    }
    if run.has_artifacts:
        folder = run.services.artifacts.folder(run.run_id)
        ours["AGENTAINER_ARTIFACTS"] = MOUNT_POINT if containerised else str(folder)
    task_input = run.input_text(unit.input)
    if len(task_input) < _TASK_INPUT_LIMIT:
        ours["TASK_INPUT"] = task_input
    return {**own, **ours}


def _artifact_mounts(run: RunContext) -> tuple[Mount, ...]:
    if not run.has_artifacts or run.services.backend.name != "docker":
        return ()
    folder = run.services.artifacts.folder(run.run_id)
    return (Mount(str(folder), MOUNT_POINT, read_only=True),)


def _metadata_variables(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"WORKFLOW_{re.sub(r'[^A-Z0-9]', '_', key.upper())}": value for key, value in metadata.items()}


@lru_cache(maxsize=256)
def _digest_of(
    image: str | None,
    limits: Limits,
    network: str,
    mounts: tuple[Mount, ...],
    working_dir: str | None,
    user: str | None,
    privileged: bool,
) -> str:
    """Digest over what makes two agents alike: everything but whom they serve, and their command and env."""
    parts = [
        image,
        astuple(limits),
        network,
        [astuple(mount) for mount in mounts],
        working_dir,
        user,
        privileged,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
