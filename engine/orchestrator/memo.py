"""Memoised work: results of earlier runs that are used again, under a key made of all that goes into them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from engine.agents.backend import PullPolicy
from engine.errors import BackendError
from engine.events import StepStatus
from engine.history.records import Remembered
from engine.orchestrator.agent_spec import own_environment, rendered_command
from engine.orchestrator.artifacts import Artifact
from engine.orchestrator.attempt import Unit
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome
from engine.orchestrator.permissions import working_dir_of
from engine.workflows.plan import CachePlan, TaskPlan


class Memo:
    """Finds and names the result of one unit's work. Made for units of steps with a `cache`."""

    def __init__(self, run: RunContext, unit: Unit, cache: CachePlan, task: TaskPlan) -> None:
        self._run = run
        self._unit = unit
        self._cache = cache
        self._task = task
        self._image: tuple[str, str] | None = None  # an image and the digest of what it is now

    async def recall(self) -> Outcome | None:
        """The result of the same work done earlier, its artifacts taken over; None if there is none.

        Raises:
            InputError: the key cannot be evaluated.
        """
        if self._cache.key is None:
            await self._identify_image()
        key = self.key()
        if key is None or not self._run.use_cache:
            return None
        found = await self._run.services.recall(key, self._cache.max_age)
        if found is None:
            return None
        artifacts = await self._take_over_artifacts(found)
        if artifacts is None:
            return None
        return Outcome(
            StepStatus.COMPLETED,
            result=found.result,
            exit_code=found.exit_code,
            artifacts=artifacts,
            remembered=found,
        )

    def key(self) -> str | None:
        """The key of what the unit would do now, against the state as it is; None if that is not known.

        Names of workflow and step are part of it: what is remembered includes what the step did to the state.

        Raises:
            InputError: a template finds nothing.
        """
        what = self._default_parts() if self._cache.key is None else [self._rendered_key()]
        return None if what is None else _digest([self._run.plan.workflow, self._unit.step.id, *what])

    def _rendered_key(self) -> str:
        assert self._cache.key is not None
        return self._cache.key.render(self._run.scope(self._unit.input))

    def _default_parts(self) -> list[Any] | None:
        run, task = self._run, self._task
        scope = run.scope(self._unit.input)
        image = task.image.render(scope) if task.image is not None else None
        known, digest = self._image or (None, None)
        if image != known:
            return None
        own = own_environment(run, task, scope) | run.verdict_variables
        return [
            run.services.backend.name,
            digest,
            rendered_command(task, scope),
            sorted(own.items()),
            run.state_digest(),
            self._unit.input,
            working_dir_of(task, run.plan.path, run.services.backend.name),
            [[artifact.path, artifact.name] for artifact in task.artifacts],
        ]

    async def _identify_image(self) -> None:
        """Learn what the image is now; without that nothing is looked up, and the attempt tells the rest."""
        if self._task.image is None:
            return
        image = self._task.image.render(self._run.scope(self._unit.input))
        try:
            digest = await self._run.services.backend.image_digest(image, PullPolicy(self._task.pull_policy))
        except BackendError as error:
            self._warn(f"no earlier result is looked up, the image cannot be identified: {error.message}")
        else:
            self._image = (image, digest)

    async def _take_over_artifacts(self, found: Remembered) -> tuple[Artifact, ...] | None:
        """The remembered artifacts, this run's now; None if they cannot be had (any more)."""
        if not found.artifacts:
            return ()
        run, unit = self._run, self._unit
        try:
            return await run.services.artifacts.take_over(
                found.run_id, found.step_id, found.item, run.run_id, to_item=unit.item
            )
        except BackendError as error:
            self._warn(f"an earlier result is not used, its artifacts cannot be taken over: {error.message}")
            return None

    def _warn(self, message: str) -> None:
        self._run.warn(message, self._unit.step.id, self._unit.item)


def memo_of(run: RunContext, unit: Unit) -> Memo | None:
    """The memo of a unit, None if its step is to be done every time."""
    step = unit.step
    if step.cache is None or step.task is None:
        return None
    return Memo(run, unit, step.cache, step.task)


def _digest(parts: list[Any]) -> str:
    """Of everything at once, so that no secret in it can be told from the rest."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
