"""What a step runs: its task, how a map step expands, and the settings that its surroundings hand down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import ConfigDocument, WorkflowDocument
from engine.workflows.expressions import TextTemplate
from engine.workflows.graph import Draft
from engine.workflows.plan import MapPlan, ResourceLimits, RetryPolicy, StepType, TaskPlan
from engine.workflows.policy_documents import LimitsDocument, RetryDocument
from engine.workflows.routing import ROUTING
from engine.workflows.wording import quoted, show

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


def plan_task(draft: Draft, config: ConfigDocument, compiler: Compiler) -> TaskPlan | None:
    """The task of a step, None for steps that run none; what cannot be is noted."""
    step, at = draft.document, draft.at
    if draft.type in ROUTING or step.steps is not None:
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
    inherited = draft.parent.document.resource_limits if draft.parent else None
    return TaskPlan(
        image=_plan_image(draft, compiler),
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
        if name in _OURS:
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


def plan_retry(*documents: RetryDocument | None) -> RetryPolicy:
    """The policy from these, nearest first; each field is taken from the nearest that has it."""
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
