"""`approve` and `reject`: answers to steps that wait for a person."""

from __future__ import annotations

import getpass
from argparse import Namespace

from agentainer_tui.commands.console import out
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.text import clean
from engine.facade import answer_gate


def approve(options: Namespace) -> int:
    """`agentainer approve RUN [STEP]`."""
    return _answer(options, approved=True)


def reject(options: Namespace) -> int:
    """`agentainer reject RUN [STEP]`."""
    return _answer(options, approved=False)


def _answer(options: Namespace, *, approved: bool) -> int:
    run, step = run_async(
        answer_gate(
            settings_of(options),
            options.run,
            step=options.step,
            approved=approved,
            by=_person(),
            comment=options.comment,
        )
    )
    word = "approved" if approved else "rejected"
    out.line(f"run {run.id}: step {clean(step)} {word}")
    return 0


def _person() -> str:
    """Who says so: the name of the user on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "agentainer"
