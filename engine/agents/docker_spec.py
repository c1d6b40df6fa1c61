"""From an `AgentSpec` to what the Docker engine is asked to make, and back from labels to who it was for."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.agents.backend import AgentIdentity, AgentInfo, AgentPhase, AgentSpec, Limits, Mount
from engine.errors import BackendError, Reason

INSTANCE_LABEL = "agentainer.instance"
# The pool of a warm agent.
POOL_LABEL = "agentainer.pool"
# The directory of the home, and its machine: who finds the container can tell whether the home still is.
HOME_LABEL = "agentainer.home"
HOST_LABEL = "agentainer.host"
# The network that a container joins besides ours; old engines take only one when a container is made.
JOINS_LABEL = "agentainer.joins"
# What ours are known by among all volumes.
_VOLUME_LABELS = {"agentainer.volume": "1"}
_OUR_NETWORKS = ("default", "none", "host", "run")
# What the network of an agent begins with that shares the namespace of another container.
SHARED = "container:"

_HOSTNAME_LIMIT = 63
# What Docker itself keeps of the output, for engines of ours that take a container over. The driver `local`
# is faster and keeps bytes that are not UTF-8, but (20.10) loses the ends of lines longer than 16 KiB.
_LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "100m", "max-file": "2"}}
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_EXITED = re.compile(r"Exited \((-?\d+)\)")
# As in `Up 2 minutes (health: starting)`; the engine's list has it in no other form.
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_PHASES = {
    "created": AgentPhase.CREATED,
    "running": AgentPhase.RUNNING,
    "paused": AgentPhase.RUNNING,
    "restarting": AgentPhase.RUNNING,
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What is the same for all containers of one engine.

    Attributes:
        network: the name of the network that agents share.
        init: let `docker-init` be process 1, which passes signals on and reaps; the engine must have it.
        home: the directory of this home, "" if that is not to be told.
    """

    network: str
    init: bool
    home: str = ""


def check_name(name: str) -> None:
    """Refuse what cannot be a container's name, before it becomes a part of a path.

    Raises:
        BackendError: always, for such a name.
    """
    if not _CONTAINER_NAME.fullmatch(name):
        raise BackendError(Reason.INPUT_ERROR, f"{name!r} cannot be the name of a container", transient=False)


def container_config(spec: AgentSpec, traits: Traits) -> dict[str, Any]:
    """The body of the engine's create call."""
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "LogConfig": _LOG_CONFIG,
        "Init": traits.init,
        "Mounts": [_mount(mount) for mount in spec.mounts],
        **_limits(spec.limits),
    }
    if spec.privileged:
        host["Privileged"] = True
    else:
        host["SecurityOpt"] = ["no-new-privileges"]
    config: dict[str, Any] = {
        "Image": spec.image,
        "Hostname": hostname(spec),
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": {**labels(spec, traits), **_origin(traits)},
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "HostConfig": host,
    }
    if spec.network == "none":
        # Without a network of its own, not even the `none` network, it starts twice as fast.
        config["NetworkDisabled"] = True
    elif spec.network.startswith(SHARED):
        # The name of the host, and the hosts that it knows, are those of the container that it shares with.
        host["NetworkMode"] = spec.network
        del config["Hostname"]
    else:
        host["NetworkMode"] = "host" if spec.network == "host" else traits.network
        host["ExtraHosts"] = ["host.docker.internal:host-gateway"]
    if isinstance(spec.command, str):
        # The shell is the entry point: an entry point of the image would get the shell as its arguments.
        config["Entrypoint"] = ["/bin/sh", "-c"]
        config["Cmd"] = [spec.command]
    elif spec.command is not None:
        config["Cmd"] = list(spec.command)
    if spec.resident:
        # As process 1, so that nothing in the container ends it; its input ends when the engine does.
        config |= {"Entrypoint": list(spec.resident), "Cmd": [], "AttachStdin": True}
        config |= {"OpenStdin": True, "StdinOnce": True}
        host |= {"Init": False, "LogConfig": {"Type": "none"}}
    if spec.working_dir is not None:
        config["WorkingDir"] = spec.working_dir
    if spec.user is not None:
        config["User"] = spec.user
    return config


def hostname(spec: AgentSpec) -> str:
    """What a container is called within: its name, as far as that is allowed."""
    return spec.name[:_HOSTNAME_LIMIT].rstrip("-.") or "agent"


