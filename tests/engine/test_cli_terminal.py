"""The command line on a real terminal: the picture, Ctrl-C from the keyboard, questions, hanging up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.command_line import DEADLINE, CommandLine, alive, wait_until
from tests.engine.test_cli_stopping import LONG

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pseudo-terminal with a command in its foreground."""

    def __init__(self, line: CommandLine, *words: str, term: str = "xterm-256color") -> None:
        environment = {**line.environment(), "TERM": term}
        self.shown = ""
        self.code: int | None = None
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(line.directory)
            os.execve(sys.executable, [sys.executable, "-m", "agentainer_tui", *words], environment)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def wait_for(self, text: str) -> None:
        """Wait until `text` has been shown, escape sequences left out."""
        while text not in _ESCAPES.sub("", self.shown):
            assert self._read(), f"no {text!r} in:\n{self.shown}"

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """The terminal goes away."""
        os.close(self._master)
        self._master = -1

    def wait(self) -> int:
        """The exit code."""
        if self.code is None:
            while self._master >= 0 and self._read():
                pass
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self) -> None:
        """End what a failing test left."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.wait()
        if self._master >= 0:
            os.close(self._master)

    def _read(self) -> bool:
        """Read what comes next; False at the end."""
        ready, _, _ = select.select([self._master], [], [], DEADLINE)
        assert ready, f"nothing more came after:\n{self.shown}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux tells that nobody has the other end any more
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


@pytest.fixture
def terminals(line: CommandLine) -> Iterator[list[Terminal]]:
    """Terminals to be closed in the end."""
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def long_run(line: CommandLine, terminals: list[Terminal], on_sigterm: str) -> tuple[Terminal, int]:
    """A terminal with a run, and the process id of its task."""
    pid_file = line.directory / "pid"
    line.write("long.yaml", LONG.format(on_sigterm=on_sigterm, pid_file=pid_file))
    terminal = Terminal(line, "run", "long.yaml")
    terminals.append(terminal)
    wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
    return terminal, int(pid_file.read_text())


def test_every_step_is_drawn_and_the_last_picture_stays(line: CommandLine, terminals: list[Terminal]) -> None:
    line.write(
        "w.yaml",
        "name: w\nsteps:\n  - id: first\n    command: 'sleep 0.3; echo done'\n"
        "  - id: second\n    command: ['true']\n",
    )
    terminal = Terminal(line, "run", "w.yaml")
    terminals.append(terminal)
    terminal.wait_for("waits: first")

    assert terminal.wait() == 0
    last = _ESCAPES.sub("", terminal.shown).rsplit("✓ w completed", 1)[1]
    assert re.search(r"✓ first +completed", last)
    assert re.search(r"✓ second +completed", last)
    assert "result of first:\r\ndone" in last
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")


def test_ctrl_c_from_the_keyboard_cancels_and_twice_skips_the_grace(
    line: CommandLine, terminals: list[Terminal]
) -> None:
    line.write("agentainer.toml", "stop_grace = 300.0\n")
    terminal, task = long_run(line, terminals, "SIG_IGN")
    terminal.wait_for("running")
    terminal.type("\x03")
    terminal.wait_for("long cancelling")
    assert alive(task)
    terminal.type("\x03")

    assert terminal.wait() == 130
    assert "stopping the tasks at once" in terminal.shown
    assert "long cancelled" in _ESCAPES.sub("", terminal.shown)
    assert not alive(task)


def test_a_terminal_that_goes_away_cancels_the_run_and_leaves_nothing(
    line: CommandLine, terminals: list[Terminal]
) -> None:
    terminal, task = long_run(line, terminals, "SIG_DFL")
    terminal.wait_for("running")
    terminal.hang_up()

    assert terminal.wait() == 130
    assert not alive(task)
    assert line.json("show", "last")["run"]["status"] == "cancelled"
    assert not (line.home / "crashes").exists()


def test_a_dumb_terminal_gets_plain_lines(line: CommandLine, terminals: list[Terminal]) -> None:
    line.write("w.yaml", "name: w\nsteps:\n  - id: a\n    command: ['true']\n")
    terminal = Terminal(line, "run", "w.yaml", term="dumb")
    terminals.append(terminal)

    assert terminal.wait() == 0
    assert "\x1b" not in terminal.shown
    assert re.search(r"a +completed", terminal.shown)


@pytest.mark.parametrize(("answer", "left"), [("n", 1), ("", 1), ("y", 0)])
def test_cleanup_asks_before_it_removes_anything(
    line: CommandLine, terminals: list[Terminal], answer: str, left: int
) -> None:
    line.write(
        "keep.yaml", "name: keep\nconfig: {cleanup_policy: never}\nsteps:\n  - id: a\n    command: ['true']\n"
    )
    line.run("run", "keep")
    terminal = Terminal(line, "cleanup")
    terminals.append(terminal)
    terminal.wait_for("remove 1 agent? [y/N]")
    terminal.type(f"{answer}\r")

    assert terminal.wait() == 0
    assert len(line.json("agents")) == left


def test_output_and_params_cannot_steer_the_terminal(line: CommandLine, terminals: list[Terminal]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2Jred"
    line.write(
        "w.yaml",
        "name: w\nparams:\n  evil: {required: true}\n"
        "steps:\n  - id: a\n    env_vars: {EVIL: '{{ $.params.evil }}'}\n"
        '    command: \'echo "$EVIL"; echo "$EVIL" >&2; exit 3\'\n',
    )
    for words in (
        ["run", "w.yaml", "-p", f"evil={evil}"],
        ["logs", "last"],
        ["show", "last"],
        ["history"],
        ["events", "last"],
        ["show", "last", "--json"],
    ):
        terminal = Terminal(line, *words)
        terminals.append(terminal)

        assert terminal.wait() == (1 if words[0] == "run" else 0)
        assert "red" in terminal.shown or words[0] == "history"
        assert "\x1b[2J" not in terminal.shown
        assert "\x1b]" not in terminal.shown
        assert "\x07" not in terminal.shown
