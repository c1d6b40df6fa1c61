"""What the screen of a run does with its steps: orders, folds and finds them, looks ahead, measures."""

from __future__ import annotations

from textual import on, work
from textual.events import Unmount

from agentainer_tui.screens.travelling import Travelling
from agentainer_tui.usage_watch import UsageWatch
from agentainer_tui.views import RunView
from agentainer_tui.widgets.run_title import RunTitle
from agentainer_tui.widgets.step_list import StepList
from agentainer_tui.widgets.steps_pane import StepsPane


class Watching(Travelling):
    """The part of the screen that is about the pane of steps."""

    _usage: UsageWatch | None = None
    _asked_ahead = False

    @property
    def steps(self) -> StepList:
        """The steps."""
        return self.steps_pane.steps

    @property
    def steps_pane(self) -> StepsPane:
        """The pane that they are in."""
        return self.query_one(StepsPane)

    # -- ahead, and now -------------------------------------------------------------------------------

    def look_ahead(self, view: RunView) -> None:
        """Say when the run will be over, and what it uses; how long it usually takes is read once."""
        self.query_one(RunTitle).ahead = self.steps.forecast.time_left_of_run(view, self.now())
        if not self._asked_ahead and not view.status.is_terminal:
            self._asked_ahead = True
            self._read_usual(view.workflow, view.created_seq)
        self._measure()

    @work(group="usual", exit_on_error=False)
    async def _read_usual(self, workflow: str, before: int) -> None:
        self.steps.expect(await self.app.client.usual_times(workflow, before=before))

    @on(StepList.Scrolled)
    def _measure(self) -> None:
        """Measure what is on screen and runs, and nothing else."""
        if self._usage is None:
            self._usage = UsageWatch(self.app.client.samples, self.steps.measure)
        is_live = self.is_current and self.frame is None
        self._usage.watch(self.steps.visible_agents() if is_live else {})

    def on_screen_suspend(self) -> None:
        """What is not seen is not measured."""
        self._stop_measuring()

    @on(Unmount)
    def _stop_measuring(self) -> None:
        if self._usage is not None:
            self._usage.watch({})

    # -- actions --------------------------------------------------------------------------------------

    def action_boxes(self) -> None:
        """The graph as boxes and arrows, or as rows."""
        self.steps_pane.toggle_boxes()

    def action_failed_first(self) -> None:
        """Order the steps by status, or by the graph again."""
        self.steps.toggle_failed_first()

    def action_finished(self) -> None:
        """One row for finished siblings, or one each."""
        self.steps.toggle_finished()

    def action_failed(self, by: int) -> None:
        """To the next step or item that failed."""
        if not self.steps.to_failed(by):
            self.app.tell("Nothing has failed in this run.")
