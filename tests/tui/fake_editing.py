"""The part of the scripted port that is about editing files and doing runs again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentainer_tui.client import Preview, RetryScope, RunFile
from engine.errors import AgentainerError
from engine.events import Event
from engine.facade import Fate, StepFate
from tests.tui.story import plan_of_events

Outlook = Preview | AgentainerError


class FakeEditing:
    """`file` is what `run_file` finds, `outlook` what `preview_retry` answers (None: something plausible)."""

    journal: list[Event]
    calls: list[tuple[Any, ...]]
    _do: Callable[..., None]

    def __init__(self) -> None:
        super().__init__()
        self.outlook: Callable[[RetryScope], Outlook] | None = None
        self.file: RunFile | AgentainerError = RunFile("/w/hello.yaml", "d" * 64)
        self.lines: dict[str, int] = {}

    async def preview_retry(
        self, run_id: str, scope: RetryScope, *, params: Mapping[str, Any] | None = None
    ) -> Preview:
        self._do("preview_retry", run_id, scope, dict(params or {}))
        if self.outlook is None:
            return Preview(tuple(_everything_again(plan_of_events(self.journal, run_id))))
        found = self.outlook(scope)
        if isinstance(found, AgentainerError):
            raise found
        return found

    async def run_file(self, run_id: str) -> RunFile:
        self._do("run_file", run_id)
        if isinstance(self.file, AgentainerError):
            raise self.file
        return self.file

    async def step_line(self, path: str, step: str) -> int:
        return self.lines.get(step, 0)

    async def create_workflow(self, name: str, template: str) -> str:
        self._do("create_workflow", name, template)
        return f"/projects/flows/{name}.yaml"


def fate(step: str, what: str, why: str = "", name: str = "", after: tuple[str, ...] = ()) -> StepFate:
    return StepFate(step, name or step, Fate(what), why, depends_on=after)


def _everything_again(steps: Sequence[tuple[str, str]]) -> list[StepFate]:
    return [StepFate(step, name, Fate.RERUN, "the whole run is run again") for step, name in steps]
