"""`shell`: a terminal in an agent that runs, or in what a kept one has left."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from engine.entering import entered, find_entrance
from engine.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from engine.facade import Settings


def shell(options: Namespace) -> int:
    """`agentainer shell AGENT|RUN [STEP]`; the exit code is the shell's, or the command's."""
    if options.command is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("a shell needs a terminal", hint="give a command with -c to run without one")
    return run_async(_enter(settings_of(options), options))


async def _enter(settings: Settings, options: Namespace) -> int:
    entrance = await find_entrance(settings, options.agent, options.step, options.item)
    async with entered(settings, entrance, options.command, tty=options.command is None) as opened:
        if options.command is None:
            what = f" ({entrance.what})" if entrance.what else ""
            err.line(f"agent {entrance.name}{what}; `exit` leaves it")
            if opened.note:
                err.line(opened.note)
        return await _run(opened.argv)


async def _run(argv: tuple[str, ...]) -> int:
    """Let a program have the terminal until it ends; with us it ends, too."""
    try:
        program = await asyncio.create_subprocess_exec(*argv)
    except OSError as error:
        raise UnavailableError(f"{argv[0]} cannot be started: {error.strerror}") from error
    try:
        return await program.wait()
    finally:
        if program.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                program.terminate()
            await program.wait()
