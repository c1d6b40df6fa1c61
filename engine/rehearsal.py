"""A run that is not run: what it would do, and why it could not (`run --dry-run`).

Importing this module is cheap: it does so itself only with what a call needs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import DocumentError, Problem, UnavailableError

if TYPE_CHECKING:
    from engine.orchestrator.preview import StepPreview
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
