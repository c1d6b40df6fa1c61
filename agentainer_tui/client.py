"""The port: all that the app knows of the engine. `bridge.client.EngineClient` is the real one.

Every call may raise `AgentainerError`; the app shows it as a notification and goes on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agentainer_tui.estimate import Usual
from agentainer_tui.history_rows import HistoryRow
from agentainer_tui.log_source import LogSource
from agentainer_tui.views import RunRow
from engine.errors import Problem
from engine.events import Event

if TYPE_CHECKING:
    from engine.entering import Shell
    from engine.facade import Insight, KeptAgent, ParamSpec, PlanDiff, Roster, RunFilter, StepFate
    from engine.inventory import Orphan, PoolReport, Sample
    from engine.profiling import Profile
    from engine.recordings import Exported

# Runs of each workflow that are known from the start, for its last result and the bars beside it.
RECENT = 20


@dataclass(frozen=True, slots=True)
class WorkflowEntry:
    """One workflow file of the watched directory.

    Attributes:
        path: the file; what `run` takes, since two files may claim one name.
        name: of the last good version, else the file's name.
        description: the document's own.
        steps: names of its steps in document order.
        params: what it asks for.
        problems: errors and warnings of the file as it stands now, with their positions.
        runnable: there is a good version to run (perhaps an earlier one than the file's).
        digest: of the good version.
        save: what the last good save changed against the version before it.
        edit: what was changed since a version of it ran from here, or was first seen.
        excerpts: the lines that problems are about, by number.
    """

    path: str
    name: str
    description: str = ""
    steps: tuple[str, ...] = ()
    params: tuple[ParamSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    runnable: bool = True
    digest: str = ""
    save: PlanDiff | None = None
    edit: PlanDiff | None = None
    excerpts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the header says: backend, Redis, and plain sentences about what is missing.

    `recording` is the name of the file that is shown in place of an engine; then nothing can be changed.
    """

    backend: str
    store: str = ""
    notes: tuple[str, ...] = ()
    recording: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the app starts from.

    Attributes:
        facts: about the engine.
        workflows: of the watched directory.
        runs: the newest page of those that are not part of another.
        last_runs: the last ones of each workflow, `RECENT` at most.
        live: all that are not over, those that are part of another too.
    """

    facts: EngineFacts
    workflows: tuple[WorkflowEntry, ...]
    runs: tuple[RunRow, ...]
    last_runs: tuple[RunRow, ...] = ()
    live: tuple[RunRow, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryScope:
    """How much of a run to do again: whole by default, from a step on, one step, or what failed.

    `edited`: by its file as it is now; what was changed there is done again, too.
    """

    from_step: str | None = None
    only_step: str | None = None
    failed: bool = False
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What a retry would do.

    Attributes:
        steps: what becomes of each, in the order of the document.
        worked: seconds that the work took whose results stand, by step.
        seconds_saved: of all of it together.
        diff: what the edited file changed.
        digest: of the document that it would run.
    """

    steps: tuple[StepFate, ...]
    worked: Mapping[str, float] = field(default_factory=dict)
    seconds_saved: float = 0.0
    diff: PlanDiff | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RunFile:
    """The file of a run as it is now.

    Attributes:
        path: where it is.
        digest: of the document in it; empty if that has errors.
        problems: of the document.
        excerpts: the lines that these are about, by number.
        params: that the document declares.
    """

    path: str
    digest: str = ""
    problems: tuple[Problem, ...] = ()
    excerpts: Mapping[int, str] = field(default_factory=dict)
    params: tuple[ParamSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Which attempt a log belongs to; `log` is where it is, as the attempt's first event says."""

    run_id: str
    step_id: str
    item: int | None
    number: int
    log: str = ""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some runs of the history, newest first.

    Attributes:
        rows: them; there may be none although there are more to look at.
        before: what to ask with for the next page; None: there is nothing more.
        looked_at: when (ISO 8601) the oldest run that was looked at was created.
    """

    rows: tuple[HistoryRow, ...] = ()
    before: int | None = None
    looked_at: str = ""


class Client(Protocol):
    """What the app asks of the engine."""

    async def open(self) -> None:
        """Start the engine.

        Raises:
            UnavailableError: the home, the backend that was demanded, or Redis cannot be had.
        """
        ...

    async def snapshot(self, *, page: int) -> Snapshot:
        """Everything the first screen shows, with the newest `page` runs; asked for once."""
        ...

    def events(self) -> AsyncIterator[Sequence[Event]]:
        """What was committed since the snapshot, in order and without a gap, in batches as it comes."""
        ...

    def workflow_changes(self) -> AsyncIterator[tuple[WorkflowEntry, ...]]:
        """All entries again, whenever the watched directory has changed; endless."""
        ...

    def slots(self) -> tuple[int, int]:
        """Tasks that run now, and how many may; answered at once."""
        ...

    async def run(self, path: str, params: Mapping[str, Any]) -> str:
        """Start the workflow of that file; returns the run's id."""
        ...

    async def retry(
        self, run_id: str, scope: RetryScope, *, digest: str = "", params: Mapping[str, Any] | None = None
    ) -> str:
        """Run it again as a new run; returns that one's id.

        With `scope.edited`, `digest` is that of the preview: a file that was saved since is refused; and
        `params` are those that are to be others than they were.
        """
        ...

    async def cancel(self, run_id: str, *, hurry: bool = False) -> None:
        """Cancel a run; `hurry` kills its tasks without the grace."""
        ...

    async def answer_gate(self, run_id: str, step_id: str, *, approved: bool, comment: str) -> None:
        """Let a run go on through an approval step that waits, or not."""
        ...

    async def kept_agents(self, run_id: str | None = None) -> tuple[KeptAgent, ...]:
        """Agents that were kept and still exist, of one run or of all."""
        ...

    async def pools(self) -> tuple[PoolReport, ...]:
        """The warm pools as they are at this moment."""
        ...

    async def cleanup(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove exactly these kept agents; returns those that are gone."""
        ...

    async def runs(self, *, limit: int, before: int | None, workflow: str | None) -> tuple[RunRow, ...]:
        """A page of the history, newest first, of runs whose `seq` is less than `before`.

        Runs that are part of another are left out.
        """
        ...

    async def run_events(
        self, run_id: str, *, after: int, limit: int, step_id: str | None = None, item: int | None = None
    ) -> tuple[Event, ...]:
        """A page of a run's events, oldest first; only those of a step or item, if one is named."""
        ...

    async def state_at(self, run_id: str, seq: int) -> Mapping[str, Any]:
        """The run's shared state as of the event `seq`."""
        ...

    async def describe_agent(self, name: str) -> Mapping[str, Any] | None:
        """What the backend says of an agent now, without its variables; None if it is gone."""
        ...

    def log(self, attempt: AttemptKey) -> LogSource:
        """An attempt's log: lines by number, also while it grows. Close it when it is not shown any more."""
        ...

    # -- editing, and doing a run again ---------------------------------------------------------------

    async def preview_retry(
        self, run_id: str, scope: RetryScope, *, params: Mapping[str, Any] | None = None
    ) -> Preview:
        """What `retry` would do.

        Raises:
            UsageError: that makes no sense for this run.
            DocumentError: the edited file has errors.
        """
        ...

    async def run_file(self, run_id: str) -> RunFile:
        """The file that a run came from, as it is now.

        Raises:
            UsageError: it did not come from a file, or another workflow is in it now.
        """
        ...

    async def step_line(self, path: str, step: str) -> int:
        """The line at which a step begins in a file, 0 if it is not known."""
        ...

    async def create_workflow(self, name: str, template: str) -> str:
        """Write a new workflow into the watched directory; returns its path.

        Raises:
            UsageError: it cannot be called so, or there is one.
        """
        ...

    # -- the history as a whole -----------------------------------------------------------------------

    async def list_runs(self, wanted: RunFilter, *, limit: int, before: int | None) -> HistoryPage:
        """A page of the runs that are wanted, newest first; a bounded amount of work for each page."""
        ...

    async def count_runs(self) -> int:
        """How many runs there are that are not part of others."""
        ...

    async def figures(self, workflow: str | None, since: datetime | None, *, details: bool) -> Insight:
        """Figures over the runs of a workflow (None: of all) since a moment (None: all there is).

        Without `details` nothing of steps and tasks, which comes sooner.
        """
        ...

    async def profile(self, run_id: str) -> Profile:
        """Where the time of a run went, of one in progress as of now."""
        ...

    async def disk_use(self, run_ids: Sequence[str]) -> Mapping[str, int]:
        """Bytes of logs and artifacts of each run, those of runs within it included."""
        ...

    async def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete runs that are over, with the runs within them, their logs and artifacts.

        Raises:
            UsageError: one may not go; those before it are gone.
        """
        ...

    # -- runs as files, documents ---------------------------------------------------------------------

    async def export_run(self, run_id: str, folder: Path) -> Exported:
        """Write a run, with those that are part of it, into a new file in a directory.

        Raises:
            UsageError: it cannot be written.
        """
        ...

    async def document(self, digest: str) -> str:
        """The text of the workflow document with that digest, as runs were started from it.

        Raises:
            HistoryError: it is not there.
        """
        ...

    async def plan_changes(self, before: str, after: str) -> PlanDiff | None:
        """What the plan of one run changed against that of another; None where one is not valid any more."""
        ...

    # -- agents, and shells in them -------------------------------------------------------------------

    async def roster(self) -> Roster:
        """All agents of this home as they are at this moment; asking costs the backend something."""
        ...

    def samples(self, agent: str) -> AsyncGenerator[Sequence[Sample], None]:
        """What a running agent uses, about every second until it ends; close it when it is not shown."""
        ...

    async def orphans(self) -> tuple[tuple[Orphan, ...], tuple[str, ...]]:
        """Agents that belong to nothing any more, and sentences about what could not be told."""
        ...

    async def remove_orphans(self, names: Sequence[str]) -> tuple[str, ...]:
        """Remove those of these that are orphans still; returns which are gone."""
        ...

    async def open_shell(self, agent: str) -> Shell:
        """A shell in an agent, to be run on the terminal by the caller, then closed.

        Raises:
            BackendError: there is no such agent, or it cannot be entered.
        """
        ...

    async def close_shell(self, shell: Shell) -> None:
        """Remove what was made for a shell."""
        ...

    # -- failures -------------------------------------------------------------------------------------

    async def last_completed(self, workflow: str, before: int) -> RunRow | None:
        """The newest completed run of a workflow whose `seq` is less than `before`, None if there is none."""
        ...

    # -- what lies ahead ------------------------------------------------------------------------------

    async def usual_times(self, workflow: str, *, before: int | None) -> Usual:
        """How long a workflow and its steps usually take, by its runs that are older than the `seq`."""
        ...

    async def close(self) -> None:
        """Let go of the engine; runs in progress are cancelled and waited for."""
        ...
