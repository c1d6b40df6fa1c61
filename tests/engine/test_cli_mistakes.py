"""What people get wrong: each a message that fits a screen, the right exit code, and no traceback."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.command_line import CommandLine

SCREEN = 24
GOOD = "name: good\nsteps:\n  - id: a\n    command: ['true']\n"


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command ended with this code and a message that has these words and fits a screen."""
    shown = done.stdout + done.stderr
    assert done.returncode == code, shown
    assert 0 < len(shown.splitlines()) <= SCREEN, shown
    assert max(map(len, shown.splitlines())) < 1000
    assert "Traceback" not in shown
    assert "agentainer itself failed" not in shown
    for word in words:
        assert word in shown


def bomb() -> str:
    levels = "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )
    return f"a0: &a0 x\n{levels}name: bomb\nsteps: []\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"", ["bad.yaml:", "empty"], id="empty"),
        pytest.param(bytes(range(256)) * 50, ["bad.yaml:"], id="binary"),
        pytest.param(bomb().encode(), ["bad.yaml:"], id="bomb"),
        pytest.param(b"[" * 100_000, ["bad.yaml:"], id="nested"),
        pytest.param(b"name: [unclosed\n", ["bad.yaml:"], id="no-yaml"),
        pytest.param(b"steps:\n  - nothing\n" * 1, ["bad.yaml:2:"], id="no-step"),
        pytest.param(
            b"name: x\nsteps:\n  - id: build\n    command: ['true']\n  - id: b\n    command: ['true']\n"
            b"    depends_on: [biuld]\n",
            ["bad.yaml:7:", "biuld", "build"],
            id="unknown-step",
        ),
        pytest.param(
            b"name: x\nsteps:\n  - id: a\n    command: ['true']\n    depends_on: [b]\n"
            b"  - id: b\n    command: ['true']\n    depends_on: [a]\n",
            ["bad.yaml:5:18:", "a -> b -> a"],
            id="cycle",
        ),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_its_position_by_validate_and_run(
    line: CommandLine, text: bytes, words: list[str]
) -> None:
    (line.directory / "bad.yaml").write_bytes(text)

    refused(line.run("validate", "bad.yaml"), 2, *words)
    refused(line.run("run", "bad.yaml"), 2, *words)
    assert not line.home.exists()


def test_a_file_of_a_hundred_megabytes_is_refused_without_reading_it(line: CommandLine) -> None:
    with (line.directory / "big.yaml").open("wb") as file:
        file.truncate(100_000_000)

    refused(line.run("validate", "big.yaml"), 2, "big.yaml:", "MiB")
    refused(line.run("run", "big.yaml"), 2, "big.yaml:")


def test_validate_checks_all_files_and_directories_and_ends_with_2_if_one_is_wrong(line: CommandLine) -> None:
    line.write("good.yaml", GOOD)
    (line.directory / "more").mkdir()
    line.write("more/bad.yaml", "name: bad\n")

    refused(line.run("validate", "good.yaml", "more"), 2, "more/bad.yaml:", "2 files: ")
    documents = json.loads(line.run("validate", "--json", "good.yaml", "more").stdout)
    assert [(Path(one["path"]).name, one["valid"]) for one in documents] == [
        ("good.yaml", True),
        ("bad.yaml", False),
    ]
    assert line.run("validate", "good.yaml").returncode == 0


def test_hundreds_of_problems_do_not_fill_the_screen_of_run(line: CommandLine) -> None:
    steps = "".join(f"  - id: s{number}\n    comand: x\n" for number in range(300))
    line.write("bad.yaml", f"name: bad\nsteps:\n{steps}")

    refused(line.run("run", "bad.yaml"), 2, "bad.yaml:4:", "more")


def test_a_template_to_a_missing_path_fails_its_step_and_says_which(line: CommandLine) -> None:
    line.write(
        "missing.yaml",
        "name: missing\nsteps:\n  - id: a\n    command: ['echo', '{{ $.name.first }}']\n",
    )

    refused(line.run("run", "missing.yaml"), 1, "step a", "input_error", "$.name.first")


def test_a_map_over_a_string_fails_its_step_and_says_what_was_found(line: CommandLine) -> None:
    line.write(
        "map.yaml",
        "name: map\nstate: {urls: one}\nsteps:\n  - id: a\n    type: map\n"
        "    map_config: {input_path: $.urls}\n    command: ['true']\n",
    )

    refused(line.run("run", "map.yaml"), 1, "step a", "input_error", "urls")


