"""The real command line in processes of its own, on the process backend and a home of the test."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE = 60.0


class CommandLine:
    """`agentainer` with a home and a working directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self._live: list[LiveCommand] = []

    def write(self, name: str, text: str) -> Path:
        """A file in the working directory."""
        file = self.directory / name
        file.write_text(text, encoding="utf-8")
        return file

    def run(self, *words: str, stdout: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._argv(words), cwd=self.directory, env=self.environment(), text=True, timeout=DEADLINE,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
        )  # fmt: skip

    def pipe(self, words: list[str], reader: list[str]) -> subprocess.CompletedProcess[str]:
        """Run `agentainer WORDS | READER` to the end of both."""
        shell = f"set -o pipefail; {shlex.join(self._argv(tuple(words)))} | {shlex.join(reader)}"
        return subprocess.run(
            ["bash", "-c", shell], cwd=self.directory, env=self.environment(), text=True, timeout=DEADLINE,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """The JSON document that a command prints; it must end with 0 and have nothing else to say."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    def start(self, *words: str) -> LiveCommand:
        """Start a command, to be watched and signalled."""
        live = LiveCommand(self._argv(words), self.directory, self.environment())
        self._live.append(live)
        return live

    def close(self) -> None:
        """End what a failing test left running."""
        for live in self._live:
            live.end()

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "agentainer_tui", *words]

    def environment(self) -> dict[str, str]:
        """The test's own, with our home and backend."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTAINER_")}
        return {**ours, "AGENTAINER_HOME": str(self.home), "AGENTAINER_BACKEND": "process", "TERM": "dumb"}


class LiveCommand:
    """A command that runs; what it writes is collected while it does."""

    def __init__(self, argv: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.stdout), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.stderr), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str, *, seconds: float = DEADLINE) -> str:
        """The next line, of either stream, that contains `text`; a line is found once."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=min(left, 1.0))
                if text in line:
                    return line
                continue
            if self.process.poll() is not None and self._lines.empty():
                break
        raise AssertionError(f"no line with {text!r} in:\n{''.join(self.stderr)}\n{''.join(self.stdout)}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, not to its tasks."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        code = self.process.wait(DEADLINE)
        for reader in self._readers:
            reader.join(DEADLINE)
        return code

    def end(self) -> None:
        """Have it end in good order if it still runs, kill it if it does not, let go of its streams."""
        for asked in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second skips the grace
            if self.process.poll() is not None:
                break
            self.process.send_signal(asked)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            self._lines.put(line)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` holds."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