def _mount(mount: Mount) -> dict[str, Any]:
    """In the long form, in which no character means anything and the source must be there."""
    written = {"Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.named:
        return {"Type": "volume", **written, "VolumeOptions": {"Labels": _VOLUME_LABELS}}
    # Nothing that is mounted later, on either side, shows on the other.
    return {"Type": "bind", **written, "BindOptions": {"Propagation": "rprivate"}}


def joined_network(spec: AgentSpec, traits: Traits) -> str:
    """The network that it joins besides ours, or ""."""
    own = spec.network in (*_OUR_NETWORKS, traits.network) or spec.network.startswith(SHARED)
    return "" if own else spec.network


def _limits(limits: Limits) -> dict[str, Any]:
    host: dict[str, Any] = {}
    if limits.nano_cpus is not None:
        host["NanoCpus"] = limits.nano_cpus
    if limits.memory_bytes is not None:
        host["Memory"] = limits.memory_bytes
        host["MemorySwap"] = limits.memory_bytes  # no swap on top, or the limit would be twice what it says
    if limits.gpus:
        host["DeviceRequests"] = [{"Count": limits.gpus, "Capabilities": [["gpu"]]}]
    return host


def labels(spec: AgentSpec, traits: Traits) -> dict[str, str]:
    """Who the agent is for, as it is written on it; what Agentainer writes, then what we add."""
    identity = spec.identity
    written = {
        "agentainer.id": spec.name,
        "agentainer.name": spec.name,
        "agentainer.workflow_id": identity.run_id,
        "agentainer.step_id": identity.step_id,
        "agentainer.task_id": identity.task_id,
        INSTANCE_LABEL: identity.instance,
        "agentainer.workflow": identity.workflow,
        "agentainer.attempt": str(identity.attempt),
        "agentainer.spec": spec.digest,
    }
    if spec.resident and spec.pool is not None:
        written[POOL_LABEL] = spec.pool.name
    if identity.item is not None:
        written["agentainer.item"] = str(identity.item)
    if joins := joined_network(spec, traits):
        written[JOINS_LABEL] = joins
    return written


def _origin(traits: Traits) -> dict[str, str]:
    """Where a container comes from; no part of what it is, so that a home may be moved."""
    return {HOME_LABEL: traits.home, HOST_LABEL: platform.node()} if traits.home else {}


def _identity(written: Mapping[str, str]) -> AgentIdentity:
    return AgentIdentity(
        instance=written.get(INSTANCE_LABEL, ""),
        workflow=written.get("agentainer.workflow", ""),
        run_id=written.get("agentainer.workflow_id", ""),
        step_id=written.get("agentainer.step_id", ""),
        item=_number(written.get("agentainer.item")),
        attempt=_number(written.get("agentainer.attempt")) or 0,
        task_id=written.get("agentainer.task_id", ""),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def info_of_inspect(found: Mapping[str, Any]) -> AgentInfo:
    """From the engine's answer about one container."""
    state = found["State"]
    written = found["Config"]["Labels"] or {}
    phase = _PHASES.get(state["Status"], AgentPhase.EXITED)
    return AgentInfo(
        name=found["Name"].lstrip("/"),
        agent_id=found["Id"],
        identity=_identity(written),
        phase=phase,
        image=found["Config"]["Image"],
        created_at=datetime.fromisoformat(found["Created"]),
        exit_code=state["ExitCode"] if phase is AgentPhase.EXITED else None,
        pool=written.get(POOL_LABEL),
        health=(state.get("Health") or {}).get("Status"),
        paused=bool(state.get("Paused")),
        home=written.get(HOME_LABEL),
        host=written.get(HOST_LABEL),
    )


def info_of_listing(found: Mapping[str, Any]) -> AgentInfo:
    """From one entry of the engine's list of containers."""
    written = found["Labels"] or {}
    code = _EXITED.match(found["Status"])
    health = _HEALTH.search(found["Status"])
    return AgentInfo(
        name=found["Names"][0].lstrip("/") if found["Names"] else found["Id"][:12],
        agent_id=found["Id"],
        identity=_identity(written),
        phase=_PHASES.get(found["State"], AgentPhase.EXITED),
        image=found["Image"],
        created_at=datetime.fromtimestamp(found["Created"], UTC),
        exit_code=int(code[1]) if code else None,
        size_bytes=found.get("SizeRw", 0),
        pool=written.get(POOL_LABEL),
        health=health[1] if health else None,
        paused=found["State"] == "paused",
        home=written.get(HOME_LABEL),
        host=written.get(HOST_LABEL),
    )
