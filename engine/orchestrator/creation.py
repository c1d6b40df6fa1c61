"""What a run begins with, and the event that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.clock import isoformat
from engine.events import Event, EventType, RunStatus
from engine.history.records import RunDetail, RunRecord
from engine.orchestrator.masking import mask_event
from engine.orchestrator.ports import ParentLink
from engine.orchestrator.secrets import NO_SECRETS, Secrets
from engine.orchestrator.shown_env import declared
from engine.workflows.plan import Overlap, Plan, PlanStep, TaskPlan

# The source of runs that a schedule, or a step of another run, has started.
SCHEDULE = "schedule"
PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run begins with.

    Attributes:
        run_id: its id.
        plan: what it runs, linked.
        params: resolved.
        state: the shared state.
        source: who asked for it.
        parent: the attempt whose sub-workflow it is.
        use_cache: whether results of earlier work may stand in for its own.
        scheduled_for: the time of the schedule that started it.
        retry_of, retry_scope: the run that it takes results over from, and which.
        secrets: of this run, in memory only.
        earlier_children: for steps and items whose sub-workflow an earlier run has run: the run that its
            retry goes on from.
    """

    run_id: str
    plan: Plan
    params: Mapping[str, Any]
    state: Mapping[str, Any]
    source: str
    parent: ParentLink | None = None
    use_cache: bool = True
    scheduled_for: datetime | None = None
    retry_of: str | None = None
    retry_scope: str | None = None
    secrets: Secrets = NO_SECRETS
    earlier_children: Mapping[tuple[str, int | None], str] = field(default_factory=dict)

    @property
    def is_scheduled(self) -> bool:
        """Whether the workflow's schedule started it."""
        return self.source == SCHEDULE

    @property
    def waits_for_schedule(self) -> bool:
        """Whether it waits for the end of the runs that the schedule started before."""
        schedule = self.plan.schedule
        return self.is_scheduled and schedule is not None and schedule.overlap is not Overlap.SKIP

    def created(self, backend: str, now: datetime) -> Event:
        """The event that makes the run."""
        data = {
            "workflow": self.plan.workflow,
            "digest": self.plan.digest,
            "path": _absolute(self.plan.path),
            "document": self.plan.document,
            "params": dict(self.params),
            "backend": backend,
            "state": dict(self.state),
            "source": self.source,
            "plan": [_summary(step) for step in self.plan.steps.values()],
            "retry_of": self.retry_of,
            "retry_scope": self.retry_scope,
            "parent": _parent_data(self.parent) if self.parent is not None else None,
            "children": _children_data(self.plan) or None,
            "scheduled_for": isoformat(self.scheduled_for) if self.scheduled_for is not None else None,
            "no_cache": None if self.use_cache else True,
            "metadata": dict(self.plan.metadata) or None,
            "env_files": sorted(self.secrets.variables) or None,
        }
        return Event(
            self.run_id, EventType.RUN_CREATED, now, data=mask_event(self.secrets.masker, present(data))
        )

    def detail(self, backend: str, now: datetime) -> RunDetail:
        """The run as the history has it right after its creation."""
        record = RunRecord(
            self.run_id,
            self.plan.workflow,
            self.plan.digest,
            RunStatus.PENDING,
            backend,
            created_at=isoformat(now),
        )
        return RunDetail(record, dict(self.state), ())


def initial_state(plan: Plan, params: Mapping[str, Any]) -> dict[str, Any]:
    """The shared state that a run of `plan` begins with, if nobody gives it another."""
    return with_params(plan, plan.state, params)


def with_params(plan: Plan, state: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """A state in which paths find the params, if the workflow declares any."""
    return {**state, "params": dict(params)} if plan.params else dict(state)


def present(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` without the keys that have no value."""
    return {key: value for key, value in data.items() if value is not None}


def _parent_data(parent: ParentLink) -> dict[str, Any]:
    return present(
        {
            "run_id": parent.run_id,
            "step_id": parent.step_id,
            "item": parent.item,
            "attempt": parent.attempt,
            "way": parent.way,
        }
    )


def _absolute(path: str | None) -> str | None:
    """What is relative to a document stays where it is when another engine goes on, wherever that starts."""
    return str(Path(path).absolute()) if path is not None else None


def _children_data(plan: Plan) -> dict[str, Any]:
    return {
        name: present({"digest": child.digest, "path": _absolute(child.path), "document": child.document})
        for name, child in plan.children.items()
    }


def _summary(step: PlanStep) -> dict[str, Any]:
    """A step of the plan as `run.created` has it: enough to draw it before anything starts."""
    return present(
        {
            "id": step.id,
            "name": step.name,
            "type": step.type.value,
            "ordinal": step.ordinal,
            "depends_on": list(step.depends_on),
            "parent": step.parent,
            "image": step.task.image.source if step.task and step.task.image else None,
            "command": _command_text(step),
            "workers": step.workers if step.workers > 1 else None,
            "max_concurrency": step.map.max_concurrency if step.map else None,
            "max_attempts": step.retry.max_attempts,
            "timeout": step.timeout,
            "conditional": True if step.condition else None,
            "role": step.role.value if step.role.value != "main" else None,
            "trigger": step.trigger.value if step.trigger is not None else None,
            "routes": _routes(step),
            "sub_workflow": step.sub.name if step.sub is not None else None,
            "approval": step.approval.message.source if step.approval is not None else None,
            "delay": step.delay,
            "cached": True if step.cache is not None else None,
            "item_alias": step.map.item_alias if step.map else None,
            "agent": _agent_summary(step.task) if step.task is not None else None,
        }
    )


def _agent_summary(task: TaskPlan) -> dict[str, Any]:
    """What the agents of a step are made with, as far as that is the same for all of them."""
    limits = {
        "cpus": task.limits.nano_cpus / 1e9 if task.limits.nano_cpus else None,
        "memory": task.limits.memory_bytes,
        "gpus": task.limits.gpus,
    }
    return {
        "env": declared(task),
        **{
            key: value
            for key, value in {
                "secrets": list(task.secrets),
                "limits": present(limits),
                "network": task.network if task.network != "default" else "",
                "volumes": [asdict(volume) for volume in task.volumes],
                "user": task.user,
                "working_dir": task.working_dir,
                "privileged": task.privileged,
                "redis_access": task.redis_access if task.redis_access != "run" else "",
            }.items()
            if value
        },
    }


def _routes(step: PlanStep) -> list[dict[str, Any]] | None:
    if step.route is None:
        return None
    return [
        present(
            {
                "label": way.label,
                "targets": list(way.targets),
                "workflow": way.workflow.name if way.workflow is not None else None,
            }
        )
        for way in step.route.ways
    ]


def _command_text(step: PlanStep) -> str | list[str] | None:
    command = step.task.command if step.task else None
    if command is None or isinstance(command, str):
        return command
    return [part.source for part in command]
