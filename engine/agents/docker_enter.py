"""Shells into containers: into a running one as it is, into a stopped one by way of a copy.

A container that has exited cannot be entered, and starting it would run its task again. So its files are
committed to an image for as long as the shell is open, and a container of that image gets what the agent
had: mounts, network, user, working directory, environment, limits. Neither carries the label of an instance,
or it would be taken for an agent; labels of their own say whose they are and which process made them, so
that they are found and removed if that process does not do it.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from engine.agents.docker_actions import inspect
from engine.agents.docker_calls import Calls, EngineRefusedError
from engine.agents.docker_link import EngineLink
from engine.agents.docker_spec import INSTANCE_LABEL, JOINS_LABEL, SHARED, info_of_listing
from engine.agents.shells import Owner, Shell, ShellCopy
from engine.errors import BackendError, Reason

# On copies and on their images: the agent that they are made from, its instance, the process that made them.
_SHELL_LABEL = "agentainer.shell"
_HOME_LABEL = "agentainer.shell.instance"
_OWNER_LABEL = "agentainer.shell.owner"
_SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/busybox/sh")
# What a copy has in common with its agent; mounts come by `VolumesFrom`, which also brings anonymous volumes.
_ALIKE = ("NanoCpus", "Memory", "MemorySwap", "DeviceRequests", "Privileged", "SecurityOpt", "ExtraHosts")
_ALIKE_WITHIN = ("Hostname", "User", "WorkingDir", "Env", "NetworkDisabled")
# Files of any size are copied by a commit.
_COMMIT = 600.0
_COPY_NOTE = "The agent has stopped: this is a copy of its files. What is changed here goes with the shell."


async def open_shell(link: EngineLink, name: str, command: str | None, *, tty: bool) -> Shell:
    """A shell in a container of this home, or one command in it; see `Backend.open_shell`."""
    if shutil.which("docker") is None:
        raise _refused("a shell in a container needs the `docker` command", "install Docker's command line")
    found = await inspect(link.calls, name)
    if found is None:
        raise _refused(f"{name} is gone: there is nothing to enter", "see `agentainer agents`")
    if (found["Config"]["Labels"] or {}).get(INSTANCE_LABEL) != link.instance:
        raise _refused(f"the container {name} is not of this home", "use the home that made it")
    state = found["State"]
    if state.get("Paused"):
        raise _refused(f"{name} is paused", f"`docker unpause {name}` lets it go on")
    shell = await _shell_of(link.calls, name)
    words = (shell,) if command is None else (shell, "-c", command)
    if state.get("Running"):
        return Shell(name, ("docker", "exec", "-it" if tty else "-i", name, *words))
    copy = f"agentainer-shell-{secrets.token_hex(4)}"
    try:
        await _copy(link, found, copy, words, tty=tty)
    except BaseException:
        with contextlib.suppress(BackendError):
            await remove_copy(link.calls, copy)
        raise
    return Shell(name, ("docker", "start", "-ai", copy), copy, _COPY_NOTE)


async def remove_copy(calls: Calls, copy: str) -> None:
    """Remove a copy and its image; nothing happens to what is gone. Volumes are the agent's, and stay."""
    with _unless_gone():
        await calls(f"remove {copy}", "remove_container", copy, force=True)
    with _unless_gone():
        await calls(f"remove the image of {copy}", "remove_image", _image(copy), force=True)


async def shell_copies(calls: Calls, instance: str | None) -> list[ShellCopy]:
    """The copies that exist, of one home or of all."""
    wanted = _HOME_LABEL if instance is None else f"{_HOME_LABEL}={instance}"
    found = await calls(
        "list copies for shells", "containers", all=True, size=True, filters={"label": [wanted]}
    )
    return [_copy_of(container) for container in found]


