"""Directories that tasks have filled are removed and measured, whatever is in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.trees import remove_tree, size_of

NOBODY = 65534


def nested(top: Path, levels: int, name: str) -> None:
    """Directories in each other, made from within, since their path may be too long for the system."""
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)


@pytest.mark.parametrize(("levels", "name"), [(2_000, "x"), (1_500, "x" * 100)])
def test_directories_that_are_too_deep_to_walk_are_removed_and_measured(
    tmp_path: Path, levels: int, name: str
) -> None:
    nested(tmp_path / "top", levels, name)
    assert size_of(tmp_path / "top") == 0

    remove_tree(tmp_path / "top")

    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("12345")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    for place in (top, top / "a", top / "a" / "b"):
        (place / "to_file").symlink_to(outside / "kept")
        (place / "to_directory").symlink_to(outside)
        (place / ".moved-1").write_text("a name that is wanted for something else")
    assert size_of(top) < 1000

    remove_tree(top)

    assert not top.exists()
    assert (outside / "kept").read_text() == "12345"


def test_what_is_not_there_is_nothing_to_remove_and_a_file_or_link_is_no_directory(tmp_path: Path) -> None:
    remove_tree(tmp_path / "absent")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(NotADirectoryError):
            remove_tree(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


def test_sizes_of_all_files_are_added(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 234)
    assert size_of(tmp_path) == 1234


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory of somebody who may not do everything, which we are for a while if we are root."""
    was_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        if was_root:
            os.seteuid(NOBODY)
        try:
            yield Path(place)
        finally:
            if was_root:
                os.seteuid(0)


def test_missing_rights_of_the_owner_keep_nothing(unprivileged: Path) -> None:
    top = unprivileged / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("x")
    (top / "a" / "c" / "d" / "e").mkdir(parents=True)
    for part in ("a/b/file", "a/b", "a/c/d/e", "a/c/d", "a/c", "a", "."):
        (top / part).chmod(0)

    remove_tree(top)

    assert list(unprivileged.iterdir()) == []
