"""`run`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.documents import find_workflow, load_plan
from agentainer_tui.commands.invocation import settings_of
from engine.errors import UsageError
from engine.strict_json import parse

if TYPE_CHECKING:
    from engine.facade import Engine


def run(options: Namespace) -> int:
    """`agentainer run FILE|NAME`."""
    # The document first: what is wrong with it must not wait for an engine, nor need one.
    directory, settings = Path(options.dir), settings_of(options)
    plan = load_plan(find_workflow(options.workflow, directory), directory, max_depth=settings.max_depth)
    params = given_params(options.param, options.params)
    if options.dry_run:
        from agentainer_tui.commands.rehearsing import rehearse

        return rehearse(settings, plan, params, as_json=options.json)

    async def begin(engine: Engine) -> str:
        return await engine.start_run(plan, params, source="cli", use_cache=not options.no_cache)

    from agentainer_tui.commands.execution import execute

    return execute(settings, begin, as_json=options.json)


def given_params(pairs: list[str], file: str | None) -> dict[str, Any]:
    """The params of `--params FILE` with those of `-p K=V` over them.

    Raises:
        UsageError: a pair without `=`, a file that is not a JSON object.
    """
    params = _params_of_file(Path(file)) if file else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(
                f"-p {pair!r}: expected NAME=VALUE", hint="for example: -p image=python:3.12-alpine"
            )
        params[name] = value
    return params


def _params_of_file(file: Path) -> dict[str, Any]:
    try:
        params = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"--params {file}: cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None
    except ValueError as error:
        raise UsageError(f"--params {file}: cannot be read as JSON: {error}") from None
    if not isinstance(params, dict):
        raise UsageError(f'--params {file}: expected a JSON object such as {{"name": "value"}}')
    return params
