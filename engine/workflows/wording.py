"""How findings about documents are worded: values shown safely, near misses suggested."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 60


def show(text: str) -> str:
    """A piece of somebody's text for a message: quoted, control characters escaped, cut at 60 characters."""
    return quoted(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def shorten(text: str) -> str:
    """As `show`, without the quotes."""
    return show(text)[1:-1]


def quoted(text: str) -> str:
    """The whole text in double quotes with control and bidirectional characters escaped."""
    return '"' + "".join(map(_shown_character, text)) + '"'


def _shown_character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def listing(names: Iterable[str], *, limit: int = 12) -> str:
    """Names for a sentence: `a, b, c`, cut with the count of the rest."""
    known = list(names)
    rest = len(known) - limit
    return ", ".join(known[:limit]) + (f" and {rest} more" if rest > 0 else "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, if any is near."""
    candidates = list(known)
    if len(word) > 100 or len(candidates) > 2000:
        return None
    by_fold = {candidate.casefold().replace("-", "_"): candidate for candidate in reversed(candidates)}
    folded = word.casefold().replace("-", "_")
    if folded in by_fold:
        return by_fold[folded]
    found = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def advice(word: str, known: Iterable[str], *, kind: str = "known") -> str:
    """What to do about an unknown word: `did you mean "x"?`, else the list of what there is."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {quoted(near)}?"
    return f"{kind}: {listing(names)}" if names else f"there are no {kind}"
