"""A screen over one run that can show any moment of it: its panes get the view and the time of then."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual import on, work

from agentainer_tui.feed import Feed
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.timeline import Frame
from agentainer_tui.travel import Move, Traveller, moment, step, stride
from agentainer_tui.views import RunView
from agentainer_tui.widgets.scrubber import Scrubber
from engine.events import Event


class Travelling(AreaScreen):
    """`view` and `now` are those of the frame that is shown; live, the newest and the clock.

    `follow_frame` is called when another frame is shown, `show` after that.
    """

    def __init__(self, run_id: str, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        super().__init__(feed, now=self._moment)
        self.run_id = run_id
        self._clock = now
        self._traveller = Traveller(self._read_page)
        self._shown: Frame | None = None
        self._reading = False
        self._aim: float | None = None

    async def _read_page(self, after: int, limit: int) -> Sequence[Event]:
        return await self.app.client.run_events(self.run_id, after=after, limit=limit)

    # -- for the panes --------------------------------------------------------------------------------

    @property
    def frame(self) -> Frame | None:
        """The moment that is shown; None is the present."""
        return self._traveller.frame

    @property
    def live_view(self) -> RunView | None:
        """The run as far as it is known, whatever is shown."""
        return self.feed.views.get(self.run_id)

    @property
    def view(self) -> RunView | None:
        """The run as it is shown."""
        frame = self.frame
        return self.live_view if frame is None else frame.view

    def _moment(self) -> float:
        """The time that is shown: clocks of what runs count up to it."""
        frame = self.frame
        return self._clock() if frame is None else frame.now

    def follow_frame(self) -> None:
        """Another moment is shown."""

    # -- moving ---------------------------------------------------------------------------------------

    def travel(self, move: Move) -> None:
        """Go elsewhere in the run's events."""
        if self.live_view is None:
            return
        if self._traveller.ask(move):
            self._show_frame()
        elif not self._reading:
            self._reading = True
            self._show_scrubber()
            self._go()

    def travel_to(self, when: float) -> None:
        """Show the run as it was at a time, as soon as it is known."""
        self._aim = when
        self.take_aim()

    def take_aim(self) -> None:
        """Go to the time that was asked for, if the run is known by now."""
        if self._aim is not None and self.live_view is not None and self.is_mounted:
            when, self._aim = self._aim, None
            self.travel(moment(when))

    def return_to_live(self) -> bool:
        """Go back to the present; False if this is where one is."""
        if not self._traveller.is_away:
            return False
        self.workers.cancel_group(self, "travel")
        self._traveller.back()
        self._show_frame()
        return True

    @work(group="travel", exit_on_error=False)
    async def _go(self) -> None:
        try:
            await self._traveller.go(self._show_scrubber)
        except BaseException:
            self._traveller.back()
            raise
        finally:
            self._reading = False
            self._show_frame()

    @work(exclusive=True, group="travel-news", exit_on_error=False)
    async def _catch_up(self) -> None:
        await self._traveller.catch_up()
        self._show_scrubber()

    def take_news(self) -> None:
        """The run went on: in the past only the number of its events changes."""
        timeline, newest = self._traveller.timeline, self.live_view
        if self.frame is None or timeline is None or newest is None:
            return
        if newest.seq > timeline.last_seq:
            self._catch_up()

    def _show_frame(self) -> None:
        self._show_scrubber()
        if self.frame is self._shown or not self.is_mounted:
            return
        self._shown = self.frame
        self.set_class(self.frame is not None, "-past")
        self.follow_frame()
        self.show()

    def _show_scrubber(self) -> None:
        if self.is_mounted:
            traveller = self._traveller
            self.query_one(Scrubber).show(
                traveller.frame, traveller.timeline, taken=traveller.taken, is_away=traveller.is_away
            )

    @on(Scrubber.Moved)
    def _scrubbed(self, message: Scrubber.Moved) -> None:
        message.stop()
        if message.move is None:
            self.return_to_live()
        else:
            self.travel(message.move)

    def action_travel(self, by: int) -> None:
        """Back or on by one event."""
        if by < 0 or self._traveller.is_away:
            self.travel(step(by))

    def action_stride(self, by: int) -> None:
        """Back or on to where a step changed or something failed."""
        if by < 0 or self._traveller.is_away:
            self.travel(stride(by))
