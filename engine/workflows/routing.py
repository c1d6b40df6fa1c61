"""Which way a decision or branch goes, once the state is known."""

from __future__ import annotations

from engine.workflows.plan import Choice, RoutePlan, Scope, Verdict


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
