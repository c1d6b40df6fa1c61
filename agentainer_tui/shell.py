"""What is around the areas: keys, colours, signs, the terminal's title, the command line beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, NoColor
from textual.signal import Signal
from textual.widget import Widget

from agentainer_tui.ascii_signs import AsciiSigns
from agentainer_tui.copying import copy
from agentainer_tui.key_file import KeyTable
from agentainer_tui.key_names import shown_key
from agentainer_tui.keymap import bindings
from agentainer_tui.looks import ASCII, Glyphs, choose_glyphs
from agentainer_tui.preferences import Preferences
from agentainer_tui.text import clean_lines
from agentainer_tui.theme import DARK, MONO, OUR_THEMES, Palette
from agentainer_tui.titles import SAVE_TITLE, UNSAVE_TITLE, title_sequence
from agentainer_tui.twins import Twins

_PROBLEMS_TOLD = 5


class ShellApp(App[int]):
    """The base of the dashboard: knows nothing of runs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self,
        *,
        glyphs: Glyphs | None = None,
        keys: KeyTable | None = None,
        preferences: Preferences | None = None,
        twins: Twins | None = None,
        theme: str | None = None,
    ) -> None:
        # Without colours, nothing may be worked out from those of a theme.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.glyphs = glyphs or choose_glyphs()
        self.keys = keys or KeyTable()
        self.preferences = preferences or Preferences()
        self.twins = twins or Twins()
        self.last_command = ""
        self.commands_told: Signal[str] = Signal(self, "commands")
        self._chosen_theme = theme
        self._palette: tuple[str, Palette] | None = None
        self._title = ""
        for each in OUR_THEMES:
            self.register_theme(each)
        self.set_keymap(self.keys.changed)
        self.theme = self._first_theme()

    # -- colours and signs ----------------------------------------------------------------------------

    def _first_theme(self) -> str:
        if self.no_color:
            return MONO.name
        wanted = self._chosen_theme or self.preferences.theme
        return wanted if wanted in self.available_themes else DARK.name

    @property
    def chart_glyphs(self) -> Glyphs:
        """The signs of what is told apart by colour: letters of its own for each, where there are none."""
        return ASCII if self.no_color else self.glyphs

    @property
    def palette(self) -> Palette:
        """The colours that widgets paint with, made anew when the theme changes."""
        if self._palette is None or self._palette[0] != self.theme:
            self._palette = (self.theme, Palette.of(self.current_theme))
        return self._palette[1]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without colours where `NO_COLOR` says so, without other signs where the terminal has none."""
        filters = list(super().get_line_filters())
        if self.no_color:
            filters.append(NoColor())
        if self.glyphs.is_ascii:
            filters.append(AsciiSigns())
        return filters

    def remember_theme(self, name: str) -> None:
        """Choose the colours, also for the next time."""
        self.theme = name
        self.preferences.theme = name
        self.run_worker(self.preferences.save, thread=True, group="preferences", exit_on_error=False)

    # -- keys -----------------------------------------------------------------------------------------

    def key_of(self, action_id: str) -> str:
        """The first key of an action as it is now and as people write it; empty if there is none."""
        key = next((key for key in self.keys.keys if key.id == action_id), None)
        return shown_key(key.keys.split(",")[0]) if key is not None else ""

    def get_key_display(self, binding: Binding) -> str:
        """As everywhere else in the dashboard."""
        return binding.key_display or shown_key(binding.key)

    def active_scopes(self) -> list[str]:
        """The scopes of keys that work now: of the focused pane, of the screen, of everything."""
        found: list[str] = []
        for active in self.screen.active_bindings.values():
            scope = (active.binding.id or "").partition(".")[0]
            if scope and scope not in found:
                found.append(scope)
        return found

    def workable(self) -> dict[str, Any]:
        """The actions that work now by their ids, each with what it works on."""
        found: dict[str, Any] = {}
        for active in self.screen.active_bindings.values():
            if active.enabled and active.binding.id:
                found.setdefault(active.binding.id, active.node)
        return found

    def tell_problems(self) -> None:
        """Say what is wrong with the file of keys, and with the theme of the settings."""
        problems = [str(problem) for problem in self.keys.problems]
        if problems:
            more = len(problems) - _PROBLEMS_TOLD
            lines = problems[:_PROBLEMS_TOLD] + ([f"and {more} more: agentainer keys"] if more > 0 else [])
            self.tell("\n".join(lines), severity="warning", title="Keys")
        if self._chosen_theme and self._chosen_theme not in self.available_themes:
            self.tell(f"There is no theme {self._chosen_theme!r}.", severity="warning", title="Settings")

    def action_help(self) -> None:
        """Show the keys of where the user is."""
        from agentainer_tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.keys.keys, self.active_scopes(), self.glyphs))

    def action_jump(self) -> None:
        """Show a letter on every pane; that letter leads there."""
        from agentainer_tui.screens.jump import JumpScreen, targets

        found = targets(self.screen)
        if found:
            self.push_screen(JumpScreen(found), self._jump)

    def _jump(self, widget: Widget | None) -> None:
        if widget is not None:
            widget.focus()

    def offer_tour(self) -> None:
        """Show the tour to who has never seen it, if that can be remembered."""
        if self.preferences.file is not None and not self.preferences.tour_seen:
            self.action_tour()

    def action_tour(self) -> None:
        """Show in a few words what there is."""
        from agentainer_tui.screens.tour import TourScreen

        self.preferences.tour_seen = True
        self.run_worker(self.preferences.save, thread=True, group="preferences", exit_on_error=False)
        self.push_screen(TourScreen(self.key_of))

    # -- the command line beside it -------------------------------------------------------------------

    def echo(self, command: str) -> None:
        """Show the command that does what was just done here; a key copies it."""
        self.last_command = command
        self.commands_told.publish(command)

    def action_copy_command(self) -> None:
        """Copy the command of the last action."""
        if self.last_command:
            self.copy_text(self.last_command)
        else:
            self.tell("Nothing was done yet that has a command.")

    def copy_text(self, text: str) -> None:
        """Copy a text, and say where it went."""
        self.tell(f"Copied {copy(self, text)}.")

    # -- the terminal ---------------------------------------------------------------------------------

    def show_title(self, title: str) -> None:
        """Give the terminal's window a title; the one that it had comes back at the end."""
        if title != self._title and self._driver is not None:
            self._driver.write(("" if self._title else SAVE_TITLE) + title_sequence(title))
            self._title = title

    def action_help_quit(self) -> None:
        """Ctrl+C is for copying; whoever means to leave is told the key."""
        key = self.keys.changed.get("app.quit", "q").partition(",")[0]
        self.tell(f"{shown_key(key)} leaves the dashboard.")

    def run_until_left(self) -> None:
        """Run the app. A terminal that goes away, or SIGTERM, ends it as a person does, without asking."""

        async def run() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, partial(self.exit, return_code=128 + number))
            await self.run_async()

        asyncio.run(run())

    def restore_title(self) -> None:
        """Give the window the title back that it had; for when the app has ended, however it did."""
        if self._title and sys.__stderr__ is not None and sys.__stderr__.isatty():
            sys.__stderr__.write(UNSAVE_TITLE)
            sys.__stderr__.flush()
        self._title = ""

    def tell(self, text: str, *, severity: str = "information", title: str = "") -> None:
        """Show a notification; text of others is never markup."""
        level: Any = severity
        safe = "\n".join(clean_lines(text)[:12])
        self.notify(safe, title=title, severity=level, timeout=10 if severity == "error" else 4, markup=False)
