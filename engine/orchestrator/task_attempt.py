"""An attempt at a task: it is handed to an agent, its end is waited for, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import Any

from engine.agents.backend import AgentSpec, Exit
from engine.clock import isoformat
from engine.errors import BackendError, Reason, StateStoreError
from engine.events import Event, EventType, StepStatus
from engine.orchestrator import naming
from engine.orchestrator.agent_spec import agent_spec
from engine.orchestrator.artifacts import MissingArtifactError
from engine.orchestrator.attempt import AttemptMoves, Unit
from engine.orchestrator.capture import OutputCapture
from engine.orchestrator.context import RunContext
from engine.orchestrator.fetching import FetchNotes
from engine.orchestrator.monitoring import AgentMonitor
from engine.orchestrator.outcome import Outcome, failed
from engine.orchestrator.results import judge
from engine.orchestrator.shielding import uncancelled
from engine.orchestrator.shown_env import rendered
from engine.state.store import Completion, TaskOutcome, TaskRecord


class TaskAttempt:
    """An `Attempt` at a unit's task: an agent is made for it, or one that exists is taken over."""

    def __init__(
        self, run: RunContext, unit: Unit, number: int, status: StepStatus = StepStatus.PENDING
    ) -> None:
        self.number = number
        self._moves = AttemptMoves(run, unit, number, status)
        self.enter = self._moves.enter
        self._run = run
        self._unit = unit
        self._services = run.services
        self._spec: AgentSpec | None = None
        self._task_id = naming.task_id(run.run_id, unit.step.id, unit.item, number)
        self._agent = naming.agent_name(run.run_id, unit.step.id, unit.item, number)
        self._log = naming.log_path(run.run_id, unit.step.id, unit.item, number)
        self._over = True  # no agent of ours can be running (now)
        self._end: Exit | None = None
        self._monitor = AgentMonitor(
            run.services.backend,
            run.services.clock,
            self._agent,
            profiled=run.plan.profiling,
            silence=run.services.settings.silence_warning,
            # Not through ourselves: what holds itself stays, its input too, until somebody looks for circles.
            warn=lambda message: run.warn(message, unit.step.id, unit.item),
        )

    def prepare(self) -> Event:
        """Render the task; see `Attempt`."""
        self._spec = spec = agent_spec(self._run, self._unit, self.number)
        task = self._unit.step.task
        made = rendered(task, spec.env) if task is not None else {}
        return self._moves.created(
            task_id=self._task_id,
            agent=self._agent,
            backend=self._services.backend.name,
            image=spec.image,
            command=spec.command if isinstance(spec.command, str) else spec.command and list(spec.command),
            log=self._log,
            spec_digest=spec.digest,
            pool=spec.pool.name if spec.pool else None,
            env=made or None,
        )

    async def execute(self) -> Outcome:
        """Run the task to its end; see `Attempt`."""
        assert self._spec is not None, "prepared before"
        spec, task = self._spec, self._task()
        capture = self._capture()
        try:
            async with self._services.store.completion(self._task_id, fresh=True) as completion:
                if self._run.has_artifacts:
                    self._services.artifacts.make_folder(self._run.run_id)
                await self._services.store.put_task(task, self._agent)
                await self._launch(spec, capture)
                return await self._see_through(completion, capture)
        except BackendError as error:
            started = error.reason is Reason.START_FAILED
            return failed(error.reason, str(error), started=started, transient=error.transient)
        except StateStoreError as error:
            return failed(Reason.INFRA_ERROR, str(error), started=False, transient=True)
        finally:
            # Whatever happened, the agent no longer runs when an attempt is over.
            await self._wind_up(capture)

    async def resume(self, elapsed: float) -> Outcome | None:
        """Take over the agent of an interrupted attempt and see it through; see `Attempt`."""
        capture = self._capture()
        try:
            async with self._services.store.completion(self._task_id) as completion:
                if not await self._adopt(capture):
                    return None
                outcome = await self._see_through(completion, capture, elapsed)
                # A backend that cannot take over what runs (local processes) has only lost it.
                return None if outcome.reason is Reason.LOST else outcome
        except (BackendError, StateStoreError) as error:
            self._run.warn(f"{self._agent} could not be taken over: {error}", *self._where)
            return None
        finally:
            await self._wind_up(capture)

    def finished(self, outcome: Outcome, *, kept: bool) -> Event:
        """The event of its end; see `Attempt`."""
        if (series := self._monitor.series) is not None:
            self._run.record(self._run.event(EventType.ATTEMPT_SAMPLED, *self._where, self.number, **series))
        return self._moves.finished(outcome, kept=kept, usage=self._monitor.usage(self._end))

    async def discard(self) -> None:
        """Remove a half-made agent; see `Attempt`."""
        with contextlib.suppress(BackendError):
            await self._services.backend.remove(self._agent)

    async def rest(self, *, keep: bool) -> None:
        """Let go of a warm agent: it leaves its pool as it is, or serves others; see `Attempt`."""
        if self._services.backend.placement(self._agent) is None:
            return
        try:
            if keep:
                await self._services.backend.keep(self._agent)
            else:
                await self._services.backend.remove(self._agent)
        except BackendError as error:
            self._run.warn(f"{self._agent} could not be kept: {error}", *self._where)

    async def end(self) -> None:
        """Kill the agent; see `Attempt`."""
        try:
            await self._services.backend.kill(self._agent)
        except BackendError as error:
            self._run.warn(f"{self._agent} could not be stopped: {error}", *self._where)

    async def remove(self, by: str) -> None:
        """Remove the agent and what Redis knows of it; see `Attempt`."""
        placement = self._services.backend.placement(self._agent)
        began = self._services.clock.monotonic()
        try:
            await self._services.backend.remove(self._agent)
            with contextlib.suppress(StateStoreError):
                await self._services.store.forget_agent(self._run.run_id, self._agent)
        except BackendError as error:
            self._run.warn(f"{self._agent} could not be removed: {error}", *self._where)
            return
        if placement is not None and placement.mode != "cold":
            return  # it serves others now
        data: dict[str, Any] = {"agent": self._agent, "by": by, "took": self._run.elapsed(began)}
        self._run.record(self._run.event(EventType.AGENT_REMOVED, *self._where, self.number, **data))

    # -- the life of the agent ------------------------------------------------------------------------

    async def _launch(self, spec: AgentSpec, capture: OutputCapture) -> None:
        backend = self._services.backend
        self.enter("image")
        with FetchNotes(self._run, self._unit, spec):
            await backend.prepare(spec)
        self._over = False
        self.enter("create")
        agent_id = await backend.create(spec, capture)
        self.enter("start")
        await backend.start(spec.name)
        self.enter("run")
        self._moves.note_started(agent_id, backend.placement(spec.name), backend.image_id(spec.name))

    async def _adopt(self, capture: OutputCapture) -> bool:
        backend = self._services.backend
        self._over = False
        info = await backend.adopt(self._agent, capture)
        if info is None:
            return False
        await backend.start(self._agent)  # does nothing unless the crash came between create and start
        self._moves.note_started(info.agent_id, image_id=backend.image_id(self._agent))
        return True

    async def _see_through(
        self, completion: Completion, capture: OutputCapture, elapsed: float = 0.0
    ) -> Outcome:
        """Wait for the end within the step's timeout, judge it, tell Redis."""
        timeout = self._unit.step.timeout
        self._monitor.begin(capture.count, elapsed=elapsed)
        try:
            end, told, stopped = await self._race(
                completion, None if timeout is None else max(0.0, timeout - elapsed)
            )
        except TimeoutError:
            await self._stop()
            self.enter(None)
            outcome = failed(Reason.TIMED_OUT, f"did not finish within its timeout of {timeout:g} s")
        else:
            self.enter(None)
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
        self.enter("collect")
        kept = await self._services.artifacts.collect(
            self._services.backend,
            self._agent,
            task.artifacts,
            run_id=self._run.run_id,
            step_id=step_id,
            item=item,
        )
        self.enter(None)
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
        ended = asyncio.create_task(backend.wait(self._agent))
        announced = asyncio.create_task(completion.wait())
        stopped = False
        try:
            await _first_of(ended, announced, timeout)
            if not ended.done():
                await asyncio.wait({ended}, timeout=grace)
            if not ended.done():
                stopped = True
                await self._stop()
            self._end = end = await ended
            self._over = True
            return end, await self._told(announced), stopped
        finally:
            self._run.give_up(announced)
            self._run.give_up(ended)

    async def _told(self, announced: asyncio.Future[TaskOutcome]) -> TaskOutcome:
        if announced.done() and announced.exception() is None:
            return announced.result()
        try:
            return await self._services.store.read_outcome(self._task_id)
        except StateStoreError as error:
            self._run.warn(
                f"the result could not be read from Redis, the exit code decides: {error}", *self._where
            )
            return TaskOutcome()

    async def _announce(self, outcome: Outcome) -> None:
        result = json.dumps(outcome.result) if outcome.ok else None
        error = None if outcome.ok else outcome.error or "failed"
        try:
            await self._services.store.announce(self._task_id, result=result, error=error)
        except StateStoreError as problem:
            self._run.warn(f"the completion could not be published: {problem}", *self._where)

    def _capture(self) -> OutputCapture:
        log = self._services.open_log(self._log, self._run.log_budget)
        return OutputCapture(log, self._services.settings.result_limit, self._run.secrets.masker)

    async def _wind_up(self, capture: OutputCapture) -> None:
        """Stop the agent unless its end has been seen, whoever is cancelled; then close the log."""
        self._monitor.end()
        try:
            if not self._over:
                await uncancelled(self._stop())
        except BackendError as error:
            self._run.warn(f"{self._agent} could not be stopped: {error}", *self._where)
        finally:
            capture.close()
            if self._run.log_budget.to_be_told():
                self._run.warn(
                    f"the logs of this run have reached {self._run.log_budget.limit} bytes (run_log_limit): "
                    "of what its tasks write from now on, only the beginning and the end are kept"
                )

    async def _stop(self) -> None:
        backend = self._services.backend
        stopping = asyncio.ensure_future(backend.stop(self._agent, self._services.settings.stop_grace))
        hurried = asyncio.ensure_future(self._run.hurry.wait())
        try:
            await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await backend.kill(self._agent)
            await stopping
            self._over = True
        finally:
            hurried.cancel()

    # -- what it is made of ---------------------------------------------------------------------------

    @property
    def _where(self) -> tuple[str, int | None]:
        return self._unit.step.id, self._unit.item

    def _task(self) -> TaskRecord:
        step = self._unit.step
        task_type = step.task.env.get("TASK_TYPE") if step.task else None
        return TaskRecord(
            task_id=self._task_id,
            workflow_id=self._run.run_id,
            step_id=step.id,
            step_name=step.name,
            task_type=task_type.render(self._run.scope(self._unit.input)) if task_type else "",
            input=self._run.input_text(self._unit.input),
            created_at=isoformat(self._services.clock.now()),
        )


async def _first_of(
    ended: asyncio.Future[Exit], announced: asyncio.Future[TaskOutcome], timeout: float | None
) -> None:
    """Wait for the exit or the announcement; a broken connection to Redis leaves only the exit.

    Raises:
        TimeoutError: neither came in time.
    """
    loop = asyncio.get_running_loop()
    first: asyncio.Future[None] = loop.create_future()

    def look(future: asyncio.Future[Any]) -> None:
        tells = future is ended or future.cancelled() or future.exception() is None
        if tells and not first.done():
            first.set_result(None)

    def time_is_up() -> None:
        if not first.done():
            first.set_exception(TimeoutError())

    timer = None if timeout is None else loop.call_later(timeout, time_is_up)
    ended.add_done_callback(look)
    announced.add_done_callback(look)
    try:
        await first
    finally:
        ended.remove_done_callback(look)
        announced.remove_done_callback(look)
        if timer is not None:
            timer.cancel()
