"""Which settings make sense on which kind of step: the others are said where they stand."""

from __future__ import annotations

from engine.workflows.compiling import Compiler
from engine.workflows.documents import StepDocument
from engine.workflows.graph import Draft
from engine.workflows.plan import StepRole, StepType
from engine.workflows.step_types import WORKFLOW_KEYS
from engine.workflows.wording import quoted

# Settings of a task: without one they would be lost, and with them something that was wanted.
_OF_A_TASK = (
    "image",
    "command",
    "env_vars",
    "working_dir",
    "user",
    "volumes",
    "privileged",
    "secrets",
    "artifacts",
    "cache",
    "workers_path",
)
# Settings that a step without a task cannot use, and does not miss.
_IDLE_WITHOUT_TASK = (
    "redis_access",
    "network",
    "pull_policy",
    "resource_limits",
    "cleanup_policy",
    "execution_mode",
    "pool_config",
    "pool",
)
_TIMELESS = frozenset((StepType.DECISION, StepType.DELAY))
_NEVER_RETRIED = frozenset((StepType.DECISION, StepType.APPROVAL, StepType.DELAY))


def names_workflow(step: StepDocument) -> bool:
    """Whether a step says which workflow it runs."""
    return any(getattr(step, key) for key in WORKFLOW_KEYS)


def has_task(draft: Draft) -> bool:
    """Whether a step runs tasks of its own: it has no members, runs no workflow, and is no mere gate."""
    kinds = (StepType.SEQUENTIAL, StepType.PARALLEL, StepType.MAP, StepType.REDUCE)
    return draft.type in kinds and draft.document.steps is None and not names_workflow(draft.document)


def has_child(draft: Draft) -> bool:
    """Whether a step runs workflows as child runs."""
    branch = draft.document.branch_config
    if draft.type is StepType.BRANCH:
        return branch is not None and bool(branch.true_workflow or branch.false_workflow)
    return draft.type in (StepType.SUBWORKFLOW, StepType.MAP) and names_workflow(draft.document)


def is_retried(draft: Draft) -> bool:
    """Whether a failure of the step can be tried again."""
    return draft.type not in _NEVER_RETRIED and (draft.type is not StepType.BRANCH or has_child(draft))


def is_timed(draft: Draft) -> bool:
    """Whether the step takes a time that can be bounded."""
    return draft.type not in _TIMELESS and (draft.type is not StepType.BRANCH or has_child(draft))


def check_fitness(draft: Draft, compiler: Compiler) -> None:
    """Say which of a step's settings cannot be, and which have no effect."""
    if not has_task(draft):
        _without_task(draft, compiler)
    if draft.parent is not None and draft.document.trigger is not None:
        compiler.error(
            (*draft.at, "trigger"),
            "`trigger`: the members of a parallel step run together, waiting for nothing of their own: "
            f"put it on {quoted(draft.parent.id)}",
        )
    if draft.role is not StepRole.MAIN and draft.document.failure_strategy is not None:
        compiler.warning(
            (*draft.at, "failure_strategy"),
            f"`failure_strategy` has no effect under `{draft.role}`, where a failure never keeps the others "
            "from running: take it out",
        )
    for key, fits in (("timeout", is_timed(draft)), ("retry_policy", is_retried(draft))):
        if key in draft.document.model_fields_set and not fits:
            compiler.warning((*draft.at, key), f"`{key}` has no effect on {_kind(draft)}: take it out")
    _check_workers(draft, compiler)
    _check_spellings(draft, compiler)


def _without_task(draft: Draft, compiler: Compiler) -> None:
    step, at = draft.document, draft.at
    for key in _OF_A_TASK:
        if key in step.model_fields_set:
            compiler.error((*at, key), f"`{key}`: {_kind(draft)} has no task of its own: {_instead(draft)}")
    handed_down = ("resource_limits", "cleanup_policy") if step.steps is not None else ()
    for key in _IDLE_WITHOUT_TASK:
        if key in step.model_fields_set and key not in handed_down:
            compiler.warning(
                (*at, key), f"`{key}` has no effect on {_kind(draft)}, which has no task: take it out"
            )
    if step.steps is not None and not step.steps:
        compiler.error((*at, "steps"), "`steps` is empty: write at least one member, or take it out")


def _kind(draft: Draft) -> str:
    if draft.document.steps is not None:
        return "a parallel step with nested `steps`"
    if draft.type is StepType.MAP:
        return "a map step that runs a workflow for each item"
    article = "an" if draft.type is StepType.APPROVAL else "a"
    return f"{article} {draft.type} step"


def _instead(draft: Draft) -> str:
    if draft.type is StepType.DELAY and draft.document.type is None:
        return (
            "`delay` makes it a step that only waits; the time between two tries is `retry_policy.delay`, "
            "and for a wait before the task add a step of its own"
        )
    return "move it to the steps that run"


def _check_workers(draft: Draft, compiler: Compiler) -> None:
    step, at = draft.document, draft.at
    parallel = draft.type is StepType.PARALLEL and step.steps is None
    if step.workers_path is not None and step.dynamic is False:
        compiler.error(
            (*at, "dynamic"),
            "`dynamic: false` contradicts `workers_path`, which makes one worker for each element of a list: "
            "take one of the two out",
        )
    elif step.dynamic and step.workers_path is None:
        compiler.warning(
            (*at, "dynamic"),
            "`dynamic` has no effect without `workers_path`, the list in the state that has an element for "
            "each worker: the number of workers is `max_workers`"
            if parallel
            else "`dynamic` has no effect here: it makes the workers of a parallel step from a list",
        )
    if step.max_workers is None or (parallel and step.workers_path is None):
        return
    if parallel:
        instead = "the list at `workers_path` says how many there are: take it out"
    elif step.steps is not None:
        instead = "see `config.max_parallel`"
    else:
        instead = "see `map_config.max_concurrency` or `type: parallel`"
    compiler.warning(
        (*at, "max_workers"),
        f"`max_workers` counts the workers of one task and has no effect here: {instead}",
    )


def _check_spellings(draft: Draft, compiler: Compiler) -> None:
    for key, kind in (("parallel", StepType.PARALLEL), ("reduce", StepType.REDUCE)):
        if getattr(draft.document, key) and draft.type is not kind:
            compiler.warning(
                (*draft.at, key), f"`{key}` has no effect on a {draft.type} step: write `type: {kind}`"
            )
