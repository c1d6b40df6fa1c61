"""Every key of the app, once: bindings, footer, help and command palette are all made from this list.

No key that destroys sits on a ctrl chord, and the chords that terminals, tmux or input methods keep for
themselves (ctrl+a, b, space, h, i, j, m) are not used. Each binding has an id, so a keymap can move it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentainer_tui.key_names import shown_key

if TYPE_CHECKING:  # the command line lists the keys too, and Textual takes 200 ms to import
    from textual.binding import Binding

from agentainer_tui.areas import AREAS


@dataclass(frozen=True, slots=True)
class Key:
    """One action and its keys.

    Attributes:
        scope: where it works, one of `SCOPES`.
        name: unique within its scope; `<scope>.<name>` is the binding's id.
        keys: comma separated, as Textual names them.
        action: the Textual action.
        label: two words for the footer and the palette.
        help: one sentence for the help screen.
        footer: shown in the footer.
        palette: offered in the command palette.
        display: how the key is written; Textual's own way if empty.
        yields: it has nothing to do at most times, and then the same key of an outer scope works.
        weak: an inner scope may have another use for its key; the menu has it there.
    """

    scope: str
    name: str
    keys: str
    action: str
    label: str
    help: str
    footer: bool = False
    palette: bool = False
    display: str = ""
    yields: bool = False
    weak: bool = False

    @property
    def id(self) -> str:
        """What a keymap calls it."""
        return f"{self.scope}.{self.name}"


SCOPES = {
    "app": "Everywhere",
    "list": "Lists",
    "filter": "While a filter is typed",
    "home": "Workflows and runs",
    "run": "One run",
    "scrubber": "The line of events, while the past is shown",
    "compare": "Two runs side by side",
    "history": "History",
    "agents": "Agents",
    "steps": "The steps of a run",
    "failure": "A failure",
    "metrics": "Metrics",
    "profile": "Where the time of a run went",
    "text": "Logs and details",
    "log": "Logs",
    "tree": "Details",
    "search": "While a search in a tab is typed",
    "palette": "In the menu",
    "jump": "While letters are shown on the panes",
    "retry": "Retry",
    "params": "Params of a run",
    "dialog": "Dialogs",
}

# Scopes that are active at the same time, from the inside out: there, a key may mean one thing only.
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("list", "home", "app"),
    ("list", "steps", "run", "app"),
    ("list", "history", "app"),
    ("list", "agents", "app"),
    ("text", "agents", "app"),
    ("list", "failure", "app"),
    ("text", "failure", "app"),
    ("list", "metrics", "app"),
    ("list", "profile", "app"),
    ("text", "profile", "app"),
    ("text", "metrics", "app"),
    ("log", "text", "run", "app"),
    ("scrubber", "run", "app"),
    ("list", "compare", "app"),
    ("tree", "compare", "app"),
    ("tree", "run", "app"),
    ("filter",),
    ("search",),
    ("palette",),
    ("jump",),
    ("list", "retry", "dialog"),
    ("text", "retry"),
    ("params", "dialog"),
    ("dialog",),
)

# Where text is typed: no letter can be a key there.
TYPING = frozenset({"filter", "search", "palette", "jump"})

# Actions that change something: not offered where a recording is shown.
CHANGING = frozenset(
    {
        *("run_workflow", "retry", "edit", "new", "cancel", "answer"),
        *("clean", "shell", "delete", "export"),
    }
)

KEYS: tuple[Key, ...] = (
    Key("home", "run", "r", "run_workflow", "Run", "Run the workflow (asks for its params)", True, True),
    Key("home", "retry", "R", "retry", "Retry", "Retry the selected run: choose how much", True, True),
    Key("home", "edit", "e", "edit", "Edit", "Edit the workflow's file in $EDITOR", True, True),
    Key("home", "new", "N", "new", "New", "New workflow from a template", True, True),
    Key("home", "cancel", "x", "cancel", "Cancel", "Cancel the selected run (asks first)", True, True),
    Key("home", "answer", "a", "answer", "Answer", "Approve or reject a step that waits for you", True, True),
    Key("home", "clean", "X", "clean", "Clean up", "List kept agents, then remove them", True, True),
    Key("run", "back", "escape,backspace", "back", "Back", "To where you came from", True, display="esc"),
    Key("run", "retry", "R", "retry", "Retry", "Retry this run: choose how much of it", True, True),
    Key("run", "edit", "e", "edit", "Edit", "Edit its file, then run it again from there", True, True),
    Key("run", "cancel", "x", "cancel", "Cancel", "Cancel this run (asks first)", True, True),
    Key("run", "answer", "a", "answer", "Answer", "Approve or reject a step that waits for you", True, True),
    Key("run", "parent", "p", "parent", "Parent", "Open the run that this one is a part of", True, True),
    Key("run", "clean", "X", "clean", "Clean up", "List its kept agents, then remove them", False, True),
    Key("run", "fold", "space", "fold", "Fold", "Show or hide items, members, finished siblings, details",
        True, True),
    Key("run", "shell", "s", "shell", "Shell", "A shell in the step's agent, running or kept", False, True),
    Key("run", "failed_first", "F", "failed_first", "Failed first", "Steps by status, or by the graph again",
        False, True),
    Key("run", "finished", "H", "finished", "Fold finished", "One row for finished siblings, or one each",
        False, True),
    Key("run", "next_failed", "right_curly_bracket", "failed(1)", "Next failed", "To the next that failed",
        False, True, display="}"),
    Key("run", "previous_failed", "left_curly_bracket", "failed(-1)", "Previous failed",
        "To the one before that failed", False, True, display="{"),
    Key("steps", "boxes", "v", "screen.boxes", "Boxes", "The graph as boxes and arrows, or as rows", True,
        True),
    Key("steps", "left", "left,h", "steps('left')", "Left", "Fold; in a grid or in boxes to the left"),
    Key("steps", "right", "right,l", "steps('right')", "Right", "Unfold; in a grid or in boxes to the right"),
    Key("steps", "next", "n", "match(1)", "Next", "To the next row that was found"),
    Key("steps", "previous", "N", "match(-1)", "Previous", "To the row found before"),
    Key("run", "previous_tab", "left_square_bracket", "tab(-1)", "Tab", "Previous tab", display="["),
    Key("run", "next_tab", "right_square_bracket", "tab(1)", "Tabs", "Next tab", True, display="]"),
    Key("run", "zoom", "z", "zoom", "Zoom", "Give the focused pane the whole screen, and back", True, True),
    Key("run", "follow", "f", "follow", "Follow", "Follow the log's end, or stop", True, True),
    Key("run", "times", "t", "times", "Times", "Times of log lines: off, relative, absolute", False, True),
    Key("run", "wrap", "w", "wrap", "Wrap", "Fold long log lines, or let them run out of sight", False, True),
    Key("run", "merge", "m", "merge", "Merge", "Logs by time: this one, all of the step, all of the run",
        False, True),
    Key("run", "earlier", "comma", "travel(-1)", "Earlier", "Time travel: back to the event before",
        False, True, display=","),
    Key("run", "later", "full_stop", "travel(1)", "Later", "Time travel: on by one event, in the end to live",
        display="."),
    Key("run", "stride_back", "less_than_sign", "stride(-1)", "Step back",
        "Time travel: back to where a step changed, or failed", False, True, display="<"),
    Key("run", "stride_on", "greater_than_sign", "stride(1)", "Step on",
        "Time travel: on to where a step changes, or fails", display=">"),
    Key("run", "export", "S", "export", "Export", "Write this run into one file that can be opened anywhere",
        False, True),
    Key("run", "compare", "equals_sign", "compare", "Compare",
        "Compare this run with the last success before it, or with the run before", True, True, display="="),
    Key("home", "mark", "space", "mark", "Mark", "Mark a run to compare it, or take the mark away",
        False, True),
    Key("home", "compare", "equals_sign", "compare", "Compare",
        "Compare two marked runs; without marks, the selected one with one before it", False, True,
        display="="),
    Key("compare", "back", "escape,backspace", "back", "Back", "To where you came from", True, display="esc"),
    Key("compare", "only", "d", "only", "All or not", "Only what is different, or everything", True, True),
    Key("compare", "next", "n", "difference(1)", "Next", "To the next row that is different", True),
    Key("compare", "previous", "N", "difference(-1)", "Previous", "To the row before that is different"),
    Key("compare", "swap", "s", "swap", "Swap", "The other run first", True, True),
    Key("compare", "copy", "c", "copy_report", "Copy", "Copy the comparison as Markdown", True, True),
    Key("compare", "first", "less_than_sign", "open_run(0)", "First run", "Open the first run", display="<"),
    Key("compare", "second", "greater_than_sign", "open_run(1)", "Second run", "Open the second run",
        display=">"),
    Key("scrubber", "back", "left,h", "step(-1)", "Earlier", "Back by one event"),
    Key("scrubber", "on", "right,l", "step(1)", "Later", "On by one event"),
    Key("scrubber", "stride_back", "pageup", "stride(-1)", "Step back", "Back to where a step changed"),
    Key("scrubber", "stride_on", "pagedown", "stride(1)", "Step on", "On to where a step changes"),
    Key("scrubber", "first", "home,g", "first", "Begin", "To the first event", True, display="home"),
    Key("scrubber", "live", "end,G", "live", "Live", "To the present", True, display="end"),
    Key("history", "retry", "R", "retry", "Retry", "Retry the run: choose how much of it", True, True),
    Key("history", "cancel", "x", "cancel", "Cancel", "Cancel the run (asks first)", True, True),
    Key("history", "mark", "space", "mark", "Mark", "Mark the run, or take its mark away", True, True),
    Key("history", "compare", "equals_sign", "compare", "Compare",
        "Compare two marked runs; without marks, this one with one before it", True, True, display="="),
    Key("history", "failures", "f", "failures", "Failures", "Only failed runs, or all again", True, True),
    Key("history", "status", "s", "status", "Status", "Only runs in one status: the next one", False, True),
    Key("history", "workflow", "w", "workflow", "Workflow", "Only runs of this workflow, or all again",
        True, True),
    Key("history", "period", "t", "period", "Period", "Since when: all, 24h, 7d, 30d", True, True),
    Key("history", "children", "c", "children", "Parts", "Show runs that are part of others, or hide them",
        False, True),
    Key("history", "copy", "y", "copy_id", "Copy id", "Copy the run's id", False, True),
    Key("history", "delete", "D,delete", "delete", "Delete", "Delete the marked runs, or this one (asks)",
        False, True, "D"),
    Key("history", "clear", "escape", "clear", "Show all", "All runs again; then take the marks away",
        display="esc"),
    Key("failure", "back", "escape,backspace", "back", "Back", "To the step in its run", True, display="esc"),
    Key("failure", "open", "o", "open_step", "Step", "To the step or item, and its log", True, True),
    Key("failure", "shell", "s", "shell", "Shell", "A shell in the agent that failed, if it was kept", True,
        True),
    Key("failure", "retry", "R", "retry", "Retry", "Retry the run: choose how much of it", True, True),
    Key("failure", "edit", "e", "edit", "Edit", "Edit the file, then run it again from the step", True, True),
    Key("failure", "zoom", "z", "zoom", "Zoom", "Give the focused pane all the room, and back", False, True),
    Key("failure", "report", "y", "report", "Report", "Copy all of it as Markdown, for an issue or an agent",
        True, True),
    Key("failure", "write", "E", "write_report", "Write", "Write the report into a file", False, True),
    Key("failure", "older", "n", "neighbour(1)", "Next", "The failure before this one", True, True),
    Key("failure", "newer", "N", "neighbour(-1)", "Newer", "The failure after this one", False, True),
    Key("agents", "shell", "s", "shell", "Shell", "A shell in the agent, running or kept", True, True),
    Key("agents", "mark", "space", "mark", "Mark", "Mark the agent, or take its mark away", True),
    Key("agents", "mark_all", "M", "mark_all", "Mark all", "Mark all of the section, or none", False, True),
    Key("agents", "unmark", "escape", "unmark", "Unmark", "Take all marks away", True, display="esc",
        yields=True),
    Key("agents", "clean", "X", "clean", "Clean up", "List what is marked or selected, then remove it",
        True, True),
    Key("agents", "cancel", "x", "cancel", "Cancel", "Cancel the run that it works for (asks first)", True,
        True),
    Key("agents", "copy", "y", "copy", "Copy", "Copy its name; of an orphan the command that removes it",
        True, True),
    Key("agents", "refresh", "f5", "refresh", "Look again", "Ask for agents and orphans again", False, True),
    Key("history", "profile", "P", "profile", "Profile", "Where the time of the run went", False, True),
    Key("run", "profile", "P", "profile", "Profile", "Where the time of this run went", False, True),
    Key("profile", "back", "escape,backspace", "back", "Back", "To the run", True, display="esc"),
    Key("profile", "next_tab", "right_square_bracket", "tab(1)", "Tabs", "Next tab", True, display="]"),
    Key("profile", "previous_tab", "left_square_bracket", "tab(-1)", "Tab", "Previous tab", display="["),
    Key("profile", "export", "E", "export", "Export", "Write it for Perfetto or speedscope", True, True),
    Key("metrics", "period", "t,right_square_bracket", "next_period(1)", "Period",
        "The next period: 24h, 7d, 30d, all", True, True, "t"),
    Key("metrics", "period_back", "left_square_bracket", "next_period(-1)", "Period", "The period before",
        display="["),
    Key("metrics", "runs", "v", "runs", "Runs", "Show these runs in the history", True, True),
    Key("metrics", "reread", "f5", "reread", "Refresh", "Read everything again", False, True),
    Key("text", "up", "up,k", "scroll_up", "Up", "One line up"),
    Key("text", "down", "down,j", "scroll_down", "Down", "One line down"),
    Key("text", "left", "left,h", "scroll_left", "Left", "To the left, where lines are long"),
    Key("text", "right", "right,l", "scroll_right", "Right", "To the right, where lines are long"),
    Key("text", "page_up", "pageup", "page_up", "Page up", "One page up"),
    Key("text", "page_down", "pagedown", "page_down", "Page down", "One page down"),
    Key("text", "top", "home,g", "scroll_home", "Top", "To the beginning"),
    Key("text", "bottom", "end,G", "scroll_end", "End", "To the end (and follow)"),
    Key("log", "find", "slash", "ask('find')", "Find", "Find text in the log", True, display="/"),
    Key("log", "filter", "ampersand", "ask('filter')", "Filter", "Show only lines with a text", True,
        display="&"),
    Key("log", "next", "n", "ask('next')", "Next", "To the next line that was found"),
    Key("log", "previous", "N", "ask('previous')", "Previous", "To the line found before"),
    Key("log", "clear", "escape", "ask('clear')", "Clear", "Drop the selection, then the search",
        yields=True),
    Key("log", "mark", "v", "mark", "Mark", "Begin a selection of lines at the cursor, or drop it"),
    Key("log", "copy", "y", "ask('copy')", "Copy", "Copy the line, or the selection", True),
    Key("log", "copy_all", "Y", "ask('copy_all')", "Copy all", "Copy all lines on show"),
    Key("log", "pager", "o", "ask('pager')", "Open", "Open in $PAGER what is on show", True),
    Key("log", "editor", "O", "ask('editor')", "Edit", "Open in $EDITOR what is on show"),
    Key("log", "export", "E", "ask('export')", "Export", "Write what is on show into a file"),
    Key("tree", "up", "up,k", "cursor_up", "Up", "One row up"),
    Key("tree", "down", "down,j", "cursor_down", "Down", "One row down"),
    Key("tree", "left", "left,h", "outward", "Out", "Close it, or go to what it is a part of"),
    Key("tree", "right", "right,l", "inward", "In", "Open it, or go to the first row in it"),
    Key("tree", "page_up", "pageup", "page_up", "Page up", "One page up"),
    Key("tree", "page_down", "pagedown", "page_down", "Page down", "One page down"),
    Key("tree", "top", "home,g", "cursor_first", "First", "To the first row"),
    Key("tree", "bottom", "end,G", "cursor_last", "Last", "To the last row"),
    Key("tree", "open", "enter", "choose", "Open", "Open or close what is under the cursor (or space)", True,
        display="enter"),
    Key("tree", "open_all", "E", "open_all", "Open all", "Open all under the cursor, up to 5,000 rows"),
    Key("tree", "close_all", "C", "close_all", "Close all", "Close everything"),
    Key("tree", "find", "slash", "ask('find')", "Find", "Find text in names and values", True, display="/"),
    Key("tree", "filter", "ampersand", "ask('filter')", "Filter", "Show only events or variables with a text",
        display="&"),
    Key("tree", "next", "n", "ask('next')", "Next", "To the next row that was found", yields=True),
    Key("tree", "previous", "N", "ask('previous')", "Previous", "To the row found before", yields=True),
    Key("tree", "clear", "escape", "ask('clear')", "Clear", "Take the search away", yields=True),
    Key("tree", "copy", "y", "ask('copy')", "Copy", "Copy the value or the line under the cursor", True),
    Key("tree", "copy_path", "Y", "ask('copy_path')", "Copy path",
        "Copy the JSONPath of what is under the cursor", True),
    Key("tree", "pager", "o", "ask('pager')", "Pager", "Open all of the tab in $PAGER", True),
    Key("tree", "editor", "O", "ask('editor')", "Edit", "Open all of the tab in $EDITOR"),
    Key("search", "leave", "escape", "leave", "Close", "Take the search away", True),
    Key("search", "mode", "ctrl+g", "switch('mode')", "Only", "Show only what is found, or all lines", True),
    Key("search", "regex", "ctrl+r", "switch('regex')", "Regex", "Regular expression or plain text", True),
    Key("search", "case", "ctrl+t", "switch('case')", "Case", "Whether capitals matter", True),
    Key("search", "invert", "ctrl+n", "switch('invert')", "Not", "Lines without it", True),
    Key("search", "context", "ctrl+o", "switch('context')", "Context", "Lines around those found: 0 1 3 10"),
    Key("list", "up", "up,k", "cursor_up", "Up", "One row up"),
    Key("list", "down", "down,j", "cursor_down", "Down", "One row down"),
    Key("list", "page_up", "pageup", "page_up", "Page up", "One page up"),
    Key("list", "page_down", "pagedown", "page_down", "Page down", "One page down"),
    Key("list", "top", "home,g", "cursor_first", "First", "To the first row"),
    Key("list", "bottom", "end,G", "cursor_last", "Last", "To the last row"),
    Key("list", "open", "enter", "choose", "Open", "Open the selected row", True, display="enter"),
    Key("list", "filter", "slash", "filter", "Filter", "Show only rows with a text", True, True, "/"),
    Key("list", "clear", "escape", "clear_filter", "Show all", "Take the filter away", True, display="esc",
        yields=True),
    Key("filter", "leave", "escape", "leave", "Show all", "Take the filter away", True, display="esc"),
    Key("filter", "to_list", "down,tab", "to_list", "List", "Keep the filter, go on to the list (also enter)",
        True, display="enter"),
    Key("filter", "regex", "ctrl+r", "regex", "Regex", "Regular expression or plain text", True),
    *(Key("app", area.name, area.key, f"area('{area.name}')", area.label, area.help) for area in AREAS),
    Key("app", "next_pane", "tab", "app.focus_next", "Next pane", "To the next pane (shift+tab: before)"),
    Key("app", "failure", "exclamation_mark", "failure", "Failure",
        "Why it failed: the newest failure, else the run in sight", False, True, "!"),
    Key("app", "jump", "backslash", "jump", "Jump", "Show a letter on every pane and tab; it leads there"),
    Key("app", "copy_command", "Y", "copy_command", "Copy command",
        "Copy the command line of the last action", weak=True),
    Key("app", "tour", "f2", "tour", "Tour", "Show in a minute what there is"),
    Key("app", "palette", "colon,ctrl+p", "command_palette", "Menu", "Every action, workflow and run", True,
        display=":"),
    Key("app", "help", "question_mark,f1", "help", "Help", "The keys of where you are, and all others", True,
        True, "?"),
    Key("app", "quit", "q", "quit", "Quit", "Leave; asks first while runs are in progress", True, True),
    Key("palette", "up", "up", "move('cursor_up')", "Up", "One line up"),
    Key("palette", "down", "down,tab", "move('cursor_down')", "Down", "One line down"),
    Key("palette", "page_up", "pageup", "move('page_up')", "Page up", "One page up"),
    Key("palette", "page_down", "pagedown", "move('page_down')", "Page down", "One page down"),
    Key("palette", "copy", "ctrl+y", "copy", "Copy", "Copy the command line of what the cursor is on"),
    Key("palette", "leave", "escape", "leave", "Back", "To the list before, in the end out of the menu"),
    Key("jump", "leave", "escape,backslash", "leave", "Stay", "Stay where you are"),
    Key("retry", "edit", "e", "edit", "Edit", "Edit the file, then look at what that changes"),
    Key("retry", "params", "p", "params", "Params", "Other params, with the file as it is now"),
    Key("params", "defaults", "f4", "defaults", "Defaults", "Put the defaults into all fields"),
    Key("params", "last", "f5", "last", "Last run", "Put the values of the last run into all fields"),
    Key("dialog", "previous", "left", "app.focus_previous", "Previous", "To the button or field before"),
    Key("dialog", "next", "right", "app.focus_next", "Next", "To the next button or field (also tab)"),
    Key("dialog", "dismiss", "escape", "dismiss_dialog", "Close", "Close it without doing anything"),
)  # fmt: skip


def bindings(scope: str, *, quiet: bool = False) -> list[Binding]:
    """The bindings of one scope, for a class's `BINDINGS`; `quiet` ones are not in the footer."""
    from textual.binding import Binding

    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            show=key.footer and not quiet,
            key_display=key.display or None,
            tooltip=key.help,
            id=key.id,
        )
        for key in KEYS
        if key.scope == scope
    ]


def clashes(keys: Sequence[Key]) -> Iterator[tuple[str, Key, Key]]:
    """Keys that mean two things where both are active: the key, the inner and the outer action."""
    seen: set[tuple[str, str]] = set()
    for scopes in TOGETHER:
        taken: dict[str, Key] = {}
        for key in (key for scope in scopes for key in keys if key.scope == scope):
            for name in key.keys.split(","):
                other = taken.get(name)
                if other is None or (other.yields and other.scope != key.scope):
                    taken[name] = key
                elif not (key.weak and other.scope != key.scope) and (other.id, key.id) not in seen:
                    seen.add((other.id, key.id))
                    yield name, other, key


def key_text(key: Key) -> str:
    """The keys of an action as people write them: `j ↓`."""
    return " ".join(shown_key(name) for name in key.keys.split(","))
