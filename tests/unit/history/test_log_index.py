"""Lines of log files by number, held against reading the whole file."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from engine.history.log_format import CHUNK, Splitter, record
from engine.history.log_index import LogIndex

STAMP = "2026-01-01T12:00:00.000000Z"


def counted(path: Path) -> LogIndex:
    index = LogIndex(path)
    while index.advance():
        pass
    return index


def all_texts(index: LogIndex) -> list[str]:
    extent = index.extent
    return [line.text for line in index.lines(extent.first, extent.end + extent.open - extent.first)]


def test_a_file_that_is_not_there_has_no_lines_and_has_them_once_it_comes(tmp_path: Path) -> None:
    index = counted(tmp_path / "x.log")
    assert all_texts(index) == []
    (tmp_path / "x.log").write_bytes(record(STAMP, "stdout", b"hello"))
    while index.advance():
        pass
    assert all_texts(index) == ["hello"]


@pytest.mark.parametrize("seed", range(4))
def test_every_line_of_a_large_file_is_where_its_number_says(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    texts = [f"{n} " + "x" * chance.choice((0, 5, 90, 900, 15_000)) for n in range(3_000)]
    path = tmp_path / "x.log"
    path.write_bytes(b"".join(record(STAMP, "stdout", text.encode()) for text in texts))
    index = counted(path)
    extent = index.extent
    assert (extent.end - extent.first, extent.counted) == (len(texts), 1.0)
    assert all_texts(index) == texts
    for _ in range(200):
        place, count = chance.randrange(3_000), chance.randrange(1, 50)
        found = [line.text for line in index.lines(extent.first + place, count)]
        assert found == texts[place : place + count]


def test_the_end_can_be_read_before_the_beginning_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    line = record(STAMP, "stdout", b"y" * 1_000)
    path.write_bytes(line * 20_000 + record(STAMP, "stdout", b"the end"))
    index = LogIndex(path)
    assert index.advance()
    extent = index.extent
    assert extent.counted < 0.1
    assert index.lines(extent.end - 1, 1)[0].text == "the end"
    while index.advance():
        pass
    assert index.extent.end - index.extent.first == 20_001
    assert index.extent.end == extent.end, "numbers of lines stay while earlier ones are counted"


def test_lines_that_are_added_come_after_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    index = LogIndex(path)
    texts: list[str] = []
    with path.open("ab") as file:
        for batch in range(60):
            new = [f"{batch}.{n} " + "z" * 400 for n in range(50)]
            texts += new
            file.write(b"".join(record(STAMP, "stderr", text.encode()) for text in new))
            file.flush()
            while index.advance():
                pass
            assert index.extent.end - index.extent.first == len(texts)
    assert all_texts(index) == texts


def test_a_record_that_is_being_written_is_not_shown_by_half(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    whole = record(STAMP, "stdout", b"second")
    path.write_bytes(record(STAMP, "stdout", b"first") + whole[:-4])
    index = counted(path)
    assert all_texts(index) == ["first"]
    with path.open("ab") as file:
        file.write(whole[-4:])
    while index.advance():
        pass
    assert all_texts(index) == ["first", "second"]


def test_pieces_are_put_together_by_stream_and_an_open_line_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(
        record(STAMP, "stdout", b"progress 1", partial=True)
        + record(STAMP, "stderr", b"careful")
        + record(STAMP, "stdout", b" of 2", partial=True)
    )
    index = counted(path)
    assert all_texts(index) == ["careful", "progress 1 of 2"]
    assert index.extent.open == 1
    with path.open("ab") as file:
        file.write(record(STAMP, "stdout", b", done"))
    while index.advance():
        pass
    assert all_texts(index) == ["careful", "progress 1 of 2, done"]
    assert index.extent.open == 0


def test_dots_of_progress_over_many_blocks_count_as_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    dot = record(STAMP, "stdout", b".", partial=True)
    path.write_bytes(dot * 10_000 + record(STAMP, "stdout", b"done"))
    index = counted(path)
    assert index.extent.end - index.extent.first == 1
    assert all_texts(index)[0].endswith("...done")


def test_a_line_of_a_hundred_megabytes_is_read_in_bounded_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    splitter = Splitter("stdout")
    with path.open("wb") as file:
        for _ in range(100):
            file.writelines(splitter.feed(b"a" * (1 << 20), STAMP))
        file.writelines(splitter.feed(b"\nafter\n", STAMP))
    index = counted(path)
    extent = index.extent
    total = 0
    for first in range(extent.first, extent.end, 500):
        lines = index.lines(first, min(500, extent.end - first))
        assert all(len(line.text) <= CHUNK for line in lines)
        total += sum(len(line.text) for line in lines if line.text != "after")
    assert total == 100 << 20
    assert index.lines(extent.end - 1, 1)[0].text == "after"
    assert index.lines(extent.first, 1)[0].partial


def test_damage_does_not_stop_reading(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(
        record(STAMP, "stdout", b"before \xff\xfe")
        + b"\x00" * 300_000
        + b"\n"
        + b"no record\n"
        + record(STAMP, "stdout", b"after")
    )
    texts = all_texts(counted(path))
    assert texts[0] == "before \ufffd\ufffd"
    assert texts[2:] == ["no record", "after"]
    assert len(texts[1]) <= 2 * 64 * 1024


def test_another_file_under_the_name_is_another_generation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(record(STAMP, "stdout", b"old") * 9)
    index = counted(path)
    new = tmp_path / "new"
    new.write_bytes(record(STAMP, "stdout", b"new"))
    new.replace(path)
    while index.advance():
        pass
    assert index.extent.generation == 1
    assert all_texts(index) == ["new"]


def test_stretches_cover_every_line_once_and_skip_blocks_without_the_needle(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    texts = [f"line {n} " + "q" * 200 for n in range(2_000)]
    texts[700] = "here is the NEEDLE"
    path.write_bytes(b"".join(record(STAMP, "stdout", text.encode()) for text in texts))
    index = counted(path)
    needle = re.compile(b"needle", re.IGNORECASE)
    number, found, decoded = index.extent.end - 1, [], 0
    while number >= index.extent.first:
        start, stop, lines = index.stretch(number, needle)
        assert stop == number + 1
        decoded += len(lines)
        found += [start + n for n, line in enumerate(lines) if "NEEDLE" in line.text]
        number = start - 1
    assert found == [index.extent.first + 700]
    assert decoded < 1_000
    with pytest.raises(IndexError):
        index.stretch(index.extent.end)
