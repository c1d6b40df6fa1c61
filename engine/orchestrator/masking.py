"""Secrets made unreadable in whatever is shown or kept: texts, JSON values, streams of output."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick, Implementation

MASK = "***"

# Values shorter than this are refused as secrets: their mask would be all over ordinary output.
SHORTEST_SECRET = 4

# Where `base64` (76) and PEM files (64) break lines: a long secret is printed in pieces of these lengths.
_BASE64_LINES = (64, 76)

# Keys of event data that hold the engine's own words, ids and names of the document: a secret that happens to
# be one of these words ("docker") must not break the event.
_NOT_MASKED = frozenset(
    """
    old status reason why due default next_attempt_at delay duration exit_code kept reused partial cached_from
    cache_key workers artifacts task_id agent agent_id image_id backend log spec_digest child_run by instance
    recoveries failed_step workflow digest path document source retry_of retry_scope parent children
    scheduled_for
    """.split()  # noqa: SIM905 (a list would be forty lines)
)
# Of a step in the plan that `run.created` has, what may have been put together from elsewhere.
_MASKED_OF_PLAN = ("image", "command", "approval", "agent")

_HEAD = 4  # bytes by which a possible beginning of a secret is found
_SLICE = 1 << 18  # bytes that are searched at a time, so that a list of matches stays small
_MASK = MASK.encode()


class Masker:
    """Replaces secrets by `***`, however they are written down. Without secrets it changes nothing.

    Found are the values themselves, the lines of multi-line values, and what base64, URL quoting and JSON
    make of them. Where secrets overlap, all of what they cover is replaced.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = frozenset(values)
        patterns = sorted({pattern for value in self._values for pattern in _variants(value)})
        self._patterns = patterns
        self._finder = _finder(patterns) if patterns else None
        self._heads = _finder([pattern[:_HEAD] for pattern in patterns]) if patterns else None
        self._short = {pattern[:length] for pattern in patterns for length in range(1, _HEAD)}
        self._longest = max(map(len, patterns), default=0)

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._patterns)

    def joined(self, other: Masker) -> Masker:
        """One that masks what either does."""
        if self._values <= other._values:
            return other
        return self if other._values <= self._values else Masker(self._values | other._values)

    def mask_bytes(self, data: bytes) -> bytes:
        """`data` with every secret in it replaced."""
        if not self._patterns:
            return data
        stream = self.stream()
        return stream.feed(data) + stream.flush()

    def mask_text(self, text: str) -> str:
        """`text` with every secret in it replaced."""
        if not self._patterns:
            return text
        data = text.encode("utf-8", "surrogatepass")
        masked = self.mask_bytes(data)
        return text if masked == data else masked.decode("utf-8", "surrogatepass")

    def mask_json(self, value: Any) -> Any:
        """A JSON value with every secret in its texts, keys and numbers replaced."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, dict):
            return {self.mask_text(key): self.mask_json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = json.dumps(value)
            masked = self.mask_text(written)
            return value if masked == written else masked
        return value

    def stream(self) -> MaskedStream:
        """A masker of one stream of output, which comes in pieces."""
        return MaskedStream(self)

    # -- what streams ask -----------------------------------------------------------------------------

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where secrets stand in `data`: in order, overlapping ones as one."""
        if self._finder is None:
            return
        start, end = 0, 0
        matches = self._finder.find_matches_as_indexes(data, overlapping=True)
        for _, begin, stop in sorted(matches, key=lambda match: match[1]):
            if begin >= end:
                if end:
                    yield start, end
                start, end = begin, stop
            else:
                end = max(end, stop)
        if end:
            yield start, end

    def beginning(self, data: bytes) -> int:
        """Where the longest end of `data` starts that may be a secret's beginning; its length if none."""
        if self._heads is None:
            return len(data)
        offset = max(0, len(data) - self._longest + 1)
        tail = data[offset:]
        found = self._heads.find_matches_as_indexes(tail, overlapping=True)
        for index, start, _ in sorted(found, key=lambda match: match[1]):
            pattern = self._patterns[index]
            if len(pattern) > len(tail) - start and pattern.startswith(tail[start:]):
                return offset + start
        for length in range(min(_HEAD - 1, len(tail)), 0, -1):
            if tail[-length:] in self._short:
                return len(data) - length
        return len(data)


