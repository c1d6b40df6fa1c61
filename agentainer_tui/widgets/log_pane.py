"""A log with everything around it: reads the source, searches, copies, exports, opens elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from agentainer_tui.ansi import without_colours
from agentainer_tui.copying import copy, free_path, scratch_file, view_file
from agentainer_tui.log_lens import Lens
from agentainer_tui.log_query import Query, Search
from agentainer_tui.log_source import Extent, LogLine, LogSource
from agentainer_tui.text import clean, counted
from agentainer_tui.widgets.log_search import SearchBar
from agentainer_tui.widgets.log_view import LogView
from engine.errors import UnavailableError, UsageError

# Seconds between two publications of what a search found, and while typing before it begins.
_PACE, _REST = 0.1, 0.15
# Lines read at a time when all of them are written somewhere, and the most that go to a clipboard.
_PORTION = 2_000
_COPY_LIMIT = 100_000


class LogPane(Vertical):
    """Shows one source at a time; `status` says in words where the reader is."""

    class Changed(Message):
        """The status is another one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._source: LogSource | None = None
        self._search: Search | None = None
        self._extent = Extent()
        self._file_name = "log"
        self.status = ""

    def compose(self) -> ComposeResult:
        """The lines, and below them the search."""
        yield LogView(id="log-view")
        yield SearchBar(id="log-search")

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    @property
    def bar(self) -> SearchBar:
        """The search."""
        return self.query_one(SearchBar)

    # -- reading --------------------------------------------------------------------------------------

    def show(
        self,
        open_source: Callable[[], LogSource] | None,
        *,
        name: str = "log",
        origins: Sequence[str] = (),
        notice: str = "",
    ) -> None:
        """Show a log, which is opened in a moment; None for none, with a notice why."""
        self._file_name = name
        self._search = None
        self._extent = Extent()
        self.view.origins = tuple(clean(origin, limit=40) for origin in origins)
        self.view.reset(notice)
        self.bar.close()
        self.workers.cancel_group(self, "log")
        self.workers.cancel_group(self, "log-search")
        if open_source is not None:
            self._follow(open_source)

    @work(exclusive=True, group="log", exit_on_error=False)
    async def _follow(self, open_source: Callable[[], LogSource]) -> None:
        await asyncio.sleep(0.08)  # holding a key down in the list of steps reads nothing
        source = self._source = open_source()
        try:
            async for extent in source.watch():
                await self._take(source, extent)
            if not len(self.view.lens) and self._search is None:
                self.view.set_notice("It wrote nothing.")
            # What was read stays readable, for scrolling.
            await asyncio.Event().wait()
        finally:
            if self._source is source:
                self._source = None
            await source.close()

    async def _take(self, source: LogSource, extent: Extent) -> None:
        if self._search is not None and self._search.generation != extent.generation:
            self._search = None
        self._extent = extent
        view = self.view
        lens = Lens(extent, view.lens.search if self._search is not None else None)
        height = max(1, view.size.height)
        numbers = lens.numbers(len(lens) - 2 * height, len(lens)) if view.following else ()
        if not view.begin and extent.counted == 1 and extent.last > extent.first:
            numbers = sorted({extent.first, *numbers})  # relative times count from the first line
        view.take(extent, await source.lines(numbers) if numbers else {})
        if self._search is not None and self._search.behind(extent):
            self._look()

    @on(LogView.Wanted)
    def _wanted(self) -> None:
        self._supply()

    @work(exclusive=True, group="log-lines", exit_on_error=False)
    async def _supply(self) -> None:
        source, numbers = self._source, self.view.missing()
        if source is None or not numbers:
            return
        lines = await source.lines(numbers)
        if lines and source is self._source:
            self.view.supply(lines)

    # -- searching ------------------------------------------------------------------------------------

    @on(SearchBar.Entered)
    def _entered(self, message: SearchBar.Entered) -> None:
        message.stop()
        if message.final:
            self.bar.close()
            self.view.focus()
        try:
            self._begin_search(message.query_wanted, only=message.only)
        except UsageError as error:
            self.status = str(error)
            self.post_message(self.Changed())
            return
        if message.final and message.query_wanted is not None and not message.only:
            self.view.follow(False)

    def _begin_search(self, query: Query | None, *, only: bool) -> None:
        if query is None or self._source is None:
            self._search = None
            self.workers.cancel_group(self, "log-search")
        elif self._search is None or self._search.query != query:
            self._search = Search(query, self._source, self._extent)
        self.view.search(self._search, only=only)
        if self._search is not None:
            self._look()

    @work(exclusive=True, group="log-search", exit_on_error=False)
    async def _look(self) -> None:
        search = self._search
        if search is None:
            return
        loop = asyncio.get_running_loop()
        shown = loop.time()
        while search is self._search and await search.step(self._extent):
            if loop.time() - shown >= _PACE:
                await self._publish()
                shown = loop.time()
        if search is self._search:
            await self._publish()

    async def _publish(self) -> None:
        source, numbers = self._source, self.view.missing()
        lines = await source.lines(numbers) if source is not None and numbers else {}
        self.view.supply(lines)

    def _hit(self, by: int) -> None:
        """Go to the next line that was found, or the one before; from the last one to the first."""
        search = self._search
        if search is None or not len(search.hits):
            self.app.bell()
            return
        here = self.view.place.cursor_line
        place = search.hits.before(here + 1) if by > 0 else search.hits.before(here) - 1
        self.view.go_to(search.hits[place % len(search.hits)])

    # -- status ---------------------------------------------------------------------------------------

    @on(LogView.Changed)
    def _log_changed(self, message: LogView.Changed) -> None:
        message.stop()
        status = " · ".join(part for part in self._parts() if part)
        if status != self.status:
            self.status = status
            self.post_message(self.Changed())

    def _parts(self) -> Sequence[str]:
        view, extent, search = self.view, self._extent, self._search
        parts = []
        if search is not None:
            parts.append(self._search_part(search))
        if view.selected.active and not view.selected.is_empty:
            parts.append("y copies the selection")
        if extent.counted < 1:
            parts.append(f"counted {extent.counted:.0%}")
        if extent.cut:
            parts.append("only the end of it")
        if not view.following:
            parts.append(f"+{view.place.unseen} new, f follows" if view.place.unseen else "f follows")
        return parts

    def _search_part(self, search: Search) -> str:
        query, found = search.query, len(search.hits)
        words = f"{'without ' if query.invert else ''}{clean(query.text, limit=24)!r}"
        count = f"{found}{'+' if search.full else ''}"
        if self.view.lens.search is not None:
            words = f"only {words}: {count}"
        else:
            here = self.view.place.cursor_line
            at = search.hits.before(here)
            on_it = at < found and search.hits[at] == here
            words = f"{words} {at + 1 if on_it else '-'}/{count}"
        done = search.progress(self._extent)
        return words if done >= 1 or search.full else f"{words}, {done:.0%} searched"

    # -- out of the app -------------------------------------------------------------------------------

    @on(LogView.Asked)
    def _asked(self, message: LogView.Asked) -> None:
        message.stop()
        match message.what:
            case "find" | "filter":
                self.bar.open(only=message.what == "filter")
            case "next":
                self._hit(1)
            case "previous":
                self._hit(-1)
            case "clear":
                self._clear()
            case "copy" | "copy_all":
                self._copy(everything=message.what == "copy_all")
            case "pager" | "editor":
                self._open_elsewhere(edit=message.what == "editor")
            case "export":
                self._export()

    def _clear(self) -> None:
        if self.view.selected.active:
            self.view.selected.clear()
            self.view.changed()
        else:
            self._begin_search(None, only=False)

    def _text(self, line: LogLine) -> str:
        """A line as it is written to files and clipboards: with its time and origin if they are shown."""
        view = self.view
        parts = [line.time] if view.times != "off" else []
        if view.origins:
            parts.append(f"[{view.origins[line.origin]}]")
        return " ".join([*parts, without_colours(line.text)])

    def _need_source(self) -> LogSource:
        if self._source is None:
            raise UnavailableError("there is no log here")
        return self._source

    @work(exclusive=True, group="log-copy", exit_on_error=False)
    async def _copy(self, *, everything: bool) -> None:
        view, source = self.view, self._need_source()
        lens, ends = view.lens, view.selected.ends
        if not len(lens):
            return
        start, stop = 0, len(lens)
        if not everything:
            here = view.place.cursor_line
            first, last = (ends[0][0], ends[1][0]) if ends is not None else (here, here)
            start, stop = lens.place(first), lens.place(last + 1)
        if stop - start > _COPY_LIMIT:
            raise UsageError(f"{stop - start} lines are too many to copy", hint="E writes them into a file")
        lines = await source.lines(lens.numbers(start, stop))
        texts = [self._text(line) for line in lines.values()]
        if not everything and ends is not None and texts and view.times == "off" and not view.origins:
            texts[-1] = texts[-1][: ends[1][1]]
            texts[0] = texts[0][ends[0][1] :]
        where = copy(self.app, "\n".join(texts), otherwise="E writes a file")
        self._tell(f"{counted(len(texts), 'line')} copied {where}.")
        view.selected.clear()
        view.changed()

    async def _write(self, path: Path) -> int:
        """Write what is on show into a file; returns how many lines."""
        source, lens = self._need_source(), Lens(self._extent, self.view.lens.search)
        total = len(lens)
        try:
            with path.open("w", encoding="utf-8", errors="replace") as file:
                for start in range(0, total, _PORTION):
                    lines = await source.lines(lens.numbers(start, start + _PORTION))
                    texts = [self._text(line) + "\n" for line in lines.values()]
                    await asyncio.to_thread(file.writelines, texts)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        return total

    @work(exclusive=True, group="log-export", exit_on_error=False)
    async def _export(self) -> None:
        path = free_path(Path.cwd(), self._file_name, ".log")
        count = await self._write(path)
        self._tell(f"{counted(count, 'line')} written to {path}.")

    @work(exclusive=True, group="log-export", exit_on_error=False)
    async def _open_elsewhere(self, *, edit: bool) -> None:
        path = scratch_file("log", ".log")
        try:
            await self._write(path)
            view_file(self.app, path, edit=edit)
        finally:
            path.unlink(missing_ok=True)

    def _tell(self, text: str) -> None:
        app: Any = self.app
        app.tell(text)
