"""What child runs will be given, as far as that is known before the run of their parent begins."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from engine.errors import InputError
from engine.orchestrator.context import RESERVED
from engine.orchestrator.creation import with_params
from engine.workflows.expressions import JsonValue
from engine.workflows.foresight import Certainty, Foresight
from engine.workflows.params import read_param
from engine.workflows.plan import Plan, SubWorkflowPlan

# What is known of fields by their names, how sure it is, and how sure that no others are given.
_Given = tuple[dict[str, Any], dict[str, Certainty], Certainty]


def hand_on(parent: Foresight, sub: SubWorkflowPlan, plan: Plan, of_item: Collection[str] = ()) -> Foresight:
    """What the first steps of a child run will find; the rules are those of `children.child_spec`.

    Args:
        parent: what the step that runs it will find.
        sub: how that runs it.
        plan: the child's.
        of_item: fields that every item of a map has otherwise.
    """
    known, limits, others = _written(parent, sub, of_item) or _whole_state(parent, plan)
    for name in of_item:
        known.pop(name, None)
        limits[name] = Certainty.UNKNOWN
    params: dict[str, Any] = {}
    for name, spec in plan.params.items():
        params[name] = spec.default
        if name in known:
            try:
                params[name] = read_param(spec, known.pop(name))
            except ValueError:  # the step would fail; by then it may be another value
                limits[name] = Certainty.UNKNOWN
        elif spec.required:
            limits[name] = Certainty.UNKNOWN
    return Foresight(with_params(plan, {**plan.state, **known}, params), True, limits, others)


def _written(parent: Foresight, sub: SubWorkflowPlan, of_item: Collection[str]) -> _Given | None:
    """The `inputs` of the step, if it has any."""
    if sub.inputs is None:
        return None
    known, limits = {}, {}
    for name, value in sub.inputs.items():
        paths = value.paths if isinstance(value, JsonValue) else ()
        limits[name] = min((parent.certainty(path) for path in paths), default=Certainty.FIRM)
        if any(path.parts[:1] in [(field,) for field in of_item] for path in paths):
            limits[name] = Certainty.UNKNOWN
        if limits[name] is not Certainty.UNKNOWN:
            try:
                known[name] = value.evaluate(parent.state)
            except InputError:
                limits[name] = Certainty.UNKNOWN
    return known, limits, Certainty.FIRM


def _whole_state(parent: Foresight, plan: Plan) -> _Given:
    """All of the state, to which earlier steps may add."""
    known = {}
    own_params = parent.state.get("params", {})
    limits = {name: limit for name, limit in parent.limits.items() if name not in own_params}
    for name, value in parent.state.items():
        if name in RESERVED or (value is None and name in plan.params):
            continue
        limits[name] = parent.of_field(name)
        if limits[name] is not Certainty.UNKNOWN:
            known[name] = value
    others = parent.others if parent.at_once else min(parent.others, Certainty.NOW)
    return known, limits, others
