"""Agents in sections: at work, kept, pools, orphans; each with the columns that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from textual.message import Message

from agentainer_tui.agent_rows import (
    AT_WORK,
    KEPT,
    ORPHANS,
    POOLS,
    SECTIONS,
    AgentRow,
    AgentTable,
    Key,
    reuse,
)
from agentainer_tui.loads import Meter, percent
from agentainer_tui.text import clean, duration, size
from agentainer_tui.widgets.ink import Row
from agentainer_tui.widgets.row_list import RowList

# Cells before the first column: the cursor, the mark, a blank.
_MARGIN = 3
_NORMAL, _WIDE = 90, 116
# Lines of the terminal from which on sections are set apart.
_ROOMY = 32


class Column(NamedTuple):
    """One column; the first of a section takes what the others leave."""

    title: str
    width: int
    right: bool = False


_COLUMNS: dict[str, tuple[tuple[int, Column], ...]] = {
    # The width of the list from which on there is room for it, and the column.
    AT_WORK: (
        (0, Column("run", 7)),
        (_NORMAL, Column("backend", 8)),
        (_WIDE, Column("pool", 18)),
        (0, Column("health", 11)),
        (0, Column("CPU", 6, True)),
        (0, Column("memory", 10, True)),
        (0, Column("age", 7, True)),
    ),
    KEPT: (
        (0, Column("run", 7)),
        (0, Column("kept because", 22)),
        (0, Column("disk", 10, True)),
        (0, Column("age", 7, True)),
    ),
    POOLS: (
        (_NORMAL, Column("mode", 6)),
        (0, Column("size", 10)),
        (0, Column("busy", 5, True)),
        (0, Column("idle", 5, True)),
        (_NORMAL, Column("starting", 9, True)),
        (0, Column("waiting", 8, True)),
        (_NORMAL, Column("tasks", 8, True)),
        (_WIDE, Column("hits", 8, True)),
        (_WIDE, Column("misses", 7, True)),
        (0, Column("reuse", 6, True)),
    ),
    ORPHANS: (
        (0, Column("state", 11)),
        (0, Column("disk", 10, True)),
        (0, Column("age", 7, True)),
        (_WIDE, Column("why", 48)),
    ),
}
# Stand for a name in the keys of lines that are no rows; no agent is called like this.
_HEAD, _GAP, _EMPTY = " head", " gap", " empty"
_NOTHING = {
    AT_WORK: "Nothing runs.",
    KEPT: "Nothing was kept. `cleanup_policy: on_success` keeps what failed.",
    POOLS: "No step has run in a warm pool since the dashboard was opened.",
    ORPHANS: "None.",
}


class AgentList(RowList):
    """The sections are always there; one without rows says so. Marks are for what can be removed."""

    class Marked(Message):
        """Other rows are marked now."""

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self.now = now
        self.marks: set[Key] = set()
        self._table = AgentTable()
        self._rows: Mapping[Key, AgentRow] = {}
        self._meters: Mapping[str, Meter] = {}
        self._counts: Mapping[str, int] = {}
        self._unknown: frozenset[str] = frozenset()

    # -- what is shown --------------------------------------------------------------------------------

    def show(
        self,
        table: AgentTable,
        meters: Mapping[str, Meter],
        counts: Mapping[str, int],
        unknown: frozenset[str] = frozenset(),
    ) -> None:
        """Take rows; `counts` are those before a filter, `unknown` the sections that are still asked for."""
        self._rows, self._meters = table.by_key(), meters
        self._counts, self._unknown = counts, unknown
        self.marks &= set(self._rows)
        self._table = table
        self._arrange()

    def _arrange(self) -> None:
        """The lines in order, with blank ones between the sections where the terminal is high enough."""
        roomy = self.app.size.height >= _ROOMY
        keys: list[Key] = []
        for name in SECTIONS:
            rows = [row.key for row in self._table.of(name)]
            gap = [(name, _GAP)] if keys and roomy else []
            keys += [*gap, (name, _HEAD), *(rows or [(name, _EMPTY)])]
        self.set_keys(keys)

    def on_resize(self) -> None:
        """What fits may have changed."""
        super().on_resize()
        self._arrange()

    @property
    def row(self) -> AgentRow | None:
        """The row under the cursor."""
        return self._rows.get(self._key_at_cursor)

    @property
    def _key_at_cursor(self) -> Key:
        key: Any = self.key
        return key if key is not None else ("", "")

    @property
    def chosen(self) -> list[AgentRow]:
        """What an action for several is for: the marked rows in order, else the one under the cursor."""
        marked = [self._rows[key] for key in self.keys if isinstance(key, tuple) and key in self.marks]
        return marked or ([self.row] if self.row is not None else [])

    def running_on_screen(self) -> set[str]:
        """Names of the agents at work whose rows are seen."""
        found = (self._rows.get(key) for key in self.visible_keys() if isinstance(key, tuple))
        return {row.name for row in found if row is not None and row.section == AT_WORK}

    def refresh_rows(self) -> None:
        """Draw what is seen again: figures and ages have changed."""
        self.refresh_keys([key for key in self.visible_keys() if key in self._rows])

    # -- marks ----------------------------------------------------------------------------------------

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away; then one row down."""
        row = self.row
        if row is None or not row.removable:
            return
        self.marks ^= {row.key}
        self.refresh_keys([row.key])
        self.post_message(self.Marked())
        self.action_cursor_down()

    def toggle_section(self) -> None:
        """Mark all of the section that can be removed, or none of them."""
        section, _ = self._key_at_cursor
        these = {key for key, row in self._rows.items() if key[0] == section and row.removable}
        self.marks = self.marks - these if these <= self.marks else self.marks | these
        self.refresh()
        self.post_message(self.Marked())

    def unmark(self) -> None:
        """Take all marks away."""
        self.marks.clear()
        self.refresh()
        self.post_message(self.Marked())

    # -- drawing --------------------------------------------------------------------------------------

    def can_select(self, place: int) -> bool:
        """Rows only: not what stands above them."""
        return self._keys[place] in self._rows

    def draw_row(self, place: int, width: int) -> Row:
        """A section's head, its words for nothing, or a row."""
        key: Any = self._keys[place]
        section, name = key
        if name in (_GAP, _HEAD):
            return self._head(section, width) if name == _HEAD else Row()
        row = self._rows.get(key)
        if row is None:
            words = "Looking…" if section in self._unknown else _NOTHING[section]
            return Row().gap(_MARGIN).cell(words, width - _MARGIN, self.ink("muted"))
        line = self.mark(place)
        marked = key in self.marks
        line.put(self.glyphs.marked if marked else " ", self.ink("accent")).gap(1)
        cells = {AT_WORK: self._at_work, KEPT: self._kept, POOLS: self._pool, ORPHANS: self._orphan}
        texts = cells[section](row)
        columns = _columns(section, width)
        self._place(line, row, _flex(columns, width))
        for column in columns:
            text, ink = texts[column.title]
            line.gap(1).cell(text, column.width, self.ink(ink), right=column.right)
        return line

    def _head(self, section: str, width: int) -> Row:
        columns = _columns(section, width)
        count = self._counts.get(section, 0)
        title = SECTIONS[section]
        line = Row().gap(1).put(title, self.ink("strong"))
        number = f" {count}" if count else ""
        line.put(number, self.ink("accent"))
        line.gap(max(0, _MARGIN + _flex(columns, width) - line.width))
        for column in columns if count else ():
            line.gap(1).cell(column.title, column.width, self.ink("faint"), right=column.right)
        return line

    def _place(self, line: Row, row: AgentRow, room: int) -> None:
        """What the row is: the step, and beside it the workflow as far as there is room."""
        text = clean(row.place, limit=200)
        fits = min(len(text), room)
        line.cell(text, fits, self.ink("text"))
        rest = room - fits
        beside = row.workflow if row.section in (AT_WORK, KEPT) else ""
        line.cell(f"  {beside}" if beside and rest > 5 else "", rest, self.ink("muted"))

    def _at_work(self, row: AgentRow) -> dict[str, tuple[str, str]]:
        meter = self._meters.get(row.name)
        memory = meter.memory if meter is not None else None
        return {
            "run": (row.run_id[:6], "muted"),
            "backend": (row.backend, "muted"),
            "CPU": (percent(meter.millicores) if meter is not None else "", "number"),
            "memory": (size(memory) if memory is not None else "", "number"),
            "age": (self._age(row), "muted"),
            "health": (row.state, _STATE_INKS.get(row.state, "muted")),
            "pool": (row.pool, "muted"),
        }

    def _kept(self, row: AgentRow) -> dict[str, tuple[str, str]]:
        return {
            "run": (row.run_id[:6], "muted"),
            "kept because": (row.state, "error" if row.state.startswith("failed") else "muted"),
            "disk": (_disk(row), "number"),
            "age": (self._age(row), "muted"),
        }

    def _pool(self, row: AgentRow) -> dict[str, tuple[str, str]]:
        report = row.report
        assert report is not None, "rows of pools have one"
        counts = {
            "busy": report.busy,
            "idle": report.idle,
            "starting": report.starting,
            "waiting": report.waiting,
            "tasks": report.tasks,
            "hits": report.hits,
            "misses": report.misses,
        }
        texts = {name: (f"{count:,}", "number" if count else "faint") for name, count in counts.items()}
        return texts | {
            "mode": (report.mode, "muted"),
            "size": (f"{report.size} of {report.min_size}-{report.max_size}", "text"),
            "waiting": (f"{report.waiting:,}", "warning" if report.waiting else "faint"),
            "reuse": (reuse(report), "number"),
        }

    def _orphan(self, row: AgentRow) -> dict[str, tuple[str, str]]:
        return {
            "state": (row.state, "warning" if row.state == "running" else "muted"),
            "disk": (_disk(row), "number"),
            "age": (self._age(row), "muted"),
            "why": (row.why, "muted"),
        }

    def _age(self, row: AgentRow) -> str:
        return duration(self.now() - row.since) if row.since is not None else ""


_STATE_INKS = {"unhealthy": "error", "paused": "warning", "healthy": "success"}


def _columns(section: str, width: int) -> list[Column]:
    """The columns of a section that there is room for."""
    return [column for least, column in _COLUMNS[section] if width >= least]


def _flex(columns: list[Column], width: int) -> int:
    """The cells of the first column, which takes what the others leave."""
    return max(0, width - _MARGIN - sum(column.width + 1 for column in columns) - 1)


def _disk(row: AgentRow) -> str:
    return size(row.size) if row.size is not None else ""
