"""Showing where the time of a run went, and writing that into a file for another program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.text import clean, homely
from engine.errors import UsageError

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp
    from engine.profiling import Profile

# What other programs read: the ending of its file, and which program that is.
FORMATS = {"trace": "ui.perfetto.dev", "speedscope": "www.speedscope.app"}
# Letters that a proposed file name keeps of a workflow's.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def show_profile(app: DashboardApp, run_id: str) -> None:
    """Show the profile of a run above it."""
    from agentainer_tui.screens.profile import ProfileScreen

    app.open_run(run_id)
    if not isinstance(app.screen, ProfileScreen):
        app.echo(app.twins.profile(run_id))
        app.push_screen(ProfileScreen(run_id, app.feed, now=app.now))


async def export_profile(app: DashboardApp, found: Profile) -> None:
    """Ask in which format and under which name, and write the profile into the working directory."""
    from agentainer_tui.screens.export_profile import ExportProfile, overwrite_question

    here = Path.cwd()
    chosen = await app.push_screen_wait(ExportProfile(proposed_stem(found), here))
    if chosen is None:
        return
    kind, name = chosen
    path = here / name
    replace = False
    if await asyncio.to_thread(path.exists):
        answer: bool | None = await app.push_screen_wait(overwrite_question(path))
        replace = bool(answer)
        if not replace:
            app.tell(f"{homely(path)} stays as it was.")
            return
    await asyncio.to_thread(_write, path, _maker(kind), found, replace=replace)
    app.echo(app.twins.profile(found.run_id, **{kind: name}))
    app.tell(f"{homely(path)} is written. {FORMATS[kind]} shows it in your own browser.")


def proposed_stem(found: Profile) -> str:
    """The beginning of a file name, of plain letters only."""
    name = "".join(letter if letter in _PLAIN else "-" for letter in found.workflow[:40]).strip("-")
    return f"{name or 'run'}-{found.run_id[:6]}"


def name_problem(name: str) -> str:
    """Why a name will not do for a file in the working directory; empty if it will."""
    if not name or name != clean(name):
        return "a name is needed"
    if Path(name).name != name or name in (".", ".."):
        return "only a name: it is written into the directory that the dashboard was started in"
    return ""


def _maker(kind: str) -> Callable[[Profile], dict[str, Any]]:
    from engine.profiling import chrome_trace, speedscope

    return {"trace": chrome_trace, "speedscope": speedscope}[kind]


def _write(path: Path, make: Callable[[Profile], dict[str, Any]], found: Profile, *, replace: bool) -> None:
    text = json.dumps(make(found)) + "\n"
    try:
        # Without leave to replace it, a file that has come meanwhile is left alone, too.
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
