"""Docker's multiplexed output, cut into pieces in every possible way."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.agents.backend import Stream
from engine.agents.docker_streams import FrameParser, TimedFrameParser, parse_time

_NUMBERS: dict[Stream, int] = {"stdout": 1, "stderr": 2}
frames = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40)), max_size=8)


def encode(stream: Stream, payload: bytes) -> bytes:
    return bytes([_NUMBERS[stream], 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(frames, st.lists(st.integers(min_value=0), max_size=20))
def test_frames_come_out_whole_however_the_bytes_arrive(
    content: list[tuple[Stream, bytes]], cuts: list[int]
) -> None:
    parser = FrameParser()
    got: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    data = b"".join(encode(*frame) for frame in content)
    for piece in pieces(data, cuts):
        for stream, part, time in parser.feed(piece):
            got[stream] += part
            assert time is None
    assert parser.at_boundary
    for stream in _NUMBERS:
        assert got[stream] == b"".join(payload for name, payload in content if name == stream)


@given(frames, st.lists(st.integers(min_value=0), max_size=20))
def test_times_are_taken_from_the_beginning_of_each_frame(
    content: list[tuple[Stream, bytes]], cuts: list[int]
) -> None:
    def stamp(index: int) -> bytes:
        return f"2026-01-02T03:04:{index:02d}.123456789Z ".encode()

    data = b"".join(encode(stream, stamp(index) + payload) for index, (stream, payload) in enumerate(content))
    parser = TimedFrameParser()
    got = dict.fromkeys(range(len(content)), b"")
    for piece in pieces(data, cuts):
        for stream, part, time in parser.feed(piece):
            assert time is not None
            got[time.second] += part
            assert stream == content[time.second][0]
    assert [got[index] for index in range(len(content))] == [payload for _, payload in content]


def test_a_frame_that_is_cut_off_is_noticed() -> None:
    whole = encode("stdout", b"payload")
    for length in range(1, len(whole)):
        parser = FrameParser()
        list(parser.feed(whole[:length]))
        assert not parser.at_boundary


def test_a_frame_of_any_size_is_passed_on_as_it_comes() -> None:
    parser = FrameParser()
    head = bytes([1, 0, 0, 0]) + (1 << 31).to_bytes(4, "big")
    assert list(parser.feed(head + b"first")) == [("stdout", b"first", None)]
    assert list(parser.feed(b"second")) == [("stdout", b"second", None)]
    assert not parser.at_boundary


@pytest.mark.parametrize("data", [b"\x07\0\0\0\0\0\0\1x", b"HTTP/1.1 200", b"\x01\1\0\0\0\0\0\1x"])
def test_what_is_not_such_a_stream_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        list(FrameParser().feed(data))


def test_a_log_frame_without_a_time_is_passed_on_as_it_is() -> None:
    long = b"x" * 100
    assert list(TimedFrameParser().feed(encode("stderr", long))) == [("stderr", long, None)]


def test_the_engine_s_word_for_never_is_none() -> None:
    assert parse_time("0001-01-01T00:00:00Z") is None
    assert parse_time("2026-11-23T02:21:31.656171123Z") == datetime(
        2026, 11, 23, 2, 21, 31, 656171, tzinfo=UTC
    )
