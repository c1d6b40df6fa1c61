"""The first minute: what there is, in a few cards that can be left at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import on
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from agentainer_tui.screens.dialog import Dialog

# Title, then lines; `{app.help}` is the key of that action as it is now.
CARDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Welcome to agentainer",
        (
            "On the left are the workflows of this directory. A file that you save is read again at once; "
            "what is wrong with it stands beside it, with the line.",
            "{home.run}  runs the selected workflow",
            "{list.open}  opens its last run",
        ),
    ),
    (
        "A run",
        (
            "Each step is a row with its time on one axis; below are its log, its input and its result. "
            "The cursor follows what runs, until you move it.",
            "{run.retry}  retries: all of it, from a step on, or what failed",
            "{run.cancel}  cancels, after asking",
        ),
    ),
    (
        "Getting about",
        (
            "{app.workflows} {app.run} …  are the areas in the line at the top; esc leads back.",
            "{app.jump}  puts a letter on every pane",
            "{list.filter}  filters the list that has the focus",
            "{app.palette}  is the menu: every action, workflow and run, with its key and its command line",
            "{app.help}  shows the keys of where you are. The mouse works everywhere, too.",
        ),
    ),
    (
        "Nothing is lost",
        (
            "Runs, logs and results stay on disk. Leaving ({app.quit}) asks first while something runs.",
            "What you do here has a command line: it is shown at the top right, and {app.copy_command} "
            "copies it.",
            "This tour comes once; {app.palette} tour shows it again.",
        ),
    ),
)


class TourScreen(Dialog[None]):
    """One card at a time."""

    def __init__(self, key_of: Callable[[str], str]) -> None:
        super().__init__("Tour")
        self._key_of = key_of
        self._card = 0

    def compose_body(self) -> Iterable[Widget]:
        """Text and buttons."""
        yield Static(id="text")
        yield Horizontal(Button(Content("Skip"), id="skip"), Button(Content("Next"), id="next"), id="buttons")

    def on_mount(self) -> None:
        """The first card."""
        self.query_one("#next", Button).focus()
        self._show()

    def _show(self) -> None:
        title, lines = CARDS[self._card]
        last = self._card == len(CARDS) - 1
        self.query_one("#box").border_title = Content(f"{title}  {self._card + 1} of {len(CARDS)}")
        self.query_one("#text", Static).update(Content("\n\n").join(self._line(line) for line in lines))
        self.query_one("#next", Button).label = Content("Begin" if last else "Next")
        self.query_one("#skip").display = not last

    def _line(self, line: str) -> Content:
        """The text with the keys as they are now, marked."""
        parts: list[str | tuple[str, str]] = []
        for place, piece in enumerate(line.replace("}", "{").split("{")):
            parts.append((self._key_of(piece) or "·", "bold $accent") if place % 2 else piece)
        return Content.assemble(*parts)

    @on(Button.Pressed, "#next")
    def _next(self) -> None:
        self._card += 1
        if self._card < len(CARDS):
            self._show()
        else:
            self.dismiss(None)

    @on(Button.Pressed, "#skip")
    def _skip(self) -> None:
        self.dismiss(None)
