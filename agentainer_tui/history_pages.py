"""How far the history has been read, and what to ask for next. Knows no Textual and asks nobody itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentainer_tui.client import HistoryPage
from agentainer_tui.history_rows import HistoryRow

# Runs to a page: more than the highest terminal shows at once.
PAGE = 100


@dataclass(frozen=True, slots=True)
class Question:
    """A page to ask for.

    Attributes:
        before: where it goes on; None for the newest runs.
        begins: it is the first of other runs than before, and replaces all rows.
        counts: how many runs there are is to be found out too.
    """

    before: int | None = None
    begins: bool = False
    counts: bool = False
    limit: int = PAGE
    generation: int = 0


@dataclass(slots=True)
class HistoryPages:
    """The rows that were read, newest first and without gaps.

    Attributes:
        rows: them.
        looked_at: when the oldest run that was looked at was created.
        is_read: something was read.
    """

    rows: list[HistoryRow] = field(default_factory=list)
    looked_at: str = ""
    is_read: bool = False
    _before: int | None = None
    _generation: int = 0
    _other: bool = True
    _newest: bool = False
    _missing: int = 0

    @property
    def is_complete(self) -> bool:
        """There is nothing older."""
        return self.is_read and self._before is None

    def wish_other(self) -> None:
        """Other runs are wanted: begin anew."""
        self._other = True
        self._generation += 1

    def wish_newest(self) -> None:
        """Runs have begun or ended: read the newest page again."""
        self._newest = True

    def wish_more(self) -> bool:
        """Older runs are wanted, a page of them; False if there are none, or they are on their way."""
        if self._before is None or self._missing > 0:
            return False
        self._missing = PAGE
        return True

    def drop(self, run_ids: Iterable[str]) -> None:
        """These runs are gone."""
        gone = set(run_ids)
        self.rows = [row for row in self.rows if row.id not in gone]

    def replace(self, rows: Iterable[HistoryRow]) -> None:
        """Something is known about these rows that the history said nothing of when it was read."""
        known = {row.id: row for row in rows}
        if known:
            self.rows = [known.get(row.id, row) for row in self.rows]

    def next_question(self) -> Question | None:
        """What to ask for now; None if nothing is wished for any more."""
        if self._other:
            self._other, self._newest = False, False
            return Question(begins=True, counts=True, generation=self._generation)
        if self._newest:
            self._newest = False
            return Question(counts=True, generation=self._generation)
        if self._missing > 0 and self._before is not None:
            return Question(self._before, generation=self._generation)
        return None

    def take(self, question: Question, page: HistoryPage) -> bool:
        """Take an answer; False if other runs are wanted by now."""
        if question.generation != self._generation:
            return False
        rows = list(page.rows)
        if question.begins:
            self.rows, self._before = rows, page.before
            self._missing = PAGE - len(rows)
        elif question.before is None:
            # What the page covers is as it says, below that everything stays.
            below = page.before if page.before is not None else 0
            covered = self.rows and self.rows[-1].run.seq >= below
            self.rows = rows + [row for row in self.rows if row.run.seq < below]
            if covered or page.before is None or not self.is_read:
                self._before = page.before
        else:
            self.rows += rows
            self._before = page.before
            self._missing -= len(rows)
        if page.before is None:
            self._missing = 0
        self.looked_at = page.looked_at
        self.is_read = True
        return True
