"""From a tree to typed models: runs pydantic and turns what it says into findings with positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.workflows.documents import (
    STEP_LISTS,
    ConfigDocument,
    StepDocument,
    WorkflowDocument,
    lift,
)
from engine.workflows.fields import PROBLEM
from engine.workflows.foreign_words import foreign_words, ours_for
from engine.workflows.policy_documents import (
    ApprovalDocument,
    CacheDocument,
    LimitsDocument,
    PoolDocument,
    RetryDocument,
    ScheduleDocument,
)
from engine.workflows.pruning import in_damaged, prune
from engine.workflows.routing_documents import BranchDocument, DecisionDocument, MapDocument
from engine.workflows.tree import MAX_PROBLEMS, Findings, Items, Table, describe, is_null, locate, node_at
from engine.workflows.wording import listing, nearest, quoted, shorten, show

# Taking out what is wrong can leave something else wrong (a list that has become empty), but not for long.
_ROUNDS = 6

# Unknown keys that are looked at for one that was meant as another.
_LOOKED_AT = 20

# Where a field stands, for a key that is known but in the wrong place.
_HOMES: tuple[tuple[type[BaseModel], str], ...] = (
    (StepDocument, "on a step"),
    (ConfigDocument, "under the workflow's `config`"),
    (WorkflowDocument, "at the top level"),
    (MapDocument, "under `map_config`"),
    (DecisionDocument, "under `decision_node`"),
    (BranchDocument, "under `branch_config`"),
    (RetryDocument, "under `retry_policy`"),
    (LimitsDocument, "under `resource_limits`"),
    (PoolDocument, "under `pool_config`"),
    (ScheduleDocument, "under `config.schedule`"),
    (ApprovalDocument, "under `approval`"),
    (CacheDocument, "under `cache`"),
)
_NEXT_DOOR: dict[type[BaseModel], type[BaseModel]] = {
    WorkflowDocument: ConfigDocument,
    ConfigDocument: WorkflowDocument,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A document as models, and the tree that paths in it lead into.

    Where something was wrong, `sound` is False and `document` is what is left without that, for the checks
    of the whole; `forgiven` are the ids and names that are gone.
    """

    document: WorkflowDocument
    tree: Table
    sound: bool
    forgiven: frozenset[str]


def check(root: Table, findings: Findings) -> Checked | None:
    """Check a tree against the models, every problem noted; None where there is nothing to go on with."""
    if "name" not in root and "steps" not in root and not _misspells(root, ("name", "steps")):
        keys = listing(map(show, root), limit=6)
        findings.error(
            root.position,
            f"this is no workflow: it has neither `name` nor `steps`, found {keys or 'an empty mapping'}",
        )
        return None
    tree = lift(root, findings.error)
    forgiven: set[str] = set()
    for attempt in range(_ROUNDS):
        try:
            document = WorkflowDocument.model_validate(tree)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in details[: 2 * MAX_PROBLEMS]:
                if not attempt or not in_damaged(tree, detail["loc"]):
                    _note(detail, tree, findings)
            forgiven |= prune(tree, details)
            if not isinstance(tree.get("steps"), Items):
                return None
        else:
            return Checked(document, tree, not (attempt or findings.failed), frozenset(forgiven))
    return None


def _misspells(root: Table, wanted: Sequence[str]) -> bool:
    return any(_suggestion(key, WorkflowDocument) in wanted for key in list(root)[:_LOOKED_AT])


def _note(detail: ErrorDetails, tree: Table, findings: Findings) -> None:
    path = detail["loc"]
    label = label_of(path)
    match detail["type"]:
        case "extra_forbidden":
            findings.error(locate(tree, path, key=True), _unknown_key(path))
        case "missing":
            if not _misspelt(path, tree):
                findings.error(locate(tree, path[:-1]), _missing(path, tree))
        case _ if detail["type"] == PROBLEM:
            _note_own(detail, tree, findings)
        case "too_short":
            findings.error(locate(tree, path), f"`{label}` is empty: write at least one")
        case "model_type" | "dict_type":
            findings.error(
                locate(tree, path), f"`{label}`: {_not_a(detail['input'], 'a mapping `key: value`')}"
            )
        case "list_type":
            first = next(iter(detail["input"]), "a") if isinstance(detail["input"], Table) else ""
            how = f"`- id: {shorten(first)}`" if path[-1] in STEP_LISTS and first else "`- `"
            found = _not_a(detail["input"], f"a list ({how} begins an element)")
            findings.error(locate(tree, path), f"`{label}`: {found}")
        case _:
            findings.error(locate(tree, path), f"`{label}`: {detail['msg']}")


