"""What is written where: neutralised text, exact JSON, tables, and readers that go away."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from agentainer_tui.commands import console
from agentainer_tui.commands.console import Channel, json_text, print_json, print_table, program_line, safe

HOSTILE = "name\x1b[2J\x07\x9b31m\u202eevil\x7f"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It does."""
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """From now on stdout is a terminal. Not a fixture: pytest sets stdout anew after those."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def has_controls(text: str) -> bool:
    return any(not char.isprintable() and char != "\n" for char in text)


def test_text_of_others_cannot_steer_a_terminal() -> None:
    assert not has_controls(safe(f"{HOSTILE}\n{HOSTILE}"))


def test_json_on_a_terminal_is_ascii_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_json({"name": HOSTILE})

    shown = terminal.getvalue()
    assert shown.isascii()
    assert not has_controls(shown)
    assert json.loads(shown) == {"name": HOSTILE}


def test_json_in_a_pipe_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Grüße\u202e"})

    assert json.loads(capsys.readouterr().out) == {"name": "Grüße\u202e"}


def test_a_lone_surrogate_is_still_json_for_whoever_reads_it() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")
    stream.write(json_text({"name": "\udc80"}))
    stream.flush()

    assert json.loads(raw.getvalue()) == {"name": "\udc80"}


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "utf-8"])
def test_json_is_json_whatever_the_encoding_of_stdout(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    value = {"é": "日本 🙂"}

    print_json(value)

    assert json.loads(written.getvalue().decode(encoding)) == value
    assert ("日本" in written.getvalue().decode("utf-8", "replace")) == (encoding == "utf-8")


def test_output_of_a_task_is_exact_in_a_pipe_and_harmless_on_a_terminal() -> None:
    line = "\x1b[31mred\x1b[0m \x1b[2J"

    assert program_line(line, io.StringIO()) == line
    assert program_line(line, Terminal()) == "red ␛[2J"


def test_columns_are_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "N"), [("日本", "1"), ("ab\x1b", "22")])

    assert capsys.readouterr().out == "NAME  N\n日本  1\nab␛   22\n"


def test_a_long_cell_is_cut_but_the_last_column_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "DETAILS"), [("x" * 30, "y" * 200)], widest=10)

    assert capsys.readouterr().out.splitlines()[1] == f"{'x' * 9}…  {'y' * 200}"


def test_only_the_status_is_coloured_and_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    print_table(("NAME", "STATUS"), [("failed", "failed")], status=1)
    coloured = terminal.getvalue().splitlines()[1]
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(("NAME", "STATUS"), [("failed", "failed")], status=1)

    assert coloured == "failed  \x1b[31mfailed\x1b[0m"
    assert terminal.getvalue().splitlines()[-1] == "failed  failed"


def test_a_dumb_terminal_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")

    assert console.out.paint("failed", "failed") == "failed"


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        channel = Channel("stdout")
        channel.line("nobody reads this")
        channel.line("nor this")

        assert channel.closed
    # Leaving the block flushed the stream once more, as the interpreter does at its end.


def test_a_stream_that_is_not_there_swallows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    Channel("stdout").line("text")
    assert console.is_terminal(sys.stdout) is False