async def sweep(link: EngineLink) -> list[str]:
    """Remove what processes of this home that are gone have left open; returns the copies' names."""
    wanted = f"{_HOME_LABEL}={link.instance}"
    left = {copy.info.name for copy in await shell_copies(link.calls, link.instance) if copy.in_use is False}
    images = await link.calls("list images for shells", "images", filters={"label": [wanted]})
    for image in images:
        owner = Owner.read((image.get("Labels") or {}).get(_OWNER_LABEL, ""))
        if owner is not None and owner.is_there is False:
            left |= {tag.rpartition(":")[2] for tag in image.get("RepoTags") or ()}
    for copy in left:
        await remove_copy(link.calls, copy)
    return sorted(left)


async def _copy(
    link: EngineLink, found: Mapping[str, Any], copy: str, words: Sequence[str], *, tty: bool
) -> None:
    """Commit the container's files, and make a container of them that has what the agent had."""
    name = found["Name"].lstrip("/")
    marks = {
        INSTANCE_LABEL: "",  # an image has its container's labels, unless they are said anew
        _SHELL_LABEL: name,
        _HOME_LABEL: link.instance,
        _OWNER_LABEL: str(Owner.here()),
    }
    repository, _, tag = _image(copy).partition(":")
    doing = f"copy the files of {name}"
    await link.calls.blocking(
        doing, link.calls.client.commit, found["Id"], repository, tag, conf={"Labels": marks},
        deadline=_COMMIT,
    )  # fmt: skip
    config = _config(found, copy, words, marks, tty=tty)
    mode = config["HostConfig"].get("NetworkMode", "")
    if mode.startswith(SHARED) and await inspect(link.calls, mode.removeprefix(SHARED)) is None:
        # The run is over, and with it the namespace that its agents shared.
        config["HostConfig"]["NetworkMode"] = link.traits.network
    await link.calls(f"make {copy}", "create_container_from_config", config, copy)
    if joins := (found["Config"]["Labels"] or {}).get(JOINS_LABEL):
        await link.calls(f"connect {copy} to {joins}", "connect_container_to_network", copy, joins)


def _config(
    found: Mapping[str, Any], copy: str, words: Sequence[str], marks: Mapping[str, str], *, tty: bool
) -> dict[str, Any]:
    within, around = found["Config"], found["HostConfig"]
    host: dict[str, Any] = {key: around[key] for key in _ALIKE if around.get(key)}
    host |= {
        "NetworkMode": around.get("NetworkMode") or "default",
        "VolumesFrom": [found["Id"]],
        "Init": True,
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
    }
    config = {key: within[key] for key in _ALIKE_WITHIN if within.get(key)}
    if host["NetworkMode"].startswith(SHARED):
        config.pop("Hostname", None)
    return config | {
        "Image": _image(copy),
        "Entrypoint": [words[0]],
        "Cmd": list(words[1:]),
        "Labels": dict(marks),
        "Tty": tty,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": host,
    }


async def _shell_of(calls: Calls, name: str) -> str:
    """The best shell in a container, running or not."""
    for path in _SHELLS:
        with _unless_gone():
            await calls.blocking(f"look for {path} in {name}", _look, calls.client, name, path)
            return path
    raise _refused(
        f"the image of {name} has no shell", f"`docker cp {name}:/ DIR` copies its files to this machine"
    )


def _look(client: Any, name: str, path: str) -> None:
    content, _ = client.get_archive(name, path)
    content.close()


def _copy_of(listed: Mapping[str, Any]) -> ShellCopy:
    written = listed["Labels"] or {}
    owner = Owner.read(written.get(_OWNER_LABEL, ""))
    info = info_of_listing(listed)
    return ShellCopy(info, written.get(_SHELL_LABEL, ""), None if owner is None else owner.is_there)


def _image(copy: str) -> str:
    return f"agentainer-shell:{copy}"


@contextlib.contextmanager
def _unless_gone() -> Any:
    try:
        yield
    except EngineRefusedError as error:
        if error.status != 404:
            raise


def _refused(message: str, hint: str) -> BackendError:
    return BackendError(Reason.INPUT_ERROR, message, transient=False, hint=hint)