def _note_own(detail: ErrorDetails, tree: Table, findings: Findings) -> None:
    context = detail.get("ctx", {})
    path = detail["loc"]
    if context.get("field"):
        path = (*path, context["field"])
    label = label_of(path)
    if "found" in context:
        for position, message in context["found"]:
            findings.error(position, f"`{label}`: {message}")
        return
    key = path[-1] == "[key]"
    where = path[:-1] if key else path
    findings.error(locate(tree, where, key=key), f"`{label}`: {context['message']}")


def label_of(path: Sequence[str | int]) -> str:
    """How a field is called in messages: its path below the step, `condition.and[0].field`."""
    parts = list(path)
    if parts and parts[-1] == "[key]":
        parts = parts[:-2]
    while len(parts) > 2 and parts[0] in STEP_LISTS and isinstance(parts[1], int):
        parts = parts[2:]
        if len(parts) > 3 and parts[0] == "workflow" and parts[1] in STEP_LISTS:
            parts = parts[1:]
    label = ""
    for part in parts:
        if isinstance(part, int):
            label += f"[{part}]"
        else:
            label += ("." if label else "") + (part if part.isprintable() and len(part) <= 64 else show(part))
    return label or "the document"


def _not_a(node: object, expected: str) -> str:
    if is_null(node):
        return f"has no value, expected {expected}: write it, or take the line out"
    return f"found {describe(node)}, expected {expected}"


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: Sequence[str | int]) -> type[BaseModel]:
    """The model whose keys stand at `path` (without its last part)."""
    model: type[BaseModel] = WorkflowDocument
    for part in path[:-1]:
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = _model_in(field.annotation) or model
                break
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _suggestion(key: str, model: type[BaseModel]) -> str | None:
    """Our word that was meant by an unknown key of this model, if any is near."""
    known = _fields(model)
    if meant := _translated(key, known):
        return meant
    near = nearest(key, [*known, *foreign_words(known)])
    return near if near is None or near in known else _translated(near, known)


def _translated(word: str, known: list[str]) -> str | None:
    return next((ours for ours in ours_for(word) if ours in known), None)


def _home(key: str, model: type[BaseModel]) -> str | None:
    """Where else a key is known."""
    homes = sorted(_HOMES, key=lambda one: one[0] is not _NEXT_DOOR.get(model))
    return next((home for other, home in homes if other is not model and key in _fields(other)), None)


def _unknown_key(path: Sequence[str | int]) -> str:
    key, model = str(path[-1]), _model_at(path)
    where = f"in `{label_of(path[:-1])}`" if len(path) > 1 and isinstance(path[-2], str) else "here"
    start = f"{show(key)} is not known {where}"
    if meant := _translated(key, _fields(model)):
        return f"{start}: did you mean {quoted(meant)}?"
    if home := _home(key, model):
        return f"{start}: it belongs {home}"
    if near := _suggestion(key, model):
        return f"{start}: did you mean {quoted(near)}?"
    for word in ours_for(key):
        if home := _home(word, model):
            return f"{start}: did you mean {quoted(word)}, which belongs {home}?"
    return f"{start}: known are {listing(_fields(model), limit=30)}"


def _misspelt(path: Sequence[str | int], tree: Table) -> bool:
    """Whether a missing key stands there under a near name, which is reported already."""
    model, table = _model_at(path), node_at(tree, path[:-1])
    known = _fields(model)
    foreign = [key for key in table if key not in known] if isinstance(table, Table) else []
    return any(_suggestion(key, model) == path[-1] for key in foreign[:_LOOKED_AT])


def _missing(path: Sequence[str | int], tree: Table) -> str:
    key, model = str(path[-1]), _model_at(path)
    field = next(f for name, f in model.model_fields.items() if (f.alias or name) == key)
    if len(path) == 1:
        keys = listing(map(show, tree), limit=6)
        return f"`{key}` is missing: a workflow needs `name` and `steps`, found {keys or 'nothing'}"
    what = f" ({field.description})" if field.description else ""
    return f"`{label_of(path[:-1])}` needs `{key}`{what}: add it"
