"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any


@cache
def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    return _said("docker", "version", "--format", "{{.Server.Version}}") is not None


def machine() -> dict[str, Any]:
    """Facts that figures depend on; those that cannot be found are left out."""
    facts = {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "docker": _said("docker", "version", "--format", "{{.Server.Version}}"),
        "docker_storage": _said("docker", "info", "--format", "{{.Driver}}"),
        "load": [round(load, 2) for load in os.getloadavg()],
        "commit": _said("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _said(*command: str) -> str | None:
    """What a command prints, None if it cannot be run or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
