"""From the arguments to the verb, and from what goes wrong to a message and an exit code."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from agentainer_tui.commands.console import err, out, prepare_streams
from agentainer_tui.commands.parser import VERBS, command_parser, dashboard_parser
from engine.errors import AgentainerError, DocumentError, UnavailableError, UsageError, known_error

# More problems than this are for `validate`; a refusal must fit on a screen.
_PROBLEMS_SHOWN = 15


def dispatch(argv: Sequence[str] | None) -> int:
    """Call the verb that the arguments name (None: those of the process); returns the exit code."""
    prepare_streams()
    options = Namespace()
    try:
        options = parse(list(sys.argv[1:] if argv is None else argv))
        if getattr(options, "version", False):
            out.line(f"agentainer {_version()}")
            return _lost_output()
        code = _verb(options.verb)(options)
        return code or _lost_output()
    except AgentainerError as error:
        return report(error)
    except Exception as error:
        known = known_error(error)
        if known is not None:
            return report(known)
        from agentainer_tui.commands.crash import report_crash

        return report_crash(error, options)


def parse(arguments: list[str]) -> Namespace:
    """The arguments as a namespace; `verb` is the command, or `dashboard` where none was said."""
    word = _first_word(arguments)
    if word in VERBS or "--help" in arguments[:1] or "-h" in arguments[:1]:
        options, rest = command_parser().parse_known_args(arguments)
        if rest:
            verb = f"{options.verb} " if options.verb else ""
            raise UsageError(f"not understood: {' '.join(rest)}", hint=f"see `agentainer {verb}--help`")
        return options
    if word and not Path(word).exists():
        import difflib

        near = difflib.get_close_matches(word, VERBS, n=1)
        raise UsageError(
            f"there is no directory and no command {word!r}",
            hint=f"did you mean `agentainer {near[0]}`?"
            if near
            else "`agentainer --help` lists the commands",
        )
    options = dashboard_parser().parse_args(arguments)
    options.verb = "dashboard"
    return options


def report(error: AgentainerError) -> int:
    """Say what was found and what to do, on stderr; returns the error's exit code."""
    if isinstance(error, DocumentError):
        shown = error.problems[:_PROBLEMS_SHOWN]
        for problem in shown:
            err.line(str(problem))
        if len(error.problems) > len(shown):
            err.line(
                f"… and {len(error.problems) - len(shown)} more: `agentainer validate FILE` lists them all"
            )
        if error.problems:
            return error.exit_code
    err.line(f"error: {error.message}")
    if error.hint:
        err.line("\n".join(f"  {line}" for line in error.hint.splitlines()))
    return error.exit_code


def _lost_output() -> int:
    """0, unless what a command had to say did not get where it was sent: to a full disk, say."""
    if out.failure is None:
        return 0
    why = (out.failure.strerror or str(out.failure)).lower()
    return report(UnavailableError(f"standard output could not be written, so it is incomplete: {why}"))


def _verb(name: str) -> Callable[[Namespace], int]:
    target = VERBS.get(name, "dashboard:dashboard")
    module, function = target.split(":")
    found: Callable[[Namespace], int] = getattr(
        importlib.import_module(f"agentainer_tui.commands.{module}"), function
    )
    return found


def _first_word(arguments: list[str]) -> str:
    """The first argument that is neither an option of ours nor its value."""
    words = iter(arguments)
    for word in words:
        if word in ("--home", "--redis-url", "--backend"):
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def _version() -> str:
    from importlib.metadata import version

    return version("agentainer")
