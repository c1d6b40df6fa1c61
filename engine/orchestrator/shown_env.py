"""What the history keeps of the variables of tasks: for people to read, so nothing that looks like a secret.

The real secrets of a run are masked wherever they stand; this is about variables that nobody declared as
secrets and that are named like one, or have a password within a URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from engine.orchestrator.masking import MASK
from engine.workflows.plan import TaskPlan, Template

# A value that templates make is kept for each attempt: long ones only in part.
_LONGEST = 200
_SECRET_NAME = re.compile(
    # `MAX_TOKENS` is a number, as a rule.
    r"PASSW|PASSPHRASE|SECRET|TOKEN(?!S)|CREDENTIAL|(API|ACCESS|PRIVATE|SIGNING|ENCRYPTION)_?KEY"
    r"|(^|_)(PASS|PWD|AUTH)($|_)",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/:@\s]*):[^@/\s]+(?=@)")


def declared(task: TaskPlan) -> dict[str, str]:
    """The variables of a step as its document has them, with their templates."""
    return {name: _shown(name, text.source, is_template=_varies(text)) for name, text in task.env.items()}


def rendered(task: TaskPlan, env: Mapping[str, str]) -> dict[str, str]:
    """Of the environment of one attempt, what templates have made."""
    return {
        name: _shown(name, env[name][: 2 * _LONGEST])
        for name, text in task.env.items()
        if name in env and _varies(text)
    }


def _varies(text: Template) -> bool:
    return "{{" in text.source


def _shown(name: str, value: str, *, is_template: bool = False) -> str:
    if not is_template and value and _SECRET_NAME.search(name):
        return MASK
    value = _URL_PASSWORD.sub(rf"\1:{MASK}", value)
    return value if is_template or len(value) <= _LONGEST else value[:_LONGEST] + "…"
