"""What conditions and paths will say of a run, as far as that is known before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from engine.workflows.conditions import Combination, Comparison, Negation
from engine.workflows.expressions import FocusedPath, JsonPath
from engine.workflows.plan import Condition, RoutePlan


class Certainty(IntEnum):
    """How sure a value is. `NOW` is as things stand at the beginning: steps may change it."""

    UNKNOWN = 0
    NOW = 1
    FIRM = 2


@dataclass(frozen=True, slots=True)
class Guess:
    """A truth value, as far as it is known; `reads` are the paths that are not known yet."""

    value: bool | None
    certainty: Certainty
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a step will find.

    Attributes:
        state: the fields that the run begins with, `params` among them.
        at_once: whether the step is judged when the run begins, so that nothing can change them before.
        limits: how sure fields and params are that a child run is given, by their names.
        others: how sure it is that a child run begins with no others.
    """

    state: Mapping[str, Any]
    at_once: bool
    limits: Mapping[str, Certainty] = field(default_factory=dict)
    others: Certainty = Certainty.FIRM

    def certainty(self, path: JsonPath) -> Certainty:
        """How sure it is what a path finds."""
        head = path.parts[0] if path.parts else None
        if head == "params":
            return self._limit(path.parts[1] if len(path.parts) > 1 else None)
        if head in ("run", "_map_index") or (head == "steps" and not self.at_once):
            return Certainty.UNKNOWN
        return self.of_field(head)

    def of_field(self, name: str | int | None) -> Certainty:
        """How sure a field of the state is; None stands for the whole of it."""
        limit = self._limit(name)
        if self.at_once and limit is Certainty.FIRM:
            return limit
        return min(limit, Certainty.NOW) if name in self.state else Certainty.UNKNOWN

    def judge(self, condition: Condition | None) -> Guess:
        """What a condition will say; no condition is true."""
        match condition:
            case None:
                return Guess(True, Certainty.FIRM)
            case Comparison():
                return self._compare(condition)
            case Combination():
                return _combine(condition.every, [self.judge(part) for part in condition.parts])
            case Negation():
                guess = self.judge(condition.part)
                value = None if guess.value is None else not guess.value
                return Guess(value, guess.certainty, guess.reads)
        raise TypeError(f"no condition of ours: {condition!r}")

    def length(self, path: object) -> tuple[int | None, Certainty]:
        """How many elements the list at a path has; None where that is not known, or it is no list."""
        if not isinstance(path, JsonPath) or self.certainty(path) is Certainty.UNKNOWN:
            return None, Certainty.UNKNOWN
        found, value = path.lookup(self.state)
        if not found or not isinstance(value, list):
            return None, Certainty.UNKNOWN
        return len(value), self.certainty(path)

    def ways(self, route: RoutePlan) -> tuple[list[str | None], Certainty, tuple[str, ...]]:
        """The labels of the ways that a decision may go, the one it goes as things stand first.

        None stands for no way at all. With `UNKNOWN` the first one is as good as the others, and the paths
        say what is not known.
        """
        possible: list[str | None] = []
        chosen: str | None = None
        has_chosen, certainty, reads = False, Certainty.FIRM, list[str]()
        for choice in route.choices:
            guess = self.judge(choice.condition)
            if guess.value is False and guess.certainty is Certainty.FIRM:
                continue
            possible.append(choice.label)
            if not has_chosen:
                certainty = min(certainty, guess.certainty)
                reads += guess.reads
                if guess.value is True:
                    chosen, has_chosen = choice.label, True
            if guess.value is True and guess.certainty is Certainty.FIRM:
                break
        else:
            possible.append(route.default.label if route.default is not None else None)
            if not has_chosen:
                chosen = possible[-1]
        possible.sort(key=lambda label: label != chosen)
        return possible, certainty if len(possible) > 1 else Certainty.FIRM, tuple(dict.fromkeys(reads))

    def _limit(self, name: str | int | None) -> Certainty:
        if isinstance(name, str):
            return self.limits.get(name, self.others)
        return min(self.limits.values(), default=self.others)

    def _compare(self, comparison: Comparison) -> Guess:
        path = comparison.path
        certainty = self._focused(path) if isinstance(path, FocusedPath) else self.certainty(path)
        if certainty is Certainty.UNKNOWN:
            return Guess(None, certainty, (path.source,))
        return Guess(comparison.evaluate(self.state).value, certainty)

    def _focused(self, path: FocusedPath) -> Certainty:
        """The value at the focus counts, and the state only for what is not there."""
        focus = self.certainty(path.focus)
        if focus is Certainty.UNKNOWN:
            return focus
        there, root = path.focus.lookup(self.state)
        if there and path.path.lookup_in(root)[0]:
            return focus
        return min(focus, self.certainty(path.path))


def _combine(every: bool, parts: list[Guess]) -> Guess:
    """`and` (every) or `or`: one part that is the opposite decides, however little is known of the others."""
    deciding = [part.certainty for part in parts if part.value is (not every)]
    if deciding:
        return Guess(not every, max(deciding))
    unknown = tuple(path for part in parts for path in part.reads)
    if any(part.value is None for part in parts):
        return Guess(None, Certainty.UNKNOWN, unknown)
    return Guess(every, min(part.certainty for part in parts))
