"""The variables that a task gets, as far as the history tells: secrets are masked before they get here."""

from __future__ import annotations

import json
import re
from typing import Any

from agentainer_tui.inspector.entries import Entry, Words
from agentainer_tui.inspector.words import heading, say
from agentainer_tui.secrecy import MASK
from agentainer_tui.text import clean
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView

_WIDEST = 26
# What the engine itself knows only while a run lives, or nobody may see.
_FROM_ENGINE = {
    "REDIS_HOST": "where Redis answers, as the task sees it",
    "REDIS_PORT": "and on which port",
    "REDIS_URL": "the same as one URL, with user and password",
    "REDIS_USERNAME": "a user for the keys of this run only",
    "REDIS_PASSWORD": MASK,
}


def env_entries(run: RunView, step: StepView, item: ItemView | None) -> list[Entry]:
    """The tab Env."""
    if step.sub_workflow:
        return [say("It runs a workflow: the tasks of that run have variables of their own.", "muted")]
    if not step.has_task:
        return [say("It runs no task itself: there are no variables.", "muted")]
    if "env" not in step.agent:
        return [say("The history does not tell the variables of this step.", "muted")]
    attempts = (item or step).attempts
    attempt = attempts[-1] if attempts else None
    entries: list[Entry] = []
    own = _own(step, attempt)
    if own:
        entries += [*heading("From the step"), *own]
    secrets = step.agent.get("secrets") or ()
    if secrets:
        entries += [*heading("Secrets"), *(_row(name, MASK, "masked") for name in secrets)]
    if run.env_files:
        entries += [*heading("From env files")]
        entries += [_row(name, MASK, "not kept in the history") for name in run.env_files]
    entries += [*heading("From the engine"), *_engine_rows(run, step, item, attempt)]
    return entries[1:]


def _own(step: StepView, attempt: AttemptView | None) -> list[Entry]:
    """What the document says, with what templates came to at the last attempt."""
    rows = []
    for name, text in step.agent["env"].items():
        if attempt is not None and name in attempt.env:
            rows.append(_row(name, attempt.env[name], f"from {text}"))
        elif "{{" in text:
            rows.append(_row(name, text, "a template", ink="muted"))
        else:
            rows.append(_row(name, text, "masked" if text == MASK else ""))
    return rows


def _engine_rows(
    run: RunView, step: StepView, item: ItemView | None, attempt: AttemptView | None
) -> list[Entry]:
    known: dict[str, Any] = {"WORKFLOW_ID": run.id, "STEP_ID": step.id}
    if attempt is not None:
        known |= {"TASK_ID": attempt.task_id, "AGENT_ID": attempt.agent}
        known["AGENTAINER_ATTEMPT"] = str(attempt.number)
    if item is not None and step.workers:
        known["WORKER_ID"] = str(item.index)
    elif item is not None:
        known |= {"MAP_INDEX": str(item.index), "MAP_ITEM": json.dumps(item.value)[:2_000]}
    elif step.type == "parallel":
        known["WORKER_ID"] = "0"
    for key, value in run.metadata.items():
        known["WORKFLOW_" + re.sub(r"[^A-Z0-9]", "_", key.upper())] = value
    rows = [_row(name, str(value)) for name, value in known.items()]
    if item is None and step.items and not step.workers:
        rows.append(_row("MAP_INDEX", "the position of the item, from 0", ink="muted"))
        rows.append(_row("MAP_ITEM", "the item as JSON", ink="muted"))
    rows.append(_row("TASK_INPUT", "the input as JSON (tab Input), if it is below 32 KiB", ink="muted"))
    access = step.agent.get("redis_access") or "run"
    for name, words in _FROM_ENGINE.items():
        if access == "none" or (access == "open" and name in ("REDIS_USERNAME", "REDIS_PASSWORD")):
            continue
        if name not in step.agent["env"] or name not in ("REDIS_HOST", "REDIS_PORT"):
            rows.append(_row(name, words, ink="text" if words == MASK else "muted"))
    return rows


def _row(name: str, value: str, more: str = "", ink: str = "text") -> Entry:
    label = f"{clean(name, limit=200):<{_WIDEST}}  "
    line = (
        (label, "key"),
        (clean(value, limit=2_000), "faint" if value == MASK else ink),
        (f"  {clean(more, limit=200)}" if more else "", "faint"),
    )
    return Entry(Words(line, hang=_WIDEST + 2, copied=value))
