"""Which way a decision or branch goes, once the state is known."""

from __future__ import annotations

from collections.abc import Iterator

from engine.workflows.conditions import Combination, Comparison, Negation, kind_of
from engine.workflows.plan import Choice, Condition, RoutePlan, Scope, Verdict
from engine.workflows.wording import listing, shorten


def choose(route: RoutePlan, scope: Scope) -> tuple[Choice | None, tuple[str, ...]]:
    """The first way out whose condition is true, else the default, else None; and the conditions' warnings.

    Raises:
        InputError: `input_path` finds nothing.
    """
    if route.input_path is not None:
        route.input_path.find(scope)
    warnings: list[str] = []
    for choice in route.choices:
        verdict = choice.condition.evaluate(scope) if choice.condition is not None else Verdict(True)
        warnings.extend(verdict.warnings)
        if verdict.value:
            return choice, tuple(warnings)
    return route.default, tuple(warnings)


def judged(route: RoutePlan, scope: Scope) -> str:
    """What the conditions look at and what there is, in words: `$.n is the number 5, $.m is missing`."""
    found: dict[str, str] = {}
    for choice in route.choices:
        for comparison in _comparisons(choice.condition):
            there, value = comparison.path.lookup(scope)
            source = shorten(comparison.path.source)
            found.setdefault(source, f"{source} is {kind_of(value) if there else 'missing'}")
    return listing(found.values())


def _comparisons(condition: Condition | None) -> Iterator[Comparison]:
    match condition:
        case Comparison():
            yield condition
        case Combination():
            for part in condition.parts:
                yield from _comparisons(part)
        case Negation():
            yield from _comparisons(condition.part)
