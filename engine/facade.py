"""The engine's public face: everything that the dashboard and the command line may use.

Importing this module is cheap; Docker, Redis and SQLite are imported when an engine is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.events import Event
from engine.live import Engine, require_unfinished
from engine.live_agents import KeptAgent, Roster
from engine.rehearsal import RunPreview, edited_plan, preview_retry, preview_run
from engine.standalone import document_schema, next_run, open_history, read_param, validate_file

if TYPE_CHECKING:
    from engine.history.reader import Reader as Reader
    from engine.history.records import (
        AttemptRecord,
        ItemRecord,
        ListedRun,
        RunDetail,
        RunFilter,
        RunPage,
        RunRecord,
        StepRecord,
    )
    from engine.insight import (
        Aggregate,
        Bucket,
        Distribution,
        ErrorClass,
        Insight,
        StepFigures,
        StepMetrics,
        WorkflowMetrics,
        insight,
        metrics_of_run,
        parse_since,
        prometheus_text,
    )
    from engine.orchestrator.approvals import Gate
    from engine.orchestrator.fates import Fate, StepFate
    from engine.orchestrator.preview import Doubt as Doubt
    from engine.orchestrator.preview import StepPreview
    from engine.orchestrator.rerunning import RetryPreview
    from engine.orchestrator.schedule import Scheduled
    from engine.settings import Settings as Settings
    from engine.workflows.plan import ParamSpec
    from engine.workflows.plan import Plan as Plan
    from engine.workflows.plan import Template as Template
    from engine.workflows.plan_diff import FieldChange, PlanDiff, StepChange, diff_plans
    from engine.workflows.step_lines import step_lines
    from engine.workflows.templates import TEMPLATES, check_new_name, create_workflow
else:
    _RECORDS = (
        *("AttemptRecord", "ItemRecord", "ListedRun", "RunDetail", "RunFilter", "RunPage", "RunRecord"),
        "StepRecord",
    )
    _INSIGHT = (
        *("Aggregate", "Bucket", "Distribution", "ErrorClass", "Insight", "StepFigures", "StepMetrics"),
        *("WorkflowMetrics", "insight", "metrics_of_run", "parse_since", "prometheus_text"),
    )

    def __getattr__(name: str) -> Any:
        """What is only re-exported is imported when asked for: checking a file does without them."""
        if name in _RECORDS:
            from engine.history import records as module
        elif name in _INSIGHT:
            from engine import insight as module
        elif name == "ParamSpec":
            from engine.workflows import plan as module
        elif name == "Gate":
            from engine.orchestrator import approvals as module
        elif name == "StepPreview":
            from engine.orchestrator import preview as module
        elif name == "Scheduled":
            from engine.orchestrator import schedule as module
        elif name in ("Fate", "StepFate"):
            from engine.orchestrator import fates as module
        elif name == "RetryPreview":
            from engine.orchestrator import rerunning as module
        elif name in ("FieldChange", "PlanDiff", "StepChange", "diff_plans"):
            from engine.workflows import plan_diff as module
        elif name == "step_lines":
            from engine.workflows import step_lines as module
        elif name in ("TEMPLATES", "check_new_name", "create_workflow"):
            from engine.workflows import templates as module
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(module, name)


__all__ = [
    "TEMPLATES",
    "Aggregate",
    "AttemptRecord",
    "Bucket",
    "Distribution",
    "Engine",
    "ErrorClass",
    "Event",
    "Fate",
    "FieldChange",
    "Gate",
    "Insight",
    "ItemRecord",
    "KeptAgent",
    "ListedRun",
    "ParamSpec",
    "PlanDiff",
    "RetryPreview",
    "Roster",
    "RunDetail",
    "RunFilter",
    "RunPage",
    "RunPreview",
    "RunRecord",
    "Scheduled",
    "StepChange",
    "StepFate",
    "StepFigures",
    "StepMetrics",
    "StepPreview",
    "StepRecord",
    "WorkflowMetrics",
    "answer_gate",
    "cancel_run",
    "check_new_name",
    "create_workflow",
    "diff_plans",
    "document_schema",
    "edited_plan",
    "insight",
    "metrics_of_run",
    "next_run",
    "open_history",
    "parse_since",
    "preview_retry",
    "preview_run",
    "prometheus_text",
    "read_param",
    "step_lines",
    "validate_file",
]


async def cancel_run(settings: Settings, ref: str, *, by: str, hurry: bool = False) -> RunRecord:
    """Cancel a run wherever it is live: in another process of this home, or left behind by a dead one.

    Returns the run as it is afterwards (`cancelling`, if its tasks are still being stopped).

    Raises:
        UsageError: there is no such run, or it is over.
        UnavailableError: its engine does not answer.
    """
    from engine.history.lease import Lease
    from engine.service.control import ask

    reader = open_history(settings)
    try:
        run = await reader.run(ref)
        require_unfinished(run)
        if Lease.holder(settings.home) is not None:
            await ask(settings.home, {"command": "cancel", "run": run.id, "by": by, "hurry": hurry})
            return await reader.run(run.id)
    finally:
        await reader.close()
    async with await Engine.open(settings, recover=False) as engine:
        await engine.cancel(run.id, by=by, hurry=hurry)
        return await engine.wait(run.id)


async def answer_gate(
    settings: Settings, ref: str, *, step: str | None, approved: bool, by: str, comment: str = ""
) -> tuple[RunRecord, str]:
    """Answer an approval step that waits, in the engine that is live on the home.

    Args:
        settings: of the home.
        ref: the run. Where no step of its own waits, a run that is part of it is meant.
        step: the approval step; None means the only one that waits.
        approved: whether the run may go on through it.
        by: who says so, for history.
        comment: why, for history.

    Returns:
        The run that the step is of, and the id of the step.

    Raises:
        UsageError: no such run or step, it does not wait, several wait, or no engine is live.
        UnavailableError: the engine does not answer.
    """
    from engine.history.lease import Lease
    from engine.service.control import ask

    async with open_history(settings) as history:
        run = await history.run(ref)
        require_unfinished(run)
        if Lease.holder(settings.home) is None:
            raise UsageError(
                f"no engine is live on {settings.home}, so nobody can take the answer; run {run.id} waits "
                "until there is one",
                hint="open the dashboard (`agentainer`) or `agentainer watch`, then answer",
            )
        run_id = await _gated(history, run.id, step)
        request = {"command": "answer", "run": run_id, "step": step, "approved": approved}
        answer = await ask(settings.home, {**request, "by": by, "comment": comment})
        return await history.run(run_id), str(answer["step"])


async def _gated(history: Reader, run_id: str, step: str | None) -> str:
    """The run that an answer is for: the one that was named if a step of it waits, else one within it.

    Raises:
        UsageError: several runs within it wait.
    """
    waiting = [gate for gate in await history.waiting_gates(run_id) if step in (None, gate.id)]
    runs = list(dict.fromkeys(gate.run_id for gate in waiting))
    if run_id in runs or not runs:
        return run_id
    if len(runs) > 1:
        lines = [f"{gate.run_id} {gate.id}" for gate in waiting]
        raise UsageError(
            f"several runs that are part of run {run_id} wait for an answer",
            hint="\n".join(["name one of them:", *lines]),
        )
    return runs[0]
