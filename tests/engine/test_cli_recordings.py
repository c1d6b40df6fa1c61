"""`agentainer export` over real runs of local processes that try to leak their secrets."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.recordings import Recording
from tests.engine.command_line import CommandLine
from tests.engine.test_cli_terminal import Terminal

TOKEN = "t0p/secret \\ \"quoted\" 'token' é"

LEAKY = """
name: leak
secrets: [UPLOAD_TOKEN]
params: {word: {default: hi}}
config: {failure_strategy: continue}
state: {names: [ann, bob]}
steps:
  - {id: said, command: 'printf "it is %s" "$UPLOAD_TOKEN"; printf "%s" "$UPLOAD_TOKEN" | base64 >&2'}
  - id: each
    depends_on: [said]
    type: map
    map_config: {input_path: names}
    command: 'echo "$MAP_ITEM and $UPLOAD_TOKEN"'
  - id: inner
    depends_on: [said]
    type: subworkflow
    workflow: {name: within, secrets: [UPLOAD_TOKEN], steps: [{id: deep, command: 'echo "$UPLOAD_TOKEN"'}]}
  - {id: bad, depends_on: [said], command: 'echo "no: $UPLOAD_TOKEN" >&2; exit 4'}
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.setenv("UPLOAD_TOKEN", TOKEN)
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def leaked(line: CommandLine) -> str:
    line.write("leak.yaml", LEAKY)
    done = line.run("run", "leak.yaml", "--backend", "process", "--json")
    assert done.returncode == 3, done.stderr
    run_id: str = json.loads(done.stdout)["run"]["id"]
    return run_id


def test_an_export_is_one_file_with_everything_but_secrets(line: CommandLine) -> None:
    run_id = leaked(line)
    done = line.run("export", "last")
    file = line.directory / f"leak-{run_id}.agentainer"
    assert (done.returncode, done.stdout) == (0, f"{file.name}\n")
    assert "1 run within it" in done.stderr and f"agentainer open {file.name}" in done.stderr
    with zipfile.ZipFile(file) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert len([name for name in texts if name.startswith("logs/")]) == 5
    assert any("it is ***" in text for text in texts.values()), "there was something to mask"
    for name, text in texts.items():
        for secret in (TOKEN, json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1]):
            assert secret not in text, name
        assert "dDBwL3NlY3JldC" not in text, f"{name} has it in base64"


def test_it_says_no_twice_and_json_for_scripts(line: CommandLine) -> None:
    run_id = leaked(line)
    told = line.json("export", run_id[:6], "here.agentainer", "--artifacts")
    assert told["path"] == "here.agentainer" and told["run"] == run_id and len(told["runs"]) == 2
    assert told["size"] == (line.directory / "here.agentainer").stat().st_size
    again = line.run("export", "last", "here.agentainer")
    assert again.returncode == 2 and "is there already" in again.stderr and "--force" in again.stderr
    assert line.run("export", "last", "here.agentainer", "--force").returncode == 0
    assert line.run("export", "nosuchrun").returncode == 2
    missing = line.run("export", "last", "no/such/place.agentainer")
    assert missing.returncode == 2 and "cannot be written" in missing.stderr
    (line.directory / "out").mkdir()
    assert line.run("export", "last", "out").stdout == f"out/leak-{run_id}.agentainer\n"


def test_what_was_exported_shows_the_same_as_the_history_it_came_from(line: CommandLine) -> None:
    leaked(line)
    line.json("export", "last", "run.agentainer")
    recording = Recording.open(line.directory / "run.agentainer")
    home = str(recording.settings.home)
    try:
        assert line.json("show", "last") == line.json("show", "last", "--home", home)
        for verb in (("logs", "last", "-t"), ("events", "last", "--json"), ("profile", "last")):
            here, there = line.run(*verb), line.run(*verb, "--home", home)
            assert (here.returncode, here.stdout) == (there.returncode, there.stdout)
    finally:
        recording.discard()
    assert not recording.settings.home.exists()


def test_open_needs_a_terminal_and_says_what_else_there_is(line: CommandLine) -> None:
    refused = line.run("open", "x.agentainer")
    assert refused.returncode == 2 and "needs a terminal" in refused.stderr and "ZIP" in refused.stderr


def test_a_recording_opens_on_a_terminal_and_leaves_nothing_behind(
    line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    leaked(line)
    line.json("export", "last", "run.agentainer")
    terminal = Terminal(line, "open", "run.agentainer")
    try:
        terminal.wait_for("read-only: run")
        assert [path.name.startswith("agentainer-recording-") for path in place.iterdir()] == [True]
        terminal.type("q")
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert list(place.iterdir()) == []
    terminal = Terminal(line, "open", "run.agentainer")
    try:
        terminal.wait_for("read-only: run")
        terminal.hang_up()
        terminal.wait()
    finally:
        terminal.close()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello", "is not a recording"),
        (None, "No such file"),
        (b"PK\x05\x06" + bytes(18), "has no manifest"),
    ],
)
def test_files_that_are_no_recordings_are_refused_on_a_terminal(
    line: CommandLine, content: bytes | None, words: str
) -> None:
    if content is not None:
        (line.directory / "x.agentainer").write_bytes(content)
    terminal = Terminal(line, "open", "x.agentainer")
    try:
        assert terminal.wait() == 2
        assert words in terminal.shown and "agentainer export" in terminal.shown
    finally:
        terminal.close()
