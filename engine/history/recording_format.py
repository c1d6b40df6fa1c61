"""The file that a run is exported to: a ZIP archive, described in docs/reference/recordings.md.

`manifest.json` says what there is; `runs/<id>/events.jsonl` are the journals of the run and of those that are
part of it; `documents/<n>` their workflow documents, `logs/…` and `artifacts/…` what tasks left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import strict_json
from engine.errors import UsageError

FORMAT = "agentainer recording"
VERSION = 1
SUFFIX = ".agentainer"

MANIFEST = "manifest.json"
EVENTS = "runs/{}/events.jsonl"
DOCUMENT = "documents/{}"
LOGS = "logs/"
ARTIFACTS = "artifacts/"

# No more than this is read of a manifest.
MANIFEST_LIMIT = 16 << 20

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[A-Za-z0-9_:.-]{1,200}")


class RecordingError(UsageError):
    """A file is no recording that can be opened: another kind of file, damaged, foreign or too large."""


@dataclass(frozen=True, slots=True)
class RecordedDocument:
    """A workflow document; its text is entry `documents/<place in the list>`."""

    digest: str
    name: str
    path: str | None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run and how many events of it there are."""

    id: str
    events: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a recording.

    Attributes:
        engine: the version of the program that wrote it.
        recorded_at: when, ISO 8601 UTC.
        run: the run that was exported.
        workflow: its workflow's name.
        status: its status then.
        runs: that run first, then those that are part of it.
        documents: of all these runs.
        artifacts: whether artifacts were taken along.
        left_out: logs and artifacts that were not, by name with the reason.
    """

    engine: str
    recorded_at: str
    run: str
    workflow: str
    status: str
    runs: tuple[RecordedRun, ...]
    documents: tuple[RecordedDocument, ...]
    artifacts: bool = False
    left_out: tuple[str, ...] = ()

    def to_text(self) -> str:
        """The manifest as it is written."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1)


def read_manifest(text: bytes, path: Path) -> Manifest:
    """A manifest from its text.

    Raises:
        RecordingError: it is none of a recording, of a newer version, or not what it must be.
    """
    try:
        data = strict_json.parse(text.decode("utf-8"))
    except ValueError as error:
        raise damaged(path, f"its {MANIFEST} is not JSON ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise RecordingError(
            f"{path} is not a recording: its {MANIFEST} does not say `{FORMAT}`", hint=EXPECTED
        )
    version = data.get("version")
    if not isinstance(version, int) or version < 1:
        raise damaged(path, f"its {MANIFEST} has no version of the format")
    if version > VERSION:
        by = str(data.get("engine") or "?")[:40]
        raise RecordingError(
            f"{path} is a recording in version {version} of the format, written by agentainer {by}; this "
            f"program reads up to version {VERSION}",
            hint="install that version of agentainer, or a newer one",
        )
    try:
        return _manifest(data)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"its {MANIFEST} is not complete ({error})") from None


EXPECTED = "expected a file that `agentainer export` wrote"


def damaged(path: Path, what: str) -> RecordingError:
    """The error for a recording that is not whole."""
    return RecordingError(f"{path} cannot be opened: {what}", hint=f"{EXPECTED}; export the run again")


def _manifest(data: Mapping[str, Any]) -> Manifest:
    runs = tuple(
        RecordedRun(_matching(_RUN_ID, run["id"]), _natural(run["events"])) for run in _list(data["runs"])
    )
    documents = tuple(
        RecordedDocument(
            _matching(_DIGEST, each["digest"]),
            _text(each["name"]),
            None if each.get("path") is None else _text(each["path"]),
        )
        for each in _list(data["documents"])
    )
    ids = [run.id for run in runs]
    if len(set(ids)) != len(ids) or not ids or data["run"] != ids[0]:
        raise ValueError("its runs are not a list that begins with the run itself")
    return Manifest(
        engine=_text(data["engine"]),
        recorded_at=_text(data["recorded_at"]),
        run=ids[0],
        workflow=_text(data["workflow"]),
        status=_text(data["status"]),
        runs=runs,
        documents=documents,
        artifacts=bool(data.get("artifacts")),
        left_out=tuple(map(_text, _list(data.get("left_out", [])))),
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is something else")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is something else")
    return value


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a number is something else")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(_text(value)):
        raise ValueError(f"{value[:80]!r} is no name that it can have")
    return _text(value)
