"""The line at the bottom: the keys that work now. Without room for all, the least important drop out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.binding import ActiveBinding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from agentainer_tui.keymap import KEYS
from agentainer_tui.text import fit

_GAP = 2
_PLACES = {key.id: place for place, key in enumerate(KEYS)}


class Hint(NamedTuple):
    """One key: how it is written, what it does, whether it can be done now; `always`: it drops out last."""

    key: str
    label: str
    enabled: bool
    always: bool

    @property
    def width(self) -> int:
        """Cells that it takes."""
        return cell_len(self.key) + 1 + cell_len(self.label)


def arrange(hints: Sequence[Hint], width: int) -> list[tuple[int, int]]:
    """Which hints are shown, as (place in `hints`, column); those that are always kept stand on the right.

    The others drop out from the end, which is the least important; then those, from their beginning.
    """
    kept = [place for place, hint in enumerate(hints) if hint.always]
    while kept and _total(hints, kept) > width:
        kept.pop(0)
    right = width - _total(hints, kept)
    shown: list[tuple[int, int]] = []
    at = 0
    for place, hint in enumerate(hints):
        if hint.always:
            continue
        if at + hint.width + (_GAP if kept else 0) > right:
            break
        shown.append((place, at))
        at += hint.width + _GAP
    at = right
    for place in kept:
        shown.append((place, at))
        at += hints[place].width + _GAP
    return shown


def _total(hints: Sequence[Hint], places: Sequence[int]) -> int:
    return sum(hints[place].width + _GAP for place in places) - _GAP if places else 0


class KeyBar(Widget):
    """Made from the bindings that are active; a click does what the key does."""

    DEFAULT_CSS = """
    KeyBar { dock: bottom; height: 1; padding: 0 1; background: $footer-background; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, ActiveBinding]] = []

    def on_mount(self) -> None:
        """Drawn again when other keys work."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        # While the terminal has not the focus no widget has it either: that is no reason to show other keys.
        if self.app.app_focus and self.is_attached and screen is self.screen:
            self.refresh()

    def render(self) -> RenderResult:
        """As many as there is room for."""
        active = self._active()
        hints = [
            Hint(
                self.app.get_key_display(each.binding),
                each.binding.description,
                each.enabled,
                (each.binding.id or "").startswith("app."),
            )
            for each in active
        ]
        width = self.size.width
        parts: list[Content] = []
        self._places = []
        at = 0
        for place, column in arrange(hints, width):
            hint = hints[place]
            parts.append(Content(" " * (column - at)))
            style = "$footer-key-foreground bold" if hint.enabled else "$foreground 38%"
            label = "$footer-description-foreground" if hint.enabled else "$foreground 38%"
            parts.append(Content.assemble((hint.key, style), " ", (hint.label, label)))
            at = column + hint.width
            self._places.append((column, at, active[place]))
        return Content("").join(parts) if parts else Content(fit("", width))

    def _active(self) -> list[ActiveBinding]:
        """What is shown of what works now, once each: the focused pane's first, in the order of `KEYS`.

        Textual's own order would put those last whose keys a person has changed.
        """
        found: dict[str, ActiveBinding] = {}
        scopes: dict[str, int] = {}
        for each in self.screen.active_bindings.values():
            name = each.binding.id or each.binding.action
            scopes.setdefault(name.partition(".")[0], len(scopes))
            if each.binding.show:
                found.setdefault(name, each)
        order = sorted(found, key=lambda name: (scopes[name.partition(".")[0]], _PLACES.get(name, 0)))
        return [found[name] for name in order]

    def _at(self, event: events.MouseEvent) -> ActiveBinding | None:
        offset = event.get_content_offset(self)
        if offset is None:
            return None
        return next((each for begin, end, each in self._places if begin <= offset.x < end), None)

    async def on_click(self, event: events.Click) -> None:
        """Do what was clicked."""
        if (each := self._at(event)) is not None and each.enabled:
            await self.app.run_action(each.binding.action, each.node)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say more about what the mouse is on."""
        each = self._at(event)
        self.tooltip = Content(each.binding.tooltip or each.binding.description) if each else None
