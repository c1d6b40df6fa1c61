"""The dashboard as a person starts it, on a terminal: how soon it is there, and what it uses while idle.

The history holds 10,000 runs. The floor is the smallest program that Textual allows, on the same terminal.
`python -m benchmarks.dashboard_start` prints these figures alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figures import HEADER, Figure
from benchmarks.figures import environment as compiled_environment
from benchmarks.history import fill

RUNS = 10_000
FIRST_PAINT = 0.6
IDLE_PERCENT = 1.0
PASSES = 5
# Seconds: until what a start brings with it is over, how long idleness is watched, what a program may take.
_CALM = 6.0
_WATCHED = 10.0
_PATIENCE = 30.0
_SIZE = (40, 120)
_TICKS = os.sysconf("SC_CLK_TCK")  # a second

_HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("the first paint")
Hello().run()
"""
# What comes between letters on the way to a terminal.
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[P\]].*?(?:\x1b\\|\x07)|\x1b.", re.DOTALL)


class Terminal:
    """A program on a terminal of its own; use as a context manager, which ends it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._began = time.perf_counter()
        self._screen, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
        variables = {**compiled_environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, env=variables, start_new_session=True
        )
        os.close(inner)
        self._said = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            deadline = time.perf_counter() + _PATIENCE
            while self._process.poll() is None and time.perf_counter() < deadline:
                self._read(0.05)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            os.close(self._screen)

    def seconds_until(self, text: str) -> float:
        """Seconds from its start until it has written `text`.

        Raises:
            RuntimeError: it never did; with the last that it wrote.
        """
        while text.encode() not in _CONTROL.sub(b"", self._said):
            if time.perf_counter() - self._began > _PATIENCE or not self._read(_PATIENCE):
                raise RuntimeError(f"{text!r} never came: {_CONTROL.sub(b'', self._said)[-2000:]!r}")
        return time.perf_counter() - self._began

    def let_go_on(self, seconds: float) -> None:
        """Take what it writes for a while, as a terminal does."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self._read(left)

    def cpu_seconds(self) -> float:
        """What it and its children have used of the processors."""
        pids = [self._process.pid, *_children(self._process.pid)]
        return sum(_cpu_seconds(pid) for pid in pids)

    def _read(self, wait: float) -> bool:
        """Take what comes within some seconds; False if there will be no more."""
        ready, _, _ = select.select([self._screen], [], [], wait)
        if not ready:
            return True
        try:
            found = os.read(self._screen, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self._said += found
        return bool(found)


def _children(pid: int) -> list[int]:
    """All processes below one."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text(encoding="ascii").split()):
            found += [child, *_children(child)]
    return found


def _cpu_seconds(pid: int) -> float:
    fields = (
        Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / _TICKS


def dashboard_start_figures() -> Iterator[Figure]:
    """First paint and idle use."""
    with tempfile.TemporaryDirectory() as directory:
        home, files = Path(directory) / "home", Path(directory) / "workflows"
        home.mkdir()
        files.mkdir()
        fill(home / "history.db", RUNS)
        document = {"name": "the-first-paint", "steps": [{"id": "one", "command": ["true"]}]}
        (files / "one.json").write_text(json.dumps(document), encoding="utf-8")
        ours = [
            sys.executable,
            "-m",
            "agentainer_tui",
            "--home",
            str(home),
            "--backend",
            "process",
            str(files),
        ]
        hello = [sys.executable, "-c", _HELLO]
        for command in (ours, hello):
            _first_paint(command)  # compiles what it imports
        painted, floor = list[float](), list[float]()
        for _ in range(PASSES):
            painted.append(_first_paint(ours))
            floor.append(_first_paint(hello))
        yield Figure(
            f"dashboard, {RUNS:,} runs: first paint",
            statistics.median(painted),
            "smallest Textual program",
            statistics.median(floor),
            limit=FIRST_PAINT,
        )
        busy, bare = _idle_percent(ours), _idle_percent(hello)
        bare = max(bare, 100 / _TICKS / _WATCHED)  # what the system's clock can tell
        yield Figure(
            "idle dashboard and its engine: CPU",
            busy,
            "smallest Textual program",
            bare,
            "%",
            limit=IDLE_PERCENT,
        )


def _first_paint(command: Sequence[str]) -> float:
    with Terminal(command) as terminal:
        return terminal.seconds_until("the first paint" if command[1] == "-c" else "agentainer")


def _idle_percent(command: Sequence[str]) -> float:
    """Of one processor, while nobody does anything."""
    with Terminal(command) as terminal:
        terminal.let_go_on(_CALM)
        before = terminal.cpu_seconds()
        terminal.let_go_on(_WATCHED)
        return (terminal.cpu_seconds() - before) / _WATCHED * 100


if __name__ == "__main__":
    print(HEADER)
    for figure in dashboard_start_figures():
        print(figure.line(), flush=True)
