"""What the dashboard remembers from one time to the next: colours, and that its tour was seen."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "dashboard.json"


@dataclass
class Preferences:
    """A small file in the home; without one (`file` is None) nothing is remembered."""

    file: Path | None = None
    theme: str = ""
    tour_seen: bool = False

    @classmethod
    def load(cls, file: Path | None) -> Preferences:
        """What the file says; what cannot be read is as if it had never been written."""
        found: Any = {}
        if file is not None:
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            found = {}
        theme, seen = found.get("theme"), found.get("tour_seen")
        return cls(file, theme if isinstance(theme, str) else "", seen is True)

    def save(self) -> None:
        """Write the file as a whole or not at all; a home that cannot be written is no reason to complain."""
        if self.file is None:
            return
        values = asdict(self)
        del values["file"]
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{NAME}.")
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(values, stream)
            Path(name).replace(self.file)
