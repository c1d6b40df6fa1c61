"""Runs as files: what comes out is what went in, and files of strangers do no harm."""

from __future__ import annotations

import json
import random
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentainer_tui.model import reduce_all
from engine.errors import AgentainerError, HistoryError, UsageError
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.history.logs import LogWriter
from engine.history.reader import Reader
from engine.history.recording_format import RecordingError
from engine.history.recording_loader import Limits, load_recording
from engine.history.recording_writer import Exported, Places, write_recording
from tests.unit.history.story import Story

PARENT, CHILD = "aaaa", "cccc"


def family() -> list[Event]:
    """A run with a map, a retry and a child run, everything once."""
    story, child = Story(PARENT), Story(CHILD)
    inner = {"run_id": PARENT, "step_id": "two", "attempt": 1}
    return [
        story.created("one", "two", params={"word": "hé\ud800llo"}, state={"n": 0},
                      children={"inner": {"digest": "d2", "document": "name: inner", "path": "/w/i.yaml"}}),
        story.run("pending", "running"),
        story.step("one", "pending", "running"),
        story.expanded("one", "a", {"b": [1, 2.5, None]}),
        story.item("one", 0, "pending", "running"),
        story.attempt_created("one", item=0),
        story.attempt("one", "pending", "running", item=0, agent_id="pid 7"),
        story.attempt("one", "running", "completed", item=0, exit_code=0, kept=True,
                      phases={"run": 1.5}, usage={"cpu_seconds": 1.0, "sampled": True}),
        story.item("one", 0, "running", "completed", result={"x": [1]}, artifacts=[{"name": "f", "size": 3}]),
        story.item("one", 1, "pending", "running"),
        story.item("one", 1, "running", "retrying", delay=1.0, reason="task_failed", error="no\nluck",
                   next_attempt_at="2026-01-01T00:01:00.000000Z"),
        story.item("one", 1, "retrying", "cancelled"),
        story.step("one", "running", "completed",
                   changes={"set": {"n": 1}, "removed": ["m"], "collections": {"n": "list"}}),
        story.step("two", "pending", "running"),
        story.attempt_created("two", agent="", log="", child_run=CHILD),
        child.created("in", workflow="inner", digest="d2", document="name: inner", parent=inner),
        child.run("pending", "running"),
        child.step("in", "pending", "skipped", reason="condition_false"),
        child.run("running", "completed"),
        story.attempt("two", "pending", "running"),
        story.attempt("two", "running", "completed", kept=False),
        story.step("two", "running", "completed"),
        story.warning(),
        story.agent_removed("one", item=0),
        story.run("running", "partially_completed"),
    ]  # fmt: skip


@pytest.fixture
async def exported(journal: Journal, reader: Reader, tmp_path: Path) -> Exported:
    await journal.record(*Story("bbbb").whole(digest="other"))
    for event in family():
        await journal.record(event)
    writer = LogWriter(tmp_path / "logs", f"{PARENT}/one.0.1.log", limit=1 << 20)
    writer.write("stdout", b"hello\n\x1b[31mred\xff\n")
    writer.close()
    file = tmp_path / "artifacts" / PARENT / "one.0" / "deep" / "f"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"abc")
    (file.parent / "link").symlink_to("/etc/passwd")
    (tmp_path / "logs" / PARENT / "link.log").symlink_to("/etc/passwd")
    return await write(reader, tmp_path, artifacts=True)


async def write(reader: Reader, tmp_path: Path, name: str = "run.agentainer", **more: Any) -> Exported:
    places = Places(tmp_path / "logs", tmp_path / "artifacts")
    return await write_recording(reader, places, PARENT, tmp_path / name, engine="1.2", **more)


def unpack(path: Path, tmp_path: Path, **limits: int) -> Path:
    home = tmp_path / f"home{random.random()}"
    home.mkdir()
    load_recording(path, home, limits=Limits(**limits))
    return home


