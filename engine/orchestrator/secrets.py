"""The secrets and env files of a run: read once, when it starts or goes on, and kept in memory only."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from engine.errors import DocumentError, Problem
from engine.orchestrator.masking import SHORTEST_SECRET, Masker
from engine.orchestrator.permissions import is_below
from engine.workflows.plan import Plan, SecretSpec

_SECRET_LIMIT = 64 << 10  # bytes; larger ones do not fit into an environment
_ENV_FILE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Secrets:
    """What a run knows that nobody else may see, and the variables of its env files.

    Attributes:
        values: of the secrets, by name; never to be written anywhere.
        variables: of the env files, for every task; those that only feed a secret are not among them.
        masker: replaces the values, and those of the runs that the run is a part of.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    masker: Masker = field(default_factory=Masker, repr=False)

    def environment(self, names: Iterable[str]) -> dict[str, str]:
        """The variables of a task that gets the secrets `names`."""
        return {name: self.values[name] for name in names if name in self.values}

    def within(self, parent: Secrets) -> Secrets:
        """The same for a child run, to which its parent may have handed on secrets of its own."""
        return Secrets(self.values, self.variables, self.masker.joined(parent.masker))


NO_SECRETS = Secrets()


def read_secrets(plan: Plan, environ: Mapping[str, str], roots: Sequence[Path] = ()) -> Secrets:
    """The secrets and env-file variables of a plan.

    Paths are relative to the directory of the document, for a text without one to the current directory.
    Files must lie there, so that a document cannot have a container read the private files of its user.

    Args:
        plan: whose.
        environ: the engine's own environment.
        roots: further directories in which files may lie (the setting `allowed_roots`).

    Raises:
        DocumentError: something is missing or cannot be used; with a problem for each.
    """
    if not plan.secrets and not plan.env_files:
        return NO_SECRETS
    reading = _Reading(plan, environ, roots)
    variables = reading.env_files()
    values = {}
    for spec in plan.secrets.values():
        value = reading.file(spec) if spec.file is not None else reading.variable(spec, variables)
        if value is not None and reading.is_maskable(spec, value):
            values[spec.name] = value
    if reading.problems:
        raise DocumentError(tuple(reading.problems), path=Path(plan.path) if plan.path else None)
    feeding = {spec.env or spec.name for spec in plan.secrets.values()} | plan.secrets.keys()
    shared = {name: value for name, value in variables.items() if name not in feeding}
    return Secrets(values, shared, Masker(values.values()))


def literal_warnings(plan: Plan, secrets: Secrets) -> list[str]:
    """What to say of secrets whose values stand in the document itself, which the history keeps."""
    return [
        f"the document contains the value of the secret {name}: the history keeps the document as it is; "
        "take the value out of it and change the secret"
        for name, value in secrets.values.items()
        if Masker([value]).mask_text(plan.document) != plan.document
    ]


