"""Whether a plan can run here at all: checked before a run exists, every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.agents import host
from engine.agents.backend import BackendFacts, Limits
from engine.errors import DocumentError, Problem
from engine.orchestrator.permissions import objections
from engine.orchestrator.pool_sizes import pool_objection
from engine.orchestrator.secrets import NO_SECRETS, Secrets, read_secrets
from engine.settings import Settings
from engine.workflows.plan import Plan, PlanStep

_NOWHERE = (0, 0)


def check_admission(plan: Plan, facts: BackendFacts, settings: Settings) -> None:
    """Check `plan` and the workflows that its steps run against the backend, its machine and the settings.

    Raises:
        DocumentError: with every reason why the run could not succeed, by step.
    """
    problems = [
        Problem(member.path or member.workflow, *place, f"step {step.id!r}: {message}")
        for member in _family(plan)
        for step in member.steps.values()
        for place, message in _objections(step, member, facts, settings)
    ]
    if problems:
        raise DocumentError(tuple(dict.fromkeys(problems)))


def check_secrets(plan: Plan, environ: Mapping[str, str], roots: Sequence[Path] = ()) -> Secrets:
    """The secrets of `plan`. Those of the workflows that its steps run must be there as well.

    Raises:
        DocumentError: with everything that is missing or cannot be used.
    """
    own, problems = NO_SECRETS, list[Problem]()
    for member in _family(plan):
        try:
            secrets = read_secrets(member, environ, roots)
        except DocumentError as error:
            problems += error.problems
        else:
            own = secrets if member is plan else own
    if problems:
        raise DocumentError(tuple(dict.fromkeys(problems)))
    return own


def _family(plan: Plan) -> Iterator[Plan]:
    """The plan, the workflows that it names, and those that stand in steps."""
    for member in (plan, *plan.children.values()):
        yield member
        for step in member.steps.values():
            ways = step.route.ways if step.route is not None else ()
            for sub in (step.sub, *(way.workflow for way in ways)):
                if sub is not None and sub.inline is not None:
                    yield from _family(sub.inline)


def _objections(
    step: PlanStep, plan: Plan, facts: BackendFacts, settings: Settings
) -> Iterator[tuple[tuple[int, int], str]]:
    """Why a step could not succeed here, each with its line and column where these are known."""
    task = step.task
    if task is None:
        return
    for message in objections(task, plan.path, settings, facts):
        yield _NOWHERE, message
    if facts.name == "process" and task.command is None:
        yield (
            _NOWHERE,
            "has no command, and a local process needs one (only a container image brings its own): "
            "give it a `command`, or run it with --backend docker",
        )
    if facts.name == "docker" and task.image is None:
        yield _NOWHERE, "has no image, which the Docker backend needs: give it an `image`"
    pool = step.pool if facts.name == "docker" else None
    if pool is not None and (message := pool_objection(step, facts, settings)):
        yield pool.place, message
    limits = Limits(task.limits.nano_cpus, task.limits.memory_bytes, task.limits.gpus)
    for objection in host.objections(limits, facts):
        place = task.limits.places.get(objection.limit, _NOWHERE)
        yield place, f"{objection.message}: {objection.hint}"
