"""What stays in the container of a warm agent whose image has Python and no shell.

It runs there, as process 1, under whatever Python the image has: so nothing of this package is imported, and
nothing is used that is younger than Python 3.6. Tasks are put beside it by the engine (`docker exec`); on its
standard input it is told, line by line, as JSON:

    {"do": "ready", "mark": M}                 answers M:R:
    {"do": "signal", "number": N}              signals the task's first process
    {"do": "prepare", "mark": M, "cwd": D}     notes what is where before a task; answers M:P: and, if it is
                                               not there and cannot be made, why
    {"do": "clean", "mark": M}                 ends what the task left, empties where it wrote; answers M:C:
                                               and what it could not empty
"""

import contextlib
import json
import os
import shutil
import signal
import sys

_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")


def _names(folder: str) -> "set[str] | None":
    try:
        return set(os.listdir(folder))
    except OSError:
        return None


def _sweep(folder: str, before: "set[str] | None") -> bool:
    for name in (_names(folder) or set()) - (before or set()):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    return _names(folder) == before


def _signal_tasks(number: int) -> None:
    """What the engine put into the container has no parent in it."""
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open("/proc/" + name + "/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                if parent == 0:
                    os.kill(int(name), number)


def _tell(mark: str, letter: str, words: str = "") -> None:
    sys.stdout.write("{}:{}:{}\n".format(mark, letter, words))
    sys.stdout.flush()


def main() -> None:
    """Do as told until there is nobody any more who tells."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what tasks leave behind is nobody else's to bury
    home = os.path.expanduser("~")
    folders = [folder for folder in (*_SCRATCH, home) if folder != "/"]
    before = {folder: _names(folder) for folder in folders}
    cwd, in_cwd = None, None  # of the present task, where it is none of the folders
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "ready":
            _tell(told["mark"], "R")
        elif told["do"] == "signal":
            _signal_tasks(told["number"])
        elif told["do"] == "prepare":
            problem = ""
            try:
                os.makedirs(told["cwd"], exist_ok=True)
            except OSError as error:
                problem = str(error).replace("\n", " ")
            cwd = told["cwd"] if told["cwd"] not in folders else None
            in_cwd = _names(told["cwd"])
            _tell(told["mark"], "P", problem)
        elif told["do"] == "clean":
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGKILL)
            left = [folder for folder in folders if not _sweep(folder, before[folder])]
            if cwd is not None and not _sweep(cwd, in_cwd):
                left.append("its working directory")
            _tell(told["mark"], "C", " ".join(left).replace("\n", " "))


if __name__ == "__main__":
    main()
