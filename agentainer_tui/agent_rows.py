"""The rows of the area of agents: at work, kept, pools, orphans. Pure: facts in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentainer_tui.views import AttemptView, ItemView, RunView, StepView, seconds
from engine.events import StepStatus

if TYPE_CHECKING:
    from engine.facade import KeptAgent, Roster
    from engine.inventory import AgentInfo, Orphan, PoolReport

AT_WORK, KEPT, POOLS, ORPHANS = "at_work", "kept", "pools", "orphans"
SECTIONS = {AT_WORK: "Running", KEPT: "Kept", POOLS: "Pools", ORPHANS: "Orphans"}
_NOTHING: Mapping[str, str] = MappingProxyType({})
# In the list: the section, and the agent's or pool's name.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent, or one pool.

    Attributes:
        section, name: where it stands and what it is called; unique together.
        run_id, step_id, item, attempt: what it serves or served; "" and None where that is nothing.
        workflow: of that run.
        backend: `docker` or `process`.
        image: of a container.
        since: since when it runs, or is kept.
        state: in a word or two: health, paused, made but not started; of a kept one why it was kept.
        error: of a kept one, what its attempt ended with.
        size: bytes that it wrote.
        pool: whose warm agent it is.
        why, remedy: of an orphan.
        report: of a pool.
    """

    section: str
    name: str
    run_id: str = ""
    step_id: str = ""
    item: int | None = None
    attempt: int = 0
    workflow: str = ""
    backend: str = ""
    image: str = ""
    since: float | None = None
    state: str = ""
    error: str = ""
    size: int | None = None
    pool: str = ""
    why: str = ""
    remedy: tuple[str, ...] = ()
    report: PoolReport | None = None

    @property
    def key(self) -> Key:
        """What the list calls it."""
        return self.section, self.name

    @property
    def place(self) -> str:
        """`count[3] try 2`, or what else it is there for."""
        if self.report is not None or self.section == ORPHANS:
            return self.name
        if not self.step_id:
            return f"warm, for pool {self.pool}" if self.pool else "network of the run"
        item = "" if self.item is None else f"[{self.item}]"
        again = f" try {self.attempt}" if self.attempt > 1 else ""
        return f"{self.step_id}{item}{again}"

    @property
    def removable(self) -> bool:
        """Whether it can be cleaned up: marks are for those."""
        return self.section == KEPT or bool(self.remedy)

    @property
    def text(self) -> str:
        """What a filter looks at."""
        item = "" if self.item is None else f"[{self.item}]"
        parts = (self.name, self.run_id, f"{self.step_id}{item}", self.workflow, self.backend, self.image)
        return " ".join((*parts, self.state, self.error, self.pool, self.why))


@dataclass(frozen=True, slots=True)
class AgentTable:
    """All rows, section by section."""

    rows: Mapping[str, Sequence[AgentRow]] = field(default_factory=dict)

    def of(self, section: str) -> Sequence[AgentRow]:
        """The rows of a section."""
        return self.rows.get(section, ())

    def by_key(self) -> dict[Key, AgentRow]:
        """All rows by their keys."""
        return {row.key: row for rows in self.rows.values() for row in rows}


def running_names(views: Iterable[RunView]) -> frozenset[str]:
    """The agents of all attempts in progress: when these change, it is worth asking the backend again."""
    return frozenset(attempt.agent for _, _, _, attempt in _running(views))


def at_work_rows(views: Iterable[RunView], found: Iterable[AgentInfo]) -> list[AgentRow]:
    """Agents that run: what the runs know at once, with what the backend knows when it was asked."""
    infos = {info.name: info for info in found}
    rows = []
    for view, step, item, attempt in _running(views):
        info = infos.pop(attempt.agent, None)
        rows.append(
            AgentRow(
                AT_WORK,
                attempt.agent,
                run_id=view.id,
                step_id=step.id,
                item=item.index if item is not None else None,
                attempt=attempt.number,
                workflow=view.workflow,
                backend=attempt.backend,
                image=attempt.image or step.image,
                since=attempt.started_at or attempt.created_at,
                state=_standing(info) if info is not None else "",
                size=info.size_bytes if info is not None else None,
                pool=(info.pool if info is not None else "") or "",
            )
        )
    rows += [_row_of_info(info) for info in infos.values()]
    return sorted(rows, key=lambda row: (row.since is None, row.since or 0.0, row.name))