def dump(database: Path, *, without: str = "") -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but those that tell of the rest of the home."""
    connection = sqlite3.connect(database)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {
        table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
        for table in tables
        if table not in ("sqlite_sequence", "forgotten")
    }
    connection.close()
    if without:
        rows = {table: [row for row in found if without not in row] for table, found in rows.items()}
        rows["run_figures"] = [row for row in rows["run_figures"] if row[0] not in _SEQS_OF_OTHERS]
        rows["documents"] = [row for row in rows["documents"] if row[0] != "other"]
    return rows


_SEQS_OF_OTHERS = {1}  # the other run began with event 1


async def test_what_comes_out_is_what_went_in(
    exported: Exported, journal: Journal, tmp_path: Path, reader: Reader
) -> None:
    await journal.close()
    home = unpack(exported.path, tmp_path)
    assert dump(home / "history.db") == dump(tmp_path / "history.db", without="bbbb")
    log = f"logs/{PARENT}/one.0.1.log"
    assert (home / log).read_bytes() == (tmp_path / log).read_bytes()
    assert (home / "artifacts" / PARENT / "one.0/deep/f").read_bytes() == b"abc"
    files = [path.relative_to(home).as_posix() for path in home.rglob("*") if not path.is_dir()]
    assert not [name for name in files if "link" in name]
    assert exported.events == len(family())
    assert exported.manifest.engine == "1.2" and exported.manifest.status == "partially_completed"
    assert [run.id for run in exported.manifest.runs] == [PARENT, CHILD]


async def test_views_are_the_same_before_and_after(
    exported: Exported, reader: Reader, tmp_path: Path
) -> None:
    home = unpack(exported.path, tmp_path)
    async with Reader(home / "history.db") as copy:
        for run_id in (PARENT, CHILD):
            before = reduce_all(None, await reader.events(run_id))
            assert before is not None and reduce_all(None, await copy.events(run_id)) == before
            assert await copy.detail(run_id) == await reader.detail(run_id)
        assert await copy.children_documents(PARENT) == await reader.children_documents(PARENT)
        assert await copy.document("d1") == "name: demo"


async def test_artifacts_stay_at_home_unless_asked_for(
    exported: Exported, reader: Reader, tmp_path: Path
) -> None:
    without = await write(reader, tmp_path, "small.agentainer")
    home = unpack(without.path, tmp_path)
    assert not (home / "artifacts").exists() and (home / "logs").exists()


async def test_a_file_that_is_there_is_not_replaced_unless_asked_for(
    exported: Exported, reader: Reader, tmp_path: Path
) -> None:
    before = exported.path.read_bytes()
    with pytest.raises(UsageError, match="there already"):
        await write(reader, tmp_path)
    assert exported.path.read_bytes() == before
    await write(reader, tmp_path, overwrite=True)
    assert exported.path.read_bytes() != before  # without artifacts


async def test_what_cannot_be_written_leaves_nothing_behind(
    exported: Exported, reader: Reader, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        await write(reader, tmp_path, "missing/run.agentainer")

    def fail(events: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match="No space left"):
        await write(reader, tmp_path, "out/run.agentainer", progress=fail)
    assert list((tmp_path / "out").iterdir()) == []


# -- files of strangers -------------------------------------------------------------------------------


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[dict[str, bytes]], None],
    *,
    mode: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """A recording with other entries."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w", mode) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


EVENTS = f"runs/{PARENT}/events.jsonl"


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda entries: entries.update({name: data})


