"""A shell in an agent: the terminal is given to it until it ends."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from agentainer_tui.failure.finding import failed_item
from agentainer_tui.text import clean, size
from agentainer_tui.views import AttemptView, ItemView, StepView
from engine.errors import UsageError
from engine.events import StepStatus

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp
    from engine.entering import Shell

# From so many bytes on, a copy of an agent's files is worth a question.
LARGE = 512 << 20


async def enter(app: DashboardApp, agent: str, *, copied: int | None = None) -> None:
    """Open a shell in an agent on this terminal; afterwards what was made for it is removed.

    Args:
        app: the app.
        agent: the agent's name.
        copied: how many bytes have to be copied for it, if that is known.

    Raises:
        UsageError: the terminal cannot be given away.
        BackendError: the agent cannot be entered.
    """
    if copied is not None and copied >= LARGE and not await _sure(app, copied):
        return
    app.echo(app.twins.shell(agent))
    shell = await app.client.open_shell(agent)
    try:
        _run(app, shell)
    finally:
        await app.client.close_shell(shell)


async def enter_step(app: DashboardApp, step: StepView, item: ItemView | None) -> None:
    """Open a shell in the agent of a step or item: the one that runs, else the last that was kept."""
    found = agent_of(step, item)
    if found is None:
        app.tell(
            "No agent of this step runs or was kept.\n`cleanup_policy: on_success` keeps those that failed.",
            severity="warning",
        )
        return
    await enter(app, found.agent)


def agent_of(step: StepView, item: ItemView | None) -> AttemptView | None:
    """The attempt whose agent can be entered; of a step with items the first one's that failed."""
    node = item or failed_item(step) or step
    running = (each for each in node.attempts if each.status is StepStatus.RUNNING and each.agent)
    kept = (each for each in reversed(node.attempts) if each.kept)
    return next(running, None) or next(kept, None)


async def _sure(app: DashboardApp, copied: int) -> bool:
    from agentainer_tui.screens.dialog import Choice, Question

    dialog: Question[bool] = Question(
        "Copy the agent's files?",
        [
            f"The agent has stopped. A shell opens in a copy of its files: {size(copied)}.",
            "The copy takes this much disk for as long as the shell is open.",
        ],
        [Choice("Cancel", None), Choice("Copy and enter", True)],
    )
    answer: bool | None = await app.push_screen_wait(dialog)
    return answer is True


def _run(app: DashboardApp, shell: Shell) -> None:
    """Give the terminal to the shell until it ends."""
    try:
        with app.suspend():
            print(f"\nagent {clean(shell.agent)}; `exit` leads back to the dashboard")
            if shell.note:
                print(clean(shell.note))
            subprocess.run(shell.argv, check=False)
    except SuspendNotSupported:
        raise UsageError("this terminal cannot be given to another program") from None
    except OSError as error:
        raise UsageError(f"{clean(shell.argv[0])} cannot be started: {error.strerror}") from error
