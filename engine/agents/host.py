"""What a machine can give, and limits held against that."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.agents.backend import BackendFacts, Limits
from engine.errors import BackendError, Reason

# Docker refuses containers with less memory (6 MiB), and parts of a CPU smaller than a hundredth.
_LEAST_MEMORY = 6 << 20
_LEAST_NANO_CPUS = 10**7
_GPU_DEVICE = re.compile(r"nvidia\d+")


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a limit cannot be kept here.

    Attributes:
        limit: `cpu_limit`, `memory_limit` or `gpu_limit`.
        message: what was asked for and what there is.
        hint: what to do.
    """

    limit: str
    message: str
    hint: str


def objections(limits: Limits, facts: BackendFacts) -> Iterator[Objection]:
    """Hold limits against the machine; nothing where the backend does not enforce them.

    What is not known of the machine is not held against them.
    """
    if not facts.enforces_limits:
        return
    where = "the Docker engine" if facts.name == "docker" else "this machine"
    cpus, memory, gpus = limits.nano_cpus, limits.memory_bytes, limits.gpus
    if cpus is not None and (cpus < _LEAST_NANO_CPUS or (facts.cpus and cpus > facts.cpus * 10**9)):
        yield Objection(
            "cpu_limit",
            f"cpu_limit is {cpus / 1e9:g} CPUs, but {where} has {facts.cpus or 'some'}",
            f"set it to something from 0.01 up to {facts.cpus} CPUs ({facts.cpus}000000000 nano-CPUs)"
            if facts.cpus
            else "the smallest is 0.01 CPUs",
        )
    if memory is not None and memory < _LEAST_MEMORY:
        yield Objection(
            "memory_limit",
            f"memory_limit is {memory} bytes, less than Docker's smallest, 6Mi",
            "raise it; the unit is bytes unless one is given, as in 256Mi",
        )
    elif memory is not None and facts.memory_bytes and memory > facts.memory_bytes:
        yield Objection(
            "memory_limit",
            f"memory_limit is {_mebibytes(memory)}, but {where} has {_mebibytes(facts.memory_bytes)}",
            "lower it, or give the engine more memory" if facts.name == "docker" else "lower it",
        )
    if gpus and facts.gpus == 0:
        yield Objection(
            "gpu_limit",
            f"gpu_limit is {gpus}, but {where} has no GPU runtime",
            "install the NVIDIA Container Toolkit, or remove gpu_limit",
        )
    elif gpus and facts.gpus is not None and gpus > facts.gpus:
        yield Objection("gpu_limit", f"gpu_limit is {gpus}, but {where} has {facts.gpus}", "lower it")


def check_limits(limits: Limits, facts: BackendFacts) -> None:
    """Refuse limits that cannot be kept here.

    Raises:
        BackendError: says what was asked for and what there is.
    """
    if found := list(objections(limits, facts)):
        raise BackendError(
            Reason.INPUT_ERROR,
            "; ".join(objection.message for objection in found),
            transient=False,
            hint="; ".join(objection.hint for objection in found),
        )


def count_gpus(info: Mapping[str, Any], *, local: bool, devices: Path = Path("/dev")) -> int | None:
    """How many GPUs a Docker engine can hand out; None where it has some and nobody says how many.

    Args:
        info: the engine's answer to `info`.
        local: whether it is on this machine, where its devices can be counted.
        devices: where they are.
    """
    named = sum(
        1
        for device in info.get("DiscoveredDevices") or ()
        if re.fullmatch(r"nvidia\.com/gpu=\d+", str(device.get("ID", "")))
    )
    there = (
        sum(1 for device in devices.iterdir() if _GPU_DEVICE.fullmatch(device.name))
        if local and devices.is_dir()
        else 0
    )
    if named or there:
        return named or there
    hook = local and shutil.which("nvidia-container-runtime-hook") is not None
    able = "nvidia" in (info.get("Runtimes") or {}) or bool(info.get("DiscoveredDevices"))
    return None if able or hook else 0


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
