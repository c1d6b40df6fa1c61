"""Log files of attempts: what is written comes back, whatever it is, in bounded space."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import threading
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import HistoryError
from engine.history.log_format import CHUNK, LogLine, Splitter, parse
from engine.history.log_reader import LogReader
from engine.history.logs import LogWriter, log_file

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AMPLE = 1 << 30


def texts(path: Path, stream: str | None = None) -> list[str]:
    return [line.text for line in LogReader(path).lines() if stream in (None, line.stream)]


def write_all(root: Path, *pieces: tuple[str, bytes], limit: int = AMPLE) -> Path:
    writer = LogWriter(root, "run/step.1.log", limit=limit)
    for stream, data in pieces:
        writer.write(stream, data, NOON)  # type: ignore[arg-type]
    writer.close()
    return writer.path


def test_lines_are_kept_in_the_cri_format(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"hello\n"), ("stderr", b"oh no\nand more"))
    assert path == tmp_path / "run" / "step.1.log"
    assert path.read_bytes() == (
        b"2026-01-01T12:00:00.000000Z stdout F hello\n"
        b"2026-01-01T12:00:00.000000Z stderr F oh no\n"
        b"2026-01-01T12:00:00.000000Z stderr F and more\n"
    )
    assert path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0


def test_a_line_that_comes_in_pieces_is_one_line(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"a"), ("stderr", b"x\n"), ("stdout", b"b"), ("stdout", b"c\nd\n"))
    assert texts(path) == ["x", "abc", "d"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"dos\r\nlines\r\n", ["dos", "lines"]),
        (b"10%\r50%\r100%\n", ["10%\r50%\r100%"]),
        (b"\xff\xfe\x00bin\n", ["\ufffd\ufffd\x00bin"]),
        (b"\x1b[31mred\x1b]0;title\x07\n", ["\x1b[31mred\x1b]0;title\x07"]),
        (
            "caf\u00e9 \u65e5\u672c\u2028\x85\x0b\x0c end\n".encode(),
            ["caf\u00e9 \u65e5\u672c\u2028\x85\x0b\x0c end"],
        ),
        (b"\n\n \n", ["", "", " "]),
        (b"2026-01-01T00:00:00Z stdout F forged\n", ["2026-01-01T00:00:00Z stdout F forged"]),
        (b"", []),
    ],
    ids=["crlf", "progress", "binary", "escapes", "separators", "empty", "forged", "nothing"],
)
def test_what_a_task_writes_comes_back_as_it_was(tmp_path: Path, data: bytes, expected: list[str]) -> None:
    assert texts(write_all(tmp_path, ("stdout", data))) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=60)), max_size=30))
def test_bytes_survive_in_whatever_pieces_they_come(pieces: list[tuple[str, bytes]]) -> None:
    splitters = {"stdout": Splitter("stdout"), "stderr": Splitter("stderr")}
    records: list[bytes] = []
    for stream, data in pieces:
        records += splitters[stream].feed(data, "t")
    for splitter in splitters.values():
        records += splitter.drain(partial=False)
    for stream in splitters:
        sent = b"".join(data for name, data in pieces if name == stream)
        kept = b"".join(line.split(b" ", 3)[3] for line in records if line.split(b" ")[1] == stream.encode())
        assert kept == (sent if sent.endswith(b"\n") or not sent else sent + b"\n")


def test_a_hundred_megabytes_without_a_newline_take_bounded_memory(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    piece = b"0123456789abcdef" * 4096  # 64 KiB
    count = 100 * 16
    tracemalloc.start()
    for _ in range(count):
        writer.write("stdout", piece)
    writer.close()
    written_with = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    characters = 0
    for line in LogReader(writer.path).lines():
        characters += len(line.text)
    last = LogReader(writer.path).tail(1)
    read_with = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert characters == count * len(piece)
    assert len(last) == 1
    assert written_with < 2 << 20
    assert read_with < 96 << 20  # `tail` looks back 16 MiB at most


def test_one_huge_write_is_cut_without_copying_it(tmp_path: Path) -> None:
    data = b"x" * (32 << 20) + b"\nend\n"
    writer = LogWriter(tmp_path, "run/step.1.log", limit=1 << 20)
    tracemalloc.start()
    writer.write("stdout", data)
    writer.close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert texts(writer.path)[-1] == "end"


def test_a_long_line_is_cut_between_characters_and_joined_again(tmp_path: Path) -> None:
    line = "é日x" * CHUNK
    path = write_all(tmp_path, ("stdout", line.encode() + b"\n"))
    pieces = list(LogReader(path).lines(join=False))
    assert len(pieces) > 2
    assert [piece.partial for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert not any("\ufffd" in piece.text for piece in pieces)
    assert texts(path) == [line]


def test_over_the_limit_the_beginning_and_the_end_are_kept_and_the_gap_is_told(tmp_path: Path) -> None:
    limit = 64 * 1024
    lines = [f"line {number}" for number in range(20_000)]
    path = write_all(tmp_path, ("stdout", "\n".join(lines).encode()), limit=limit)
    assert path.stat().st_size <= limit
    kept = texts(path, "stdout")
    head = next(i for i, (a, b) in enumerate(zip(kept, lines, strict=False)) if a != b)
    assert head > 100
    assert kept[head:] == lines[-(len(kept) - head) :] and len(kept) - head > 100
    reached, gap = texts(path, "stderr")
    assert f"limit of {limit} bytes" in reached
    told = re.fullmatch(r"agentainer: (\d+) bytes are left out here", gap)
    assert told is not None
    record = len("2026-01-01T12:00:00.000000Z stdout F \n")
    missing = lines[head : len(lines) - (len(kept) - head)]
    assert int(told[1]) == sum(record + len(line) for line in missing)


def test_a_log_of_exactly_what_fits_has_no_notes(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"x\n" * 100), limit=8192)
    assert texts(path, "stderr") == []


def test_a_full_disk_drops_output_remembers_how_much_and_never_raises(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    writer.write("stdout", b"before\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        writer.write("stdout", b"y" * 5000 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert writer.lost > 5000 and writer.failure
    writer.write("stdout", b"after\n")
    writer.close()
    *lines, note = texts(writer.path)
    assert lines == ["before", "after"]
    assert note.startswith(f"agentainer: {writer.lost} bytes of output could not be written")


def test_a_log_directory_that_cannot_be_made_drops_output_without_raising(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    writer.write("stdout", b"hello\n")
    writer.close()
    assert writer.lost and writer.failure


@pytest.mark.parametrize(
    "name",
    [
        "../x.log",
        "run/../../x.log",
        "/etc/x.log",
        "run//x.log",
        "",
        "run/.x",
        "run/a b",
        "run/a\0b",
        "run/a\n",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HistoryError, match="no name for a log file"):
        log_file(tmp_path, name)


def test_a_link_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "run").symlink_to(tmp_path)
    with pytest.raises(HistoryError, match="outside"):
        LogWriter(logs, "run/step.1.log", limit=AMPLE)


def test_a_writer_goes_on_where_a_dead_one_left_off(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"first\n"))
    with path.open("ab") as file:
        file.write(b"2026-01-01T12:00:00.0000")  # died in the middle of a record
    write_all(tmp_path, ("stdout", b"second\n"))
    assert texts(path) == ["first", "2026-01-01T12:00:00.0000", "second"]


def test_a_restart_voids_what_was_written(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    writer.write("stdout", b"old\nhalf")
    writer.restart()
    writer.write("stdout", b"new\n")
    writer.close()
    assert texts(writer.path) == ["new"]


def test_threads_may_write_at_the_same_time(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)

    def write(stream: str) -> None:
        for number in range(500):
            writer.write(stream, f"{stream} {number}\n".encode())  # type: ignore[arg-type]

    threads = [threading.Thread(target=write, args=(stream,)) for stream in ("stdout", "stderr")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    for stream in ("stdout", "stderr"):
        assert texts(writer.path, stream) == [f"{stream} {number}" for number in range(500)]


# -- reading ------------------------------------------------------------------------------------------


def test_reading_goes_on_from_where_a_line_ended(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"a\nb\nc\n"))
    a, b, c = LogReader(path).lines()
    assert list(LogReader(path).lines(a.end)) == [b, c]
    assert list(LogReader(path).lines(c.end)) == []


def test_a_record_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    path = write_all(tmp_path, ("stdout", b"whole\n"))
    with path.open("ab") as file:
        file.write(b"2026-01-01T12:00:00.000000Z stdout F ha")
    assert texts(path) == ["whole"]


def test_a_damaged_record_is_shown_as_it_is() -> None:
    assert parse(b"nonsense\n", 9) == LogLine("", "stdout", "nonsense", False, 9)


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "none.log")
    assert list(reader.lines()) == [] and reader.tail(5) == []


@pytest.mark.parametrize("count", [0, 1, 2, 10, 4000, 9_999, 10_000, 20_000])
def test_the_last_lines_of_a_long_log(tmp_path: Path, count: int) -> None:
    lines = [f"line {number} {'x' * (number % 200)}" for number in range(10_000)]
    path = write_all(tmp_path, ("stdout", "\n".join(lines).encode() + b"\n"))
    expected = lines[-count:] if count else []
    assert [line.text for line in LogReader(path).tail(count)] == expected


def test_the_last_lines_are_whole_ones(tmp_path: Path) -> None:
    long = "z" * (CHUNK * 40)
    path = write_all(tmp_path, ("stdout", f"a\n{long}\nb\n{long}\n".encode()))
    assert [line.text for line in LogReader(path).tail(3)] == [long, "b", long]


# -- while it grows -----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def following(path: Path, ended: asyncio.Event) -> AsyncIterator[asyncio.Queue[LogLine | None]]:
    """The lines of a log as a queue; None at the end."""
    queue: asyncio.Queue[LogLine | None] = asyncio.Queue()

    async def follow() -> None:
        async for line in LogReader(path).follow(ended):
            queue.put_nowait(line)
        queue.put_nowait(None)

    task = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(30):
            yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def take(queue: asyncio.Queue[LogLine | None], count: int) -> list[str]:
    lines = [await queue.get() for _ in range(count)]
    return [line.text for line in lines if line is not None]


async def test_output_is_in_the_file_soon_without_further_output(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    ended = asyncio.Event()
    async with following(writer.path, ended) as queue:
        writer.write("stdout", b"first\n")
        assert await take(queue, 1) == ["first"]
        writer.write("stdout", b"second\n")
        assert await take(queue, 1) == ["second"]
        writer.close()
        ended.set()
        assert await queue.get() is None


async def test_a_prompt_without_a_newline_is_shown_and_joined_later(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    async with following(writer.path, asyncio.Event()) as queue:
        writer.write("stdout", b"Name: ")
        prompt = await queue.get()
        assert prompt is not None and (prompt.text, prompt.partial) == ("Name: ", True)
        writer.write("stdout", b"Ada\n")
        rest = await queue.get()
        assert rest is not None and (rest.text, rest.partial) == ("Ada", False)
        writer.close()
    assert texts(writer.path) == ["Name: Ada"]


async def test_a_thread_may_write_while_the_loop_flushes(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    ended = asyncio.Event()
    async with following(writer.path, ended) as queue:
        await asyncio.to_thread(writer.write, "stdout", b"from a thread\n")
        assert await take(queue, 1) == ["from a thread"]
        writer.close()


async def test_nothing_written_before_the_end_is_missed(tmp_path: Path) -> None:
    ended = asyncio.Event()
    path = write_all(tmp_path, ("stdout", b"a\nb\n" * 50_000))
    ended.set()
    async with following(path, ended) as queue:
        lines = await take(queue, 100_001)
    assert lines == ["a", "b"] * 50_000


async def test_output_that_is_delivered_again_is_shown_once(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, "run/step.1.log", limit=AMPLE)
    ended = asyncio.Event()
    async with following(writer.path, ended) as queue:
        writer.write("stdout", b"1\n2\n")
        writer.write("stderr", b"e1\n")
        assert await take(queue, 3) == ["1", "2", "e1"]
        writer.restart()
        writer.write("stderr", b"e1\ne2\n")
        writer.write("stdout", b"1\n2\n3\n")
        assert sorted(await take(queue, 2)) == ["3", "e2"]
        writer.close()
        ended.set()
        assert await queue.get() is None


async def test_an_attempt_without_output_ends_without_lines(tmp_path: Path) -> None:
    ended = asyncio.Event()
    async with following(tmp_path / "none.log", ended) as queue:
        ended.set()
        assert await queue.get() is None
