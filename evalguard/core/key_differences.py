"""How the keys of two sides differ, where none of one is a key of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from evalguard.core.plural import plural
from evalguard.core.shown_keys import hidden

# So many keys of each side are compared.
MAX_KEYS = 1000
# What is left of a key without that part.
WITHOUT: Mapping[str, Callable[[str], str]] = {
    "zero padding": lambda key: key.lstrip("0"),
    "upper and lower case": str.casefold,
    "the folders before the name": lambda key: key.replace("\\", "/").rpartition("/")[2],
    "the ending": lambda key: key.rpartition(".")[0] or key,
}


def example(stream: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> tuple[str, str, str]:
    """A key of each side, and a sentence on what differs in most of the keys; empty where nothing does."""
    ours, theirs = [str(key) for key in stream[:MAX_KEYS]], [str(key) for key in labels[:MAX_KEYS]]
    what, pairs = max(_ways(ours, theirs), key=lambda way: len(way[1]))
    if 2 * len(pairs) > min(len(ours), len(theirs)):
        return *pairs[0], f" They differ by {what}."
    return ours[0], theirs[0], ""


def _ways(ours: list[str], theirs: list[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    known = set(theirs)
    if all(_is_number(key) for key in (*ours, *theirs)):
        by = int(theirs[0]) - int(ours[0])
        pairs = ((key, str(int(key) + by)) for key in ours)
        yield f"the offset {by:,}", [pair for pair in pairs if pair[1] in known]
    for other in theirs:
        short, long = sorted((ours[0], other), key=len)
        more = len(long) - len(short)
        for what, start, end in (("prefix", long[:more], ""), ("suffix", "", long[len(short) :])):
            if short and more and start + short + end == long:
                added = ((key, start + key + end) for key in ours)
                cut = ((key, key.removeprefix(start).removesuffix(end)) for key in ours)
                pairs = added if long is other else cut
                part = f"a {what} of {plural(more, 'character')}" if hidden() else f"the {what} '{start + end}'"
                yield part, [pair for pair in pairs if pair[1] in known]
    for what, form in WITHOUT.items():
        by_form = {form(key): key for key in theirs}
        yield what, [(key, by_form[form(key)]) for key in ours if form(key) in by_form]


def _is_number(key: str) -> bool:
    """Whether it is an integer, written as Python writes it."""
    return key.isascii() and key.removeprefix("-").isdigit() and str(int(key)) == key
