"""The grammar of the command line: every verb with its options, and nothing that takes time to import."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from agentainer_tui.commands.console import err, out, safe

EXIT_CODES = """\
exit codes:
  0    completed
  1    failed
  2    wrong usage, or an invalid document
  3    partially completed
  4    the engine or a backend is unavailable
  130  cancelled
"""
BACKENDS = ("auto", "docker", "process")
STATUSES = ("pending", "running", "cancelling", "completed", "partially_completed", "failed", "cancelled")
RUN_HELP = "a run's id, any unique beginning of it, or `last`"

# verb -> "module:function" below agentainer_tui.commands; the function takes the parsed arguments and
# returns the exit code.
VERBS = {
    "demo": "demo:demo",
    "run": "running:run",
    "validate": "documents:validate",
    "list": "documents:list_workflows",
    "new": "documents:new",
    "history": "runs:history",
    "show": "runs:show",
    "logs": "logs:logs",
    "events": "events:events",
    "watch": "watching:watch",
    "retry": "retrying:retry",
    "cancel": "stopping:cancel",
    "approve": "answering:approve",
    "reject": "answering:reject",
    "cleanup": "cleaning:cleanup",
    "agents": "cleaning:agents",
    "shell": "entering:shell",
    "stats": "stats:stats",
    "profile": "profiling:profile",
    "diff": "comparing:diff",
    "export": "recordings:export",
    "open": "recordings:open_file",
    "schema": "documents:schema",
    "keys": "keys:keys",
    "doctor": "doctor:doctor",
    "prune": "pruning:prune",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints end with what to do, and never hold control characters."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """One line on stderr, exit code 2."""
        self.exit(2, f"error: {safe(message)}\n  see `{self.prog} --help`\n")

    def _print_message(self, message: str, file: object = None) -> None:
        # argparse's own writing complains at exit when the reader of `--help | head` has gone.
        (err if file is sys.stderr else out).write(message)


def _common() -> Parser:
    """The options that stand before or after the verb; SUPPRESS: one place must not undo the other."""
    common = Parser(add_help=False)
    group = common.add_argument_group("everywhere")
    group.add_argument(
        "--home", metavar="DIR", default=argparse.SUPPRESS, help="where history, logs and sockets live"
    )
    group.add_argument(
        "--redis-url", metavar="URL", default=argparse.SUPPRESS, help="an outside Redis instead of our own"
    )
    group.add_argument(
        "--version", action="store_true", default=argparse.SUPPRESS, help="print the version and exit"
    )
    return common


def dashboard_parser() -> Parser:
    """`agentainer [DIR]`, the form without a verb."""
    parser = Parser(
        prog="agentainer",
        description="The dashboard over the workflow files of a directory (needs a terminal).",
        epilog="`agentainer --help` lists the commands.",
        parents=[_common()],
    )
    parser.add_argument(
        "dir", metavar="DIR", nargs="?", help="directory of workflow files (default: this one)"
    )
    _ascii_option(parser)
    _backend_option(parser)
    return parser


def command_parser() -> Parser:
    """`agentainer VERB …`."""
    common = _common()
    parser = Parser(
        prog="agentainer",
        usage="agentainer [DIR] | agentainer COMMAND …",
        description="Runs workflows of containerised agents on your own machine.\n"
        "Without a command it opens the dashboard over the workflow files in DIR (default: this directory).",
        epilog=EXIT_CODES,
        parents=[common],
    )
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands", prog="agentainer")

    def verb(name: str, summary: str, *, epilog: str = "") -> Parser:
        return verbs.add_parser(
            name, help=summary, description=_sentence(summary), epilog=epilog, parents=[common]
        )

    _document_verbs(verb)
    _running_verbs(verb)
    _reading_verbs(verb)
    _keeping_verbs(verb)
    return parser


def _document_verbs(verb: Any) -> None:
    validate = verb("validate", "check workflow documents; exit code 2 on any error")
    validate.add_argument("paths", metavar="FILE", nargs="+", help="workflow file, or a directory of them")
    _json_option(validate)
    listing = verb("list", "the workflows of a directory, with their last results")
    listing.add_argument("dir", metavar="DIR", nargs="?", default=".", help="directory (default: this one)")
    _json_option(listing)
    new = verb("new", "a new workflow from a template; never over a file")
    new.add_argument("name", metavar="NAME", help="of the workflow; its file is NAME.yaml")
    new.add_argument(
        "--template",
        metavar="T",
        default="hello",
        help="hello, pipeline, map-reduce, decision or gate (default: hello)",
    )
    new.add_argument("--dir", metavar="DIR", default=".", help="directory (default: this one)")
    verb("schema", "the JSON Schema of workflow documents, for editors")


def _running_verbs(verb: Any) -> None:
    demo = verb("demo", "try it: the dashboard over the sample workflows, or one of them without a terminal")
    demo.add_argument(
        "--headless", action="store_true", help="run the sample `mapreduce`, even in a terminal"
    )
    _ascii_option(demo)
    _backend_option(demo)
    run = verb("run", "run a workflow and wait for its end", epilog=EXIT_CODES)
    run.add_argument("workflow", metavar="FILE|NAME", help="a workflow file, or the name of one in --dir")
    run.add_argument(
        "-p", "--param", metavar="K=V", action="append", default=[], help="a param; may be repeated"
    )
    run.add_argument("--params", metavar="FILE", help="a JSON object of params; `-p` wins over it")
    run.add_argument("--dir", metavar="DIR", default=".", help="where NAME is looked up (default: here)")
    run.add_argument(
        "--dry-run", action="store_true", help="run nothing: print what would run, what would not, and why"
    )
    _cache_option(run)
    _backend_option(run)
    _json_option(run)
    watch = verb("watch", "run the workflows of a directory by their schedules, until Ctrl-C")
    watch.add_argument("dir", metavar="DIR", nargs="?", default=".", help="directory (default: this one)")
    _backend_option(watch)
    retry = verb("retry", "run a finished run again, wholly or in part, as a new run", epilog=EXIT_CODES)
    _run_argument(retry)
    scope = retry.add_mutually_exclusive_group()
    scope.add_argument("--from", dest="from_step", metavar="STEP", help="this step and all that depend on it")
    scope.add_argument("--only", dest="only_step", metavar="STEP", help="this step alone")
    scope.add_argument(
        "--failed", action="store_true", help="what failed, was cancelled or was never reached"
    )
    version = retry.add_mutually_exclusive_group()
    version.add_argument(
        "--edited",
        action="store_true",
        help="with its file as it is now: what was changed, or failed, and what follows",
    )
    version.add_argument("--file", metavar="FILE", help="as --edited, with another file")
    retry.add_argument(
        "-p",
        dest="param",
        metavar="K=V",
        action="append",
        default=[],
        help="another value of a param (with --edited)",
    )
    retry.add_argument(
        "--dry-run", action="store_true", help="say what it would do again and take over, and why"
    )
    _cache_option(retry)
    _backend_option(retry)
    _json_option(retry)
    cancel = verb("cancel", "cancel a run, wherever it is running, and wait until it has stopped")
    _run_argument(cancel)
    cancel.add_argument("--now", action="store_true", help="without the grace: kill its tasks at once")
    for name, summary in (
        ("approve", "let a run go on through an approval step that waits"),
        ("reject", "let an approval step that waits fail"),
    ):
        answer = verb(name, summary)
        _run_argument(answer)
        answer.add_argument(
            "step", metavar="STEP", nargs="?", help="which step, where several wait (default: the only one)"
        )
        answer.add_argument("--comment", metavar="TEXT", default="", help="why, for the history")


def _reading_verbs(verb: Any) -> None:
    history = verb("history", "the runs so far, newest first")
    history.add_argument("-n", "--limit", metavar="N", type=_count, default=20, help="how many (default: 20)")
    history.add_argument("--all", action="store_true", help="also runs that are part of others")
    history.add_argument("--workflow", metavar="W", help="only runs of this workflow")
    history.add_argument("--status", choices=STATUSES, metavar="S", help=f"only these: {', '.join(STATUSES)}")
    _json_option(history)
    show = verb("show", "one run: steps, attempts, results, state")
    _run_argument(show)
    show.add_argument("--metrics", action="store_true", help="how long its steps took, and what they used")
    _json_option(show)
    logs = verb("logs", "what the tasks of a run wrote, standard output and error marked")
    _run_argument(logs)
    logs.add_argument("step", metavar="STEP", nargs="?", help="only this step")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    logs.add_argument("-t", "--timestamps", action="store_true", help="with the time of each line (UTC)")
    logs.add_argument("--item", metavar="N", type=_index, help="only this item (from 0)")
    logs.add_argument("--attempt", metavar="N", type=_count, help="only this attempt (from 1; default: all)")
    _json_option(logs, "one JSON object per line")
    events = verb("events", "the journal of a run: everything that happened, in order")
    _run_argument(events)
    events.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    _json_option(events, "one JSON object per line")
    stats = verb("stats", "figures and charts: how many runs, how long, how often and why they fail")
    stats.add_argument("workflow", metavar="WORKFLOW", nargs="?", help="only the runs of this one")
    stats.add_argument(
        "--since", metavar="WHEN", help="runs created since then: 7d, 24h, 90m, or a date (default: all)"
    )
    stats.add_argument("--all", action="store_true", help="also runs that are part of others")
    stats.add_argument("--prometheus", action="store_true", help="print Prometheus text format")
    _json_option(stats)
    profile = verb("profile", "where the time of a run went, what held it up, and what would help")
    _run_argument(profile)
    profile.add_argument("--trace", metavar="FILE", help="write a Chrome trace (Perfetto, chrome://tracing)")
    profile.add_argument("--speedscope", metavar="FILE", help="write a file for speedscope")
    _json_option(profile)
    diff = verb("diff", "two runs side by side: what is different, and how much longer it took")
    diff.add_argument("run", metavar="RUN", help=RUN_HELP)
    diff.add_argument(
        "other",
        metavar="RUN",
        nargs="?",
        help="the second run (default: RUN against the last success before it, or the run before)",
    )
    diff.add_argument("--all", action="store_true", help="also what is the same")
    diff.add_argument("--markdown", action="store_true", help="print Markdown")
    diff.add_argument("--exit-code", action="store_true", help="1 if they are different, else 0")
    _json_option(diff)
    export = verb("export", "write a run into one file, to be opened on any machine")
    _run_argument(export)
    export.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="the file, or a directory (default: WORKFLOW-RUN.agentainer here)",
    )
    export.add_argument("--artifacts", action="store_true", help="with the artifacts, up to 1 GiB of them")
    export.add_argument("--force", action="store_true", help="replace a file that is there")
    _json_option(export)
    opening = verb("open", "the dashboard over files that `export` wrote; nothing in them can be changed")
    opening.add_argument("files", metavar="FILE", nargs="+", help="a file, or several to compare their runs")
    opening.add_argument(
        "--limit", metavar="GIB", type=_count, help="GiB that are unpacked at most of each (default: 4)"
    )


def _keeping_verbs(verb: Any) -> None:
    cleanup = verb("cleanup", "remove agents that were kept for inspection; lists them first")
    which = cleanup.add_mutually_exclusive_group()
    which.add_argument("run", metavar="RUN", nargs="?", help=RUN_HELP)
    which.add_argument("--all", action="store_true", help="those of all runs (the default)")
    cleanup.add_argument(
        "--agent", metavar="NAME", action="append", default=[], help="only this one of them; may be repeated"
    )
    _deletion_options(cleanup)
    _backend_option(cleanup)
    agents = verb("agents", "the agents (containers or processes) that exist now")
    which = agents.add_mutually_exclusive_group()
    which.add_argument(
        "--pools", action="store_true", help="only the warm pools of the engine that runs on this home"
    )
    which.add_argument(
        "--orphans",
        action="store_true",
        help="only those that belong to nothing any more: to no run of this home, or to homes that are gone",
    )
    _backend_option(agents)
    _json_option(agents)
    shell = verb("shell", "open a shell in an agent that runs, or that was kept for inspection")
    shell.add_argument("agent", metavar="AGENT|RUN", help=f"an agent's name; or {RUN_HELP}")
    shell.add_argument(
        "step", metavar="STEP", nargs="?", help="of a run: whose agent (default: the only one)"
    )
    shell.add_argument("--item", metavar="N", type=_index, help="of a map step: the item's (from 0)")
    shell.add_argument(
        "-c", "--command", metavar="TEXT", help="run this in it instead, without a terminal; its exit code"
    )
    _backend_option(shell)
    keys = verb("keys", "the dashboard's keys as they are now, with those of keys.toml")
    _json_option(keys)
    doctor = verb("doctor", "what was found on this machine, and what to do about what was not")
    _json_option(doctor)
    prune = verb("prune", "delete old runs, by default those that the settings let go; lists them first")
    prune.add_argument(
        "--older-than", metavar="DAYS", type=_days, help="runs that ended more than so many days ago"
    )
    prune.add_argument("--keep", metavar="N", type=_index, help="all but the newest N runs of each workflow")
    prune.add_argument(
        "--vacuum", action="store_true", help="write the database anew, so that it takes no more than it must"
    )
    _deletion_options(prune)


def _run_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)


def _json_option(parser: argparse.ArgumentParser, help: str = "print a JSON document") -> None:
    parser.add_argument("--json", action="store_true", help=help)


def _backend_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        metavar="B",
        help="where agents run: auto (Docker, else processes), docker or process",
    )


def _ascii_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ascii", action="store_true", default=None, help="draw with ASCII signs only")


def _cache_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-cache", action="store_true", help="do everything anew: take no remembered results (`cache`)"
    )


def _deletion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only list what would go")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _count(text: str) -> int:
    return _whole(text, least=1)


def _index(text: str) -> int:
    return _whole(text, least=0)


def _whole(text: str, *, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, found {text!r}")
    return int(text)


def _days(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?d?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected a number of days such as 30, found {text!r}")
    return float(text.removesuffix("d"))


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
