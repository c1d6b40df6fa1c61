"""One attempt: a task is handed to an agent, its end is waited for, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from engine.agents.backend import AgentIdentity, AgentSpec, Exit, Limits, Mount, PullPolicy
from engine.clock import isoformat
from engine.errors import BackendError, Reason, StateStoreError
from engine.events import Event, EventType, StepStatus
from engine.orchestrator import naming
from engine.orchestrator.artifacts import MOUNT_POINT, MissingArtifactError
from engine.orchestrator.capture import OutputCapture
from engine.orchestrator.context import RunContext
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.permissions import mounts_of, working_dir_of
from engine.orchestrator.results import judge
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.states import check_step_move
from engine.state.store import Completion, RedisAccess, TaskOutcome, TaskRecord
from engine.workflows.plan import PlanStep, TaskPlan

# TASK_INPUT is left out above this: an environment of that size breaks exec on some systems (contract §2).
_TASK_INPUT_LIMIT = 32 * 1024


@dataclass(frozen=True, slots=True)
class Unit:
    """What attempts are made of: a step, or one item or worker of it.

    Attributes:
        step: the node of the plan.
        item: index of the item or worker, None for the step itself.
        input: what the task's input has beyond the state.
        env: what its environment has beyond the step's.
    """

    step: PlanStep
    item: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


class Attempt:
    """One try of a unit. `execute` starts an agent for it; `resume` takes over one that exists."""

    def __init__(
        self, run: RunContext, unit: Unit, number: int, status: StepStatus = StepStatus.PENDING
    ) -> None:
        self.number = number
        self._status = status
        self._since: float | None = None
        self._run = run
        self._unit = unit
        self._services = run.services
        self.task_id = naming.task_id(run.run_id, unit.step.id, unit.item, number)
        self.agent = naming.agent_name(run.run_id, unit.step.id, unit.item, number)
        self._log = naming.log_path(run.run_id, unit.step.id, unit.item, number)
        self._over = True  # no agent of ours can be running (now)

    async def execute(self, spec: AgentSpec) -> Outcome:
        """Run the task to its end. Its intent (`created`) must have been committed.

        Cancellation stops the agent before it gets through.
        """
        task = self._task()
        capture = self._capture()
        try:
            async with self._services.store.completion(self.task_id) as completion:
                if self._run.has_artifacts:
                    self._services.artifacts.make_folder(self._run.run_id)
                await self._services.store.put_task(task, self.agent)
                await self._launch(spec, capture)
                return await self._see_through(completion, capture)
        except BackendError as error:
            started = error.reason is Reason.START_FAILED
            return failed(error.reason, str(error), started=started, transient=error.transient)
        except StateStoreError as error:
            return failed(Reason.INFRA_ERROR, str(error), started=False, transient=True)
        finally:
            # Whatever happened, the agent no longer runs when an attempt is over.
            await uncancelled(self._wind_up(capture))

    async def resume(self, elapsed: float) -> Outcome | None:
        """Take over the agent of an interrupted attempt and see it through; None if that cannot be done.

        `elapsed` seconds of its timeout have gone by already.
        """
        capture = self._capture()
        try:
            async with self._services.store.completion(self.task_id) as completion:
                if not await self._adopt(capture):
                    return None
                outcome = await self._see_through(completion, capture, elapsed)
                # A backend that cannot take over what runs (local processes) has only lost it.
                return None if outcome.reason is Reason.LOST else outcome
        except (BackendError, StateStoreError) as error:
            self._run.warn(f"{self.agent} could not be taken over: {error}", *self._where)
            return None
        finally:
            await uncancelled(self._wind_up(capture))

    def finished(self, outcome: Outcome, *, kept: bool) -> Event:
        """The event of this attempt's end; `kept` if its agent stays for now."""
        return self._move(
            EventType.ATTEMPT_FINISHED,
            outcome.status,
            reason=outcome.reason,
            error=outcome.error,
            exit_code=outcome.exit_code,
            kept=kept,
            duration=self._run.elapsed(self._since),
        )

    async def discard(self) -> None:
        """Remove a half-made agent, so that another try does not adopt it."""
        with contextlib.suppress(BackendError):
            await self._services.backend.remove(self.agent)

    async def remove(self, by: str) -> None:
        """Remove the agent and what Redis knows of it; failures become warnings, cleanup can be repeated."""
        try:
            await self._services.backend.remove(self.agent)
            with contextlib.suppress(StateStoreError):
                await self._services.store.forget_agent(self._run.run_id, self.agent)
        except BackendError as error:
            self._run.warn(f"{self.agent} could not be removed: {error}", *self._where)
            return
        self._run.record(
            self._run.event(EventType.AGENT_REMOVED, *self._where, self.number, agent=self.agent, by=by)
        )

    # -- the life of the agent ------------------------------------------------------------------------

    async def _launch(self, spec: AgentSpec, capture: OutputCapture) -> None:
        backend = self._services.backend
        await backend.prepare(spec)
        self._over = False
        agent_id = await backend.create(spec, capture)
        await backend.start(spec.name)
        self._note_started(agent_id)

    async def _adopt(self, capture: OutputCapture) -> bool:
        backend = self._services.backend
        self._over = False
        info = await backend.adopt(self.agent, capture)
        if info is None:
            return False
        await backend.start(self.agent)  # does nothing unless the crash came between create and start
        self._note_started(info.agent_id)
        return True

    def _note_started(self, agent_id: str) -> None:
        if self._status is StepStatus.PENDING:
            self._since = self._services.clock.monotonic()
            self._run.record(self._move(EventType.ATTEMPT_STARTED, StepStatus.RUNNING, agent_id=agent_id))

    def _move(self, type_: EventType, new: StepStatus, **data: Any) -> Event:
        check_step_move(self._status, new)
        event = self._run.event(
            type_, *self._where, self.number, old=self._status.value, status=new.value, **data
        )
        self._status = new
        return event

    async def _see_through(
        self, completion: Completion, capture: OutputCapture, elapsed: float = 0.0
    ) -> Outcome:
        """Wait for the end within the step's timeout, judge it, tell Redis."""
        timeout = self._unit.step.timeout
        try:
            end, told, stopped = await self._race(
                completion, None if timeout is None else max(0.0, timeout - elapsed)
            )
        except TimeoutError:
            await self._stop()
            outcome = failed(Reason.TIMED_OUT, f"did not finish within its timeout of {timeout:g} s")
        else:
            if end.note:
                self._run.warn(end.note, *self._where)
            capture.finish()
            outcome = judge(
                end,
                told,
                stdout=capture.stdout,
                stderr_tail=capture.stderr_tail,
                stopped=stopped,
                masker=self._run.secrets.masker,
            )
            if capture.truncated and outcome.ok and told.result is None:
                self._run.warn(
                    f"standard output was longer than {self._services.settings.result_limit} bytes: "
                    "the result is its beginning, the log has all of it",
                    *self._where,
                )
        outcome = await self._keep_artifacts(outcome)
        await self._announce(outcome)
        return outcome

    async def _keep_artifacts(self, outcome: Outcome) -> Outcome:
        """Keep what the task left; of a failed one what there is, and what there is not changes nothing."""
        task, (step_id, item) = self._unit.step.task, self._where
        if task is None or not task.artifacts or outcome.reason is Reason.LOST:
            return outcome
        kept = await self._services.artifacts.collect(
            self._services.backend,
            self.agent,
            task.artifacts,
            run_id=self._run.run_id,
            step_id=step_id,
            item=item,
        )
        if outcome.ok and kept.failures:
            problem = kept.failures[0]
            outcome = failed(
                problem.reason, str(problem), exit_code=outcome.exit_code, transient=problem.transient
            )
        elif broken := [
            str(problem) for problem in kept.failures if not isinstance(problem, MissingArtifactError)
        ]:
            self._run.warn("; ".join(broken), *self._where)
        return replace(outcome, artifacts=kept.artifacts)

    async def _race(self, completion: Completion, timeout: float | None) -> tuple[Exit, TaskOutcome, bool]:
        """Announcement against exit. Returns the exit, what Redis has, and whether we had to stop it.

        An announced completion ends the waiting; the agent then has its grace to exit by itself.

        Raises:
            TimeoutError: neither came within `timeout` seconds.
        """
        backend, grace = self._services.backend, self._services.settings.stop_grace
        ended = asyncio.ensure_future(backend.wait(self.agent))
        announced = asyncio.ensure_future(completion.wait())
        stopped = False
        try:
            await _first_of(ended, announced, timeout)
            if not ended.done():
                await asyncio.wait({ended}, timeout=grace)
            if not ended.done():
                stopped = True
                await self._stop()
            end = await ended
            self._over = True
            return end, await self._told(announced), stopped
        finally:
            ended.cancel()
            announced.cancel()
            await asyncio.gather(ended, announced, return_exceptions=True)

    async def _told(self, announced: asyncio.Future[TaskOutcome]) -> TaskOutcome:
        if announced.done() and announced.exception() is None:
            return announced.result()
        try:
            return await self._services.store.read_outcome(self.task_id)
        except StateStoreError as error:
            self._run.warn(
                f"the result could not be read from Redis, the exit code decides: {error}", *self._where
            )
            return TaskOutcome()

    async def _announce(self, outcome: Outcome) -> None:
        result = json.dumps(outcome.result) if outcome.ok else None
        error = None if outcome.ok else outcome.error or "failed"
        try:
            await self._services.store.announce(self.task_id, result=result, error=error)
        except StateStoreError as problem:
            self._run.warn(f"the completion could not be published: {problem}", *self._where)

    def _capture(self) -> OutputCapture:
        log = self._services.open_log(self._log)
        return OutputCapture(log, self._services.settings.result_limit, self._run.secrets.masker)

    async def _wind_up(self, capture: OutputCapture) -> None:
        """Stop the agent unless its end has been seen, then close the log."""
        try:
            if not self._over:
                await self._stop()
        except BackendError as error:
            self._run.warn(f"{self.agent} could not be stopped: {error}", *self._where)
        finally:
            capture.close()

    async def _stop(self) -> None:
        backend = self._services.backend
        stopping = asyncio.ensure_future(backend.stop(self.agent, self._services.settings.stop_grace))
        hurried = asyncio.ensure_future(self._run.hurry.wait())
        try:
            await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await backend.kill(self.agent)
            await stopping
            self._over = True
        finally:
            hurried.cancel()

    # -- what it is made of ---------------------------------------------------------------------------

    @property
    def _where(self) -> tuple[str, int | None]:
        return self._unit.step.id, self._unit.item

    def created(self, spec: AgentSpec) -> Event:
        """The event of this attempt's intent, to be committed before `execute`."""
        return self._run.event(
            EventType.ATTEMPT_CREATED,
            *self._where,
            self.number,
            task_id=self.task_id,
            agent=self.agent,
            backend=self._services.backend.name,
            image=spec.image,
            command=spec.command if isinstance(spec.command, str) else spec.command and list(spec.command),
            log=self._log,
            spec_digest=spec.digest,
        )

    def _task(self) -> TaskRecord:
        step = self._unit.step
        task_type = step.task.env.get("TASK_TYPE") if step.task else None
        return TaskRecord(
            task_id=self.task_id,
            workflow_id=self._run.run_id,
            step_id=step.id,
            step_name=step.name,
            task_type=task_type.render(self._run.scope(self._unit.input)) if task_type else "",
            input={**self._run.state, **self._unit.input},
            created_at=isoformat(self._services.clock.now()),
        )

    def spec(self) -> AgentSpec:
        """The agent to make: templates rendered against the state as it is now.

        Raises:
            InputError: a template finds nothing, or a volume may not be mounted (any more).
        """
        step, task = self._unit.step, self._unit.step.task
        assert task is not None, "the planner gives every task step a task"
        scope = self._run.scope(self._unit.input)
        command: tuple[str, ...] | str | None
        if task.command is None or isinstance(task.command, str):
            command = task.command
        else:
            command = tuple(part.render(scope) for part in task.command)
        services, document = self._services, self._run.plan.path
        spec = AgentSpec(
            name=self.agent,
            identity=AgentIdentity(
                instance=services.instance,
                workflow=self._run.plan.workflow,
                run_id=self._run.run_id,
                step_id=step.id,
                item=self._unit.item,
                attempt=self.number,
                task_id=self.task_id,
            ),
            image=task.image.render(scope) if task.image else None,
            command=command,
            env=self._environment(task, {key: value.render(scope) for key, value in task.env.items()}),
            limits=Limits(task.limits.nano_cpus, task.limits.memory_bytes, task.limits.gpus),
            network=task.network,
            pull_policy=PullPolicy(task.pull_policy),
            mounts=(*mounts_of(task, document, services.settings, services.facts), *self._artifact_mounts()),
            working_dir=working_dir_of(task, document, services.backend.name),
            user=task.user,
            privileged=task.privileged,
        )
        return replace(spec, digest=_digest_of(spec))

    def _artifact_mounts(self) -> tuple[Mount, ...]:
        if not self._run.has_artifacts or self._services.backend.name != "docker":
            return ()
        folder = self._services.artifacts.folder(self._run.run_id)
        return (Mount(str(folder), MOUNT_POINT, read_only=True),)

    def _environment(self, task: TaskPlan, own: dict[str, str]) -> dict[str, str]:
        """The environment of contract §2, the stronger later: env files, the step's, secrets, ours.

        Only the place of Redis is the user's where they name one.
        """
        secrets = self._run.secrets
        own = {**secrets.variables, **own, **secrets.environment(task.secrets)}
        containerised = self._services.backend.name == "docker"
        redis = self._services.store.environment(
            self._run.run_id, RedisAccess(task.redis_access), containerised=containerised
        )
        for kept in ("REDIS_HOST", "REDIS_PORT"):
            if kept in own:
                redis.pop(kept, None)
        ours = {
            **_metadata_variables(self._run.plan.metadata),
            **self._unit.env,
            **redis,
            "WORKFLOW_ID": self._run.run_id,
            "STEP_ID": self._unit.step.id,
            "TASK_ID": self.task_id,
            "AGENT_ID": self.agent,
            "AGENTAINER_ATTEMPT": str(self.number),
        }
        if self._run.has_artifacts:
            folder = self._services.artifacts.folder(self._run.run_id)
            ours["AGENTAINER_ARTIFACTS"] = MOUNT_POINT if containerised else str(folder)
        # The state alone tells most large inputs, without writing it out again for every item.
        if self._run.state_size < _TASK_INPUT_LIMIT:
            task_input = json.dumps({**self._run.state, **self._unit.input})
            if len(task_input) < _TASK_INPUT_LIMIT:
                ours["TASK_INPUT"] = task_input
        return {**own, **ours}


async def _first_of(
    ended: asyncio.Future[Exit], announced: asyncio.Future[TaskOutcome], timeout: float | None
) -> None:
    """Wait for the exit or the announcement; a broken connection to Redis leaves only the exit."""
    started = asyncio.get_running_loop().time()
    pending: set[asyncio.Future[Any]] = {ended, announced}
    while True:
        spent = asyncio.get_running_loop().time() - started
        left = None if timeout is None else max(0.0, timeout - spent)
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError
        if ended in done or announced.exception() is None:
            return


def _metadata_variables(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"WORKFLOW_{re.sub(r'[^A-Z0-9]', '_', key.upper())}": value for key, value in metadata.items()}


def _digest_of(spec: AgentSpec) -> str:
    """Digest over what makes two agents alike: everything but whom they serve, and their command and env."""
    alike = [
        spec.image,
        astuple(spec.limits),
        spec.network,
        [astuple(mount) for mount in spec.mounts],
        spec.working_dir,
        spec.user,
        spec.privileged,
    ]
    return hashlib.sha256(json.dumps(alike).encode()).hexdigest()[:16]
