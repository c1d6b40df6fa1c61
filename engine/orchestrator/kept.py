"""Runs as the history kept them: the plan from the texts of that time, and what the run began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.clock import parse_time
from engine.history.reader import Reader
from engine.history.records import RunDetail, RunRecord
from engine.orchestrator.creation import Beginning
from engine.orchestrator.ports import ParentLink
from engine.orchestrator.secrets import Secrets
from engine.workflows.linking import link_from
from engine.workflows.loader import load_text
from engine.workflows.plan import Plan


async def plan_of(run: RunRecord, history: Reader) -> Plan:
    """The plan of a run with the workflows that it runs, made again from the texts that it keeps.

    Raises:
        DocumentError: they are not valid any more.
    """
    text = await history.document(run.digest)
    plan = load_text(text, run.path).require()
    return link_from(plan, await _children(run, history))


async def parent_of(run: RunRecord, history: Reader) -> ParentLink | None:
    """The attempt whose sub-workflow a run is, None for a run of its own."""
    parent = (await created_data(run, history)).get("parent")
    if parent is None:
        return None
    where = parent["run_id"], parent["step_id"], parent.get("item"), parent["attempt"]
    return ParentLink(*where, way=parent.get("way"))


async def beginning_of(detail: RunDetail, plan: Plan, history: Reader, secrets: Secrets) -> Beginning:
    """What an unfinished run begins with this time: where it stood when its engine ended."""
    run = detail.run
    created = await created_data(run, history)
    scheduled_for = created.get("scheduled_for")
    return Beginning(
        run.id,
        plan,
        run.params,
        detail.state,
        run.source or "",
        parent=await parent_of(run, history),
        use_cache=not created.get("no_cache"),
        scheduled_for=parse_time(scheduled_for) if scheduled_for else None,
        secrets=secrets,
    )


async def created_data(run: RunRecord, history: Reader) -> Mapping[str, Any]:
    """The data of the event that made a run."""
    return (await history.events(run.id, limit=1))[0].data


async def _children(run: RunRecord, history: Reader) -> dict[str, tuple[str, str | None]]:
    children = (await created_data(run, history)).get("children") or {}
    return {
        name: (child.get("document") or await history.document(child["digest"]), child.get("path"))
        for name, child in children.items()
    }
