"""Files and directories that only their owner may see."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import UnavailableError


def make_private_directory(directory: Path) -> None:
    """Make a directory that only its owner may enter, with its parents.

    Raises:
        UnavailableError: it cannot be made or is not ours.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise UnavailableError(
            f"{directory} cannot be written: {error.strerror}",
            hint="what belongs to Redis is kept there; choose another home with --home",
        ) from error


def write_private_file(file: Path, text: str) -> None:
    """Replace a file, at once and whole, by one that only its owner may read."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    new.replace(file)
