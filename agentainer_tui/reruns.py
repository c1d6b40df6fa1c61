"""Which steps a retry does again: for the words of the dialog; the engine decides for itself.

Steps of `on_failure` and `finally` are done again in any case: they belong to the run that they end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from agentainer_tui.views import RunView, StepView
from engine.events import StepStatus


def unfinished(run: RunView) -> set[str]:
    """Steps that failed, also in part, were cancelled, or were never reached."""
    return {step.id for step in run.steps.values() if _needs_rerun(step)}


def run_again(run: RunView, scope: str, step_id: str) -> set[str]:
    """The steps of a retry's scope: `whole`, `failed`, `from` a step on, or `only` a step."""
    if scope == "whole" or (scope != "failed" and step_id not in run.steps):
        return set(run.steps)
    if scope == "failed" and not unfinished(run):
        return set()
    handlers = {step.id for step in run.steps.values() if step.role != "main"}
    return handlers | _own_again(run, scope, step_id)


def _own_again(run: RunView, scope: str, step_id: str) -> set[str]:
    if scope == "only":
        return {step_id, *(step.id for step in run.steps.values() if step.parent == step_id)}
    upstreams = _upstreams(run)
    if scope == "failed":
        own = {name for name in unfinished(run) if run.steps[name].role == "main"}
        return _with_dependents(run, upstreams, own)
    again = _with_dependents(run, upstreams, {step_id})
    return _with_dependents(run, upstreams, again | _broken_upstreams(run, upstreams, again))


def _needs_rerun(step: StepView) -> bool:
    if step.status is StepStatus.SKIPPED:
        return step.reason == "upstream_failed"
    if step.status is not StepStatus.COMPLETED or step.partial:
        return True
    return bool(step.tally.get(StepStatus.FAILED))


def _upstreams(run: RunView) -> Mapping[str, set[str]]:
    """What each step waits for: its edges, its members, and what its parent waits for."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for step in run.steps.values():
        found[step.id] |= set(step.depends_on)
        if step.parent is not None:
            found[step.parent].add(step.id)
            found[step.id] |= set(run.steps[step.parent].depends_on)
    return found


def _with_dependents(run: RunView, upstreams: Mapping[str, set[str]], roots: set[str]) -> set[str]:
    found = set(roots)
    while more := {
        step.id
        for step in run.steps.values()
        if step.id not in found and (upstreams[step.id] & found or step.parent in roots)
    }:
        found |= more
    return found


def _broken_upstreams(run: RunView, upstreams: Mapping[str, set[str]], roots: set[str]) -> set[str]:
    """Upstreams, however far, that have nothing to give and so must run too."""
    broken: set[str] = set()
    seen, rest = set(roots), list(roots)
    while rest:
        for upstream in upstreams[rest.pop()] - seen:
            seen.add(upstream)
            rest.append(upstream)
            step = run.steps[upstream]
            tolerable = step.status is StepStatus.SKIPPED and step.reason != "upstream_failed"
            if step.status is not StepStatus.COMPLETED and not tolerable:
                broken.add(upstream)
    return broken
