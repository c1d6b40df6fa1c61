"""The base of what stands above other screens."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class AnsweredOnce(ModalScreen[Answer | None]):
    """Goes with its first answer. A second one, of a key pressed before it was gone, means nothing any more.

    Textual would take away whatever screen is on top by then, and end the app where there is no other.
    """

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Give the answer, unless there was one."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
