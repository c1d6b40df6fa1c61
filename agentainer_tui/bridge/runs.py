"""What a person does with runs: start, retry, cancel, answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentainer_tui.bridge.editing import Editing
from agentainer_tui.client import RetryScope
from engine.errors import UsageError


class Runs(Editing):
    """Commands about runs."""

    async def run(self, path: str, params: Mapping[str, Any]) -> str:
        """Start the workflow of a file."""
        catalog = self._engine.catalog
        entries = catalog.entries if catalog is not None else ()
        plan = next((entry.plan for entry in entries if str(entry.path) == path), None)
        if plan is None:
            raise UsageError(f"{path} has no version that can be run")
        run_id = await self._call(self._engine.start_run(plan, params, source="dashboard"))
        self._versions.ran(path, plan)
        return run_id

    async def retry(
        self, run_id: str, scope: RetryScope, *, digest: str = "", params: Mapping[str, Any] | None = None
    ) -> str:
        """Run it again as a new run."""
        plan = await self._edited_plan(run_id) if scope.edited else None
        if plan is not None and digest and plan.digest != digest:
            raise UsageError(
                f"{plan.path} was saved again since the preview was made", hint="look at it again, then retry"
            )
        again = await self._call(
            self._engine.retry(
                run_id,
                from_step=scope.from_step,
                only_step=scope.only_step,
                failed=scope.failed,
                source="dashboard",
                plan=plan,
                params=params,
            )
        )
        if plan is not None and plan.path is not None:
            self._versions.ran(plan.path, plan)
        return again

    async def cancel(self, run_id: str, *, hurry: bool = False) -> None:
        """Cancel a run."""
        await self._call(self._engine.cancel(run_id, by="dashboard", hurry=hurry))

    async def answer_gate(self, run_id: str, step_id: str, *, approved: bool, comment: str) -> None:
        """Answer an approval step."""
        answer = self._engine.approve if approved else self._engine.reject
        await self._call(answer(run_id, step_id, by="dashboard", comment=comment))
