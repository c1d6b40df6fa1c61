"""What all attempts of one run may write into their logs together."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class LogBudget:
    """Bytes of log of one run, shared by the writers of its attempts; any thread may ask.

    Args:
        limit: bytes that the run may have.
        directory: of its logs; what is there already, after an interruption, counts.
    """

    def __init__(self, limit: int, directory: Path) -> None:
        self.limit = limit
        self._directory = directory
        self._lock = threading.Lock()
        self._used: int | None = None
        self._exhausted = False
        self._told = False

    def take(self, wanted: int) -> bool:
        """Whether there is room for so many bytes; if there is, they are taken."""
        with self._lock:
            used = self._known()
            if used + wanted > self.limit:
                self._exhausted = True
                return False
            self._used = used + wanted
            return True

    def give_back(self, unused: int) -> None:
        """Bytes that were taken were not written, or their file is gone; less than 0: more were written."""
        with self._lock:
            self._used = max(0, self._known() - unused)

    def to_be_told(self) -> bool:
        """Whether it is used up, and nobody was told yet; true once."""
        with self._lock:
            tell = self._exhausted and not self._told
            self._told = self._told or tell
            return tell

    def _known(self) -> int:
        if self._used is None:
            try:
                with os.scandir(self._directory) as entries:
                    self._used = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
            except OSError:
                self._used = 0
        return self._used
