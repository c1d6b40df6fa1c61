"""`doctor`: what was found on this machine, and what to do."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import out, print_json
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.text import clean, counted
from engine.diagnosis import Finding, Health, examine
from engine.errors import UnavailableError

if TYPE_CHECKING:
    from engine.facade import Settings

_PACKAGES = ("textual", "rich", "docker", "redis", "pydantic", "aiosqlite", "watchfiles")


def doctor(options: Namespace) -> int:
    """`agentainer doctor`; 4 if something is in the way of every run."""
    settings = settings_of(options)
    found = [_python(), _packages(), _shell(), _settings(settings), _keys(settings)]

    async def collect() -> list[Finding]:
        return [finding async for finding in examine(settings)]

    found += run_async(collect())
    if options.json:
        print_json(
            [
                {
                    "name": one.name,
                    "health": one.health.value,
                    "found": one.found,
                    "advice": one.advice or None,
                }
                for one in found
            ]
        )
    else:
        for one in found:
            _print(one)
    return UnavailableError.exit_code if any(one.health is Health.ERROR for one in found) else 0


def _settings(settings: Settings) -> Finding:
    values = settings.model_dump()
    if settings.redis_url:
        values["redis_url"] = re.sub(r"//[^/@]*@", "//…@", settings.redis_url)
    shown = ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return Finding("settings", Health.GOOD, shown)


def _keys(settings: Settings) -> Finding:
    """The file of the dashboard's keys, each mistake with its line."""
    from agentainer_tui.key_file import keys_file, read_keys

    file = keys_file(settings)
    table = read_keys(file, expected=settings.keys_file is not None)
    if table.problems:
        wrong = "; ".join(str(problem) for problem in table.problems)
        return Finding("keys", Health.WARNING, wrong, "what is wrong there changes nothing; correct it")
    if table.file is None:
        return Finding("keys", Health.GOOD, f"as delivered; {file} would change them")
    return Finding("keys", Health.GOOD, f"{file}: {counted(len(table.changed), 'key')} changed")


def _print(finding: Finding) -> None:
    word = "ok" if finding.health is Health.GOOD else finding.health.value
    style = "success" if finding.health is Health.GOOD else finding.health.value
    out.write(f"{out.paint(f'{word:<8}', style)}{finding.name:<10}{clean(finding.found)}\n")
    if finding.advice:
        out.line(f"{'':18}{finding.advice}")


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.release()}"
    return Finding("python", Health.GOOD, found)


def _packages() -> Finding:
    versions, missing = [], []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        advice = "install agentainer again, into an environment of its own"
        return Finding("packages", Health.ERROR, f"missing: {', '.join(missing)}", advice)
    return Finding("packages", Health.GOOD, f"agentainer {version('agentainer')}, {', '.join(versions)}")


def _shell() -> Finding:
    """What the samples need where they run as local processes."""
    python = shutil.which("python3")
    if python is None:
        return Finding(
            "python3", Health.WARNING, "not on PATH", "the samples need it when they run as processes"
        )
    return Finding("python3", Health.GOOD, f"{python}, for tasks that run as local processes")
