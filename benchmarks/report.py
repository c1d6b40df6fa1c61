"""`python -m benchmarks.report`: write the last figures into the documentation, so that nobody types numbers.

It takes the newest complete results of `make bench` and of `make bench-peers`, keeps them as
`benchmarks/last/*.json`, and renders what stands between the marks `<!-- figures: NAME -->` and
`<!-- end of figures -->` of the pages anew. With `--check` it takes and writes nothing, and fails if a page
differs from the results that are kept.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.parts import PARTS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
LAST = Path(__file__).parent / "last"
PAGES = (ROOT / "docs" / "performance.md", ROOT / "README.md")

_BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)

Results = Mapping[str, Any]


def main() -> int:
    """Take, render, write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only see whether the pages are right")
    check = parser.parse_args().check
    if not check:
        take()
    differing = [page for page in PAGES if page.read_text(encoding="utf-8") != rendered(page, kept())]
    for page in differing:
        if not check:
            page.write_text(rendered(page, kept()), encoding="utf-8")
        print(f"{page.relative_to(ROOT)} {'differs from the results' if check else 'written'}")
    return 1 if check and differing else 0


def take() -> None:
    """Keep the newest complete results of each kind as the last ones."""
    LAST.mkdir(exist_ok=True)
    for kind in ("bench", "peers"):
        for file in sorted(RESULTS.glob(f"{kind}-*.json"), reverse=True):
            found = json.loads(file.read_text(encoding="utf-8"))
            if _is_complete(found):
                (LAST / f"{kind}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print(f"{kind}: {file.name}")
                break
        else:
            print(f"{kind}: no complete results below {RESULTS}, those that are kept stay")


def _is_complete(found: Results) -> bool:
    """Whether nothing was left out of a measurement."""
    if found["kind"] == "peers":
        return bool(found["versions"]) and found["passes"] > 0 and len(found["seconds"]) > 3
    return found["parts"].keys() == PARTS.keys() and not found["failed"]


def kept() -> dict[str, Results]:
    """The results that are kept, by kind."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(LAST.glob("*.json"))}


def rendered(page: Path, results: Mapping[str, Results]) -> str:
    """A page with its figures as they should be."""

    def block(match: re.Match[str]) -> str:
        return match[1] + "\n".join(_BLOCKS[match[2]](results)) + "\n" + match[3]

    return _BLOCK.sub(block, page.read_text(encoding="utf-8"))


# -- blocks -------------------------------------------------------------------------------------------


def _measured_on(results: Mapping[str, Results]) -> Iterator[str]:
    """When and where."""
    for kind, what in (("bench", "`make bench`"), ("peers", "`make bench-peers`")):
        if (found := results.get(kind)) is None:
            yield f"{what} has not been measured yet."
            continue
        machine = found["machine"]
        facts = [
            f"{machine['cores']} cores ({machine['cpu']})"
            if "cpu" in machine
            else f"{machine['cores']} cores",
            f"{machine['memory_bytes'] / (1 << 30):.0f} GiB" if "memory_bytes" in machine else "",
            machine["system"],
            f"Python {machine['python']}",
            f"Docker {machine['docker']} ({machine.get('docker_storage', '?')})"
            if "docker" in machine
            else "",
        ]
        load = f"load {machine['load'][0]} at the end" if "load" in machine else ""
        told = ", ".join(fact for fact in (*facts, load) if fact)
        when = found["time"].replace("T", " ").rstrip("Z")
        left = f" Did not finish in time: {', '.join(found['failed'])}." if found.get("failed") else ""
        yield f"- {what}: {when} UTC, commit {machine.get('commit', '?')}; {told}.{left}"


def _all_figures(results: Mapping[str, Results]) -> Iterator[str]:
    """Every figure, by part."""
    if "bench" not in results:
        return
    for name, figures in results["bench"]["parts"].items():
        about = PARTS[name].about if name in PARTS else name
        yield from ("", f"### {about[0].upper()}{about[1:]} (`{name}`)", "")
        yield "| what | figure | floor | figure | ratio | target | |"
        yield "|---|---:|---|---:|---:|---|---|"
        for figure in map(Figure.from_json, figures):
            cells = (
                figure.name,
                f"{_amount(figure.value)} {figure.unit}",
                figure.floor_name,
                f"{_amount(figure.floor)} {figure.unit}",
                f"{figure.ratio:.2f}",
                _targets(figure),
                {None: "", True: "met", False: "**missed**"}[figure.met],
            )
            yield f"| {' | '.join(cells)} |"


def _missed(results: Mapping[str, Results]) -> Iterator[str]:
    """How many targets are met, and those that are not."""
    if "bench" not in results:
        return
    figures = [Figure.from_json(one) for part in results["bench"]["parts"].values() for one in part]
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    yield f"{len(judged) - len(missed)} of {len(judged)} targets are met{'; not met:' if missed else '.'}"
    yield ""
    for figure in missed:
        found = f"{_amount(figure.value)} {figure.unit}, {figure.ratio:.2f}x of: {figure.floor_name}"
        yield f"- {figure.name}: {found} (target {_targets(figure)})"


def _peers(results: Mapping[str, Results]) -> Iterator[str]:
    """Everybody at every job, in seconds."""
    found = results.get("peers")
    if found is None:
        return
    jobs = list(found["seconds"])
    yield f"| seconds, median of {found['passes']} passes | {' | '.join(jobs)} | MB |"
    yield f"|---|{'---:|' * len(jobs)}---:|"
    versions = dict(version.split(" ", 1) for version in found["versions"])
    for name, about in found["contenders"].items():
        cells = [found["seconds"][job].get(name) for job in jobs]
        row = " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells)
        version = f" {versions[name]}" if name in versions else ""
        yield f"| {name}{version} ({about}) | {row} | {found['memory'][name] / 1e6:.0f} |"


def _in_short(results: Mapping[str, Results]) -> Iterator[str]:
    """A few figures for people who have just arrived."""
    found = results.get("peers")
    if found is None:
        yield "Not measured yet."
        return
    jobs = [job for job in found["seconds"] if "container" in job]
    yield f"| seconds | {' | '.join(jobs)} |"
    yield f"|---|{'---:|' * len(jobs)}"
    for name in found["contenders"]:
        cells = [found["seconds"][job].get(name) for job in jobs]
        shown = "`docker run` in a shell" if name == "shell" else name
        yield f"| {shown} | {' | '.join('' if cell is None else f'{cell:.1f}' for cell in cells)} |"


_BLOCKS: Mapping[str, Callable[[Mapping[str, Results]], Iterator[str]]] = {
    "measured-on": _measured_on,
    "all": _all_figures,
    "missed": _missed,
    "peers": _peers,
    "in-short": _in_short,
}


def _targets(figure: Figure) -> str:
    sign = "≥" if figure.unit.endswith("/s") else "≤"
    wanted = [f"{sign} {figure.limit:,g} {figure.unit}"] if figure.limit is not None else []
    wanted += [f"{sign} {figure.target:.2f}x"] if figure.target is not None else []
    return ", ".join(wanted)


def _amount(value: float) -> str:
    """With three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
