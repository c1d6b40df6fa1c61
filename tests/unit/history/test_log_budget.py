"""All logs of a run together are bounded."""

from __future__ import annotations

import threading
from pathlib import Path

from engine.history.log_budget import LogBudget
from engine.history.log_reader import LogReader
from engine.history.logs import LogWriter

LINE = b"x" * 99 + b"\n"
LIMIT = 256 * 1024
PER_ATTEMPT = 10 << 20


def write(root: Path, name: str, budget: LogBudget, lines: int) -> list[str]:
    """What is in the log of an attempt that wrote so many lines, and a last word."""
    writer = LogWriter(root, f"run/{name}.log", limit=PER_ATTEMPT, budget=budget)
    for _ in range(lines):
        writer.write("stdout", LINE)
    writer.write("stdout", b"the last word\n")
    writer.close()
    return [line.text for line in LogReader(writer.path).tail(100_000)]


def size_of(root: Path) -> int:
    return sum(file.stat().st_size for file in root.rglob("*.log"))


def test_within_its_budget_a_run_keeps_everything(tmp_path: Path) -> None:
    budget = LogBudget(LIMIT, tmp_path / "run")
    for number in range(5):
        assert len(write(tmp_path, f"s{number}", budget, 200)) == 201
    assert not budget.to_be_told()


def test_beyond_it_attempts_keep_a_little_of_both_ends_and_say_so(tmp_path: Path) -> None:
    budget = LogBudget(LIMIT, tmp_path / "run")
    first = write(tmp_path, "first", budget, 5_000)
    assert first[-1] == "the last word"
    assert any("the log limit of 262144 bytes for all of its run is reached" in line for line in first)
    assert any("bytes are left out here" in line for line in first)
    assert budget.to_be_told() and not budget.to_be_told()
    later = write(tmp_path, "later", budget, 5_000)
    assert later[0] == "x" * 99 and later[-1] == "the last word"
    assert 20 < len(later) < 100
    short = write(tmp_path, "short", budget, 3)
    assert short == ["x" * 99] * 3 + ["the last word"]
    assert size_of(tmp_path) < LIMIT + 4 * 8 * 1024


def test_room_that_is_not_used_is_given_back(tmp_path: Path) -> None:
    budget = LogBudget(LIMIT, tmp_path / "run")
    for number in range(1_000):
        assert write(tmp_path, f"s{number}", budget, 0) == ["the last word"]
    assert not budget.to_be_told()


def test_what_an_interrupted_engine_left_counts(tmp_path: Path) -> None:
    write(tmp_path, "before", LogBudget(LIMIT, tmp_path / "run"), 1_000)
    after = LogBudget(LIMIT, tmp_path / "run")
    write(tmp_path, "after", after, 1_500)
    assert after.to_be_told()
    assert size_of(tmp_path) < LIMIT + 16 * 1024


def test_a_log_that_begins_again_gives_its_room_back(tmp_path: Path) -> None:
    budget = LogBudget(LIMIT, tmp_path / "run")
    writer = LogWriter(tmp_path, "run/one.log", limit=PER_ATTEMPT, budget=budget)
    for _ in range(10):
        for _ in range(1_000):
            writer.write("stdout", LINE)
        writer.restart()
    writer.write("stdout", b"at last\n")
    writer.close()
    assert not budget.to_be_told()
    assert [line.text for line in LogReader(writer.path).tail(10)] == ["at last"]


def test_many_writers_at_once_stay_within_it(tmp_path: Path) -> None:
    budget = LogBudget(LIMIT, tmp_path / "run")
    threads = [
        threading.Thread(target=write, args=(tmp_path, f"s{number}", budget, 2_000)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.to_be_told()
    assert size_of(tmp_path) < LIMIT + 8 * 16 * 1024