class _Reading:
    """Reads what a plan names; what is wrong goes to `problems`."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], roots: Sequence[Path]) -> None:
        self.problems: list[Problem] = []
        self._plan = plan
        self._environ = environ
        self._base = Path(plan.path).absolute().parent if plan.path else Path.cwd()
        self._roots = [Path(os.path.realpath(root)) for root in (self._base, *roots)]

    def env_files(self) -> dict[str, str]:
        """All their variables; later files win."""
        variables: dict[str, str] = {}
        for name in self._plan.env_files:
            path = self._base / name
            data = self._read(path, "env file", _ENV_FILE_LIMIT)
            text = None if data is None else self._text(path, "env file", data)
            if text is not None:
                variables |= self._parsed(path, text)
        return variables

    def variable(self, spec: SecretSpec, variables: Mapping[str, str]) -> str | None:
        """A secret from the engine's environment, else from the env files."""
        name = spec.env or spec.name
        if value := self._environ.get(name) or variables.get(name):
            if "\0" not in value:
                return value
            self._complain(f"secret {spec.name}: the value of the variable {name} contains a NUL byte")
            return None
        empty = name in self._environ or name in variables
        looked = ", ".join(str(self._base / file) for file in self._plan.env_files)
        self._complain(
            f"secret {spec.name}: the variable {name} is {'empty' if empty else 'not set'}"
            + (f", in {looked} neither" if looked else "")
            + (
                f": set it before you start (export {name}=…), or put it into an env file"
                if looked
                else f": set it before you start (export {name}=…), or name an `env_file` that has it"
            )
        )
        return None

    def file(self, spec: SecretSpec) -> str | None:
        """A secret from its file, without the newline at its end."""
        path, what = self._base / str(spec.file), f"secret {spec.name}: the file"
        data = self._read(path, what, _SECRET_LIMIT, private=True)
        text = None if data is None else self._text(path, what, data)
        if text is None:
            return None
        value = text.removesuffix("\n").removesuffix("\r")
        if not value:
            self._complain(f"{what} {path} is empty: write the secret into it")
            return None
        return value

    def is_maskable(self, spec: SecretSpec, value: str) -> bool:
        """Whether a value is long enough to be told from ordinary output."""
        if len(value.strip()) >= SHORTEST_SECRET:
            return True
        self._complain(
            f"secret {spec.name}: its value is shorter than {SHORTEST_SECRET} characters, too short to be "
            "masked in the output: use a longer one, or an ordinary variable (`env_vars`)"
        )
        return False

    def _parsed(self, path: Path, text: str) -> dict[str, str]:
        variables: dict[str, str] = {}
        for binding in parse_stream(io.StringIO(text)):
            if binding.error or (binding.key is not None and binding.value is None):
                line = binding.original.line + _blank_lines(binding.original.string)
                self.problems.append(
                    Problem(str(path), line, 1, "cannot be read: expected lines of the form NAME=value")
                )
            elif binding.key is not None and binding.value is not None:
                variables[binding.key] = binding.value
        return variables

    def _read(self, path: Path, what: str, limit: int, *, private: bool = False) -> bytes | None:
        real = Path(os.path.realpath(path))
        if not any(is_below(real, root) for root in self._roots):
            places = ", ".join(map(str, self._roots))
            self._complain(
                f"{what} {path} does not lie in an allowed place ({places}): put it beside the document, "
                "or add its directory to the setting allowed_roots"
            )
            return None
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._complain(f"{what} {path} does not exist: make it, or correct its path in the document")
            return None
        except OSError as error:
            self._complain(f"{what} {path} cannot be read: {error.strerror}")
            return None
        try:
            complaint = _file_complaint(os.fstat(descriptor).st_mode, path, private=private)
            data = b"" if complaint else _read_at_most(descriptor, limit + 1)
        finally:
            os.close(descriptor)
        if len(data) > limit:
            complaint = f"is larger than {limit >> 10} KiB: is it the right file?"
        if complaint:
            self._complain(f"{what} {path} {complaint}")
            return None
        return data

    def _text(self, path: Path, what: str, data: bytes) -> str | None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self._complain(f"{what} {path} is not UTF-8 text (byte {error.start}): encode it, say as base64")
            return None
        if "\0" in text:
            self._complain(f"{what} {path} contains a NUL byte, which no variable can hold")
            return None
        return text

    def _complain(self, message: str) -> None:
        self.problems.append(Problem(self._plan.path or self._plan.workflow, 0, 0, message))


def _file_complaint(mode: int, path: Path, *, private: bool) -> str:
    if stat.S_ISDIR(mode):
        return "is a directory: expected a file"
    if not stat.S_ISREG(mode):
        return "is no regular file"
    if private and mode & 0o077:
        return f"can be read by others (its mode is {stat.S_IMODE(mode):03o}): chmod 600 {path}"
    return ""


def _read_at_most(descriptor: int, size: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(size)


def _blank_lines(text: str) -> int:
    """How many blank lines a piece of an env file begins with; the parser counts them to what follows."""
    return text[: len(text) - len(text.lstrip())].count("\n")
