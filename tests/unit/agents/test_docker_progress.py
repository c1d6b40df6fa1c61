from __future__ import annotations

from typing import Any

from engine.agents.docker_progress import PullProgress


def line(layer: str, status: str, current: int | None = None, total: int | None = None) -> dict[str, Any]:
    detail = {} if current is None else {"current": current, "total": total}
    return {"id": layer, "status": status, "progressDetail": detail}


def test_half_of_a_pull_is_to_have_the_layers_and_half_to_unpack_them() -> None:
    pull = PullProgress()
    pull.take({"status": "Pulling from library/python", "id": "3.12"})
    pull.take(line("a", "Pulling fs layer"))
    assert pull.percent == 0
    pull.take(line("a", "Downloading", 50, 100))
    assert pull.percent == 25
    pull.take(line("a", "Download complete"))
    assert pull.percent == 50
    pull.take(line("a", "Extracting", 60, 100))
    assert pull.percent == 80
    pull.take(line("a", "Pull complete"))
    assert pull.percent == 99, "that all of it is here is told by its end"


def test_layers_count_by_their_size() -> None:
    pull = PullProgress()
    pull.take(line("small", "Downloading", 10, 10))
    pull.take(line("large", "Downloading", 0, 990))
    pull.take(line("large", "Downloading", 495, 990))
    assert pull.percent == 50, "what was told before the large one was known is not taken back"
    pull.take(line("large", "Download complete"))
    pull.take(line("large", "Extracting", 495, 990))
    assert pull.percent == 74


def test_layers_that_are_here_already_and_lines_that_say_nothing_change_nothing() -> None:
    pull = PullProgress()
    for told in ({"status": "Already exists", "id": "a"}, {"status": "Digest: sha256:0"}, {}):
        pull.take(told)
    pull.take(line("b", "Downloading", 5, None))
    pull.take(line("b", "Extracting", 5, 10))
    assert pull.percent == 0
