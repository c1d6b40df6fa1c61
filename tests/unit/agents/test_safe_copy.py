"""Archives that no engine of ours would send: nothing of them gets out of its place."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from engine.agents.docker_collect import unpack
from engine.agents.safe_copy import SafeCopy
from engine.errors import BackendError, Reason


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def archive(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as writing:
        for entry in members:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            info.size = len(content)
            writing.addfile(info, io.BytesIO(content))
    file.seek(0)
    return tarfile.open(fileobj=file, mode="r|")


def unpacked(into: Path, *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], limit: int = 100) -> int:
    with SafeCopy(into, limit=limit, what="'out' of agent") as copy:
        unpack(copy, archive(*members))
        size = copy.finish()
    assert size is not None
    return size


def everything_below(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*")}


ROOT = member("out", tarfile.DIRTYPE, mode=0o755)
PLACED_LINKS = [
    (member("out/up", tarfile.SYMTYPE, "."), member("out/evil", tarfile.SYMTYPE, "up/..")),
    (member("out/a/b/c", tarfile.SYMTYPE, "../.."), member("out/evil", tarfile.SYMTYPE, "a/b/c/../../..")),
    (
        member("out/a/b/c", tarfile.SYMTYPE, "../../fine"),
        member("out/evil", tarfile.LNKTYPE, "out/a/b/c"),
    ),
]


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/cron.d/evil")],
        [ROOT, member("out/../../evil")],
        [ROOT, member("../evil")],
        [member("out/..", tarfile.DIRTYPE)],
        [ROOT, member("out/evil", tarfile.CHRTYPE)],
        [ROOT, member("out/evil", tarfile.BLKTYPE)],
        [ROOT, member("out/evil", tarfile.FIFOTYPE)],
        [ROOT, member("out/evil", tarfile.SYMTYPE, "/etc/passwd")],
        [ROOT, member("out/evil", tarfile.SYMTYPE, "../evil")],
        [ROOT, member("out/evil", tarfile.SYMTYPE, "./.././evil")],
        [ROOT, member("out/evil", tarfile.LNKTYPE, "/etc/passwd")],
        [ROOT, member("out/evil", tarfile.LNKTYPE, "out/../../../etc/passwd")],
        [ROOT, member("out/evil", tarfile.LNKTYPE, "out/nothing")],
        [ROOT, member("out/evil", tarfile.SYMTYPE, "place"), member("out/evil/through")],
        [ROOT, member("out/evil"), member("out/evil/below")],
        [ROOT, member("out/evil"), member("out/evil")],
        [ROOT, member("out/evil"), member("out/evil", tarfile.SYMTYPE, "x")],
        [ROOT, member("out/evil", tarfile.SYMTYPE, "x"), member("out/evil", tarfile.SYMTYPE, "x")],
        [ROOT, member(f"out/{'x' * 300}")],
        [ROOT, member("out/" + "x/" * 101, tarfile.DIRTYPE)],
        [ROOT, (member("out/evil"), b"x" * 101)],
        [ROOT, (member("out/a"), b"x" * 60), (member("out/b"), b"x" * 60)],
        [member("out", tarfile.SYMTYPE, "elsewhere")],
        *([ROOT, *links] for links in PLACED_LINKS),
    ],
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    members: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]], tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(BackendError) as caught:
        unpacked(place / "kept", *members)
    assert (caught.value.reason, caught.value.transient) == (Reason.BAD_RESULT, False)
    assert everything_below(tmp_path) == {"place"}


def test_one_that_says_that_it_is_huge_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = member("out")
    info.size = 1 << 50
    with (
        tarfile.open(fileobj=io.BytesIO(info.tobuf()), mode="r|") as lying,
        pytest.raises(BackendError, match="larger than 100 bytes"),
        SafeCopy(tmp_path / "kept", limit=100, what="'out'") as copy,
    ):
        unpack(copy, lying)
    assert everything_below(tmp_path) == set()


def test_a_refusal_names_a_long_path_in_short(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="nested more than 100 deep") as caught:
        unpacked(tmp_path / "into", ROOT, member("out/" + "/".join(["d" * 100] * 200), tarfile.DIRTYPE))
    assert "'out' of agent cannot be copied: 'ddd" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_permissions_are_those_of_plain_files_of_this_user(tmp_path: Path) -> None:
    unpacked(
        tmp_path / "kept",
        member("out", tarfile.DIRTYPE, mode=0o7777),
        (member("out/all", mode=0o7777), b"x"),
        (member("out/none", mode=0), b"x"),
        member("out/closed", tarfile.DIRTYPE, mode=0),
        (member("out/closed/below"), b"x"),
    )
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.rglob("*")}
    assert modes == {"kept": 0o755, "all": 0o755, "none": 0o600, "closed": 0o700, "below": 0o644}
    assert (tmp_path / "kept" / "all").stat().st_uid == os.getuid()


def test_links_that_stay_inside_are_kept_in_whatever_order_they_come(tmp_path: Path) -> None:
    size = unpacked(
        tmp_path / "kept",
        member("out/late", tarfile.SYMTYPE, "deep/file"),
        member("out/deep", tarfile.DIRTYPE),
        member("out/deep/up", tarfile.SYMTYPE, "../late"),
        member("out/deep/here", tarfile.SYMTYPE, "./"),
        (member("out/deep/file"), b"content"),
        member("out/second", tarfile.LNKTYPE, "out/deep/file"),
    )
    assert size == 7
    for name in ("late", "second", "deep/up", "deep/here/here/file"):
        assert (tmp_path / "kept" / name).read_text() == "content"


def test_a_single_file_takes_the_place_itself(tmp_path: Path) -> None:
    assert unpacked(tmp_path / "kept", (member("out.txt"), b"abc")) == 3
    assert (tmp_path / "kept").read_bytes() == b"abc"
    assert everything_below(tmp_path) == {"kept"}


def test_a_limit_is_exact(tmp_path: Path) -> None:
    assert unpacked(tmp_path / "kept", ROOT, (member("out/x"), b"x" * 100)) == 100


def test_a_place_that_cannot_be_written_is_the_platform_s_failure(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="could not be written") as caught:
        unpacked(tmp_path / "missing" / "kept", ROOT)
    assert (caught.value.reason, caught.value.transient) == (Reason.INFRA_ERROR, True)
