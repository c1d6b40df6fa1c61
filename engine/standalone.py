"""What needs no engine: documents are checked, histories are read. `facade` hands it on.

Importing this module is cheap: it does so itself only with what a call needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import Problem

if TYPE_CHECKING:
    from datetime import datetime

    from engine.history.reader import Reader
    from engine.settings import Settings
    from engine.workflows.plan import ParamSpec, Plan


def validate_file(
    path: Path, directory: Path | None = None, *, max_depth: int | None = None
) -> tuple[Plan | None, tuple[Problem, ...]]:
    """Load and check one document with the workflows that it runs; never raises for what is wrong with them.

    Args:
        path: the document.
        directory: where workflows are looked for that are not beside it.
        max_depth: how deep workflows may run workflows, None for the default of the settings.
    """
    from engine.workflows.linking import MAX_DEPTH, load_linked

    loaded = load_linked(path, directory, MAX_DEPTH if max_depth is None else max_depth)
    return loaded.plan, loaded.problems


def document_schema() -> dict[str, Any]:
    """The JSON Schema of the workflow document, for editors."""
    from engine.workflows.schema import json_schema

    return json_schema()


def read_param(spec: ParamSpec, given: Any) -> Any:
    """One param's value from what a person typed, or from a JSON value; forms check with it as they go.

    Raises:
        ValueError: it does not fit; says what was found and expected.
    """
    from engine.workflows import params

    return params.read_param(spec, given)


def next_run(plan: Plan, after: datetime) -> datetime | None:
    """When a workflow runs by itself for the first time after a moment, UTC; None without a schedule."""
    if plan.schedule is None:
        return None
    from engine.workflows.schedules import times_after

    return next(times_after(plan.schedule, after), None)


def open_history(settings: Settings) -> Reader:
    """The history of a home, read-only; works while another process holds the home."""
    from engine.history.reader import Reader

    return Reader(settings.database)
