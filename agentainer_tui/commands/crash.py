"""The crash report: an exception that nobody expected becomes a file and one line that names it."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback
from argparse import Namespace
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentainer_tui.commands.console import err, safe

# A fault of ours says nothing about a run: scripts see the code of an engine that is not available.
EXIT_CODE = 4
_SECRET = {"param", "redis_url"}


def report_crash(error: BaseException, options: Namespace) -> int:
    """Write the traceback to a file in the home (else the temporary directory) and say where it is."""
    path = write_report(error, _home(options), vars(options))
    where = f"the details are in {path}" if path else "and no report of it could be written"
    err.line(f"error: agentainer itself failed ({summary(error)}); {where}")
    return EXIT_CODE


def summary(error: BaseException) -> str:
    """Kind and message of an error on one line."""
    return safe(traceback.format_exception_only(error)[-1].strip().splitlines()[0])


def write_report(error: BaseException | str, home: Path | None, said: Mapping[str, Any]) -> Path | None:
    """Write what is known of an error to a new private file; None if no directory takes it.

    Args:
        error: what happened, or its traceback as a text.
        home: in whose `crashes/` the file goes, if that is known and possible.
        said: the arguments of the command; those that may be secret are left out.
    """
    places = [home / "crashes"] if home is not None else []
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}"
    for directory in [*places, Path(tempfile.gettempdir())]:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Made exclusively and private: the temporary directory is shared with other users.
            descriptor, path = tempfile.mkstemp(".txt", f"{name}-", directory)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(_text(error, said))
            return Path(path)
        except OSError:
            continue
    return None


def _text(error: BaseException | str, said: Mapping[str, Any]) -> str:
    given = {key: value for key, value in said.items() if value not in (None, False, [])}
    shown = {key: "(not shown)" if key in _SECRET else value for key, value in given.items()}
    return (
        f"agentainer {version('agentainer')}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} arguments: {shown}\n\n"
        f"{error if isinstance(error, str) else ''.join(traceback.format_exception(error))}"
    )


def _home(options: Namespace) -> Path | None:
    try:
        from engine.settings import default_home

        return Path(getattr(options, "home", None) or default_home()).expanduser()
    except Exception:  # the crash may be in the settings themselves
        return None
