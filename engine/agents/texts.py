"""What operating systems cannot pass to a program, refused before anything is made for it."""

from __future__ import annotations

from engine.agents.backend import AgentSpec
from engine.errors import BackendError, Reason


def check_texts(spec: AgentSpec) -> None:
    """Look at a spec's environment and command for characters that no process can be given.

    Raises:
        BackendError: says which variable or which part of the command it is.
    """
    for name, value in spec.env.items():
        if not name or "=" in name or not _can_be_passed(name):
            raise _refused(f"{name!r} cannot be the name of an environment variable")
        if not _can_be_passed(value):
            raise _refused(f"the value of the environment variable {name!r} cannot be passed on")
    words = (spec.command,) if isinstance(spec.command, str) else spec.command or ()
    for number, word in enumerate(words, start=1):
        if not _can_be_passed(word):
            raise _refused(f"part {number} of the command cannot be passed on")


def _can_be_passed(text: str) -> bool:
    """Neither NUL, which ends a text for the system, nor half a character (a lone surrogate)."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _refused(message: str) -> BackendError:
    return BackendError(
        Reason.INPUT_ERROR,
        message,
        transient=False,
        hint="remove NUL and other characters that are not text; names contain no `=` and are not empty",
    )
