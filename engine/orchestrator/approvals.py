"""Gates: steps that wait for the answer of a person."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to a gate; `comment` may be empty."""

    approved: bool
    by: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A step that waits. `since` and `due` are ISO 8601 times; `due` None waits for ever.

    `default` is the answer when nobody gives one until `due`, None to fail then.
    """

    step_id: str
    message: str
    since: str
    due: str | None = None
    default: bool | None = None


class Approvals:
    """The gates of one run that wait now."""

    def __init__(self) -> None:
        self._gates: dict[str, tuple[Gate, asyncio.Future[Answer]]] = {}

    def waiting(self) -> list[Gate]:
        """The gates that nobody has answered yet, longest waiting first."""
        return [gate for gate, answer in self._gates.values() if not answer.done()]

    def answer(self, step_id: str, *, approved: bool, by: str, comment: str = "") -> bool:
        """Answer a gate; False when that step is not waiting (any more)."""
        _, waiting = self._gates.get(step_id, (None, None))
        if waiting is None or waiting.done():
            return False
        waiting.set_result(Answer(approved, by, comment))
        return True

    async def ask(self, gate: Gate) -> Answer:
        """Wait for the answer to a gate."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gates[gate.step_id] = (gate, answer)
        try:
            return await answer
        finally:
            del self._gates[gate.step_id]
