"""The question before something is deleted for good."""

from __future__ import annotations

import sys
from argparse import Namespace

from agentainer_tui.commands.console import err, is_terminal
from engine.errors import UsageError


def may_delete(options: Namespace, action: str) -> bool:
    """Whether to go on with `action` (`remove 3 agents`), by `--dry-run`, `--yes`, or the person's answer.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if options.dry_run:
        err.line(f"dry run: would {action}")
        return False
    if options.yes:
        return True
    if not is_terminal(sys.stdin):
        raise UsageError(
            f"will not {action} without being told to", hint="add --yes, or --dry-run to look only"
        )
    err.write(f"{action}? [y/N] ")
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    err.line("nothing was changed")
    return False
