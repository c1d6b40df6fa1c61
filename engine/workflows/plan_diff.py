"""What one version of a workflow changed against another: fields by the names that documents give them.

Two plans are compared, not two texts: what reads the same to the engine is no change. A field that says how a
step is carried out (its retries, limits, pool) is told as well, but does not make its earlier result another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from engine.workflows.conditions import Combination, Comparison, Negation
from engine.workflows.linking import subs_of
from engine.workflows.plan import Condition, Plan, PlanStep

# What is not the document's own word, or differs with every edit.
_LEFT_OUT = frozenset({"id", "ordinal", "task", "map", "limits", "line", "column"})
_WORDS = {
    "members": "steps",
    "routers": "reached_from",
    "order_only": "order",
    "retry": "retry_policy",
    "cleanup": "cleanup_policy",
    "nano_cpus": "cpu_limit",
    "memory_bytes": "memory_limit",
    "gpus": "gpu_limit",
    "sub": "workflow",
    "env": "env_vars",
}
# Of these, the order says nothing.
_SETS = frozenset({"depends_on", "members", "routers"})
# How a step is carried out, not what it does.
_MANNER = frozenset(
    {
        *("name", "metadata", "retry_policy", "timeout", "cleanup_policy", "cache", "pool"),
        *("failure_strategy", "cpu_limit", "memory_limit", "gpu_limit", "pull_policy"),
        "map_config.max_concurrency",
    }
)
# Of a workflow: what every task sees.
_SEEN_BY_ALL = frozenset({"state", "metadata", "env_files"})
_PER_ENTRY = frozenset(
    {"env_vars", "metadata", "retry_policy", "cache", "pool", "state", "params", "secrets"}
)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after as plain JSON; None where it was not, or is not, there.

    `matters` tells whether it changes what a step does, so that its earlier result says nothing any more.
    """

    name: str
    before: Any
    after: Any
    matters: bool = True


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step that is `added`, `removed` or `changed`; `fields` of a changed one."""

    id: str
    name: str
    kind: str
    fields: tuple[FieldChange, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether an earlier result of the step says nothing any more."""
        return self.kind != "changed" or any(field.matters for field in self.fields)


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """Everything that differs.

    Attributes:
        workflow: fields of the workflow itself.
        steps: that were added, removed or changed, in the order of the document, removed ones last.
    """

    workflow: tuple[FieldChange, ...] = ()
    steps: tuple[StepChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.workflow or self.steps)

    @property
    def seen_by_all(self) -> tuple[FieldChange, ...]:
        """The changes that reach every task: of the initial state, the metadata, the env files."""
        return tuple(field for field in self.workflow if field.name.partition(".")[0] in _SEEN_BY_ALL)

    def step(self, step_id: str) -> StepChange | None:
        """What became of a step, None if it is as it was."""
        return next((step for step in self.steps if step.id == step_id), None)


def diff_plans(before: Plan, after: Plan) -> PlanDiff:
    """What `after` changed against `before`; both linked."""
    changed = []
    for step in after.steps.values():
        old = before.steps.get(step.id)
        if old is None:
            changed.append(StepChange(step.id, step.name, "added"))
        elif _is_alike(old, step) and _around(before, old) == _around(after, step):
            continue
        elif found := _compared(_of_step(before, old), _of_step(after, step)):
            changed.append(StepChange(step.id, step.name, "changed", found))
    removed = [
        StepChange(step.id, step.name, "removed")
        for step in before.steps.values()
        if step.id not in after.steps
    ]
    return PlanDiff(_compared(_of_workflow(before), _of_workflow(after)), (*changed, *removed))


def _is_alike(old: PlanStep, new: PlanStep) -> bool:
    """Whether two steps are the same for sure; nearly all are, and this takes no time."""
    return repr(replace(old, ordinal=new.ordinal)) == repr(new)  # `==` takes true for 1


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    found = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if not _same(old, new):
            matters = name not in _MANNER and name.partition(".")[0] not in _MANNER
            found.append(FieldChange(name, old, new, matters))
    if any(field.name == "depends_on" for field in found):  # these two follow from it
        found = [field for field in found if field.name not in ("order", "reached_from")]
    return tuple(found)


