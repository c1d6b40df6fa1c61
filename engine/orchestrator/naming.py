"""Names that are made, never stored by hand: run ids, task ids, agent names, log paths.

Agent names are deterministic, so that after a crash the agent of an attempt is found by computing its name.
"""

from __future__ import annotations

import hashlib
import secrets
from functools import lru_cache


def new_run_id() -> str:
    """A fresh run id: 12 hex digits."""
    return secrets.token_hex(6)


def child_run_id(run_id: str, step_id: str, item: int | None, attempt: int) -> str:
    """The id of the child run of an attempt: found by computing it, as an agent is by its name."""
    attempt_of = f"{run_id}/{unit_name(step_id, item)}/{attempt}"
    return hashlib.sha256(attempt_of.encode()).hexdigest()[:12]


def unit_name(step_id: str, item: int | None) -> str:
    """`step` or `step.item`, as people and file names say it."""
    return step_id if item is None else f"{step_id}.{item}"


def task_id(run_id: str, step_id: str, item: int | None, attempt: int) -> str:
    """`task-{run}-{step}[-{item}]-{attempt}`: begins with the run's id, so one ACL rule covers it."""
    middle = step_id if item is None else f"{step_id}-{item}"
    return f"task-{run_id}-{middle}-{attempt}"


@lru_cache(maxsize=1024)  # one attempt asks several times
def agent_name(run_id: str, step_id: str, item: int | None, attempt: int) -> str:
    """`agentainer-<hash(run, step, item)>-<attempt>`; short enough for a host name."""
    unit = f"{run_id}/{unit_name(step_id, item)}"
    return f"agentainer-{hashlib.sha256(unit.encode()).hexdigest()[:16]}-{attempt}"


def log_path(run_id: str, step_id: str, item: int | None, attempt: int) -> str:
    """Where an attempt's log is, relative to the home's log directory."""
    return f"{run_id}/{unit_name(step_id, item)}.{attempt}.log"
