"""An environment for the peers, apart from ours: made once, in a directory for caches."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# Seconds that the installation may take.
_PATIENCE = 300.0


def peers_python() -> Path:
    """The Python that has the peers; installs them, if that was not done yet.

    Raises:
        RuntimeError: they cannot be installed; with the end of what pip said.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = platformdirs.user_cache_path("agentainer") / f"bench-peers-{wanted}"
    python, complete = place / "bin" / "python", place / "complete"
    if complete.exists():
        return python
    shutil.rmtree(place, ignore_errors=True)  # what an interrupted installation left
    print(f"installing {', '.join(peer_versions())} into {place} (once)", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", str(place)],
        [str(python), "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", "-r",
         str(REQUIREMENTS)],
        # As every other program is when it is measured: compiled.
        [str(python), "-m", "compileall", "-q", str(place / "lib"), str(Path(__file__).parent)],
    ):  # fmt: skip
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        if (
            done.returncode != 0 and "compileall" not in command
        ):  # some packages carry templates that are no Python
            raise RuntimeError(f"{' '.join(command)} failed: {(done.stderr or done.stdout)[-2000:].strip()}")
    complete.touch()
    return python


def peer_versions() -> list[str]:
    """What is compared with, as `name version`."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line.replace("==", " ") for line in lines if line and not line.startswith("#")]
