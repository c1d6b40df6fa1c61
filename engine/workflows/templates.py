"""Beginnings of new workflows: a few documents to start from, written into a directory under a new name."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}")
_HEAD = """\
# agentainer run {file}
name: {name}
"""


@dataclass(frozen=True, slots=True)
class Template:
    """A document to start from; `body` is what follows its name."""

    name: str
    summary: str
    body: str

    def document(self, workflow: str, file: str) -> str:
        """The text of a new workflow."""
        return _HEAD.format(name=workflow, file=file) + self.body


TEMPLATES: tuple[Template, ...] = (
    Template(
        "hello",
        "One step with a param",
        """\
description: Says hello.

params:
  who: {description: Whom to greet., default: world}

steps:
  - id: hello
    image: alpine:3
    env_vars: {WHO: "{{ $.params.who }}"}
    command: echo "hello $WHO"
""",
    ),
    Template(
        "pipeline",
        "Steps that hand on results",
        """\
description: Fetches something, works on it, reports.

steps:
  - id: fetch
    image: alpine:3
    # A JSON object on standard output becomes part of the shared state.
    command: |
      echo '{"rows": 3}'

  - id: work
    image: alpine:3
    retry_policy: {max_attempts: 3, backoff: exponential, delay: 1s}
    timeout: 5m
    env_vars: {ROWS: "{{ $.rows }}"}
    command: |
      echo "{\\"done\\": $ROWS}"

  - id: report
    image: alpine:3
    env_vars: {DONE: "{{ $.done }}"}
    command: echo "$DONE rows done"
""",
    ),
    Template(
        "map-reduce",
        "The same work for each element",
        """\
description: Works on each element of a list, side by side, and adds up.

steps:
  - id: list
    image: alpine:3
    command: |
      echo '{"words": ["one", "two", "three", "four"]}'

  - id: count
    type: map
    image: alpine:3
    map_config:
      input_path: $.words
      item_alias: word
      max_concurrency: 2
      error_handling: continue_on_error
    env_vars: {WORD: "{{ $.word }}"}
    command: printf '{"letters":%s}' "${#WORD}"

  - id: sum
    type: reduce
    image: alpine:3
    # The results of the map, in order, as JSON.
    env_vars: {COUNTS: "{{ $.count_results }}"}
    command: echo "$COUNTS"
""",
    ),
    Template(
        "decision",
        "One of two ways is taken",
        """\
description: Looks at something and takes one of two ways.

params:
  size: {description: How large it is., type: integer, default: 7}

steps:
  - id: look
    type: decision
    depends_on: []
    decision_node:
      choices:
        - condition: {field: $.params.size, operator: gt, value: 5}
          next: large
      default: small

  - id: large
    depends_on: [look]
    image: alpine:3
    command: echo large

  - id: small
    depends_on: [look]
    image: alpine:3
    command: echo small

  - id: report
    depends_on: [large, small]
    image: alpine:3
    command: echo done
""",
    ),
    Template(
        "gate",
        "A person is asked first",
        """\
description: Builds, asks a person, and releases. Tidies up however it ends.

steps:
  - id: build
    image: alpine:3
    command: |
      echo '{"version": "1.0"}'

  - id: release_gate
    type: approval
    timeout: 1h
    approval:
      message: "Release version {{ $.version }}?"
      default: reject

  - id: release
    image: alpine:3
    command: echo released

finally:
  - id: tidy
    image: alpine:3
    command: echo tidied up
""",
    ),
)


def template(name: str) -> Template:
    """The template of that name.

    Raises:
        UsageError: there is none.
    """
    for each in TEMPLATES:
        if each.name == name:
            return each
    names = ", ".join(each.name for each in TEMPLATES)
    raise UsageError(f"there is no template {name!r}", hint=f"templates: {names}")


def check_new_name(directory: Path, workflow: str) -> Path:
    """The file that a new workflow of that name gets.

    Raises:
        UsageError: it cannot be called so, or there is such a file.
    """
    if "/" in workflow or "\\" in workflow:
        raise UsageError("the name of a workflow is no path: leave the slashes out")
    if not _NAME.fullmatch(workflow) or workflow.endswith((" ", ".")):
        raise UsageError(
            "a name begins with a letter or a digit, followed by letters, digits, blanks, _ . or -",
            hint="at most 100 of them; for example: nightly-report",
        )
    file = directory / f"{workflow.replace(' ', '_')}.yaml"
    if os.path.lexists(file):
        raise UsageError(f"{file.name} exists already: choose another name")
    return file


def create_workflow(directory: Path, workflow: str, name: str = "hello") -> Path:
    """Write a new workflow from the template `name`; whole or not at all, and never over anything.

    Raises:
        UsageError: no such template or directory, no fit name, the file exists, or it cannot be written.
    """
    text = template(name).document(_scalar(workflow), f"{workflow.replace(' ', '_')}.yaml")
    file = check_new_name(directory, workflow)
    try:
        descriptor, scratch = tempfile.mkstemp(".tmp", ".new-", directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            Path(scratch).chmod(0o666 & ~_umask())
            os.link(scratch, file)  # unlike a rename, this never takes the place of a file
        finally:
            with suppress(OSError):
                Path(scratch).unlink()
    except FileExistsError:
        raise UsageError(f"{file.name} exists already: choose another name") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{file} cannot be written: {why}") from None
    return file


def _scalar(workflow: str) -> str:
    """A name as YAML reads it back as that text: `1.0` and `no` are none without quotes."""
    return workflow if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{4,}", workflow) else f'"{workflow}"'


def _umask() -> int:
    """What this process takes away from the modes of new files; can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
