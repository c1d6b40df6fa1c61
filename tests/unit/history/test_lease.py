"""The lease of a home, between real processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import UnavailableError
from engine.history.lease import Lease

HOLD = """
import sys
from pathlib import Path
from engine.history.lease import Lease
lease = Lease.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
lease.release()
"""


@contextmanager
def held_by_another_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def test_a_second_engine_is_told_who_has_the_home_since_when_and_what_to_do(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as other:
        with pytest.raises(
            UnavailableError, match=f"in use by process {other.pid} on .*, since 20"
        ) as caught:
            Lease.acquire(tmp_path)
        assert "--home" in caught.value.hint
        holder = Lease.holder(tmp_path)
        assert holder is not None and holder.pid == other.pid


def test_the_home_is_free_again_after_a_release(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path):
        pass
    assert Lease.holder(tmp_path) is None
    lease = Lease.acquire(tmp_path)
    holder = Lease.holder(tmp_path)
    assert holder is not None and holder.pid == os.getpid()
    lease.release()
    lease.release()
    assert Lease.holder(tmp_path) is None


def test_a_killed_holder_frees_the_home(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert Lease.holder(tmp_path) is None
        Lease.acquire(tmp_path).release()


def test_programs_that_the_holder_started_do_not_keep_the_lease(tmp_path: Path) -> None:
    lease = Lease.acquire(tmp_path)
    child = subprocess.Popen(["sleep", "60"])
    try:
        lease.release()
        Lease.acquire(tmp_path).release()
    finally:
        child.kill()
        child.wait()


def test_asking_who_has_it_never_costs_anyone_the_lease(tmp_path: Path) -> None:
    asking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from engine.history.lease import Lease\n"
            "print('asking', flush=True)\n"
            "while True: Lease.holder(Path(sys.argv[1]))",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert asking.stdout and asking.stdout.readline() == "asking\n"
        for _ in range(50):
            Lease.acquire(tmp_path).release()
    finally:
        asking.kill()
        asking.communicate()


def test_a_home_is_made_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    Lease.acquire(home).release()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_asking_about_a_home_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    assert Lease.holder(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="is a file, not a directory") as caught:
        Lease.acquire(tmp_path / place)
    assert str(tmp_path / place) in caught.value.message and "--home" in caught.value.hint


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "engine.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="symbolic link"):
        Lease.acquire(tmp_path / "home")
    assert not (tmp_path / "elsewhere").exists()


def test_a_home_without_write_permission_is_refused_in_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    for directory in list(home.parents)[:3]:
        directory.chmod(0o755)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from engine.errors import UnavailableError\n"
        "from engine.history.lease import Lease\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for home in map(Path, sys.argv[1:]):\n"
        "    try: Lease.acquire(home)\n"
        "    except UnavailableError as error: print(error.message)\n"
    )
    arguments = [sys.executable, "-c", code, str(home), str(home / "below")]
    shown = subprocess.run(arguments, capture_output=True, text=True)
    assert shown.stdout.splitlines() == [
        f"the home {home} cannot be used: you may not write there",
        f"the home {home / 'below'} cannot be used: you may not write there",
    ], shown.stderr
