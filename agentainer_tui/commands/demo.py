"""`demo`: a first look, which needs neither Docker nor Redis nor a network."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err
from agentainer_tui.commands.dashboard import has_terminal, open_dashboard
from agentainer_tui.commands.invocation import settings_of

if TYPE_CHECKING:
    from engine.facade import Engine

_SAMPLE = "mapreduce.yaml"


def demo(options: Namespace) -> int:
    """`agentainer demo`: the dashboard over the samples, or one of them where there is no terminal."""
    import sample_workflows

    directory = Path(sample_workflows.__file__).parent
    # As processes unless told otherwise: a first look must not wait for an image to be fetched.
    settings = settings_of(options)
    if options.backend is None:
        settings = settings.model_copy(update={"backend": "process"})
    if has_terminal() and not options.headless:
        return open_dashboard(settings, directory)
    from agentainer_tui.commands.documents import load_plan
    from agentainer_tui.commands.execution import execute

    err.line(
        f"agentainer: running the sample {_SAMPLE}: it counts words in nine texts, one of which is missing"
    )
    plan = load_plan(directory / _SAMPLE)

    async def begin(engine: Engine) -> str:
        return await engine.start_run(plan, {}, source="demo")

    return execute(settings, begin, as_json=False)
