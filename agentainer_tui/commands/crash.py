"""The crash report: an exception that nobody expected becomes a file and one line that names it."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import traceback
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path

from agentainer_tui.commands.console import err, safe

# A fault of ours says nothing about a run: scripts see the code of an engine that is not available.
EXIT_CODE = 4
_SECRET = {"param", "redis_url"}


def report_crash(error: BaseException, options: Namespace) -> int:
    """Write the traceback to a file in the home (else the temporary directory) and say where it is."""
    summary = safe(traceback.format_exception_only(error)[-1].strip().splitlines()[0])
    path = _write(_text(error, options), options)
    where = f"the details are in {path}" if path else "and no report of it could be written"
    err.line(f"error: agentainer itself failed ({summary}); {where}")
    return EXIT_CODE


def _text(error: BaseException, options: Namespace) -> str:
    said = {key: value for key, value in vars(options).items() if value not in (None, False, [])}
    shown = {key: "(not shown)" if key in _SECRET else value for key, value in said.items()}
    return (
        f"agentainer {version('agentainer')}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} arguments: {shown}\n\n"
        f"{''.join(traceback.format_exception(error))}"
    )


def _write(text: str, options: Namespace) -> Path | None:
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.txt"
    for directory in _directories(options):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / name
            # Exclusive and private: the temporary directory is shared with other users.
            with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                path.chmod(0o600)
                file.write(text)
            return path
        except OSError:
            continue
    return None


def _directories(options: Namespace) -> list[Path]:
    places = [Path(tempfile.gettempdir())]
    try:
        from engine.settings import default_home

        places.insert(0, Path(getattr(options, "home", None) or default_home()).expanduser() / "crashes")
    except Exception:  # the crash may be in the settings themselves
        pass
    return places
