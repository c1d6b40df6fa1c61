"""Why a container was killed, and what the kernel counts under both versions of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.docker_oom import CHILD_OOM, Killing, kills_counted

ID = "ec6ae4e8d796d8a7324591f4d137fa48004058a2a8821fa3e9de4d805e42cc82"
V1 = f"9:name=systemd:/docker/{ID}\n5:blkio:/docker/{ID}\n4:memory:/docker/{ID}\n0::/docker/{ID}\n"
V2 = f"0::/system.slice/docker-{ID}.scope\n"


def machine(root: Path, groups: str, counter: str = "", text: str = "") -> Path:
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/cgroup").write_text(groups)
    if counter:
        file = root / "sys/fs/cgroup" / counter
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "counter", "text"),
    [
        (V1, f"memory/docker/{ID}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        (
            V2,
            f"system.slice/docker-{ID}.scope/memory.events",
            "low 0\nhigh 0\nmax 91\noom 4\noom_kill 3\noom_group_kill 0\n",
        ),
    ],
    ids=["v1", "v2"],
)
def test_the_kernel_counts_those_it_killed(tmp_path: Path, groups: str, counter: str, text: str) -> None:
    assert kills_counted(7, ID, machine(tmp_path, groups, counter, text)) == 3


@pytest.mark.parametrize(
    ("groups", "counter", "text"),
    [
        (V1, "", ""),
        (V1, f"memory/docker/{ID}/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"),
        (V2, f"system.slice/docker-{ID}.scope/memory.events", "nonsense"),
        ("0::/user.slice/session-1.scope\n", "user.slice/session-1.scope/memory.events", "oom_kill 3\n"),
    ],
    ids=["gone", "old kernel", "odd", "another process"],
)
def test_what_cannot_be_read_or_is_not_the_containers_is_not_known(
    tmp_path: Path, groups: str, counter: str, text: str
) -> None:
    assert kills_counted(7, ID, machine(tmp_path, groups, counter, text)) is None
    assert kills_counted(8, ID, tmp_path) is None


def killing(*, limited: bool = True, oom: bool = False, by_us: bool = False, by: str = "") -> Killing:
    made = Killing()
    made.limited, made.by_us, made.by_hand = limited, by_us, by == "hand"
    if oom:
        made.out_of_memory.set()
    return made


@pytest.mark.parametrize(
    ("what", "code", "pressure", "oom", "note"),
    [
        (killing(oom=True), 137, 0.0, True, None),
        (killing(oom=True, limited=False), 137, 0.0, True, None),
        (killing(oom=True), 5, 0.99, False, CHILD_OOM),
        (killing(oom=True, by="hand"), 137, 0.99, False, CHILD_OOM),
        (killing(oom=True, by_us=True), 137, 0.99, False, CHILD_OOM),
        (killing(), 137, 0.95, True, None),
        (killing(limited=False), 137, 0.95, False, ""),
        (killing(by="hand"), 137, 0.95, False, ""),
        (killing(by_us=True), 137, 0.95, False, ""),
        (killing(), 0, 0.99, False, ""),
        (killing(), 143, 0.99, False, ""),
    ],
)
def test_want_of_memory_is_told_from_other_ends(
    what: Killing, code: int, pressure: float, oom: bool, note: str | None
) -> None:
    what.pressure = pressure
    assert what.was_oom(code) is oom
    if note is not None:
        assert what.note(code) == note


def test_a_kill_that_nobody_explains_is_said_to_be_one() -> None:
    assert "perhaps for want of memory" in killing().note(137)
    assert killing(limited=False).note(137) == ""
