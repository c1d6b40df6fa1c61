"""The entry point: what has to happen before anything is imported, and Ctrl-C from the first moment on.

Nothing heavy may be imported on the way to a verb: `--help`, `--version` and `validate` must answer at once
(docs/dependencies.md says why the command line is argparse and not a framework).
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
from collections.abc import Sequence

# Importing makes tens of thousands of objects that all stay: looking for garbage among them every 700
# takes a fifth of the time of a short command. This often is enough for the long ones, too.
gc.set_threshold(50_000, 20, 20)
# Looking for plugins of pydantic reads the metadata of every installed package; none is used here.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

CANCELLED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. `SystemExit` leaves it for `--help` and usage errors."""
    # What is done is done: while the interpreter goes, Ctrl-C must not make another exit code of it.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    try:
        from agentainer_tui.commands.dispatch import dispatch

        return dispatch(argv)
    except KeyboardInterrupt:
        return CANCELLED