class MaskedStream:
    """One stream on its way through a masker, whose pieces may end in the middle of a secret.

    Held back is only what may be the beginning of a secret, so that a prompt without a newline appears.
    The pieces have no influence on what comes out, all in all.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = b""
        self._covered = 0  # bytes of `held` that belong to a secret whose mask is out already

    def feed(self, data: bytes) -> bytes:
        """Take a piece; returns what can be shown now."""
        return b"".join(
            self._pass(data[start : start + _SLICE], ended=False) for start in range(0, len(data), _SLICE)
        )

    def flush(self) -> bytes:
        """What was held back: the output is over."""
        return self._pass(b"", ended=True)

    def _pass(self, data: bytes, *, ended: bool) -> bytes:
        data = self._held + data
        safe = len(data) if ended else self._masker.beginning(data)
        shown, place = [], self._covered
        for start, end in self._masker.spans(data):
            if start >= safe:
                break
            if start < place:  # goes on where an earlier one, masked already, overlaps it
                place = max(place, end)
                continue
            shown += [data[place:start], _MASK]
            place = end
        if place < safe:
            shown.append(data[place:safe])
        self._held, self._covered = data[safe:], max(0, place - safe)
        return b"".join(shown)


def _finder(patterns: list[bytes]) -> BytesAhoCorasick:
    # The default, a DFA, takes minutes to make of a long secret that repeats itself.
    return BytesAhoCorasick(patterns, implementation=Implementation.ContiguousNFA)


def mask_event(masker: Masker, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an event (`events.EventType`) with the secrets in it replaced."""
    if not masker:
        return dict(data)
    return {key: _mask_item(masker, key, item) for key, item in data.items()}


def _mask_item(masker: Masker, key: str, item: Any) -> Any:
    if key in _NOT_MASKED:
        return item
    if key == "changes" and item and (made := item.get("collections")):
        kinds = {masker.mask_text(name): kind for name, kind in made.items()}
        return {**masker.mask_json({**item, "collections": None}), "collections": kinds}
    if key == "plan":
        return [
            {name: masker.mask_json(part) if name in _MASKED_OF_PLAN else part for name, part in step.items()}
            for step in item
        ]
    return masker.mask_json(item)


def _variants(value: str) -> set[bytes]:
    """All the ways of writing a secret that are recognised."""
    raw = value.encode("utf-8", "surrogatepass")
    lines = [line.strip() for line in value.splitlines()] if len(value.splitlines()) > 1 else []
    texts = {value, "\r\n".join(value.split("\n")), *lines}
    found = {form for text in texts for form in (text, *_json_forms(text), *_url_forms(text))}
    encoded = {form.encode("utf-8", "surrogatepass") for form in found} | _base64_forms(raw)
    return {form for form in encoded if len(form) >= SHORTEST_SECRET}


def _json_forms(text: str) -> Iterator[str]:
    """What JSON makes of `text`, also of a JSON text that is itself put into JSON: logs are full of those."""
    for once in set(_escaped(text)):
        yield once
        yield from _escaped(once)


def _escaped(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", r"\/")
        # Go escapes these in every JSON text, so that it can stand in a page.
        yield escaped.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _url_forms(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    for quoted in (quote(data), quote(data, safe=""), quote(data, safe="!'()*"), quote_plus(data)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)


def _base64_forms(raw: bytes) -> set[bytes]:
    """What base64 makes of `raw`, whatever stands before and after it, in both alphabets."""
    forms = set()
    for before in range(3):
        # Characters that carry bits of what stands before or after are not the secret's alone.
        first = (0, 2, 3)[before]
        last = (before + len(raw)) * 8 // 6
        forms.add(base64.b64encode(bytes(before) + raw)[first:last])
    whole = base64.b64encode(raw)[: len(raw) * 8 // 6]
    for width in _BASE64_LINES:
        if len(whole) > width:
            forms |= {whole[start : start + width] for start in range(0, len(whole), width)}
    return forms | {form.translate(bytes.maketrans(b"+/", b"-_")) for form in forms}
