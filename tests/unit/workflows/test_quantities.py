"""Durations, memory and CPUs as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workflows.loader import load_text


def timeout_of(written: str) -> float | None:
    loaded = load_text(f"name: x\nsteps:\n  - {{id: a, command: run, timeout: {written}}}\n")
    return loaded.require().steps["a"].timeout


def limits_of(written: str) -> tuple[int | None, int | None]:
    loaded = load_text(f"name: x\nsteps:\n  - {{id: a, command: run, resource_limits: {written}}}\n")
    task = loaded.require().steps["a"].task
    assert task is not None
    return task.limits.nano_cpus, task.limits.memory_bytes


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30", 30.0),
        ("1.5", 1.5),
        ('"30"', 30.0),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("500ms", 0.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1e2", 100.0),
        ("100000000ns", 0.1),
        ("8760h", 31_536_000.0),
    ],
)
def test_durations(written: str, seconds: float) -> None:
    assert timeout_of(written) == pytest.approx(seconds)


@given(st.integers(0, 1000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_in_go_syntax_add_up(hours: int, minutes: int, seconds: int, millis: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds + millis / 1000
    assert (timeout_of(f"{hours}h{minutes}m{seconds}s{millis}ms") or 0.0) == pytest.approx(total)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("268435456", 268_435_456),
        ('"268435456"', 268_435_456),
        ("256Mi", 268_435_456),
        ("256MiB", 268_435_456),
        ("1Gi", 1 << 30),
        ("1.5Gi", 3 << 29),
        ("500M", 500_000_000),
        ("500MB", 500_000_000),
        ("65536Ki", 64 << 20),
        ("6Mi", 6 << 20),
        ("2.5e8", 250_000_000),
    ],
)
def test_memory(written: str, size: int) -> None:
    assert limits_of(f"{{memory_limit: {written}}}") == (None, size)


@pytest.mark.parametrize(
    ("written", "nanos"),
    [
        ("500000000", 500_000_000),
        ("5e8", 500_000_000),
        ('"0.5"', 500_000_000),
        ("0.5", 500_000_000),
        (".25", 250_000_000),
        ("2", 2_000_000_000),
        ('"2"', 2_000_000_000),
        ("500m", 500_000_000),
        ("0.01", 10_000_000),
        ("10000000", 10_000_000),
    ],
)
def test_cpus(written: str, nanos: int) -> None:
    assert limits_of(f"{{cpu_limit: {written}}}") == (nanos, None)