def test_a_program_that_is_not_there_fails_its_step_and_names_it(line: CommandLine) -> None:
    line.write("absent.yaml", "name: absent\nsteps:\n  - id: a\n    command: ['no-such-program']\n")

    refused(line.run("run", "absent.yaml"), 1, "start_failed", "no-such-program")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "absent.yaml"], "absent.yaml"),
        (["run", "absent"], "absent"),
        (["run", "."], "directory"),
        (["run", "good.yaml", "-p", "who=x"], "who"),
        (["run", "good.yaml", "-p", "who"], "NAME=VALUE"),
        (["run", "good.yaml", "--params", "absent.json"], "absent.json"),
        (["validate", "absent.yaml"], "absent.yaml"),
        (["list", "absent"], "absent"),
        (["absent"], "absent"),
        (["good.yaml"], "not a directory"),
        (["."], "terminal"),
        (["show", "last"], "nothing has been run yet"),
        (["show", "zzz"], "zzz"),
        (["logs", "last"], "nothing has been run yet"),
        (["retry", "last"], "nothing has been run yet"),
        (["cancel", "last"], "nothing has been run yet"),
        (["cleanup", "last"], "nothing has been run yet"),
        (["history", "--redis-url"], "--redis-url"),
    ],
)
def test_what_is_not_there_is_said_and_ends_with_2(line: CommandLine, words: list[str], said: str) -> None:
    line.write("good.yaml", GOOD)

    refused(line.run(*words), 2, said)


def test_a_home_that_cannot_be_written_ends_with_4_and_says_what_to_do(line: CommandLine) -> None:
    line.write("good.yaml", GOOD)
    line.write("home", "a file where the home should be")

    refused(line.run("run", "good.yaml"), 4, str(line.home), "--home")
    refused(line.run("doctor"), 4, str(line.home), "--home")


def test_docker_that_is_demanded_but_absent_ends_with_4(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.write("good.yaml", GOOD.replace("command", "image: busybox\n    command"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{line.directory}/no.sock")

    refused(line.run("run", "good.yaml", "--backend", "docker"), 4, "no.sock")
    assert line.json("history") == []


def test_without_docker_auto_runs_processes_and_says_so(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.write("good.yaml", GOOD)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{line.directory}/no.sock")
    done = line.run("run", "good.yaml", "--backend", "auto")

    assert done.returncode == 0
    assert "no Docker engine: running as local processes" in done.stderr


def test_a_redis_that_does_not_answer_ends_with_4(line: CommandLine) -> None:
    line.write("good.yaml", GOOD)
    with socket.socket() as nobody:  # bound, so that nobody else is; not listening
        nobody.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{nobody.getsockname()[1]}"

        refused(line.run("run", "good.yaml", "--redis-url", f"redis://:secret@{place}/0"), 4, place)


def test_the_password_of_a_redis_is_not_shown(line: CommandLine) -> None:
    done = line.run("doctor", "--redis-url", "redis://user:hunter2-secret@127.0.0.1:1/0")

    assert done.returncode == 4
    assert "hunter2-secret" not in done.stdout + done.stderr


def test_a_setting_of_the_wrong_kind_says_where_it_comes_from(line: CommandLine) -> None:
    line.write("good.yaml", GOOD)
    line.write("agentainer.toml", "max_tasks = 'many'\n")

    refused(line.run("run", "good.yaml"), 2, "max_tasks", "agentainer.toml", "many")


def test_a_history_of_a_newer_version_is_left_alone(line: CommandLine) -> None:
    line.home.mkdir()
    (line.home / "history.db").write_bytes(b"this is not a database" * 100)
    line.write("good.yaml", GOOD)

    refused(line.run("history"), 4, "history.db")
    refused(line.run("run", "good.yaml"), 4, "history.db")
    assert (line.home / "history.db").read_bytes() == b"this is not a database" * 100


# The largest file that the engine may write stands in for a disk without space.
LIMITED = """
import resource, sys
from agentainer_tui.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["steps", "items"])
def test_a_disk_that_gets_full_in_the_middle_of_a_run_is_told_and_the_run_goes_on_later(
    line: CommandLine, kind: str
) -> None:
    task = "command: [python3, -c, 'print(\"a\" * 50_000)']"
    steps = [f"{{id: s{number}, {task}}}" for number in range(20)]
    if kind == "items":
        steps = [f"{{id: m, type: map, map_config: {{input_path: $.l}}, {task}}}"]
    document = f"name: grows\nstate: {{l: {list(range(20))}}}\nsteps:\n  - " + "\n  - ".join(steps) + "\n"
    line.write("grows.yaml", document)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "run", "grows.yaml"], cwd=line.directory, env=line.environment(),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 4, done.stdout + done.stderr
    told = [text for text in done.stderr.splitlines() if not re.match(r" +[0-9.]+s  ", text)]
    assert len(told) <= SCREEN, done.stderr
    assert "Traceback" not in done.stderr
    assert "agentainer itself failed" not in done.stderr
    run_id = line.json("history")[0]["id"]
    assert f"the end of run {run_id} could not be recorded" in done.stderr

    line.write("good.yaml", GOOD)
    assert line.run("run", "good.yaml").returncode == 0
    assert {run["status"] for run in line.json("history")} == {"completed"}


def test_texts_of_all_languages_pass_through_in_a_locale_that_knows_none(line: CommandLine) -> None:
    line.write("a.yaml", 'name: a\nstate: {s: "ä日🙂"}\nsteps:\n  - {id: a, command: [echo, "{{ $.s }}"]}\n')
    environment = {**line.environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "agentainer_tui", "run", "a.yaml", "--json"], cwd=line.directory,
        env=environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("ascii"))["steps"][0]["result"] == "ä日🙂"
