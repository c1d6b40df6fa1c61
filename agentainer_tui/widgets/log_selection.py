"""What is selected in a log: whole lines (keys), or from letter to letter (mouse)."""

from __future__ import annotations

from collections.abc import Iterator

_LINE_END = 1 << 40


class Selected:
    """From an anchor to where it was last extended to; lines by number."""

    def __init__(self) -> None:
        self._anchor: tuple[int, int] | None = None
        self._end = (0, 0)
        self._whole = False

    def clear(self) -> None:
        """Nothing is selected."""
        self._anchor = None

    @property
    def active(self) -> bool:
        """Whether something is (being) selected."""
        return self._anchor is not None

    @property
    def is_empty(self) -> bool:
        """Whether it was not extended beyond its anchor."""
        return self._anchor is None or (not self._whole and self._anchor == self._end)

    def begin(self, line: int, letter: int) -> None:
        """Begin at a letter."""
        self._anchor = self._end = (line, letter)
        self._whole = False

    def extend(self, line: int, letter: int) -> None:
        """Up to a letter."""
        self._end = (line, letter)

    def begin_lines(self, line: int) -> None:
        """Begin with a whole line."""
        self._anchor = self._end = (line, 0)
        self._whole = True

    def extend_lines(self, line: int) -> None:
        """Up to a whole line, if whole lines are being selected."""
        if self._anchor is not None and self._whole:
            self._end = (line, 0)

    @property
    def ends(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """First line and letter, last line and the letter after the last one."""
        if self._anchor is None:
            return None
        first, last = sorted((self._anchor, self._end))
        return ((first[0], 0), (last[0], _LINE_END)) if self._whole else (first, last)

    def spans(self, line: int, length: int) -> Iterator[tuple[int, int]]:
        """Which letters of a line are selected."""
        ends = self.ends
        if ends is None or not ends[0][0] <= line <= ends[1][0]:
            return
        start = ends[0][1] if line == ends[0][0] else 0
        end = ends[1][1] if line == ends[1][0] else length
        yield min(start, length), min(end, length)
