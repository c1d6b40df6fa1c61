"""The resident shell: tasks fed to a `sh` over its standard input, their output framed by marks.

A container that does nothing but read commands runs a task in about a millisecond: no container has to be
made, no process put into one. The shell is process 1, so nothing that a task does to its parent ends it. Each
task is a subshell that becomes the task's program: its environment, directory and descriptors end with it.

What the shell prints around a task begins with the task's mark, a word that nobody can guess:

    MARK:B:pid      the task's program begins; what follows is its output
    MARK:N:code     there is no such program (127), or it cannot be executed (126)
    MARK:E:code     it has ended, on both streams; on standard output two lines of `times` follow
    MARK:C:names    the container has been cleaned; names of the directories where that failed
    MARK:R:         the shell is ready

Output of a task may end anywhere, also without a newline: the mark stands right behind it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.agents.backend import Stream

# Written in what every POSIX shell knows, without a process of its own where nothing is to be done.
# `_a_l` is set to the names in a directory; `_a_x` to the path of a program.
# Its own remarks, as on a task that was killed, are nobody's output: standard error is put aside as 3.
PRELUDE = r"""
exec 3>&2 2>/dev/null
_a_n='
'
_a_list() {
  _a_l=$_a_n
  for _a_f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    if [ -e "$_a_f" ] || [ -L "$_a_f" ]; then _a_l=$_a_l${_a_f##*/}$_a_n; fi
  done
}
_a_sweep() {
  [ -d "$1" ] || { [ "$2" = "$_a_n" ] || return 1; return 0; }
  _a_list "$1"
  [ "$_a_l" != "$2" ] || return 0
  IFS=$_a_n; set -f
  for _a_f in $_a_l; do
    case $2 in *"$_a_n$_a_f$_a_n"*) ;; *) rm -rf -- "$1/$_a_f" ;; esac
  done
  unset IFS; set +f
  _a_list "$1"
  [ "$_a_l" = "$2" ]
}
_a_find() {
  case $2 in */*)
    _a_x=$2
    [ -e "$2" ] || return 127
    [ -f "$2" ] && [ -x "$2" ] || return 126
    return 0
  esac
  _a_c=127; IFS=:; set -f
  for _a_d in $1; do
    _a_x=${_a_d:-.}/$2
    if [ -f "$_a_x" ] && [ -x "$_a_x" ]; then unset IFS; set +f; return 0; fi
    [ ! -e "$_a_x" ] || _a_c=126
  done
  unset IFS; set +f
  return $_a_c
}
_a_become() {
  read -r _a_p _a_r </proc/self/stat
  echo "$_a_m:B:$_a_p"
  if [ -n "$_a_s" ]; then shift; exec "$_a_x" "$@" 2>&3 3>&-; fi
  exec "$@" 2>&3 3>&-
}
_a_none() {
  echo "$_a_m:N:$1"
  exit "$1"
}
_a_ended() {
  kill -9 -1
  echo "$1:E:$2" >&3
  echo "$1:E:$2"
  times
}
_a_clean() {
  _a_b=
  _a_sweep /tmp "$_a_tmp" || _a_b="$_a_b /tmp"
  _a_sweep /var/tmp "$_a_vartmp" || _a_b="$_a_b /var/tmp"
  _a_sweep /dev/shm "$_a_shm" || _a_b="$_a_b /dev/shm"
  [ -z "$HOME" ] || [ "$HOME" = / ] || _a_sweep "$HOME" "$_a_home" || _a_b="$_a_b its home"
  [ "$_a_cwd" = "$HOME" ] || _a_sweep "$_a_cwd" "$_a_work" || _a_b="$_a_b its working directory"
  echo "$1:C:$_a_b"
}
_a_list /tmp; _a_tmp=$_a_l
_a_list /var/tmp; _a_vartmp=$_a_l
_a_list /dev/shm; _a_shm=$_a_l
_a_list "${HOME:-/}"; _a_home=$_a_l
_a_s=$( (PATH=/nowhere; exec true) && echo yes)
"""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Variables that shells keep for themselves, some read-only: a task that is given one needs another way.
_SHELLS_OWN = frozenset(("UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"))
# What `times` prints: a line about the shell, and one about what it has run.
_TIMES_LINES = 2
_TIMES = re.compile(rb"(\d+)m(\d+(?:\.\d+)?)s")


@dataclass(frozen=True, slots=True)
class ShellTask:
    """What a task is, to a resident shell.

    Attributes:
        argv: the program and its arguments, as the kernel shall get them.
        env: what it has beyond the container's own environment.
        cwd: where it starts; made if it is not there.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str


def new_mark() -> str:
    """A word that no output holds by chance, and no task can know."""
    return f"agentainer:{secrets.token_hex(16)}"


def why_unfit(task: ShellTask) -> str:
    """Why a shell cannot hand a task on unchanged; "" if it can."""
    for name in task.env:
        if not _NAME.fullmatch(name):
            return f"the variable {name!r} has a name that shells do not hand on"
        if name in _SHELLS_OWN:
            return f"shells do not hand on the variable {name}"
    if task.argv[0].startswith("-"):
        return f"a shell would take the program {task.argv[0]!r} for an option"
    return ""


def prelude(mark: str) -> bytes:
    """What a shell is told once, before its first task; it answers that it is ready."""
    return f"{PRELUDE}\necho '{mark}:R:'\n".encode()


def task_text(task: ShellTask, mark: str) -> bytes:
    """The commands that run a task and tell its end."""
    cwd, argv = quote(task.cwd), " ".join(map(quote, task.argv))
    exports = "".join(f"export {name}={quote(value)}\n" for name, value in task.env.items())
    path = quote(task.env["PATH"]) if "PATH" in task.env else '"$PATH"'
    text = f"""_a_cwd={cwd}; _a_list "$_a_cwd"; _a_work=$_a_l
(
_a_m='{mark}'
[ -d "$_a_cwd" ] || mkdir -p "$_a_cwd"
cd "$_a_cwd" || exit
set -- {argv}
_a_find {path} "$1" || _a_none $?
unset PWD OLDPWD SHLVL
{exports}_a_become "$@"
) </dev/null
_a_ended '{mark}' "$?"
"""
    return text.encode("utf-8", "surrogateescape")


def clean_text(mark: str) -> bytes:
    """The commands that remove what a task left, and tell how that went."""
    return f"_a_clean '{mark}'\n".encode()


def quote(text: str) -> str:
    """One word of a shell, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that the shell tells: its letter and what stands behind."""

    letter: str
    value: str


class MarkScanner:
    """Tells one stream's output from what the shell prints around it, by its mark."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{mark}:".encode()
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes | Told]:
        """Output and what is told, in order; what may be the beginning of a mark is held back."""
        data = self._held + data
        self._held = b""
        while data:
            before, found, rest = data.partition(self._mark)
            if not found:
                self._held = self._maybe_mark(data)
                if output := data[: len(data) - len(self._held)]:
                    yield output
                return
            if before:
                yield before
            line, end, data = rest.partition(b"\n")
            if not end:
                self._held = found + rest
                return
            letter, _, value = line.decode("utf-8", "replace").partition(":")
            yield Told(letter, value)

    def flush(self) -> bytes:
        """There will be no more: what was held back is output after all."""
        held, self._held = self._held, b""
        return held

    def _maybe_mark(self, data: bytes) -> bytes:
        for length in range(min(len(self._mark) - 1, len(data)), 0, -1):
            if data.endswith(self._mark[:length]):
                return data[-length:]
        return b""


def cpu_seconds(times: bytes) -> float | None:
    """CPU time of all tasks so far from the output of `times`: its second line is that of the children."""
    lines = times.strip().splitlines()
    found = _TIMES.findall(lines[1]) if len(lines) > 1 else []
    return sum(int(minutes) * 60 + float(seconds) for minutes, seconds in found) if found else None


class TaskScanner:
    """Reads one task's part of the shell's output.

    Args:
        mark: of the task.
        write: gets the task's own output.

    Attributes:
        pid: of the task's program in its container, once it has begun.
        code: its exit code, once it has ended.
        missing: 127 or 126 if there was no such program.
        cpu: CPU time of all tasks of this shell, as it stood at the end of this one.
        uncleaned: what could not be cleaned after it, "" if all is clean; None as long as that is not told.
    """

    def __init__(self, mark: str, write: Callable[[Stream, bytes], None]) -> None:
        self.pid: int | None = None
        self.code: int | None = None
        self.missing: int | None = None
        self.cpu: float | None = None
        self.uncleaned: str | None = None
        self._write = write
        self._ended: set[Stream] = set()
        self._times = b""
        self._scanners: dict[Stream, MarkScanner] = {
            "stdout": MarkScanner(mark),
            "stderr": MarkScanner(mark),
        }

    @property
    def over(self) -> bool:
        """Whether all that belongs to the task has come."""
        return len(self._ended) == 2 and self._times.count(b"\n") >= _TIMES_LINES

    @property
    def began(self) -> bool:
        """Whether the task's program was there to be run, or not to be found: the shell did its part."""
        return self.pid is not None or self.missing is not None

    def feed(self, stream: Stream, data: bytes) -> None:
        """Take what came on a stream."""
        for piece in self._scanners[stream].feed(data):
            if isinstance(piece, Told):
                self._note(stream, piece)
            else:
                self._take(stream, piece)

    def flush(self) -> None:
        """The shell is gone: what was held back is output of the task."""
        for stream, scanner in self._scanners.items():
            self._take(stream, scanner.flush())

    def _note(self, stream: Stream, told: Told) -> None:
        match told.letter:
            case "B":
                self.pid = int(told.value)
            case "N":
                self.missing = int(told.value)
            case "E":
                self._ended.add(stream)
                self.code = int(told.value)
            case "C":
                self.uncleaned = told.value.strip()

    def _take(self, stream: Stream, data: bytes) -> None:
        if stream not in self._ended:
            # On standard error there is nothing but the task's; on standard output, not before it has begun.
            if data and (stream == "stderr" or self.pid is not None):
                self._write(stream, data)
        elif stream == "stdout" and self.cpu is None:
            self._times += data
            if self._times.count(b"\n") >= _TIMES_LINES:
                self.cpu = cpu_seconds(self._times)
