"""Images: is it here, and if not, one pull for everybody who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

from docker import auth
from docker.utils import parse_repository_tag

from engine.agents.backend import PullPolicy
from engine.agents.docker_calls import Calls, EngineRefusedError, EngineSilentError
from engine.agents.docker_connection import Address
from engine.agents.docker_progress import PullProgress
from engine.agents.docker_streams import EngineStream, open_stream
from engine.errors import BackendError, Reason

# A reference as the engine's own grammar has it: [host[:port]/]path[:tag][@digest], or an image id.
_HOST = r"(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d+)?/)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:{_HOST}{_COMPONENT}(?:/{_COMPONENT})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@sha256:[0-9a-f]{64})?|sha256:[0-9a-f]{64})"
)
# Words of engines and registries for what asking again will not change. Everything else may pass.
_PERMANENT = (
    "not found",
    "manifest unknown",
    "does not exist",
    "access denied",
    "unauthorized",
    "denied:",
    "authentication required",
    "no basic auth credentials",
    "no matching manifest",
    "invalid reference",
    "must be lowercase",
    "unsupported media type",
)
# Seconds for which it is taken for granted that the name of an image means the same one.
_FRESH = 5.0
_PASSING = ("toomanyrequests", "too many requests", "rate limit", "no space left")


class Images:
    """Resolves images, each pulled by at most one task at a time.

    Args:
        calls: for short questions.
        address: for pulls, which report their progress and so take long.
        silence: seconds without any progress after which a pull has failed.
    """

    def __init__(self, calls: Calls, address: Address, silence: float) -> None:
        self._calls = calls
        self._address = address
        self._silence = silence
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, PullProgress] = {}
        self._stop_signals: dict[str, str] = {}
        self._ids: dict[str, tuple[str, float]] = {}

    async def ensure(self, reference: str, policy: PullPolicy) -> None:
        """Make sure that the image is there.

        Raises:
            BackendError: it is not and cannot be got, or not now.
        """
        if not _REFERENCE.fullmatch(reference):
            raise _not_a_name(reference)
        if policy is PullPolicy.ALWAYS:
            await self._pull_once(reference)
            await self._look(reference)
        elif reference not in self._stop_signals and not await self._look(reference):
            if policy is PullPolicy.NEVER:
                raise BackendError(
                    Reason.IMAGE_ERROR,
                    f"the image {reference} is not on this machine, and pull_policy is never",
                    transient=False,
                    hint=f"run `docker pull {reference}`, or set pull_policy: missing",
                )
            await self._pull_once(reference)
            await self._look(reference)

    async def digest(self, reference: str, policy: PullPolicy) -> str:
        """The id of the image, which stands for its content and configuration; it is made sure to be there.

        Raises:
            BackendError: it is not there and cannot be got, or not now.
        """
        await self.ensure(reference, policy)
        found = await self._inspect(reference)
        if found is None:  # removed since somebody last looked
            self.forget(reference)
            await self.ensure(reference, policy)
            found = await self._inspect(reference)
        if found is None:
            raise BackendError(
                Reason.IMAGE_ERROR, f"the image {reference} was removed from this machine", transient=True
            )
        return str(found["Id"])

    async def identity(self, reference: str | None) -> str:
        """The id of the image that a container was just made from; "" if the engine does not say."""
        known, since = self._ids.get(reference or "", ("", 0.0))
        now = asyncio.get_running_loop().time()
        if reference and (not known or now - since > _FRESH):
            with contextlib.suppress(BackendError):
                known = str((await self._inspect(reference) or {}).get("Id") or "")
                self._ids[reference] = (known, now)
        return known

    def stop_signal(self, reference: str | None) -> str:
        """What the image says with; SIGTERM unless it says otherwise."""
        return self._stop_signals.get(reference or "") or "SIGTERM"

    def fetched(self, reference: str) -> int | None:
        """How much of an image that is being pulled is here, in percent; None if it is not being pulled."""
        progress = self._progress.get(reference)
        return progress.percent if progress is not None else None

    def forget(self, reference: str | None) -> None:
        """It turned out to be gone: look again next time."""
        self._stop_signals.pop(reference or "", None)

    def close(self) -> None:
        """Abandon pulls; the engine stops them when it notices."""
        for pull in self._pulls.values():
            pull.cancel()

    async def _look(self, reference: str) -> bool:
        found = await self._inspect(reference)
        if found is None:
            return False
        self._stop_signals[reference] = (found.get("Config") or {}).get("StopSignal") or ""
        return True

    async def _inspect(self, reference: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._calls(
                f"look for the image {reference}", "inspect_image", reference
            )
        except EngineRefusedError as error:
            if error.status == 404:
                return None
            if error.status == 400:
                raise _not_a_name(reference) from None
            raise
        return found

    async def _pull_once(self, reference: str) -> None:
        """Join the pull in progress or begin one. A waiter that is cancelled leaves it to the others."""
        pull = self._pulls.get(reference)
        if pull is None:
            pull = asyncio.create_task(self._pull(reference), name=f"pull-{reference}")
            self._pulls[reference] = pull
            self._progress[reference] = PullProgress()
            pull.add_done_callback(lambda done: self._pull_ended(reference, done))
        await asyncio.shield(pull)

    def _pull_ended(self, reference: str, pull: asyncio.Task[None]) -> None:
        self._pulls.pop(reference, None)
        self._progress.pop(reference, None)
        if not pull.cancelled():
            pull.exception()  # whoever waited has it; if nobody did, it is no news

    async def _pull(self, reference: str) -> None:
        doing = f"pull the image {reference}"
        repository, tag = parse_repository_tag(reference)
        registry, _ = auth.resolve_repository_name(repository)
        # Credentials may come from a helper program, so this blocks.
        credentials = await self._calls.blocking(doing, auth.get_config_header, self._calls.client, registry)
        try:
            stream = await open_stream(
                self._address,
                doing,
                "POST",
                ("images", "create"),
                {"fromImage": repository, "tag": tag or "latest"},
                headers={"X-Registry-Auth": credentials.decode("ascii")} if credentials else {},
                deadline=self._silence,
            )
            try:
                await self._follow(reference, stream)
            finally:
                stream.close()
        except EngineRefusedError as error:
            raise pull_error(reference, error.words) from None
        except EngineSilentError as error:
            raise pull_error(reference, error.message) from None

    async def _follow(self, reference: str, stream: EngineStream) -> None:
        """Read the progress to its end; an error is told in it, long after the answer's status."""
        lines = aiter(stream.lines())
        while True:
            try:
                line = await asyncio.wait_for(anext(lines), self._silence)
                told = json.loads(line)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise pull_error(reference, f"no progress for {self._silence:g} s") from None
            except (OSError, ValueError) as error:
                raise pull_error(reference, f"the connection broke: {error}") from None
            if "error" in told:
                raise pull_error(reference, str(told["error"]))
            self._progress[reference].take(told)


def _not_a_name(reference: str) -> BackendError:
    return BackendError(
        Reason.IMAGE_ERROR,
        f"{reference!r} is not the name of an image",
        transient=False,
        hint="expected [registry/]name[:tag], in lower case, as in python:3.12-alpine",
    )


def pull_error(reference: str, words: str) -> BackendError:
    """What a failed pull comes to: whether it makes sense to ask again, and how to help oneself."""
    lower = words.lower()
    permanent = any(word in lower for word in _PERMANENT) and not any(word in lower for word in _PASSING)
    return BackendError(
        Reason.IMAGE_ERROR,
        f"the image {reference} is not on this machine and could not be pulled: {words}",
        transient=not permanent,
        hint=f"check the name, or try `docker pull {reference}` by hand (private ones need `docker login`)",
    )