def kept_rows(kept: Iterable[KeptAgent], workflows: Mapping[str, str] = _NOTHING) -> list[AgentRow]:
    """Agents that were kept, the newest first: it is the one that is asked for.

    `workflows` says which run is of which: on a warm agent it is not written.
    """
    rows = []
    for agent in kept:
        attempt = agent.attempt
        rows.append(
            AgentRow(
                KEPT,
                agent.name,
                run_id=attempt.run_id,
                step_id=attempt.step_id,
                item=attempt.item,
                attempt=attempt.number,
                workflow=agent.workflow or workflows.get(attempt.run_id, ""),
                backend=attempt.backend,
                image=attempt.image or "",
                since=seconds(attempt.finished_at or attempt.created_at),
                state=_why_kept(agent),
                error=attempt.error or "",
                size=agent.size_bytes,
                pool=attempt.pool or "",
            )
        )
    return sorted(rows, key=lambda row: (-(row.since or 0.0), row.name))


def pool_rows(reports: Iterable[PoolReport]) -> list[AgentRow]:
    """Warm pools."""
    return [AgentRow(POOLS, report.name, report=report, state=report.note) for report in reports]


def orphan_rows(orphans: Iterable[Orphan]) -> list[AgentRow]:
    """Agents that belong to nothing any more."""
    return [
        AgentRow(
            ORPHANS,
            orphan.agent.name,
            run_id=orphan.agent.identity.run_id,
            step_id=orphan.agent.identity.step_id,
            workflow=orphan.agent.identity.workflow,
            backend=orphan.backend,
            image=orphan.agent.image or "",
            since=seconds(orphan.agent.created_at),
            state=_standing(orphan.agent) or orphan.agent.phase.value,
            size=orphan.agent.size_bytes,
            why=orphan.why,
            remedy=orphan.remedy,
        )
        for orphan in orphans
    ]


def table(
    views: Iterable[RunView],
    roster: Roster | None,
    pools: Iterable[PoolReport],
    orphans: Iterable[Orphan],
    workflows: Mapping[str, str] = _NOTHING,
) -> AgentTable:
    """All of it; `workflows` as for `kept_rows`."""
    return AgentTable(
        {
            AT_WORK: at_work_rows(views, roster.at_work if roster is not None else ()),
            KEPT: kept_rows(roster.kept if roster is not None else (), workflows),
            POOLS: pool_rows(pools),
            ORPHANS: orphan_rows(orphans),
        }
    )


def reuse(report: PoolReport) -> str:
    """How many tasks found an agent that was there, "" before the first."""
    asked = report.hits + report.misses
    return f"{100 * report.hits // asked} %" if asked else ""


def _running(views: Iterable[RunView]) -> Iterable[tuple[RunView, StepView, ItemView | None, AttemptView]]:
    for view in views:
        if view.status.is_terminal:
            continue
        for step in view.steps.values():
            if step.status is StepStatus.PENDING:
                continue
            nodes: tuple[StepView | ItemView, ...] = step.items if step.items else (step,)
            for node in nodes:
                if node.status is StepStatus.RUNNING and node.attempts:
                    last = node.attempts[-1]
                    if last.agent and last.status is StepStatus.RUNNING:
                        yield view, step, node if isinstance(node, ItemView) else None, last


def _row_of_info(info: AgentInfo) -> AgentRow:
    """An agent that no attempt in progress has: a warm one, the holder of a network, one that is going."""
    identity = info.identity
    return AgentRow(
        AT_WORK,
        info.name,
        run_id=identity.run_id,
        step_id=identity.step_id,
        item=identity.item,
        attempt=identity.attempt,
        workflow=identity.workflow,
        backend="docker" if info.image is not None else "process",
        image=info.image or "",
        since=seconds(info.created_at),
        state=_standing(info),
        size=info.size_bytes,
        pool=info.pool or "",
    )


def _standing(info: AgentInfo) -> str:
    """What a person should know of it besides that it runs."""
    if info.paused:
        return "paused"
    if info.phase.value == "created":
        return "not started"
    return info.health or ""


def _why_kept(agent: KeptAgent) -> str:
    attempt = agent.attempt
    if attempt.status == StepStatus.COMPLETED:
        return "cleanup_policy: never"
    if attempt.exit_code is not None and attempt.reason in (None, "task_failed"):
        return f"failed, exit code {attempt.exit_code}"
    if attempt.reason and attempt.reason != attempt.status:
        return f"{attempt.status}, {attempt.reason.replace('_', ' ')}"
    return attempt.status
