"""How the keys of two sides differ, if the keys of one side are not on the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from evalguard.core.plural import plural
from evalguard.core.shown_keys import hidden

# So many keys of each side are compared.
MAX_KEYS = 1000
# What a table with a missing value makes of numbers, and `str` of bytes.
TYPE = re.compile(r"^b'(.*)'$|\.0+$")
# What is left of a key without that part.
WITHOUT: Mapping[str, Callable[[str], str]] = {
    "their type": lambda key: TYPE.sub(r"\1", key),
    "zero padding": lambda key: re.sub(r"(?<![\d.])0+(?=\d)", "", key),
    "upper and lower case": str.casefold,
    "the folders before the name": lambda key: key.replace("\\", "/").rpartition("/")[2],
    "the ending": lambda key: key.rpartition(".")[0] or key,
}
# How pandas makes the keys of the labels those of the stream: the first one that does is shown. ``{of}`` is what the
# first key of the stream has: its digits, or its ending. If none does, the keys of the stream need the first one, too.
MENDED: Mapping[str, Sequence[tuple[str, Callable[[str, str], str]]]] = {
    "their type": (
        ("{keys}.astype(float).astype(int).astype(str)", lambda key, _: str(int(float(key)))),
        ("{keys}.astype(float).astype(str)", lambda key, _: str(float(key))),
    ),
    "zero padding": (
        (r"{keys}.str.replace(r'(?<!\d)0+(?=\d)', '', regex=True)", lambda key, _: WITHOUT["zero padding"](key)),
        (
            r"{keys}.str.replace(r'\d+', lambda found: found[0].zfill({of}), regex=True)",
            lambda key, of: re.sub(r"\d+", lambda found: found[0].zfill(int(of)), key),
        ),
    ),
    "upper and lower case": (
        ("{keys}.str.casefold()", lambda key, _: key.casefold()),
        ("{keys}.str.upper()", lambda key, _: key.upper()),
    ),
    "the folders before the name": (("{keys}.str.rpartition('/')[2]", lambda key, _: key.rpartition("/")[2]),),
    "the ending": (
        ("{keys}.str.rpartition('.')[0]", lambda key, _: key.rpartition(".")[0]),
        ("{keys}.str.rpartition('.')[0] + '{of}'", lambda key, of: key.rpartition(".")[0] + of),
    ),
}
OF: Mapping[str, Callable[[str], str]] = {
    "zero padding": lambda key: str(max(map(len, re.findall(r"\d+", key)), default=0)),
    "the ending": lambda key: "".join(key.rpartition(".")[1:]),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which most keys of both sides differ.

    Attributes:
        name: The way: ``a prefix``, ``zero padding``, ….
        what: The same with what it is here: ``the prefix 'img/'``.
        mended: How pandas makes the keys of the labels those of the stream, with ``{keys}`` for the column.
        ours: A key of the stream.
        theirs: The key of the labels that it differs from.
        pairs: Keys of the stream that have such a partner.
        of: Keys that were compared, of the side that has fewer.
    """

    name: str
    what: str
    mended: str
    ours: str
    theirs: str
    pairs: int
    of: int


def difference(stream: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Difference | None:
    """The way in which most of the keys differ; None where there is none."""
    ours, theirs = [str(key) for key in stream[:MAX_KEYS]], [str(key) for key in labels[:MAX_KEYS]]
    if not ours or not theirs:
        return None
    name, what, mended, pairs = max(_ways(ours, theirs), key=lambda way: len(way[3]))
    of = min(len(ours), len(theirs))
    return Difference(name, what, mended, *pairs[0], len(pairs), of) if 2 * len(pairs) > of else None


def example(stream: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> tuple[str, str, str]:
    """A key of each side, and a sentence on what differs in most of the keys; empty where nothing does."""
    found = difference(stream, labels)
    if found is None:
        return str(stream[0]), str(labels[0]), ""
    return found.ours, found.theirs, f" They differ by {found.what}."


# Name, what it is here, how it is mended, and the pairs that differ so.
_Way = tuple[str, str, str, list[tuple[str, str]]]


def _ways(ours: list[str], theirs: list[str]) -> Iterator[_Way]:
    known = set(theirs)

    def way(name: str, what: str, mended: str, pairs: Iterator[tuple[str, str]]) -> _Way:
        return name, what, mended, [pair for pair in pairs if pair[1] in known]

    if all(_is_number(key) for key in (*ours, *theirs)):
        by = int(theirs[0]) - int(ours[0])
        mended = f"{{keys}}.astype(int) {'-' if by > 0 else '+'} {abs(by)}"
        yield way("an offset", f"the offset {by:,}", mended, ((key, str(int(key) + by)) for key in ours))
    yield _without("their type", ours, theirs)
    for other in theirs:
        short, long = sorted((ours[0], other), key=len)
        more = len(long) - len(short)
        for what, start, end in (("prefix", long[:more], ""), ("suffix", "", long[len(short) :])):
            if short and more and start + short + end == long:
                added = ((key, start + key + end) for key in ours)
                cut = ((key, key.removeprefix(start).removesuffix(end)) for key in ours)
                more_in_labels = long is other
                # A part of a key may name somebody, too.
                code, named = repr(start + end), f"the {what} '{start + end}'"
                if hidden():
                    code, named = "...", f"a {what} of {plural(more, 'character')}"
                joined = f"{code} + {{keys}}" if start else f"{{keys}} + {code}"
                mended = f"{{keys}}.str.remove{what}({code})" if more_in_labels else joined
                yield way(f"a {what}", named, mended, added if more_in_labels else cut)
    for name in WITHOUT:
        yield _without(name, ours, theirs)


def _without(name: str, ours: list[str], theirs: list[str]) -> _Way:
    form = WITHOUT[name]
    by_form = {form(key): key for key in theirs}
    pairs = [(key, by_form[form(key)]) for key in ours if form(key) in by_form]
    return name, name, _mended(name, pairs), pairs


def _mended(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    """How pandas makes the keys of the labels those of the stream."""
    of = OF[name](pairs[0][0]) if pairs and name in OF else ""
    for code, change in MENDED[name]:
        try:
            if all(change(theirs, of) == ours for ours, theirs in pairs):
                # An ending may be text of any kind, and name somebody, too.
                shown = of if of.removeprefix(".").isalnum() and not (hidden() and name == "the ending") else "..."
                return code.replace("{of}", shown)
        except ValueError:  # no number
            continue
    return MENDED[name][0][0]


def _is_number(key: str) -> bool:
    """Whether it is an integer, written as Python writes it."""
    return key.isascii() and key.removeprefix("-").isdigit() and str(int(key)) == key
