"""What is done in the dashboard, as commands: each action and the line that does the same in a shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentainer_tui.client import RetryScope
from agentainer_tui.secrecy import masked


@dataclass(frozen=True)
class Twins:
    """Makes command lines that mean the same engine and the same files as this dashboard.

    Attributes:
        home: named with `--home` if it is not the one that is used anyway (None).
        directory: of the workflows.
        here: where the dashboard was started; paths below it are shown relative to it.
        backend: named with `--backend` if it is not `auto`.
    """

    home: Path | None = None
    directory: Path = Path()
    here: Path = Path()
    backend: str = "auto"

    def run(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """`agentainer run FILE -p …`."""
        words = ["run", self._file(path)]
        return self._line(*words, *_params(params or {}), *self._backend())

    def retry(self, run_id: str, scope: RetryScope, params: Mapping[str, Any] | None = None) -> str:
        """`agentainer retry RUN --from …`."""
        words = ["retry", run_id]
        if scope.from_step is not None:
            words += _option("--from", scope.from_step)
        elif scope.only_step is not None:
            words += _option("--only", scope.only_step)
        elif scope.failed and not scope.edited:  # with an edit, that is meant anyway
            words.append("--failed")
        if scope.edited:
            words += ["--edited", *_params(params or {})]
        return self._line(*words)

    def cancel(self, run_id: str, *, hurry: bool = False) -> str:
        """`agentainer cancel RUN`."""
        return self._line("cancel", run_id, *(["--now"] if hurry else []))

    def answer(self, run_id: str, step_id: str, *, approved: bool, comment: str = "") -> str:
        """`agentainer approve RUN STEP`, or reject."""
        words = ["approve" if approved else "reject", run_id, *([step_id] if step_id else [])]
        return self._line(*words, *(_option("--comment", comment) if comment else []))

    def export(self, run_id: str) -> str:
        """`agentainer export RUN`."""
        return self._line("export", run_id)

    def diff(self, run_id: str, other: str | None = None) -> str:
        """`agentainer diff RUN`, against an earlier run or a named one."""
        return self._line("diff", run_id, *([other] if other else []))

    def cleanup(self, run_id: str | None = None, agents: Sequence[str] = ()) -> str:
        """`agentainer cleanup`, of one run or of all, or of these agents alone."""
        only = [word for name in agents for word in _option("--agent", name)]
        return self._line("cleanup", *([run_id] if run_id else []), *only, *self._backend())

    def shell(self, agent: str) -> str:
        """`agentainer shell AGENT`."""
        return self._line("shell", agent, *self._backend())

    def shell_of(self, run_id: str, step_id: str, item: int | None = None) -> str:
        """`agentainer shell RUN STEP`."""
        place = [] if item is None else ["--item", str(item)]
        return self._line("shell", run_id, step_id, *place)

    def show(self, run_id: str) -> str:
        """`agentainer show RUN`."""
        return self._line("show", run_id)

    def logs(self, run_id: str, step_id: str = "", item: int | None = None) -> str:
        """`agentainer logs RUN STEP`."""
        place = [] if item is None else ["--item", str(item)]
        return self._line("logs", run_id, *([step_id] if step_id else []), *place)

    def profile(self, run_id: str, *, trace: str = "", speedscope: str = "") -> str:
        """`agentainer profile RUN`, with the files that it writes."""
        words = ["profile", run_id]
        words += _option("--trace", trace) if trace else []
        words += _option("--speedscope", speedscope) if speedscope else []
        return self._line(*words)

    def list(self) -> str:
        """`agentainer list DIR`."""
        return self._line("list", self._file(str(self.directory)))

    def history(self, workflow: str | None = None) -> str:
        """`agentainer history`."""
        return self._line("history", *(_option("--workflow", workflow) if workflow else []))

    def stats(self, workflow: str | None = None) -> str:
        """`agentainer stats`."""
        return self._line("stats", *([workflow] if workflow else []))

    def agents(self, *, pools: bool = False) -> str:
        """`agentainer agents`."""
        return self._line("agents", *(["--pools"] if pools else []))

    def validate(self, path: str) -> str:
        """`agentainer validate FILE`."""
        return self._line("validate", self._file(path))

    def new(self, name: str, template: str) -> str:
        """`agentainer new NAME`."""
        place = self._file(str(self.directory))
        words = ["new", name, "--template", template]
        return self._line(*words, *(["--dir", place] if place != "." else []))

    def keys(self) -> str:
        """`agentainer keys`."""
        return self._line("keys")

    def line(self, *words: str) -> str:
        """Any other command of ours, for what has no method here."""
        return self._line(*words)

    def _line(self, *words: str) -> str:
        home = () if self.home is None else ("--home", str(self.home))
        return " ".join(map(_quoted, ["agentainer", *words, *home]))

    def _backend(self) -> tuple[str, ...]:
        return () if self.backend == "auto" else ("--backend", self.backend)

    def _file(self, path: str) -> str:
        file = Path(os.path.abspath(self.here / path))  # noqa: PTH100 (links are shown as they are)
        here = Path(os.path.abspath(self.here))  # noqa: PTH100
        shown = str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
        return f"./{shown}" if shown.startswith("-") else shown


def run_twin(twins: Twins, action: str, run_id: str, step_id: str = "") -> str:
    """The command of an action on a run, before it is known what a person answers to its questions."""
    match action:
        case "retry":
            return twins.retry(run_id, RetryScope())
        case "cancel":
            return twins.cancel(run_id)
        case "answer":
            return twins.answer(run_id, step_id, approved=True)
        case "clean":
            return twins.cleanup(run_id)
        case "export":
            return twins.export(run_id)
        case "compare":
            return twins.diff(run_id)
    return ""


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def _params(params: Mapping[str, Any]) -> list[str]:
    """`-p NAME=VALUE` of each; the line is shown and copied, so what looks like a password is masked."""
    return [word for name, value in masked(params).items() for word in ("-p", f"{name}={_param(value)}")]


def _param(value: Any) -> str:
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)


def _quoted(word: str) -> str:
    """A word for a POSIX shell; with control characters, in the form that can be pasted safely."""
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", word):
        inner = "".join(_escaped(sign) for sign in word)
        return f"$'{inner}'"
    return shlex.quote(word)


def _escaped(sign: str) -> str:
    code = ord(sign)
    if sign in "\\'":
        return "\\" + sign
    if code < 0x20 or 0x7F <= code <= 0x9F or code in (0x2028, 0x2029):
        return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8"))
    return "?" if 0xD800 <= code <= 0xDFFF else sign
