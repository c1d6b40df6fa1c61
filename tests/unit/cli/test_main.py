"""What becomes of errors: a message and an exit code, or a crash report; and how little is imported."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from agentainer_tui.cli import main
from agentainer_tui.commands import dispatch
from agentainer_tui.commands.remarks import remarks_told
from engine.errors import AgentainerError, DocumentError, Problem, UnavailableError, UsageError

SECRET = "hunter2-secret"


def run_verb(monkeypatch: pytest.MonkeyPatch, error: BaseException, *more: str) -> int:
    """The exit code of `run` when the verb raises `error`."""

    def verb(options: Namespace) -> int:
        raise error

    monkeypatch.setattr(dispatch, "_verb", lambda name: verb)
    return main(["run", "x", *more])


def test_a_known_error_is_a_message_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_verb(monkeypatch, UnavailableError("no Docker engine\x1b", hint="start it\nor use processes"))

    assert code == 4
    assert capsys.readouterr().err == "error: no Docker engine␛\n  start it\n  or use processes\n"


def test_problems_of_a_document_are_lines_with_positions_and_fit_a_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = tuple(Problem("a.yaml", line, 1, "bad") for line in range(1, 101))

    assert run_verb(monkeypatch, DocumentError(problems)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a.yaml:1:1: bad"
    assert len(lines) < 24
    assert lines[-1].startswith("… and 85 more")


def test_the_errors_of_a_group_of_tasks_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [UsageError("no such run")])])

    assert run_verb(monkeypatch, group) == 2
    assert capsys.readouterr().err == "error: no such run\n"


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def crash(monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The report of a crash, from the one line that names it."""
    code = run_verb(
        monkeypatch, ZeroDivisionError("by\x1b zero"), "-p", f"password={SECRET}", "--home", str(home)
    )
    shown = capsys.readouterr().err
    found = re.fullmatch(r"error: agentainer itself failed \((.*)\); the details are in (\S+)\n", shown)

    assert code == 4
    assert found
    assert found[1] == "ZeroDivisionError: by␛ zero"
    return Path(found[2])


def test_an_unexpected_error_becomes_a_private_report_without_the_params(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = crash(monkeypatch, tmp_path / "home", capsys)

    assert report.parent == tmp_path / "home" / "crashes"
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    assert "Traceback" in text
    assert "'verb': 'run'" in text
    assert SECRET not in text


def test_where_the_home_takes_no_report_the_temporary_directory_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert crash(monkeypatch, tmp_path / "home", capsys).parent == tmp_path


@pytest.mark.parametrize("words", [["history"], ["run", "a.yaml"], ["agents"]])
def test_an_empty_home_is_refused_and_not_taken_for_the_usual_one(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("name: a\nsteps:\n  - {id: a, command: ['true']}\n")

    assert main([*words, "--home", ""]) == 2
    assert "--home is empty" in capsys.readouterr().err


def test_an_error_of_ours_in_a_group_with_another_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = ExceptionGroup("tasks", [AgentainerError("known"), ZeroDivisionError()])

    assert run_verb(monkeypatch, group, "--home", str(tmp_path)) == 4
    assert "agentainer itself failed" in capsys.readouterr().err


def imported_by(*words: str) -> set[str]:
    """The top-level modules that a command imports."""
    code = (
        "import sys; from agentainer_tui.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code + "print('\\n'.join(['#modules', *sys.modules]))", *words],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {name.split(".")[0] for name in shown.stdout.split("#modules\n")[1].split()}


HEAVY = {"asyncio", "textual", "rich", "docker", "redis", "aiosqlite", "sqlite3", "watchfiles"}


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & (HEAVY | {"pydantic", "yaml"})


def test_checking_a_file_imports_no_engine(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\nsteps:\n  - id: a\n    command: ['true']\n")

    assert not imported_by("validate", str(file)) & HEAVY


def test_reading_the_history_imports_no_backend(tmp_path: Path) -> None:
    assert not imported_by("history", "--home", str(tmp_path)) & {"textual", "docker", "redis", "yaml"}


def test_what_the_engine_logs_is_a_note_and_its_traceback_a_file(tmp_path: Path) -> None:
    notes: list[str] = []
    log = logging.getLogger("agentainer")

    with remarks_told(notes.append, tmp_path):
        log.warning("agent %s could not be removed", "a-1")
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            log.exception("run %s", "abc")

    (report,) = (tmp_path / "crashes").iterdir()
    assert notes == [
        "agent a-1 could not be removed",
        f"run abc: ZeroDivisionError: by zero; the details are in {report}",
    ]
    assert "Traceback" in report.read_text()


def test_the_details_of_a_fault_of_the_engine_are_a_file(tmp_path: Path) -> None:
    notes: list[str] = []

    with remarks_told(notes.append, tmp_path):
        logging.getLogger("agentainer").error("run abc: KeyError: 1", extra={"details": "Traceback\nof it"})

    (report,) = (tmp_path / "crashes").iterdir()
    assert notes == [f"run abc: KeyError: 1; the details are in {report}"]
    assert report.read_text().endswith("Traceback\nof it")


INTERRUPTED_IMPORT = """
import os, signal, sys
import agentainer_tui.cli

class Interrupting:
    def find_spec(self, *asked):
        os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.exit(agentainer_tui.cli.main(["history"]))
"""


def test_ctrl_c_is_quiet_from_the_first_import_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (130, "")


def test_ctrl_c_while_the_interpreter_goes_changes_nothing() -> None:
    program = """
import atexit, os, signal, sys
atexit.register(os.kill, os.getpid(), signal.SIGINT)
from agentainer_tui.cli import main
sys.exit(main(["--version"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["schema"], ["--version"], ["history", "--json"]])
def test_output_that_a_full_disk_does_not_take_is_no_success(words: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agentainer_tui", "--home", str(tmp_path), *words],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.returncode == 4
    assert done.stderr == (
        "error: standard output could not be written, so it is incomplete: no space left on device\n"
    )
