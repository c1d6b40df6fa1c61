"""A sheet with everything around it: searches, copies, opens elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from agentainer_tui.copying import copy, scratch_file, view_file
from agentainer_tui.inspector.entries import Entry
from agentainer_tui.inspector.finding import Finding
from agentainer_tui.inspector.tree import AT_MOST
from agentainer_tui.inspector.writing import copied, written
from agentainer_tui.log_query import Query
from agentainer_tui.text import clean, counted
from agentainer_tui.widgets.log_search import SearchBar
from agentainer_tui.widgets.sheet import Sheet
from engine.errors import UsageError

# Seconds between two publications of what a search found; while typing before it begins; and for the keys
# between two of its steps, which otherwise keep the interpreter for themselves.
_PACE, _REST, _BREATH = 0.1, 0.12, 0.003
_OTHERWISE = "o opens it in a pager"


class SheetPane(Vertical):
    """Shows entries; `status` says in words where the reader is. `filters`: its rows can be filtered."""

    class Changed(Message):
        """The status is another one."""

    def __init__(self, *, id: str | None = None, filters: bool = False) -> None:
        super().__init__(id=id)
        self._filters = filters
        self._entries: tuple[Entry, ...] = ()
        self._only = False
        self._finding: Finding | None = None
        self.status = ""

    def compose(self) -> ComposeResult:
        """The rows, and below them the search."""
        yield Sheet(id=f"{self.id}-sheet")
        yield SearchBar(switches=("mode", "regex", "case") if self._filters else ("regex", "case"))

    @property
    def sheet(self) -> Sheet:
        """The rows."""
        return self.query_one(Sheet)

    @property
    def bar(self) -> SearchBar:
        """The search."""
        return self.query_one(SearchBar)

    # -- content --------------------------------------------------------------------------------------

    def show(self, entries: Sequence[Entry]) -> None:
        """Show entries, or a newer state of the same ones."""
        entries = tuple(entries)
        if entries == self._entries:
            return
        self._entries = entries
        if self._finding is None:
            self.sheet.show(entries)
        else:
            self._begin(self._finding.query, only=self._only)

    def clear(self) -> None:
        """Nothing, without a search: what comes next is about something else."""
        self._entries = ()
        self._end()
        self.sheet.clear()

    # -- searching ------------------------------------------------------------------------------------

    @on(SearchBar.Entered)
    def _entered(self, message: SearchBar.Entered) -> None:
        message.stop()
        if message.final:
            self.bar.close()
            self.sheet.focus()
        if message.query_wanted is None:
            self._end()
            return
        try:
            message.query_wanted.check()
        except UsageError as error:
            self._say(str(error))
            return
        self._begin(message.query_wanted, only=message.only and self._filters, jump=True)

    def _begin(self, query: Query, *, only: bool, jump: bool = False) -> None:
        self._only = only
        if not only:
            self.sheet.show(self._entries)
        # Over the entries as they are shown, so that an address found is an address on the sheet.
        entries = self._entries if only else self.sheet.tree_shown.top
        self._finding = Finding(query, entries)
        self.sheet.mark_query(query)
        self._look(self._finding, jump)

    def _end(self) -> None:
        self.workers.cancel_group(self, "search")
        self._finding, self._only = None, False
        self.sheet.mark_query(None)
        self.sheet.show(self._entries)
        self._show_status()

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _look(self, finding: Finding, jump: bool) -> None:
        """Look at everything, in a thread, some at a time: another search ends this one between."""
        if self.bar.is_open:
            await asyncio.sleep(_REST)
        loop = asyncio.get_running_loop()
        shown = loop.time()
        while await asyncio.to_thread(finding.step):
            await asyncio.sleep(_BREATH)
            if loop.time() - shown >= _PACE:
                jump = self._publish(finding, jump)
                shown = loop.time()
        self._publish(finding, jump)

    def _publish(self, finding: Finding, jump: bool) -> bool:
        """Show what was found so far; with `jump`, go to the first. Returns whether that is still to do."""
        if self._only:
            places = dict.fromkeys(address[0] for address in finding.found)
            self.sheet.show([self._entries[place] for place in places])
        elif jump and finding.found:
            self._go(1, here=True)
            jump = False
        self._show_status()
        return jump

    def _go(self, by: int, *, here: bool = False) -> None:
        """Go to what was found next, or before; `here`: unless the cursor is on one."""
        finding, spot = self._finding, self.sheet.spot
        if finding is None or spot is None or not finding.found:
            self.app.bell()
            return
        if here and finding.nth(spot.address):
            return
        address = finding.after(spot.address, by)
        if address is not None:
            self.sheet.go_to(address)

    # -- status ---------------------------------------------------------------------------------------

    @on(Sheet.Moved)
    def _moved(self, message: Sheet.Moved) -> None:
        message.stop()
        self._show_status()

    def _show_status(self) -> None:
        spot = self.sheet.spot
        parts = []
        if (finding := self._finding) is not None:
            parts.append(self._found(finding))
        if spot is not None and (path := self.sheet.tree_shown.path(spot.address)):
            parts.append(_end_of(path, 60))
        self._say(" · ".join(parts))

    def _found(self, finding: Finding) -> str:
        number, spot = len(finding.found), self.sheet.spot
        count = f"{number:,}{'+' if finding.full else ''}"
        words = repr(clean(finding.query.text, limit=24))
        if self._only:
            text = f"only {words}: {len(self.sheet.tree_shown.top):,} of {len(self._entries):,}"
        else:
            at = finding.nth(spot.address) if spot is not None else 0
            text = f"{words} {at or '-'}/{count}"
        return text if finding.done else f"{text}, {finding.looked:,} searched"

    def _say(self, status: str) -> None:
        if status != self.status:
            self.status = status
            self.post_message(self.Changed())

    # -- keys -----------------------------------------------------------------------------------------

    def offers(self, what: str) -> bool:
        """Whether a key has something to do now."""
        if what in ("clear", "next", "previous"):
            return self._finding is not None
        if what == "filter":
            return self._filters
        if what == "copy_path":
            spot = self.sheet.spot
            return spot is not None and bool(self.sheet.tree_shown.path(spot.address))
        return True

    @on(Sheet.Asked)
    def _asked(self, message: Sheet.Asked) -> None:
        message.stop()
        match message.what:
            case "find" | "filter":
                self.bar.open(only=message.what == "filter")
            case "next":
                self._go(1)
            case "previous":
                self._go(-1)
            case "clear":
                self._end()
            case "copy":
                self._copy()
            case "copy_path":
                self._copy_path()
            case "pager" | "editor":
                self._open_elsewhere(edit=message.what == "editor")
            case "too_many":
                self._tell(f"There is more below than {AT_MOST:,} rows: some of it stays closed.")

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self) -> None:
        spot = self.sheet.spot
        if spot is None:
            return
        selected = self.screen.get_selected_text()
        text = selected if selected else await asyncio.to_thread(copied, spot.entry)
        self.screen.clear_selection()
        where = copy(self.app, text, otherwise=_OTHERWISE)
        lines = text.count("\n") + 1
        what = f"{counted(lines, 'line')}" if lines > 1 else f"{_cut(clean(text, limit=200), 40)!r}"
        self._tell(f"{what} copied {where}.")

    def _copy_path(self) -> None:
        spot = self.sheet.spot
        path = self.sheet.tree_shown.path(spot.address) if spot is not None else ""
        if not path:
            self._tell("There is no JSONPath to this row.")
            return
        where = copy(self.app, path, otherwise=_OTHERWISE)
        self._tell(f"{_end_of(path, 60)} copied {where}.")

    @work(exclusive=True, group="open", exit_on_error=False)
    async def _open_elsewhere(self, *, edit: bool) -> None:
        path = scratch_file(self.id or "details", ".txt")
        try:
            await asyncio.to_thread(_write, path, self._entries)
            view_file(self.app, path, edit=edit)
        finally:
            path.unlink(missing_ok=True)

    def _tell(self, text: str) -> None:
        app: Any = self.app
        app.tell(text)


def _write(path: Path, entries: Sequence[Entry]) -> None:
    try:
        with path.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(written(entries))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _end_of(path: str, length: int) -> str:
    """The end of a path, where it says most."""
    return clean(path if len(path) <= length else "…" + path[1 - length :])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
