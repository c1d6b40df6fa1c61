"""The parts of the benchmark, each measured in a process of its own within a bounded time.

`python -m benchmarks.parts PART` measures one and prints its figures as lines of JSON.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

from benchmarks.figures import Figure

# Seconds that a part which was told to end may take to clean up.
_GRACE = 15.0


@dataclass(frozen=True, slots=True)
class Part:
    """What can be measured alone.

    Attributes:
        about: what it measures, in a few words.
        function: `module:function` below `benchmarks`; gives its figures.
        seconds: how long it may take.
        docker: whether it needs a Docker engine.
    """

    about: str
    function: str
    seconds: float = 60.0
    docker: bool = False


PARTS = {
    "commands": Part("short commands as whole processes", "commands:command_figures"),
    "steps": Part("whole jobs of local processes", "steps:process_figures"),
    "engine": Part("steps in memory, journalled; idle engine", "engine:engine_figures", 120.0),
    "journal": Part("events into SQLite", "journal:journal_figures"),
    "state": Part("Redis: start, completions, round trips", "state:state_figures"),
    "history": Part("figures over 100,000 runs", "history:history_figures", 90.0),
    "dashboard": Part(
        "dashboard on a terminal: start, idle", "dashboard_start:dashboard_start_figures", 120.0
    ),
    "busy": Part("dashboard during a busy run", "dashboard_busy:dashboard_busy_figures", 90.0),
    "log": Part("log of the dashboard", "dashboard_log:dashboard_log_figures"),
    "run": Part("screen of a run", "dashboard_run:dashboard_run_figures"),
    "lists": Part("history and metrics in the dashboard", "dashboard_lists:dashboard_list_figures", 180.0),
    "travel": Part(
        "time travel in a run of 100,000 events", "dashboard_travel:dashboard_travel_figures", 120.0
    ),
    "containers": Part("steps in containers", "containers:busybox_figures", 400.0, docker=True),
}


def measure(name: str, *, within: float = math.inf) -> Iterator[Figure]:
    """The figures of a part as they come; it has its own time, and not more than `within` seconds.

    Raises:
        RuntimeError: it failed, or took too long; with the end of what it said.
    """
    part = PARTS[name]
    seconds = min(part.seconds, max(within, 0.0))
    command = [sys.executable, "-m", "benchmarks.parts", name]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that its own processes can be ended with it
    ) as process:
        said: list[str] = []
        listener = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        listener.start()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(seconds, give_up)
        timer.start()
        try:
            for line in process.stdout or ():
                yield Figure.from_json(json.loads(line))
        finally:
            timer.cancel()
            _end(process, patience=_GRACE)
            listener.join()
    if late.is_set():
        raise RuntimeError(f"did not finish within {seconds:.0f} s")
    if process.returncode != 0:
        raise RuntimeError(f"ended with {process.returncode}: {''.join(said)[-2000:].strip()}")


def _end(process: subprocess.Popen[str], *, patience: float = 0.0) -> None:
    """See to it that a part's process is over, and all that it started: asked first, then killed."""
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _asked_to_end(*_: object) -> NoReturn:
    """What is open is closed on the way out: engines, their containers, directories."""
    raise SystemExit("was told to end")


def main() -> None:
    """Measure one part."""
    signal.signal(signal.SIGTERM, _asked_to_end)
    module, _, function = PARTS[sys.argv[1]].function.partition(":")
    for figure in getattr(import_module(f"benchmarks.{module}"), function)():
        print(json.dumps(figure.to_json()), flush=True)


if __name__ == "__main__":
    main()
