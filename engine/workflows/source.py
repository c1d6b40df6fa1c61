"""From a file or a text to a tree: what may be read at all, and in which of the two notations."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from engine.workflows.json_tree import read_json
from engine.workflows.tree import (
    START,
    Findings,
    Node,
    Position,
    Report,
    Scalar,
    SyntaxProblemError,
    Table,
    describe,
)
from engine.workflows.wording import show

MAX_BYTES = 5 * 1024 * 1024


class UnreadableError(Exception):
    """A file cannot be taken as text; the message says why and what to do."""


def read_text(path: Path) -> str:
    """The text of a workflow file.

    Raises:
        UnreadableError: no such file, a directory, no permission, too large, empty, binary.
    """
    try:
        # Non-blocking, so that opening a named pipe comes back and can be refused.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            raise UnreadableError("this symbolic link leads to a file that does not exist") from None
        raise UnreadableError(_why(error)) from None
    except ValueError:
        raise UnreadableError("the file name contains a NUL character") from None
    try:
        _check(os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(_why(error)) from None
    finally:
        os.close(descriptor)
    return decode(data)


def _check(facts: os.stat_result) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise UnreadableError("this is a directory, not a workflow file: give a file in it")
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableError("this is not a regular file: copy the document into one")
    if facts.st_size > MAX_BYTES:
        raise UnreadableError(_too_large(facts.st_size))


def decode(data: bytes) -> str:
    """The bytes of a workflow file as text, its byte order mark dropped.

    Raises:
        UnreadableError: too large, empty, or not UTF-8.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(_too_large(len(data)))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableError("the file is UTF-16: save it as UTF-8")
    if b"\0" in data:
        raise UnreadableError("this is a binary file (it contains NUL bytes), not a YAML or JSON document")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"not UTF-8: byte 0x{data[error.start]:02x} on line {line} is no part of a text: save it as UTF-8"
        ) from None
    if not text.strip():
        raise UnreadableError("the file is empty: a workflow needs at least `name` and `steps`")
    return text


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file: check the name"
        case PermissionError():
            return "no permission to read this file: check its owner and mode (chmod u+r)"
        case NotADirectoryError():
            return "a part of the path is a file, not a directory"
        case _:
            return f"cannot be read: {(error.strerror or str(error)).lower()}"


def _too_large(size: int) -> str:
    return (
        f"the file has {size:,} bytes; a workflow document may have {MAX_BYTES:,} (5 MiB): "
        "keep bulk data in files that the steps read"
    )


def parse(text: str, path: str, findings: Findings) -> Table | None:
    """The tree of a document, or None with the problem noted.

    A path that ends in `.json` is JSON. Anything else is YAML, except that a text that begins with a brace
    and is valid JSON is read as JSON, whose escapes YAML readers do not all know.
    """
    try:
        root = _read(text, findings.error, json_only=path.lower().endswith(".json"))
    except SyntaxProblemError as problem:
        findings.error(problem.position, problem.message)
        return None
    if isinstance(root, Table):
        return root
    if isinstance(root, Scalar) and root.plain and not root.text:
        findings.error(START, "the file holds nothing but comments: a workflow needs `name` and `steps`")
    else:
        findings.error(
            root.position,
            f"found {describe(root)}, expected a workflow: a mapping with `name` and `steps`",
        )
    return None


def _read(text: str, report: Report, *, json_only: bool) -> Node:
    if json_only:
        return read_json(text, report)
    if text.lstrip(" \t\r\n").startswith("{"):
        noted: list[tuple[Position, str]] = []
        try:
            root = read_json(text, lambda position, message: noted.append((position, message)))
        except SyntaxProblemError:
            pass  # YAML's flow style looks alike; its reader has the last word
        else:
            for position, message in noted:
                report(position, message)
            return root
    from engine.workflows.yaml_tree import read_yaml  # 30 ms that JSON documents need not pay

    return read_yaml(text, report)


def digest_of(text: str) -> str:
    """The digest that identifies a document: sha256 of its UTF-8 text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def printable(path: str) -> str:
    """A path for messages: as it is, or quoted where it holds control characters."""
    return path if path.isprintable() else show(path)
