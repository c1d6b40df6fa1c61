"""What becomes of each step in a retry, and why: what previews tell and what retries act on.

A fate is decided once, by `scopes.decide`; the real takeover is read off it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a step.

    `REUSED`: its outcome is taken over. `RERUN`: it runs again, since it was asked for, was changed, or
    depends on what runs again. `INELIGIBLE`: it runs, since it has no outcome that could be taken over.
    `NEW`: it was not in the run. `GONE`: it was, and is not in the document any more.
    """

    REUSED = "reused"
    RERUN = "rerun"
    INELIGIBLE = "ineligible"
    NEW = "new"
    GONE = "gone"

    @property
    def runs(self) -> bool:
        """Whether the step runs in the retry."""
        return self in (Fate.RERUN, Fate.INELIGIBLE, Fate.NEW)


@dataclass(frozen=True, slots=True)
class StepFate:
    """A step, what becomes of it, and why in words.

    `items` are those of a map step that are taken over; `changed` says that the document was, for it;
    `depends_on` are the steps before it, and the one that holds it.
    """

    id: str
    name: str
    fate: Fate
    why: str
    items: frozenset[int] = frozenset()
    changed: bool = False
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reuse:
    """What is taken over.

    Attributes:
        steps: ids of steps whose outcome stands.
        items: for a map step that runs again in part: the indexes whose outcome stands.
    """

    steps: frozenset[str] = frozenset()
    items: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of every step, in the order of the document; steps that are gone last."""

    fates: tuple[StepFate, ...]

    @property
    def reuse(self) -> Reuse:
        """What is taken over."""
        return Reuse(
            frozenset(step.id for step in self.fates if step.fate is Fate.REUSED),
            {step.id: step.items for step in self.fates if step.fate is not Fate.REUSED and step.items},
        )
