"""What the stats API says under both versions of cgroups, as samples."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.agents.backend import Sample
from engine.agents.docker_stats import memory_pressure, sample_of

# As engines answer, shortened to what has a meaning here and what could be mistaken for it.
V1: dict[str, Any] = {
    "read": "2026-11-23T08:21:28.856596273Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 3},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "Read", "value": 1000},
            {"major": 8, "minor": 0, "op": "Write", "value": 20},
            {"major": 8, "minor": 0, "op": "Sync", "value": 1020},
            {"major": 8, "minor": 0, "op": "Total", "value": 1020},
            {"major": 8, "minor": 16, "op": "Read", "value": 500},
        ],
        "io_serviced_recursive": [],
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 1_084_230_131, "percpu_usage": [9_076_306, 1_075_153_825]},
        "system_cpu_usage": 50_258_320_000_000,
        "online_cpus": 2,
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 0}},
    "memory_stats": {
        "usage": 12_000_000,
        "max_usage": 15_000_000,
        "stats": {
            "active_file": 1,
            "inactive_file": 2,
            "total_active_file": 1_000_000,
            "total_inactive_file": 3_000_000,
            "total_cache": 6_000_000,
            "total_rss": 6_000_000,
        },
        "limit": 16_000_000,
    },
    "networks": {
        "eth0": {"rx_bytes": 486, "rx_packets": 5, "tx_bytes": 20},
        "eth1": {"rx_bytes": 14, "rx_packets": 1, "tx_bytes": 0},
    },
}
V2: dict[str, Any] = {
    "read": "2026-11-23T08:21:28Z",
    "pids_stats": {"current": 3, "limit": 18_446_744_073_709_551_615},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 8, "minor": 0, "op": "read", "value": 1500},
            {"major": 8, "minor": 0, "op": "write", "value": 20},
        ],
        "io_serviced_recursive": None,
    },
    "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000, "usage_in_kernelmode": 1}, "online_cpus": 2},
    "memory_stats": {
        "usage": 12_000_000,
        "stats": {
            "active_file": 1_000_000,
            "anon": 6_000_000,
            "file": 6_000_000,
            "inactive_file": 3_000_000,
            "shmem": 2_000_000,
        },
        "limit": 16_000_000,
    },
    "networks": {"eth0": {"rx_bytes": 500, "tx_bytes": 20}},
}


def test_version_1_without_the_page_cache_and_with_the_peak() -> None:
    assert sample_of(V1) == Sample(
        time=datetime(2026, 11, 23, 8, 21, 28, 856596, tzinfo=UTC),
        cpu_seconds=1.084230131,
        memory=8_000_000,
        memory_peak=11_000_000,
        network_in=500,
        network_out=20,
        block_read=1500,
        block_write=20,
        pids=3,
    )


def test_version_2_without_the_page_cache_the_peak_is_not_known() -> None:
    assert sample_of(V2) == Sample(
        time=datetime(2026, 11, 23, 8, 21, 28, tzinfo=UTC),
        cpu_seconds=2.5,
        memory=8_000_000,
        memory_peak=None,
        network_in=500,
        network_out=20,
        block_read=1500,
        block_write=20,
        pids=3,
    )


def changed(stats: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with another value at `a.b.c`; `...` takes it out."""
    made = copy.deepcopy(stats)
    *above, last = path.split(".")
    table = made
    for key in above:
        table = table[key]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("memory_stats", {}),
        ("memory_stats", None),
        ("memory_stats.usage", ...),
        ("read", "0001-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("stats", [V1, V2], ids=["v1", "v2"])
def test_the_answer_for_a_container_that_has_ended_is_no_sample(
    stats: dict[str, Any], path: str, value: Any
) -> None:
    assert sample_of(changed(stats, path, value)) is None


@pytest.mark.parametrize("networks", [..., None, {}])
def test_without_a_network_nothing_is_known_of_it(networks: Any) -> None:
    sample = sample_of(changed(V2, "networks", networks))
    assert sample is not None
    assert (sample.network_in, sample.network_out) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, (None, None)), (..., (None, None)), ([], (0, 0))], ids=str
)
def test_block_io_that_is_not_known_is_not_taken_for_none(value: Any, expected: Any) -> None:
    sample = sample_of(changed(V1, "blkio_stats.io_service_bytes_recursive", value))
    assert sample is not None
    assert (sample.block_read, sample.block_write) == expected


def test_the_peak_is_never_below_what_is_used_now() -> None:
    sample = sample_of(changed(V1, "memory_stats.max_usage", 12_000_000))
    assert sample is not None and sample.memory_peak == sample.memory == 8_000_000
    # The page cache of the host may be read a moment after the total.
    sample = sample_of(changed(V1, "memory_stats.usage", 3_000_000))
    assert sample is not None and sample.memory == 0


@pytest.mark.parametrize("stats", [V1, V2], ids=["v1", "v2"])
def test_pressure_is_what_is_used_of_the_limit_without_the_page_cache(stats: dict[str, Any]) -> None:
    assert memory_pressure(stats) == 0.5
    assert memory_pressure(changed(stats, "memory_stats.limit", ...)) == 0.0
    assert memory_pressure(changed(stats, "memory_stats", {})) == 0.0


@pytest.mark.parametrize("text", [{}, {"read": "2026-11-23T08:21:28Z", "memory_stats": {"usage": "x"}}])
def test_what_is_no_answer_of_that_kind_is_an_error(text: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        sample_of(text)
