"""Text on its way out of the app: to the clipboard, into a file, to a pager or an editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from agentainer_tui.text import clean, size
from engine.errors import UsageError

# Terminals drop longer OSC 52 sequences; what they take of base64 is about 100 kB.
_OSC_LIMIT = 74_000


def copy(app: App[Any], text: str, otherwise: str = "") -> str:
    """Copy as well as this terminal and machine allow; returns a sentence that says where it went.

    `otherwise` is what to do in a terminal that takes no copies.

    The terminal (OSC 52) never answers, so where `pyperclip` works too both are done, and a text that
    is too long for both ways goes into a file.
    """
    short = len(text.encode("utf-8", "replace")) <= _OSC_LIMIT
    if short:
        app.copy_to_clipboard(text)
    if _system_clipboard(text):
        return "to the clipboard of this machine" + (" and of the terminal (OSC 52)" if short else "")
    if short:
        hint = f"; where that does nothing, {otherwise}" if otherwise else ""
        return f"to the clipboard of the terminal (OSC 52){hint}"
    path = scratch_file("copy", ".txt")
    path.write_text(text, encoding="utf-8", errors="replace")
    return f"to the file {path}: too long for the terminal ({size(len(text))})"


def _system_clipboard(text: str) -> bool:
    try:
        import pyperclip  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return False
    try:
        pyperclip.copy(text)
    except Exception:  # whatever is missing on this machine; there are other ways
        return False
    return True


def scratch_file(name: str, suffix: str) -> Path:
    """A new file that only this user can read."""
    descriptor, path = tempfile.mkstemp(suffix, f"agentainer-{name}-")
    os.close(descriptor)
    return Path(path)


def free_path(folder: Path, name: str, suffix: str) -> Path:
    """A file that is not there yet; of the name, which may be anyone's, only letters and digits are used.

    Raises:
        UsageError: there are a thousand of them.
    """
    stem = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name)[:80] or "untitled"
    for number in range(1000):
        path = folder / f"{stem}{f'-{number}' if number else ''}{suffix}"
        if not os.path.lexists(path):  # a link to nothing is there, too
            return path
    raise UsageError(f"{folder} has a thousand files named {stem}")


def viewer(*, edit: bool) -> list[str]:
    """The command of `$PAGER`, or with `edit` of `$VISUAL` or `$EDITOR`; else what is usual.

    Raises:
        UsageError: there is none on this machine.
    """
    names = ("VISUAL", "EDITOR") if edit else ("PAGER",)
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "")
    for command in (chosen, *(("vi", "nano") if edit else ("less", "more"))):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    hint = "set $EDITOR" if edit else "set $PAGER"
    raise UsageError(f"no {'editor' if edit else 'pager'} is found", hint=hint)


# How editors are told where to open a file; others are given the file alone.
_PLUS_LINE = frozenset(
    {
        *("vi", "vim", "nvim", "view", "gvim", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe"),
        *("jed", "mg", "ne", "vis", "mcedit", "less", "more", "most"),
    }
)
_COLON_LINE = {"hx": (), "helix": (), "subl": (), "zed": (), "code": ("--goto",), "codium": ("--goto",)}


def at_line(command: list[str], path: Path, line: int) -> list[str]:
    """The whole command that opens a file, at a line (0: anywhere) if the program is known to take one."""
    name = Path(command[0]).name
    if line > 0 and name in _PLUS_LINE:
        return [*command, f"+{line}", str(path)]
    if line > 0 and name in _COLON_LINE:
        return [*command, *_COLON_LINE[name], f"{path}:{line}"]
    return [*command, str(path)]


def view_file(app: App[Any], path: Path, *, edit: bool, line: int = 0) -> None:
    """Give the terminal to a pager or an editor until it ends, at a line of the file if it takes one.

    Raises:
        UsageError: there is none, or the terminal cannot be given away.
    """
    command = viewer(edit=edit)
    try:
        with app.suspend():
            subprocess.run(at_line(command, path, line), check=False)
    except SuspendNotSupported:
        raise UsageError("this terminal cannot be given to another program") from None
    except OSError as error:
        raise UsageError(f"{clean(command[0])} cannot be started: {error.strerror}") from error