def drop(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        del entries[name]

    return change


def manifest(**fields: Any) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        data = {**json.loads(entries["manifest.json"]), **fields}
        entries["manifest.json"] = json.dumps(data).encode()

    return change


def event(place: int, **fields: Any) -> Callable[[dict[str, bytes]], None]:
    """Change the fields (`data` key by key) of an event."""

    def change(entries: dict[str, bytes]) -> None:
        lines = entries[EVENTS].splitlines()
        data = json.loads(lines[place])
        data["data"].update(fields.get("data", {}))
        data.update({name: value for name, value in fields.items() if name != "data"})
        lines[place] = json.dumps(data).encode()
        entries[EVENTS] = b"\n".join(lines) + b"\n"

    return change


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "no manifest": (drop("manifest.json"), "has no manifest.json"),
    "a manifest of something else": (put("manifest.json", b"{}"), "does not say"),
    "a manifest that is not JSON": (put("manifest.json", b"\xff{"), "not JSON"),
    "a manifest nested deep": (put("manifest.json", b"[" * 100_000), "not JSON|does not say"),
    "a newer version": (manifest(version=2), "version 2 of the format, written by agentainer 1.2"),
    "no version": (manifest(version="x"), "no version"),
    "no runs": (manifest(runs=[]), "not complete"),
    "runs that are a path": (manifest(run="../x", runs=[{"id": "../x", "events": 1}]), "not complete"),
    "more events promised": (manifest(runs=[{"id": PARENT, "events": 99}]), "manifest says 99"),
    "a missing journal": (drop(EVENTS), "is missing"),
    "a missing document": (drop("documents/0"), "is missing"),
    "a log outside": (put("logs/../../evil", b"x"), "no place for a file"),
    "a log of another run": (put("logs/zzzz/one.log", b"x"), "no place for a file"),
    "a log in the root": (put("logs//etc/passwd", b"x"), "no place for a file"),
    "an artifact outside": (put(f"artifacts/{PARENT}/../../../evil", b"x"), "no place for a file"),
    "an artifact in the root": (put("artifacts//etc/evil", b"x"), "no place for a file"),
    "an artifact by backslashes": (put(f"artifacts/{PARENT}/..\\..\\evil", b"x"), "no place for a file"),
    "an artifact that is its own directory": (put(f"artifacts/{PARENT}/one.0", b"x"), "unpacked|cannot be"),
    "an event that is not JSON": (put(EVENTS, b"nonsense\n"), "event 1 of run aaaa cannot be"),
    "an event that is a list": (put(EVENTS, b"[]\n"), "not an event"),
    "numbers beyond measure": (event(3, seq=1 << 60), "does not follow"),
    "numbers that go back": (event(3, seq=1), "does not follow"),
    "an unknown type": (event(3, type="run.exploded"), "not a valid EventType"),
    "a second beginning": (event(3, type="run.created"), "only once"),
    "a step that is a number": (event(3, step_id=7), "not a text"),
    "an item nobody has": (event(4, item=10**12), "there is no item"),
    "a time out of time": (event(3, time="0001-01-01T00:00:00+00:00"), "its time"),
    "a time without a zone": (event(3, time="2026-01-01T00:00:00"), "no zone"),
    "a status that is none": (event(1, data={"status": "exploded"}), "no status"),
    "a status of something else": (event(2, data={"old": "failed"}), "refused"),
    "a text that is a list": (event(0, data={"workflow": ["x"]}), "'workflow' is not what it must be"),
    "a plan of numbers": (event(0, data={"plan": [1]}), "'plan' is not what it must be"),
    "a plan without names": (event(0, data={"plan": [{"id": "one", "type": "x", "ordinal": 0}]}), "missing"),
    "a variable that is a number": (event(5, data={"env": {"A": 1}}), "'env' is not what it must be"),
    "an agent that is a text": (
        event(0, data={"plan": [{"id": "one", "name": "x", "type": "x", "ordinal": 0, "agent": "x"}]}),
        "'agent' is not what it must be",
    ),
    "limits that are texts": (
        event(0, data={"plan": [{"id": "one", "agent": {"limits": {"cpus": "x"}}}]}),
        "'agent' is not what it must be",
    ),
    "values that are a text": (event(3, data={"values": "abc"}), "'values' is not what it must be"),
    "an endless number": (event(7, data={"exit_code": 10**400}), "event 8 of run aaaa cannot be"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_of_strangers_are_refused_with_a_reason(name: str, exported: Exported, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    file = rewrite(exported.path, tmp_path / "hostile", change)
    before = {path for path in tmp_path.rglob("*") if "home" not in path.parts[-1]}
    with pytest.raises(AgentainerError, match=message) as caught:
        unpack(file, tmp_path)
    assert str(file) in str(caught.value)
    new = set(tmp_path.rglob("*")) - before
    assert not [path for path in new if not path.relative_to(tmp_path).parts[0].startswith("home")]


def test_other_files_are_refused_with_a_reason(exported: Exported, tmp_path: Path) -> None:
    file = tmp_path / "other"
    for content in (
        b"",
        b"PK",
        b"hello",
        b"\x89PNG\r\n",
        b"PK\x05\x06" + b"\xff" * 18,
        b"PK\x05\x06" + b"\0" * 18,
    ):
        file.write_bytes(content)
        with pytest.raises(RecordingError, match=r"is not a recording|cannot be"):
            unpack(file, tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        unpack(tmp_path / "missing", tmp_path)
    with pytest.raises(RecordingError, match="directory"):
        unpack(tmp_path, tmp_path)


def test_a_file_that_was_cut_or_changed_anywhere_is_refused(exported: Exported, tmp_path: Path) -> None:
    whole = exported.path.read_bytes()
    file = tmp_path / "cut"
    chance = random.Random(5)
    for end in chance.sample(range(len(whole)), 40):
        file.write_bytes(whole[:end])
        with pytest.raises(AgentainerError):
            unpack(file, tmp_path)
    good = dump(unpack(exported.path, tmp_path) / "history.db")
    for place in chance.sample(range(len(whole)), 150):
        file.write_bytes(
            whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :]
        )
        try:
            home = unpack(file, tmp_path)
        except AgentainerError:
            continue
        assert dump(home / "history.db") == good  # a bit that nobody reads


def test_bombs_are_not_unpacked(exported: Exported, tmp_path: Path) -> None:
    bomb = rewrite(exported.path, tmp_path / "bomb", put(f"logs/{PARENT}/x.log", bytes(64 << 20)))
    assert bomb.stat().st_size < 1 << 20
    home = tmp_path / "empty"
    home.mkdir()
    with pytest.raises(RecordingError, match=r"claims to hold .* bytes; 10000000 are unpacked at most"):
        load_recording(bomb, home, limits=Limits(total=10_000_000))
    assert list(home.iterdir()) == []
    with pytest.raises(RecordingError, match="entries"):
        unpack(exported.path, tmp_path, entries=2)
    with pytest.raises(RecordingError, match="larger than 100 bytes"):
        unpack(exported.path, tmp_path, event=100)
    with pytest.raises(RecordingError, match="too large for a workflow document"):
        unpack(exported.path, tmp_path, document=3)


def test_a_claim_of_ten_gigabytes_is_no_more_than_a_claim(exported: Exported, tmp_path: Path) -> None:
    data = bytearray(exported.path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")  # its size when unpacked
    file = tmp_path / "claim"
    file.write_bytes(data)
    with pytest.raises(AgentainerError, match="claims to hold"):
        unpack(file, tmp_path, total=1 << 30)


def test_entries_packed_in_other_ways_or_twice_are_refused(exported: Exported, tmp_path: Path) -> None:
    file = rewrite(exported.path, tmp_path / "lzma", lambda entries: None, mode=zipfile.ZIP_LZMA)
    with pytest.raises(RecordingError, match="packed in a way"):
        unpack(file, tmp_path)
    twice = tmp_path / "twice"
    twice.write_bytes(exported.path.read_bytes())
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(EVENTS, b"")
    with pytest.raises(RecordingError, match="twice"):
        unpack(twice, tmp_path)


def test_a_disk_without_room_is_said(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda place: Full)
    with pytest.raises(HistoryError, match="only 10 are free"):
        unpack(exported.path, tmp_path)


async def test_what_is_let_in_can_be_shown(exported: Exported, tmp_path: Path) -> None:
    """Whatever is changed in the data of events: it is refused, or its views can be made."""
    values: list[Any] = [
        None,
        True,
        -1,
        3.5,
        "x",
        [],
        [1],
        ["x"],
        [{}],
        {},
        {"a": 1},
        {"set": []},
        {"run_id": 1},
        "\ud800",
    ]
    chance = random.Random(11)
    with zipfile.ZipFile(exported.path) as archive:
        lines = [json.loads(line) for line in archive.read(EVENTS).splitlines()]
    let_in = 0
    for _ in range(250):
        place = chance.randrange(len(lines))
        names = [*lines[place]["data"], "status", "changes", "attempts", "item"]
        data = {chance.choice(names): chance.choice(values)}
        if place == 0 and chance.random() < 0.5:
            step = {**lines[0]["data"]["plan"][0]}
            step[chance.choice([*step, "routes", "command", "role"])] = chance.choice(values)
            data = {"plan": [step, *lines[0]["data"]["plan"][1:]]}
        file = rewrite(exported.path, tmp_path / "changed", event(place, data=data))
        try:
            home = unpack(file, tmp_path)
        except RecordingError:
            continue
        let_in += 1
        async with Reader(home / "history.db") as copy:
            assert reduce_all(None, await copy.events(PARENT)) is not None, data
            await copy.detail(PARENT)
    assert let_in > 20


def test_an_event_type_is_checked_for_each_type_that_there_is() -> None:
    from engine.history.event_shapes import check_event

    for event_ in family():
        check_event(event_)
    seen = {event_.type for event_ in family()}
    assert {EventType.RUN_CREATED, EventType.STEP_EXPANDED, EventType.ITEM_RETRYING} <= seen
