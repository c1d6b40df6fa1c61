"""Limits against what a machine has, and how many GPUs it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.agents.backend import BackendFacts, Limits
from engine.agents.host import check_limits, count_gpus, objections
from engine.errors import BackendError, Reason

ENGINE = BackendFacts("docker", cpus=2, memory_bytes=4 << 30, gpus=1, enforces_limits=True)


@pytest.mark.parametrize(
    ("limits", "limit", "words"),
    [
        (Limits(nano_cpus=0), "cpu_limit", "cpu_limit is 0 CPUs, but the Docker engine has 2"),
        (Limits(nano_cpus=5_000_000), "cpu_limit", "cpu_limit is 0.005 CPUs"),
        (Limits(nano_cpus=2_000_000_001), "cpu_limit", "but the Docker engine has 2"),
        (Limits(memory_bytes=(6 << 20) - 1), "memory_limit", "less than Docker's smallest, 6Mi"),
        (Limits(memory_bytes=(4 << 30) + 1), "memory_limit", "but the Docker engine has 4,096 MiB"),
        (Limits(gpus=2), "gpu_limit", "gpu_limit is 2, but the Docker engine has 1"),
    ],
)
def test_what_the_machine_cannot_give(limits: Limits, limit: str, words: str) -> None:
    (found,) = objections(limits, ENGINE)
    assert found.limit == limit
    assert words in found.message
    assert found.hint


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(nano_cpus=10_000_000, memory_bytes=6 << 20),
        Limits(nano_cpus=2_000_000_000, memory_bytes=4 << 30, gpus=1),
    ],
)
def test_what_it_can_give(limits: Limits) -> None:
    assert list(objections(limits, ENGINE)) == []
    check_limits(limits, ENGINE)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BackendError) as caught:
        check_limits(Limits(nano_cpus=10**10, memory_bytes=1, gpus=9), ENGINE)
    assert caught.value.reason is Reason.INPUT_ERROR
    assert not caught.value.transient
    for words in ("cpu_limit is 10 CPUs", "memory_limit is 1 bytes", "gpu_limit is 9"):
        assert words in caught.value.message


def test_without_a_gpu_runtime_no_gpu_can_be_had() -> None:
    (found,) = objections(Limits(gpus=1), BackendFacts("docker", enforces_limits=True))
    assert found.message == "gpu_limit is 1, but the Docker engine has no GPU runtime"
    assert "NVIDIA Container Toolkit" in found.hint


def test_what_is_not_known_is_not_held_against_a_limit() -> None:
    unknown = BackendFacts("docker", cpus=0, memory_bytes=0, gpus=None, enforces_limits=True)
    assert list(objections(Limits(nano_cpus=10**12, memory_bytes=1 << 50, gpus=64), unknown)) == []


def test_who_enforces_nothing_objects_to_nothing() -> None:
    assert list(objections(Limits(nano_cpus=10**12, gpus=8), BackendFacts("process", cpus=1))) == []


@pytest.mark.parametrize(
    ("info", "devices", "local", "expected"),
    [
        ({"Runtimes": {"runc": {}}}, (), True, 0),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, (), True, None),
        ({"Runtimes": {"nvidia": {}}}, ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"), True, 2),
        ({"Runtimes": {"nvidia": {}}}, ("nvidia0",), False, None),
        ({"Runtimes": None}, (), False, 0),
        (
            {"DiscoveredDevices": [{"ID": f"nvidia.com/gpu={name}"} for name in ("0", "1", "all")]},
            (),
            False,
            2,
        ),
        ({"DiscoveredDevices": [{"ID": "vendor.example/gpu=0"}]}, (), False, None),
    ],
)
def test_gpus_are_counted_where_they_can_be(
    info: dict[str, Any],
    devices: tuple[str, ...],
    local: bool,
    expected: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for name in devices:
        (tmp_path / name).touch()
    assert count_gpus(info, local=local, devices=tmp_path) == expected