def _same(old: Any, new: Any) -> bool:
    """Equality of JSON texts: 1 is neither true nor 1.0 in what a task is given."""
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _of_workflow(plan: Plan) -> dict[str, Any]:
    own = ("description", "max_parallel", "timeout", "failure_strategy", "state", "metadata", "params")
    more = ("max_active_runs", "finally_timeout", "schedule", "secrets", "env_files", "profiling")
    found = _entries({"name": plan.workflow, **{name: plain(getattr(plan, name)) for name in (*own, *more)}})
    return {**found, **{f"workflow {name}": child.digest for name, child in plan.children.items()}}


def _of_step(plan: Plan, step: PlanStep) -> dict[str, Any]:
    found = _fields(step)
    if step.task is not None:
        found |= _fields(step.task) | _fields(step.task.limits)
    if step.map is not None:
        found |= {f"map_config.{name}": value for name, value in _fields(step.map).items()}
    found["depends_on"] = sorted(step.depends_on)
    found = _entries(found)
    return found | _around(plan, step)


def _around(plan: Plan, step: PlanStep) -> dict[str, Any]:
    """What a step takes from elsewhere in its workflow, or from others."""
    secrets = step.task.secrets if step.task is not None else ()
    found = {f"secrets.{name}": plain(plan.secrets.get(name)) for name in secrets}
    return found | {f"workflow {name}": digest for name, digest in _family(plan, [step])}


def _fields(part: Any) -> dict[str, Any]:
    found = {}
    for each in fields(part):
        if not each.compare or each.name in _LEFT_OUT:
            continue
        value = plain(getattr(part, each.name))
        if each.name in _SETS:
            value = sorted(value)
        if value not in (None, [], {}):
            found[_WORDS.get(each.name, each.name)] = value
    return found


def _entries(found: Mapping[str, Any]) -> dict[str, Any]:
    """Tables whose entries are told one by one: `env_vars.URL`."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if name in _PER_ENTRY and isinstance(value, dict):
            flat |= {f"{name}.{key}": each for key, each in value.items()}
        elif value not in (None, [], {}):
            flat[name] = value
    return flat


def _family(
    plan: Plan, steps: Iterable[PlanStep], seen: frozenset[str] = frozenset()
) -> set[tuple[str, str]]:
    """The workflows that steps run, and theirs, with the digests of their texts."""
    found: set[tuple[str, str]] = set()
    for sub in (sub for step in steps for sub in subs_of(step)):
        child = sub.inline or plan.children.get(sub.name)
        if child is None or sub.name in seen:
            continue
        found.add((sub.name, child.digest))
        found |= _family(plan, child.steps.values(), seen | {sub.name})
    return found


def plain(value: Any) -> Any:
    """A value of a plan as JSON: templates and paths as they are written, conditions as a line."""
    match value:
        case None | bool() | int() | float() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case Plan():
            return {"name": value.workflow, "digest": value.digest}
        case Comparison() | Combination() | Negation():
            return condition_text(value)
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case tuple() | list():
            return [plain(each) for each in value]
        case set() | frozenset():
            return sorted(plain(each) for each in value)
    if hasattr(value, "source") and not hasattr(value, "target"):
        return value.source
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if _shown(each, value)}
    return str(value)


def _shown(each: Any, value: Any) -> bool:
    return each.compare and each.name not in ("line", "column") and getattr(value, each.name) is not None


def condition_text(condition: Condition) -> str:
    """A condition on one line, as a person would say it."""
    match condition:
        case Comparison():
            value = json.dumps(condition.value, ensure_ascii=False)
            return f"{condition.path.source} {condition.operator} {value}"
        case Combination():
            word = " and " if condition.every else " or "
            return word.join(f"({condition_text(part)})" for part in condition.parts)
        case Negation():
            return f"not ({condition_text(condition.part)})"
    return str(condition)
