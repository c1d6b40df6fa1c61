"""What local processes use: while they run, and by the kernel's account at the end."""

from __future__ import annotations

import resource
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from engine.agents.backend import Sample, Usage
from engine.agents.process import ProcessBackend
from engine.agents.process_usage import memory_floor, usage_at_end
from tests.backend_contract import begin, make_spec, soon

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


@pytest.fixture
async def backend(tmp_path: Path, instance: str) -> AsyncIterator[ProcessBackend]:
    backend = ProcessBackend(home=tmp_path, instance=instance)
    await backend.open()
    yield backend
    for agent in await backend.list_agents():
        await backend.remove(agent.name)
    await backend.close()


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-c", program


async def usage_of(backend: ProcessBackend, instance: str, program: str) -> Usage:
    spec = make_spec(instance, python(program), None)
    await begin(backend, spec)
    usage = (await soon(backend.wait(spec.name))).usage
    assert usage is not None and not usage.sampled
    return usage


async def test_the_cpu_time_at_the_end_is_that_of_the_task_and_of_its_children(
    backend: ProcessBackend, instance: str
) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    usage = await usage_of(backend, instance, burn)
    assert usage.cpu_seconds is not None and 0.3 <= usage.cpu_seconds < 3
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"
    usage = await usage_of(backend, instance, child)
    assert usage.cpu_seconds is not None and usage.cpu_seconds >= 0.3


async def test_the_peak_memory_at_the_end_is_that_of_the_task(backend: ProcessBackend, instance: str) -> None:
    size = memory_floor() + 64 * MIB
    usage = await usage_of(backend, instance, f"held = b'x' * {size}")
    assert usage.memory_peak is not None and size <= usage.memory_peak < size + 64 * MIB


async def test_what_the_engine_itself_once_used_is_not_taken_for_the_tasks_peak(
    backend: ProcessBackend, instance: str
) -> None:
    held = b"x" * (memory_floor() + 32 * MIB)  # a child reports at least the peak of who started it
    assert len(held) < memory_floor()
    usage = await usage_of(backend, instance, "pass")
    assert usage.memory_peak is None
    assert usage.cpu_seconds is not None


def test_a_peak_that_is_no_higher_than_the_floor_is_not_known() -> None:
    account = resource.getrusage(resource.RUSAGE_SELF)
    peak = memory_floor()
    assert usage_at_end(account, floor=peak).memory_peak is None
    assert usage_at_end(account, floor=peak - 1).memory_peak is not None


@linux
async def test_the_whole_tree_is_measured_also_what_left_the_session(
    backend: ProcessBackend, instance: str
) -> None:
    hold = f"held = b'x' * {48 * MIB}; print('ready', flush=True); import time; time.sleep(600)"
    tree = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {hold!r}], start_new_session=True)\n"
        f"subprocess.Popen([sys.executable, '-c', {hold!r}])\n"
        "time.sleep(600)"
    )
    spec = make_spec(instance, python(tree), None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\nready\n")
    sample = await soon(backend.sample(spec.name))
    assert sample is not None
    assert sample.memory >= 96 * MIB
    assert sample.pids is not None and sample.pids >= 3
    assert sample.block_read is not None and sample.block_write is not None
    assert sample.network_in is None


@linux
async def test_an_agent_of_another_engine_is_seen_as_well(
    backend: ProcessBackend, instance: str, tmp_path: Path
) -> None:
    spec = make_spec(instance, "echo ready; sleep 600", None)
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    other = ProcessBackend(home=tmp_path, instance=instance)
    await other.open()
    seen: list[Sample] = []
    async with aclosing(other.samples(spec.name)) as samples:
        async for sample in samples:
            seen.append(sample)
            break
    await other.close()
    assert seen[0].memory > 0
