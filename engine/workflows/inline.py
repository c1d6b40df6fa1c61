"""Workflows that stand in the step that runs them: planned in place, with a text of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Protocol

from engine.workflows.compiling import At, Compiler
from engine.workflows.documents import STEP_LISTS, InlineWorkflowDocument, WorkflowDocument
from engine.workflows.plan import Plan
from engine.workflows.source import MAX_BYTES, digest_of
from engine.workflows.tree import Items, Node, Table, node_at

# Of the config: what is said of runs that nobody else began.
_OF_WHOLE_WORKFLOWS = ("schedule", "max_active_runs")


class PlanMaker(Protocol):
    """Makes the plan of a checked document (`planner.make_plan`)."""

    def __call__(
        self, document: WorkflowDocument, compiler: Compiler, *, text: str, digest: str, path: str | None
    ) -> Plan | None:
        """The plan, or None with the problems noted in the compiler's findings."""
        ...


def plan_inline(
    inline: InlineWorkflowDocument,
    at: At,
    step_id: str,
    parent: WorkflowDocument,
    compiler: Compiler,
    path: str | None,
    make_plan: PlanMaker,
) -> Plan | None:
    """The plan of the workflow at `at`, or None with the problems noted, at their places in the parent.

    Its document is a text that loads into the same plan, so that the child's run can be recovered and tried
    again by itself. The parent's secrets and env files are in it as if it had them itself.
    """
    for key in _OF_WHOLE_WORKFLOWS:
        if key in inline.config.model_fields_set:
            compiler.warning(
                (*at, "config", key),
                f"`config.{key}` has no effect in a workflow that stands in a step: take it out",
            )
    document = _with_surroundings(inline, step_id, parent)
    text = _text_of(document)
    if text is None:
        compiler.error(at, f"this workflow is longer than {MAX_BYTES:,} bytes: give it a file of its own")
        return None
    child = Compiler(_tree(at, inline, parent, compiler.tree), compiler.findings, compiler.forgiven)
    child.spent = compiler.spent
    plan = make_plan(document, child, text=text, digest=digest_of(text), path=path)
    compiler.spent = child.spent
    return replace(plan, warnings=()) if plan is not None else None


def _with_surroundings(
    inline: InlineWorkflowDocument, step_id: str, parent: WorkflowDocument
) -> InlineWorkflowDocument:
    own = {secret.name for secret in inline.secrets}
    changes: dict[str, Any] = {"name": inline.name or step_id}
    if ineffective := inline.config.model_fields_set.intersection(_OF_WHOLE_WORKFLOWS):
        kept = {key: getattr(inline.config, key) for key in inline.config.model_fields_set - ineffective}
        changes["config"] = inline.config.model_construct(_fields_set=set(kept), **kept)
    if parent.env_file:
        changes["env_file"] = [*parent.env_file, *inline.env_file]
    if parent.secrets:
        inherited = [secret for secret in parent.secrets if secret.name not in own]
        changes["secrets"] = [*inherited, *inline.secrets]
    return inline.model_copy(update=changes)


def _tree(at: At, inline: InlineWorkflowDocument, parent: WorkflowDocument, root: Table) -> Table:
    """The tree of the workflow at `at` with what it has from its parent, each thing at its own place."""
    own = node_at(root, at)
    if not isinstance(own, Table):
        return root
    tree = Table(own.position)
    tree.damaged = own.damaged
    for key, node in own.items():
        tree.put(key, node, own.key_positions[key])
    names = {secret.name for secret in inline.secrets}
    theirs = [name not in names for name in (secret.name for secret in parent.secrets)]
    for key, wanted in (("env_file", [True] * len(parent.env_file)), ("secrets", theirs)):
        if wanted:
            joined = Items(tree.key_positions.get(key, tree.position))
            joined += [node for node, want in zip(_elements(root.get(key)), wanted, strict=False) if want]
            joined += _elements(tree.get(key))
            tree.put(key, joined, joined.position)
    return tree


def _elements(node: Node | None) -> list[Node]:
    """A list's elements; a value that stands for a list of one is that one."""
    if node is None:
        return []
    return list(node) if isinstance(node, Items) else [node]


def _text_of(document: InlineWorkflowDocument) -> str | None:
    """The document as JSON, None where it is too long.

    What was written is written again, and nothing else: what a field inherits depends on whether it stands
    there.
    """
    tree = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    _spell_caches(tree)
    pieces, size = [], 0
    # Piece by piece: aliases can make a short file say something enormous.
    for piece in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(tree):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            return None
    text = "".join(pieces)
    return text if len(text.encode()) <= MAX_BYTES else None


def _spell_caches(holder: dict[str, Any]) -> None:
    """`cache: false` is read as no cache: write it as it was."""
    for key in STEP_LISTS:
        for step in holder.get(key, ()):
            if step.get("cache", False) is None:
                step["cache"] = False
            _spell_caches(step)
            _spell_caches(step.get("workflow", {}))
