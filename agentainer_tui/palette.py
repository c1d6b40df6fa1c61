"""What the menu (`:`) offers: the actions of where the user is, areas, workflows to run, runs to open.

A line is found by its words, by any of its letters in order, or by an alias as in k9s: `:q`, `:history`,
`:run hello`, `:theme nord`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.fuzzy import FuzzySearch

from agentainer_tui.areas import AREAS
from agentainer_tui.client import WorkflowEntry
from agentainer_tui.flows.starting import start
from agentainer_tui.keymap import Key, key_text
from agentainer_tui.looks import LOOKS, UNKNOWN
from agentainer_tui.text import clean
from agentainer_tui.theme import MONO

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp

# Runs offered: the newest ones.
_RUNS = 200
# Scopes whose keys only move about: of those, only what is said to be is offered.
_MOVES = frozenset({"list", "text"})
_ALIASES: dict[str, tuple[str, ...]] = {
    "app.quit": ("q", "quit", "exit"),
    "app.help": ("help", "keys", "h"),
    "app.tour": ("tour",),
    "app.jump": ("jump",),
    "app.workflows": ("wf", "workflows"),
    "app.history": ("hist", "history"),
    "app.agents": ("ag", "agents", "pools"),
    "app.metrics": ("m", "metrics", "stats"),
}


@dataclass(frozen=True)
class Command:
    """One line of the menu.

    Attributes:
        text: what is done.
        help: one sentence about it.
        call: does it.
        key: its keys as people write them.
        twin: the command line that does the same.
        aliases: what finds it at once.
        step: what is chosen next, instead of `call`.
        preview: shows what it would be like, while the cursor is on it.
        hidden: offered only when something is typed.
    """

    text: str
    help: str
    call: Callable[[], Any] | None = None
    key: str = ""
    twin: str = ""
    aliases: tuple[str, ...] = ()
    step: Step | None = None
    preview: Callable[[], Any] | None = None
    hidden: bool = False


@dataclass(frozen=True)
class Step:
    """One list of the menu.

    Attributes:
        prompt: in the empty field.
        commands: the lines.
        leave: called when nothing is chosen after all.
    """

    prompt: str
    commands: Sequence[Command]
    leave: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Found:
    """A line that matches what is typed, and the letters that do."""

    command: Command
    score: float = 0.0
    places: Sequence[int] = field(default=())


def find(commands: Sequence[Command], typed: str, fuzzy: FuzzySearch) -> list[Found]:
    """The lines that match what was typed, best first; all that are not hidden if that is nothing."""
    query = typed.strip().removeprefix(":").strip()
    if not query:
        return [Found(command) for command in commands if not command.hidden]
    found = []
    for command in commands:
        if query.lower() in command.aliases:
            found.append(Found(command, 1_000.0))
            continue
        score, places = fuzzy.match(query, command.text)
        if score > 0:
            found.append(Found(command, score, places))
    return sorted(found, key=lambda one: -one.score)


def main_step(app: DashboardApp) -> Step:
    """Everything that can be done from where the user is."""
    parts = (_actions, _steps, _areas, _workflows, _runs, _themes, _copies)
    commands = [command for part in parts for command in part(app)]
    return Step("What to do? For example: run, history, q", commands)


def theme_step(app: DashboardApp) -> Step:
    """The themes, each shown while the cursor is on it."""
    before = app.theme

    def back() -> None:
        app.theme = before

    return Step("Which colours?", [_theme(app, name, preview=True) for name in _theme_names(app)], back)


def _actions(app: DashboardApp) -> Iterator[Command]:
    """What has a key that works now."""
    areas = {area.name for area in AREAS}
    workable = app.workable()
    for key in app.keys.keys:
        if (key.scope in _MOVES and not key.palette) or key.name in ("palette", "next_pane", "back"):
            continue
        if key.scope == "app" and key.name in areas:
            continue
        if (node := workable.get(key.id)) is not None:
            yield Command(
                key.label,
                key.help,
                partial(app.run_action, key.action, node),
                key_text(key),
                app.twin_of(key.action),
                _ALIASES.get(key.id, ()),
            )


def _steps(app: DashboardApp) -> Iterator[Command]:
    workflows = [*_workflows(app)]
    to_run = [command for command in workflows if command.text.startswith("Run ")]
    if to_run:
        yield Command(
            "Run a workflow…", "Choose which one", step=Step("Run which workflow?", to_run), aliases=("run",)
        )
    runs = [*_runs(app)]
    if runs:
        yield Command(
            "Open a run…", "Choose which one", step=Step("Open which run?", runs), aliases=("open", "runs")
        )
    yield Command(
        "Theme…",
        "Change the colours; each one is shown while you move over it",
        step=theme_step(app),
        aliases=("theme", "themes", "colours", "colors"),
    )
    yield Command(
        "Screenshot", "Save what is on screen as an SVG file", app.deliver_screenshot, aliases=("screenshot",)
    )


def _areas(app: DashboardApp) -> Iterator[Command]:
    keys = {key.name: key for key in app.keys.keys if key.scope == "app"}
    for area in AREAS:
        key: Key | None = keys.get(area.name)
        yield Command(
            f"Go to {area.label}",
            area.help,
            partial(app.show_area, area.name),
            key_text(key) if key is not None else "",
            app.area_twin(area.name),
            _ALIASES.get(f"app.{area.name}", (area.name,)),
        )


def _workflows(app: DashboardApp) -> Iterator[Command]:
    last = app.feed.last_runs()
    for entry in app.feed.workflows:
        name = clean(entry.name, limit=80)
        if entry.runnable:
            yield Command(
                f"Run {name}",
                "Start this workflow" + (", after asking for its params" if entry.params else ""),
                partial(_start, app, entry),
                twin=app.twins.run(entry.path),
            )
        run = last.get(entry.name)
        if run is not None:
            yield Command(
                f"Open the last run of {name}",
                "Steps, logs and results",
                partial(app.open_run, run.id),
                twin=app.twins.show(run.id),
                hidden=True,
            )


def _start(app: DashboardApp, entry: WorkflowEntry) -> None:
    app.command(start(app, entry))


def _runs(app: DashboardApp) -> Iterator[Command]:
    for run in app.feed.runs_of(None)[:_RUNS]:
        word = LOOKS.get(run.status, UNKNOWN).word
        yield Command(
            f"Open run {run.id} {clean(run.workflow, limit=60)} {word}",
            "Steps, logs and results",
            partial(app.open_run, run.id),
            twin=app.twins.show(run.id),
            hidden=True,
        )


def _theme_names(app: DashboardApp) -> list[str]:
    names = sorted(app.available_themes, key=lambda name: (not name.startswith("agentainer"), name))
    # Without colours there is nothing to choose from.
    return [MONO.name] if app.no_color else [name for name in names if name != MONO.name]


def _themes(app: DashboardApp) -> Iterator[Command]:
    for name in _theme_names(app):
        yield _theme(app, name)


def _theme(app: DashboardApp, name: str, *, preview: bool = False) -> Command:
    def show() -> None:
        app.theme = name

    return Command(
        name if preview else f"Theme {name}",
        "Use these colours, also the next time",
        partial(app.remember_theme, name),
        preview=show if preview else None,
        hidden=not preview,
    )


def _copies(app: DashboardApp) -> Iterator[Command]:
    """The commands of the actions, to copy."""
    told: dict[str, None] = {}
    if app.last_command:
        told[app.last_command] = None
    workable = app.workable()
    for key in app.keys.keys:
        if key.id in workable and (twin := app.twin_of(key.action)):
            told[twin] = None
    for twin in told:
        yield Command(
            f"Copy command: {clean(twin, limit=200)}",
            "For a shell",
            partial(app.copy_text, twin),
            twin=twin,
            hidden=True,
        )
