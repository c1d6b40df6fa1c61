"""What may be read as a workflow file at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from engine.workflows.loader import load, load_text
from engine.workflows.source import MAX_BYTES, digest_of

GOOD = 'name: good\nsteps:\n  - {id: a, command: "true"}\n'


def refusal(path: Path) -> str:
    loaded = load(path)
    assert loaded.plan is None
    (problem,) = loaded.problems
    assert problem.path == str(path)
    return problem.message


def test_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == "no such file: check the name"


def test_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "this is a directory, not a workflow file: give a file in it"


def test_file_used_as_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert refusal(tmp_path / "a.yaml" / "b.yaml") == "a part of the path is a file, not a directory"


@pytest.mark.parametrize("content", [b"", b"  \n\t\n", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "empty.yaml").write_bytes(content)
    assert refusal(tmp_path / "empty.yaml").startswith("the file is empty")


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "program.yaml").write_bytes(b"\x7fELF\x02\x01\x01\x00\x00")
    assert "binary file" in refusal(tmp_path / "program.yaml")


def test_invalid_utf8_says_byte_and_line(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: x\ndescription: Grüße\n".encode("latin-1"))
    assert refusal(tmp_path / "latin.yaml").startswith("not UTF-8: byte 0xfc on line 2")


def test_utf16_is_named(tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_bytes(GOOD.encode("utf-16"))
    assert refusal(tmp_path / "wide.yaml") == "the file is UTF-16: save it as UTF-8"


def test_huge_file_is_refused_by_its_size_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024 * 1024)  # sparse: reading it would take all memory
    assert refusal(path).startswith("the file has 107,374,182,400 bytes")


def test_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD)))
    assert load(path).plan is not None
    path.write_text(GOOD + "#" * (MAX_BYTES - len(GOOD) + 1))
    assert "5 MiB" in refusal(path)


def test_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refusal(tmp_path / "pipe.yaml").startswith("this is not a regular file")


def test_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert "too many levels of symbolic links" in refusal(tmp_path / "a.yaml")


def test_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("gone.yaml")
    assert refusal(tmp_path / "a.yaml") == "this symbolic link leads to a file that does not exist"


def test_name_with_a_nul_character() -> None:
    loaded = load("a\0b.yaml")
    assert loaded.plan is None
    assert str(loaded.problems[0]) == '"a\\x00b.yaml": the file name contains a NUL character'


def test_file_without_read_permission() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "secret.yaml"
        path.write_text(GOOD)
        path.chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything
            os.seteuid(65534)
        try:
            message = refusal(path)
        finally:
            os.seteuid(user)
    assert message.startswith("no permission to read this file")


def test_byte_order_mark_is_accepted_and_positions_do_not_count_it(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    plan = load(tmp_path / "bom.yaml").require()
    assert plan.document == GOOD
    (tmp_path / "bad.yaml").write_bytes(b"\xef\xbb\xbfnam: x\n" + GOOD.encode())
    assert load(tmp_path / "bad.yaml").problems[0].column == 1


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "dos.yaml").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load(tmp_path / "dos.yaml").require().workflow == "good"


def test_plan_keeps_text_path_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    plan = load(path).require()
    assert (plan.document, plan.path, plan.digest) == (GOOD, str(path), digest_of(GOOD))
    assert len(plan.digest) == 64


@pytest.mark.parametrize("name", ["w.yaml", "w.json", "without-suffix"])
def test_document_of_a_run_loads_into_an_equal_plan_again(tmp_path: Path, name: str) -> None:
    text = '{"name": "x", "steps": [{"id": "a", "image": "i:{{ $.b }}", "command": ["\\ud83d\\ude00"]}]}'
    (tmp_path / name).write_text(text)
    first = load(tmp_path / name).require()
    assert load_text(first.document, first.path).require() == first
    again = load_text(first.document).require()
    assert (again.steps, again.digest) == (first.steps, first.digest)


def test_text_with_half_a_surrogate_pair_is_refused_not_raised() -> None:
    assert load_text("name: \ud800\nsteps: []").plan is None
