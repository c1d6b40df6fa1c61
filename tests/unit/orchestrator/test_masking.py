"""Secrets are found however they are written and however the output is cut, and nothing else is touched."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.orchestrator.masking import MASK, Masker, mask_event

# Few letters, so that secrets overlap, contain and begin each other, and characters that mean something. No
# asterisk: what stands beside a mask would make up secrets that nobody printed.
LETTERS = st.text("ab.+[(\\\n$é", min_size=4, max_size=12).filter(lambda text: len(text.strip()) >= 4)
TEXTS = st.text("ab.+[(\\\n$é x", max_size=60)

ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda value: value,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 after one byte": lambda value: base64.b64encode(b":" + value.encode()).decode(),
    "base64 after two bytes": lambda value: base64.b64encode(b"u:" + value.encode()).decode(),
    "base64 with a newline": lambda value: base64.b64encode(value.encode() + b"\n").decode(),
    "urlsafe base64": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "URL": quote,
    "URL component": lambda value: quote(value, safe=""),
    "URL in lower case": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value, safe="")),
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON of Unicode": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON of Go": lambda value: json.dumps(value).replace("<", "\\u003c").replace("&", "\\u0026"),
    "JSON of PHP": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)[1:-1]),
    "JSON of Unicode in JSON": lambda value: json.dumps(json.dumps(value, ensure_ascii=False)[1:-1]),
    "terminal": lambda value: value.replace("\n", "\r\n"),
}
DIFFICULT = 'p"ss/w<rd?&\\ +é%\nsecond line of it'


def in_pieces(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    stream = masker.stream()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [stream.feed(data[a:b]) for a, b in itertools.pairwise(places)]
    return b"".join(pieces) + stream.flush()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_way_of_writing_a_secret_is_found(encoding: str) -> None:
    written = ENCODINGS[encoding](DIFFICULT)
    shown = Masker([DIFFICULT]).mask_text(f"before {written} after")
    # Of base64, up to two characters at each end carry bits of what stands beside the secret.
    assert re.fullmatch(rf'before "?[A-Za-z0-9]{{0,3}}{re.escape(MASK)}[\w=+/-]{{0,4}}"? after', shown)


@given(st.lists(LETTERS, min_size=1, max_size=4), TEXTS, TEXTS, st.sampled_from(sorted(ENCODINGS)), st.data())
def test_no_cut_lets_a_secret_through(
    secrets: list[str], before: str, after: str, encoding: str, data: st.DataObject
) -> None:
    written = ENCODINGS[encoding](secrets[0])
    text = (before + written + after).encode()
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))

    masker = Masker(secrets)
    shown = in_pieces(masker, text, cuts)

    assert shown == masker.mask_bytes(text), "how the output is cut may not change what is shown"
    for secret in secrets:
        assert secret.encode() not in shown
    assert written.strip('"').encode() not in shown


@given(st.lists(LETTERS, min_size=1, max_size=3), st.binary(max_size=80), st.lists(st.integers(0, 99)))
def test_output_without_secrets_is_unchanged(secrets: list[str], data: bytes, cuts: list[int]) -> None:
    # None of the bytes that the secrets, and what is made of them, have in common.
    data = bytes(byte for byte in data if byte > 0xF0 or byte < 10)
    assert in_pieces(Masker(secrets), data, cuts) == data


@given(st.lists(LETTERS, min_size=1, max_size=4), TEXTS)
def test_nothing_is_left_to_be_masked(secrets: list[str], text: str) -> None:
    masker = Masker(secrets)
    shown = masker.mask_text(text)
    assert masker.mask_text(shown) == shown
    assert not [secret for secret in secrets if secret in shown]


def test_overlapping_secrets_are_hidden_together() -> None:
    assert Masker(["abcdef", "defghi"]).mask_text("-abcdefghi-") == f"-{MASK}-"
    assert Masker(["abcd", "abcdefgh"]).mask_text("abcdefgh abcdef") == f"{MASK} {MASK}ef"
    assert Masker(["bcde", "abcdef"]).mask_text("abcdef bcde") == f"{MASK} {MASK}"


def test_overlapping_secrets_are_hidden_together_across_pieces() -> None:
    stream = Masker(["abcdef", "defghi"]).stream()
    shown = [stream.feed(piece) for piece in (b"-abc", b"def", b"gh", b"i-")]
    assert b"".join(shown) + stream.flush() == f"-{MASK}-".encode()


def test_a_multi_line_secret_is_hidden_line_by_line_too() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----"
    masker = Masker([key])
    assert masker.mask_text(f"{key}!") == f"{MASK}!"
    assert masker.mask_text("  | kqhkiG9w0BAQ |") == f"  | {MASK} |"


def test_base64_that_is_broken_into_lines_is_found() -> None:
    secret = "".join(chr(33 + index * 7 % 90) for index in range(300))
    printed = base64.encodebytes(secret.encode()).decode()
    shown = Masker([secret]).mask_text(printed)
    assert not [line for line in printed.split() if line in shown]
    assert not re.search(r"[A-Za-z0-9+/]{4}", shown)


def test_only_what_may_begin_a_secret_is_held_back() -> None:
    stream = Masker(["hunter2!"]).stream()
    assert stream.feed(b"Password: ") == b"Password: "
    assert stream.feed(b"is it h") == b"is it "
    assert stream.feed(b"unter") == b""
    assert stream.feed(b" or not") == b"hunter or not"
    assert stream.feed(b" hunt") == b" "
    assert stream.flush() == b"hunt"


def test_much_output_that_is_almost_a_secret_everywhere_is_no_trouble() -> None:
    # If each byte cost as much as the secrets are long, this would take hours and run into the time limit.
    masker = Masker(["a" * 2000 + "b", *(f"{'a' * length}c" for length in range(5000, 5020))])
    data = b"a" * (16 << 20)
    assert masker.mask_bytes(data) == data


def test_texts_numbers_and_keys_of_json_are_masked() -> None:
    masker = Masker(["hunter2!", "12345678"])
    value = {"a hunter2!": ["hunter2!", 12345678, 12, True, None, {"x": "y"}], "pin": 0.12345678}
    assert masker.mask_json(value) == {
        f"a {MASK}": [MASK, MASK, 12, True, None, {"x": "y"}],
        "pin": f"0.{MASK}",
    }


def test_lone_surrogates_pass() -> None:
    assert Masker(["hunter2!"]).mask_text("\ud800 hunter2! \udfff") == f"\ud800 {MASK} \udfff"


def test_nothing_is_masked_without_secrets() -> None:
    masker = Masker()
    assert not masker
    assert masker.mask_text("***") == "***"
    assert masker.mask_json({"a": 1}) == {"a": 1}


def test_what_the_engine_itself_says_in_an_event_stays() -> None:
    masker = Masker(["completed", "docker", "a key", "list"])
    data = {
        "status": "completed",
        "backend": "docker",
        "error": "not completed",
        "result": {"status": "completed"},
        "changes": {"set": {"a key": "docker"}, "removed": ["completed"], "collections": {"a key": "list"}},
        "plan": [{"id": "docker", "command": ["docker", "run"]}],
    }
    assert mask_event(masker, data) == {
        "status": "completed",
        "backend": "docker",
        "error": f"not {MASK}",
        "result": {"status": MASK},
        "changes": {"set": {MASK: MASK}, "removed": [MASK], "collections": {MASK: "list"}},
        "plan": [{"id": "docker", "command": [MASK, "run"]}],
    }


def test_a_child_run_masks_what_its_parent_knows_too() -> None:
    parent, child = Masker(["of the parent"]), Masker(["of the child"])
    assert child.joined(parent).mask_text("of the parent, of the child") == f"{MASK}, {MASK}"
    assert child.joined(Masker()) is child
    assert Masker().joined(parent) is parent
