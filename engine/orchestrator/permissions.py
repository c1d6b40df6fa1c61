"""What tasks may have of this machine: host paths, all rights, its network. Settings say so, documents ask.

A document may come from anywhere. Without a setting it gets at what lies beside it, and at nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.agents.backend import BackendFacts, Mount
from engine.errors import InputError
from engine.settings import Settings
from engine.workflows.plan import TaskPlan, VolumePlan

# The kernel's own trees: what can be written there changes the machine.
_KERNEL = (Path("/proc"), Path("/sys"), Path("/dev"))
# Where container engines listen, whoever made them. To talk to one is to be root, or the user it runs as.
_ENGINE_SOCKETS = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "~/.docker/run/docker.sock",
    "~/.docker/desktop/docker.sock",
)
_OF_THE_USER = ("docker.sock", "podman/podman.sock")


def objections(task: TaskPlan, document: str | None, settings: Settings, facts: BackendFacts) -> list[str]:
    """Why a task may not have what it asks for, each as a sentence that goes on after "step 'x': ".

    Args:
        task: what asks.
        document: the path of the workflow document, None for a text that was never a file.
        settings: the engine's.
        facts: of the backend.
    """
    if facts.name == "process":
        return _process_objections(task, document)
    found = []
    if task.privileged and not settings.allow_privileged:
        found.append(
            "asks for `privileged`, all rights on this machine, which the setting allow_privileged refuses: "
            "take it out, or allow it"
        )
    if task.network == "host" and not settings.allow_host_network:
        found.append(
            "asks for `network: host`, this machine's own network, which the setting allow_host_network "
            "refuses: take it out, or allow it"
        )
    if task.working_dir is not None and not task.working_dir.startswith("/"):
        found.append(
            f"has `working_dir` {task.working_dir!r}, expected an absolute path in the container: "
            f"write '/{task.working_dir.removeprefix('./')}'"
        )
    if task.volumes:
        guard = _Guard.of(document, settings, facts)
        for volume in task.volumes:
            try:
                guard.admit(volume)
            except InputError as error:
                found.append(f"{error.message}: {error.hint}")
    return found


def _process_objections(task: TaskPlan, document: str | None) -> list[str]:
    found = []
    for name, asked in (("volumes", bool(task.volumes)), ("privileged", task.privileged)):
        if asked:
            found.append(
                f"asks for `{name}`, which a local process cannot have: run it with --backend docker"
            )
    place = working_dir_of(task, document, "process")
    if place is not None and not Path(place).is_dir():
        found.append(f"has `working_dir` {task.working_dir!r}, but {place} is not a directory: make it first")
    return found


def mounts_of(
    task: TaskPlan, document: str | None, settings: Settings, facts: BackendFacts
) -> tuple[Mount, ...]:
    """What is mounted into a task's agent, looked up and judged anew: links may have changed since admission.

    What is mounted is the path that was judged, with all links resolved.

    Raises:
        InputError: a source is not there, or may not be mounted.
    """
    if not task.volumes:
        return ()
    guard = _Guard.of(document, settings, facts)
    return tuple(guard.admit(volume) for volume in task.volumes)


def working_dir_of(task: TaskPlan, document: str | None, backend: str) -> str | None:
    """Where a task's command starts, None where the backend decides.

    On Docker that is a path in the container; of a local process it is relative to the document, or to the
    current directory for a text that was never a file.
    """
    if task.working_dir is None or backend != "process":
        return task.working_dir
    return str((_directory_of(document) or Path.cwd()) / task.working_dir)


def _directory_of(document: str | None) -> Path | None:
    return Path(document).absolute().parent if document is not None else None


@dataclass(frozen=True, slots=True)
class _Guard:
    """Judges the volumes of one document.

    Attributes:
        directory: what relative sources are relative to.
        roots: real directories below which sources may lie.
        sockets: where container engines listen.
        settings: the engine's.
    """

    directory: Path | None
    roots: tuple[Path, ...]
    sockets: tuple[Path, ...]
    settings: Settings

    @classmethod
    def of(cls, document: str | None, settings: Settings, facts: BackendFacts) -> _Guard:
        directory = _directory_of(document)
        roots = [Path(os.path.realpath(root)) for root in settings.allowed_roots]
        if directory is not None and (beside := Path(os.path.realpath(directory))) != Path("/"):
            roots.insert(0, beside)
        return cls(directory, tuple(dict.fromkeys(roots)), tuple(_sockets(facts)), settings)

    def admit(self, volume: VolumePlan) -> Mount:
        """The mount that a volume comes to.

        Raises:
            InputError: it may not be, or its source is not there.
        """
        if volume.named:
            return Mount(volume.source, volume.target, volume.read_only, named=True)
        shown = f"the volume {volume.source!r}"
        real, mode = self._resolve(volume.source, shown)
        if str(real) != volume.source:
            shown += f" ({real})"
        self._check_dangers(real, mode, shown)
        if not any(is_below(real, root) for root in self.roots):
            places = ", ".join(map(str, self.roots)) or "none"
            raise InputError(
                f"{shown} does not lie in an allowed place ({places})",
                hint="put it beside the document, or add its directory to the setting allowed_roots",
            )
        return Mount(str(real), volume.target, volume.read_only)

    def _resolve(self, source: str, shown: str) -> tuple[Path, int]:
        """The path that it really is, and its mode."""
        if self.directory is None and not source.startswith("/"):
            raise InputError(
                f"{shown} is relative to the document, which is not a file", hint="write an absolute path"
            )
        try:
            real = Path(os.path.realpath((self.directory or Path("/")) / source, strict=True))
            return real, real.stat().st_mode
        except FileNotFoundError as error:
            missing = error.filename or source
            raise InputError(
                f"{shown} is not there ({missing})", hint="make it first, or correct the path"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{shown} cannot be used ({error})", hint="correct the path") from None

    def _check_dangers(self, real: Path, mode: int, shown: str) -> None:
        settings = self.settings
        home = Path(os.path.realpath(settings.home))
        if is_below(real, home):
            raise InputError(
                f"{shown} is in the engine's own home, where its history and its sockets are",
                hint="keep what tasks use outside of it",
            )
        if not settings.allow_docker_socket and (
            stat.S_ISSOCK(mode) or any(is_below(socket, real) for socket in self.sockets)
        ):
            raise InputError(
                f"{shown} gives the task a socket of the Docker engine, and with it this machine",
                hint="take it out; the setting allow_docker_socket allows it",
            )
        kernel = stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
        kernel = kernel or any(is_below(real, tree) or is_below(tree, real) for tree in _KERNEL)
        if not settings.allow_privileged and (kernel or is_below(home, real)):
            what = "is the kernel's own, or holds it" if kernel else "holds the engine's own home"
            raise InputError(
                f"{shown} {what}", hint="name something below it; the setting allow_privileged allows it"
            )


def _sockets(facts: BackendFacts) -> Iterator[Path]:
    known = [*facts.sockets, *_ENGINE_SOCKETS]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        known += [str(Path(runtime, name)) for name in _OF_THE_USER]
    if (host := os.environ.get("DOCKER_HOST", "")).startswith("unix://"):
        known.append(host.removeprefix("unix://"))
    for socket in dict.fromkeys(known):
        yield Path(os.path.realpath(os.path.expanduser(socket)))  # noqa: PTH111 - that one fails without a home


def is_below(path: Path, place: Path) -> bool:
    """Whether a path is a place or lies in it: by name, and by identity.

    The second sees through what names hide: file systems that ignore case, directories mounted twice.
    """
    if path.is_relative_to(place):
        return True
    identity = _identity(place)
    return identity is not None and identity in _identities((path, *path.parents))


def _identities(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    return (identity for path in paths if (identity := _identity(path)) is not None)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
