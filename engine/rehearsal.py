"""Runs and retries that are not run: what they would do, and why they could not (`--dry-run`).

Importing this module is cheap: it does so itself only with what a call needs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import DocumentError, Problem, UnavailableError, UsageError

if TYPE_CHECKING:
    from engine.history.reader import Reader
    from engine.history.records import RunRecord
    from engine.orchestrator.preview import StepPreview
    from engine.orchestrator.rerunning import RetryPreview
    from engine.settings import Settings
    from engine.workflows.plan import Plan


@dataclass(frozen=True, slots=True)
class RunPreview:
    """What a run would do.

    Attributes:
        plan: what would be run.
        params: the given params, completed with the defaults; secrets in them are masked.
        backend: where it would be run; empty where that cannot be told.
        steps: what would become of each step.
        problems: why it would be refused, if it would.
        notes: sentences about what could not be looked at.
    """

    plan: Plan
    params: Mapping[str, Any]
    backend: str
    steps: tuple[StepPreview, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


async def preview_run(settings: Settings, plan: Plan, params: Mapping[str, Any]) -> RunPreview:
    """Work out what a run would do. Nothing is started or kept; images are not looked at.

    Raises:
        UsageError: params that do not fit.
    """
    from engine.orchestrator.admission import check_secrets
    from engine.orchestrator.preview import preview_steps
    from engine.workflows.params import resolve_params

    resolved = resolve_params(plan, params)
    backend, problems, notes = await _admission(settings, plan)
    shown = resolved
    try:
        secrets = check_secrets(plan, os.environ, settings.allowed_roots)
    except DocumentError as error:
        problems += error.problems
    else:
        shown = secrets.masker.mask_json(resolved)
    return RunPreview(plan, shown, backend, tuple(preview_steps(plan, resolved)), problems, notes)


async def preview_retry(
    history: Reader,
    settings: Settings,
    ref: str,
    *,
    from_step: str | None = None,
    only_step: str | None = None,
    failed: bool = False,
    plan: Plan | None = None,
    params: Mapping[str, Any] | None = None,
) -> RetryPreview:
    """Work out what `Engine.retry` would do with the same arguments, as that does; nothing is started.

    Raises:
        UsageError, DocumentError: it would be refused.
    """
    from engine.orchestrator.artifacts import ArtifactStore
    from engine.orchestrator.kept import plan_of
    from engine.orchestrator.rerunning import preview
    from engine.orchestrator.scopes import RetryScope

    detail = await history.detail(ref)
    scope = RetryScope(from_step, only_step, failed, edited=plan is not None)
    plan = plan or await plan_of(detail.run, history)
    artifacts = ArtifactStore(settings.artifacts, settings.artifact_limit)
    return await preview(detail, scope, plan, history, artifacts, params or {})


def edited_plan(
    run: RunRecord, directory: Path | None = None, *, max_depth: int | None = None
) -> tuple[Plan | None, tuple[Problem, ...]]:
    """The plan of a run's file as it is now, and what is wrong with it (`standalone.validate_file`).

    Raises:
        UsageError: the run has no file of its own, or another workflow stands in it now.
    """
    from engine.workflows.linking import MAX_DEPTH, load_linked

    if run.path is None:
        raise UsageError(f"run {run.id} did not come from a file")
    loaded = load_linked(Path(run.path), directory, MAX_DEPTH if max_depth is None else max_depth)
    plan = loaded.plan
    if plan is not None and plan.workflow != run.workflow:
        raise UsageError(
            f"{run.path} holds the workflow {plan.workflow!r}, and run {run.id} is of {run.workflow!r}",
            hint="give the file with --file if it is that workflow's next version",
        )
    return plan, loaded.problems


async def _admission(settings: Settings, plan: Plan) -> tuple[str, tuple[Problem, ...], tuple[str, ...]]:
    """The backend's name, why the plan cannot run there, and notes."""
    from engine.backends import open_backend
    from engine.orchestrator.admission import check_admission

    with tempfile.TemporaryDirectory() as place:  # the home may be another engine's, or not be there yet
        try:
            backend, facts, notes = await open_backend(settings.model_copy(update={"home": Path(place)}))
        except UnavailableError as error:
            return "", (), (f"not checked against the machine: {error.message}",)
        try:
            check_admission(plan, facts, settings)
        except DocumentError as error:
            return facts.name, error.problems, notes
        finally:
            await backend.close()
    return facts.name, (), notes
