"""Runs as the history kept them: the plan from the texts of that time, and what the run goes on with."""

from __future__ import annotations

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
    return link_from(plan, await history.children_documents(run.id))


def beginning_of(detail: RunDetail, plan: Plan, secrets: Secrets) -> Beginning:
    """What an unfinished run begins with this time: where it stood when its engine ended."""
    run, parent = detail.run, detail.run.parent
    return Beginning(
        run.id,
        plan,
        run.params,
        detail.state,
        run.source or "",
        parent=ParentLink(parent.run_id, parent.step_id, parent.item, parent.attempt) if parent else None,
        use_cache=not run.no_cache,
        scheduled_for=parse_time(run.scheduled_for) if run.scheduled_for else None,
        secrets=secrets,
    )
