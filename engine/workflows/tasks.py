"""What a step runs: its task, how a map step expands, and the settings that its surroundings hand down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import ConfigDocument, WorkflowDocument
from engine.workflows.expressions import JsonPath, TextTemplate
from engine.workflows.fitness import has_task, is_retried, is_timed
from engine.workflows.graph import Draft
from engine.workflows.plan import MapPlan, ResourceLimits, RetryPolicy, StepType, TaskPlan
from engine.workflows.policy_documents import LimitsDocument
from engine.workflows.surroundings import (
    OUR_VARIABLES,
    plan_artifacts,
    plan_network,
    plan_task_secrets,
    plan_user,
    plan_volumes,
    plan_working_dir,
)
from engine.workflows.wording import quoted, show

_SCOPE_NAMES = frozenset(("params", "steps", "run", "_map_index"))


def plan_task(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> TaskPlan | None:
    """The task of a step, None for steps that run none; what cannot be is noted."""
    step, at = draft.document, draft.at
    if not has_task(draft):
        return None
    if step.image is None and step.command is None and not compiler.damaged(at):
        compiler.error(
            at,
            f"the step {quoted(draft.id)} has nothing to run: give it an `image`, a `command`, or both",
        )
    return TaskPlan(
        image=_plan_image(draft, compiler),
        command=_plan_command(draft, compiler),
        env=_plan_environment(draft, compiler),
        limits=_limits(draft, document.config, compiler),
        redis_access=step.redis_access,
        network=plan_network(step, at, compiler),
        pull_policy=step.pull_policy,
        volumes=plan_volumes(step, at, compiler),
        working_dir=plan_working_dir(step, at, compiler),
        user=plan_user(step, at, compiler),
        privileged=step.privileged,
        secrets=plan_task_secrets(step, at, document, compiler),
        artifacts=plan_artifacts(step, at, compiler),
    )


def _plan_image(draft: Draft, compiler: Compiler) -> TextTemplate | None:
    image, at = draft.document.image, (*draft.at, "image")
    if image is None:
        return None
    template = compiler.template(image, at, draft.id, "image")
    if template is not None and not template.paths and not re.fullmatch(r"[^\s]{1,4096}", image):
        compiler.error(at, f"`image`: found {show(image)}, expected an image such as python:3.12-alpine")
    return template


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
        if name in OUR_VARIABLES:
            compiler.warning(
                at, f"`env_vars.{name}` is set by the engine for every task, which wins: rename it"
            )
    return environment


def plan_map(draft: Draft, document: WorkflowDocument, compiler: Compiler) -> MapPlan | None:
    """How a map step expands, None for other steps."""
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
    condition = None
    if config.condition is not None:
        where: At = (*at, "condition")
        condition = compiler.condition(config.condition, where, draft.id, "map_config.condition")
    if path is None:
        return None
    return MapPlan(
        input_path=path,
        item_alias=config.item_alias,
        max_concurrency=config.max_concurrency,
        error_handling=config.error_handling,
        tolerated_failure_count=config.tolerated_failure_count,
        tolerated_failure_percentage=config.tolerated_failure_percentage,
        batch_size=config.batch_size,
        condition=condition,
    )


def plan_workers_path(draft: Draft, compiler: Compiler) -> JsonPath | None:
    """The list of a parallel step's dynamic workers, None for other steps."""
    path = draft.document.workers_path
    if path is None or draft.type is not StepType.PARALLEL:
        return None
    return compiler.path(path, (*draft.at, "workers_path"), draft.id, "workers_path")


def plan_retry(draft: Draft, config: ConfigDocument) -> RetryPolicy:
    """The step's policy; each field is taken from the nearest of step, parent and config that has it."""
    if not is_retried(draft):
        return RetryPolicy()
    inherited = draft.parent.document.retry_policy if draft.parent else None
    values = _merged((draft.document.retry_policy, inherited, config.retry_policy))
    if values.get("retry_on") is not None:
        values["retry_on"] = frozenset(values["retry_on"])
    if values.get("exit_codes") is not None:
        values["exit_codes"] = frozenset(values["exit_codes"])
    return RetryPolicy(**values)


def plan_timeout(draft: Draft) -> float | None:
    """Seconds for each attempt, the step's own or its parent's; None for no bound."""
    if not is_timed(draft):
        return None
    own = draft.document.timeout
    return (draft.parent.document.timeout if own is None and draft.parent else own) or None


def _limits(draft: Draft, config: ConfigDocument, compiler: Compiler) -> ResourceLimits:
    """Each limit from the nearest of step, parent and config that has it, and where that stands."""
    sources: list[tuple[LimitsDocument | None, At]] = [
        (one.document.resource_limits, one.at) for one in (draft, draft.parent) if one is not None
    ]
    sources.append((config.resource_limits, ("config",)))
    values = _merged(limits for limits, _ in sources)
    places: dict[str, tuple[int, int]] = {}
    for limits, at in sources:
        for name in limits.model_fields_set if limits is not None else ():
            places.setdefault(name, compiler.place((*at, "resource_limits", name)))
    return ResourceLimits(
        values.get("cpu_limit"), values.get("memory_limit"), values.get("gpu_limit") or None, places
    )


def _merged(documents: Iterable[BaseModel | None]) -> dict[str, Any]:
    """What is written in these, nearest first, field by field."""
    values: dict[str, Any] = {}
    for document in documents:
        for name in document.model_fields_set if document is not None else ():
            values.setdefault(name, getattr(document, name))
    return values
