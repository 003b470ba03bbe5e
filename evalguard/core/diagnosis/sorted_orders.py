"""Rows in another sort order, or read in strides."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import Ints, chunks
from evalguard.core.diagnosis.catalogue import cause, given_labels, is_image_iterator, read_labels
from evalguard.core.diagnosis.view import View
from evalguard.core.findings import Cause
from evalguard.core.plural import plural
from evalguard.core.shown_keys import shown_key
from evalguard.core.trace import Int64

MIN_ROWS = 6
# More keys than these are not read as text: that takes four bytes for each character.
MAX_TEXTS = 10_000_000
# Number of keys that are compared where some of them are enough.
SOME = 100_000


def sorted_otherwise(view: View) -> Cause | None:
    """The stream sorts keys, row numbers or classes in another way than the labels do."""
    if len(view.arrived) < MIN_ROWS or not view.moved:
        return None
    contradicted = bool(view.with_other_keys.size)
    listings = _two_listings(view)
    if listings:
        return cause(view, "two_listings", certain=view.moved > 2 and not contradicted, evidence=listings)
    by_key = _by_key(view)
    evidence, order = (by_key, "") if by_key else _by_number(view) or _by_class(view) or ("", "")
    if not evidence:
        return None
    named, read = view.labels.keys is not None or is_image_iterator(view), read_labels(view)
    key, rows = ("file", "it.filenames") if is_image_iterator(view) else ("id", "ids_as_streamed")
    return cause(
        view,
        "sorted_otherwise",
        certain=bool(by_key) and not contradicted,
        evidence=evidence,
        key=view.labels.origin.key_column or key,
        rows=rows,
        joined="" if by_key else f"evalguard.guard(labels=table, key={key!r}), and ",
        order=order,
        in_order=f"{read}.iloc[order]" if read.startswith("pd.") else f"{read}[order]",
        # Rows without names cannot be looked up by name.
        fixes=("sorted_otherwise",) if named else ("sorted_by_position",) if order else ("label_file",),
        given=given_labels(view),
        table="table" if given_labels(view) == "y_true" else given_labels(view),
    )


def _by_key(view: View) -> str:
    """Evidence for keys that the stream sorts as text and the labels by number, or the other way round."""
    way = ascends_by_key(view)
    other = order_of_names(view.labels.keys) if way else ""
    if not other:
        return ""
    text = np.asarray(view.labels.keys).astype(np.str_, copy=False)
    return f"the stream goes through the keys {way} ({_turn(text, view)}), the labels {other}"


def ascends_by_key(view: View) -> str:
    """How the stream sorts the keys; empty if it does not, or that is not known."""
    keys = view.labels.keys
    if keys is None or len(keys) > MAX_TEXTS:
        return ""
    # A few rows are compared first: most streams are not sorted by key, and text is slow to compare.
    if not order_of_names(keys[view.arrived[:100]]):
        return ""
    return order_of_names(np.asarray(keys)[view.arrived])


def _two_listings(view: View) -> str:
    """Evidence for two listings of files whose names begin alike and end otherwise; empty if there is none."""
    keys = view.labels.keys
    if keys is None or keys.dtype.kind == "i" or len(keys) > MAX_TEXTS:
        return ""
    if not _listed(keys[view.arrived[:100]].astype(np.str_)) or not _listed(keys[:100].astype(np.str_)):
        return ""
    text = np.asarray(keys).astype(np.str_, copy=False)
    if not _listed(text[view.arrived]) or not _listed(text):
        return ""
    return (
        "both sides are sorted by name and by what follows it, as 'a.png' comes before 'a_b.png' and 'a_mask.png' "
        f"after 'a_b_mask.png': the stream has {_turn(text, view)}, the labels do not"
    )


def _listed(names: NDArray[Any]) -> bool:
    """Whether names are sorted as text, or would be if each had the same ending."""
    before, after = names[:-1], names[1:]
    # Which of `a` and `a_b` comes first depends on the ending alone.
    return bool(((after > before) | np.char.startswith(before, after)).all())


def order_of_names(keys: Any, *, of_some: bool = False) -> str:
    """How keys are sorted; empty if they are not, or that is not known.

    Args:
        keys: The keys, as text or int64.
        of_some: Compare some of many only, as text is slow to compare.
    """
    # A few keys are compared first, as most are not sorted.
    if len(keys) > MAX_TEXTS or not _sorted(keys[:100]):
        return ""
    some = np.arange(0, len(keys), max(1, len(keys) // SOME)) if of_some else None
    return _sorted(np.asarray(keys if some is None else keys[some]))


def _sorted(keys: NDArray[Any]) -> str:
    for names, way in ((keys, ""), (keys[::-1], ", backwards")):
        if names.dtype.kind == "i" and (names[1:] > names[:-1]).all():
            return f"in order of number{way}"
        text = names.astype(np.str_, copy=False)
        if _ascends_as_text(text):
            return f"in order of text{way}"
        if names.dtype.kind != "i" and _ascends_by_number(text):
            return f"in order of number{way}"
    return ""


def _ascends(values: NDArray[Any], order: Ints) -> bool:
    """Whether the values never go down in this order."""
    for rows in chunks(len(order) - 1):
        part = values[order[rows.start : rows.stop + 1]]
        if (part[1:] < part[:-1]).any():
            return False
    return True


def _ascends_as_text(names: NDArray[Any]) -> bool:
    return bool((names[1:] > names[:-1]).all())


def _ascends_by_number(text: NDArray[Any]) -> bool:
    before: list[Any] = []
    for name in text.tolist():
        # Odd positions are numbers, even ones text, so two lists can always be compared.
        parts = [int(part) if position % 2 else part for position, part in enumerate(re.split(r"(\d+)", name))]
        if parts < before:
            return False
        before = parts
    return True


def _turn(text: NDArray[Any], view: View) -> str:
    """The first two keys that are neighbours in the stream and not in the labels."""
    at = int(np.flatnonzero(np.diff(view.arrived) != 1)[0])
    return " before ".join(repr(shown_key(text[sample]))[:40] for sample in view.arrived[at : at + 2])


def _by_number(view: View) -> tuple[str, str] | None:
    """Evidence for row numbers, from 0 or 1, sorted as text in the stream or in the labels, and the order as code."""
    order, n = view.arrived, view.n
    for first, ten in ((0, 10), (1, 9)):
        if n <= ten or len(order) != n:
            continue
        # Sorted as text, 10 follows 1: checked first, as converting all numbers to text is slow.
        if order[1 + (first == 0)] == ten and np.array_equal(order, _as_text(n, first)):
            return _numbers_say("the stream", "the labels by number", first, n), _sorted_as_text(n, first)
        if order[ten] == 1 + (first == 0) and np.array_equal(_as_text(n, first)[order], np.arange(n)):
            as_text = f"np.argsort({_sorted_as_text(n, first)})"
            return _numbers_say("the labels", "the stream by number", first, n), as_text
    return None


def _sorted_as_text(n: int, first: int) -> str:
    return f"sorted(range({n}), key={'lambda row: str(row + 1)' if first else 'str'})"


def _as_text(n: int, first: int) -> Int64:
    return np.argsort(np.arange(first, n + first).astype(np.str_), kind="stable")


def _numbers_say(one: str, other: str, first: int, n: int) -> str:
    last = n + first - 1
    return f"{one} would be sorted as text if rows were named {first} to {last} (10 before 2), {other}"


def _by_class(view: View) -> tuple[str, str] | None:
    """Evidence for rows listed class by class, as from one directory per class, and the order as code."""
    values = view.labels.values
    if not isinstance(values, np.ndarray) or values.ndim != 1 or len(view.arrived) != view.n:
        return None
    if values.dtype.kind not in "iubUS":
        return None
    if view.facts.get("interleaves") is not True and _labels_by_class(values, view.arrived):
        classes = plural(len(np.unique(values)), "class")
        return f"the labels go through {classes} one by one, each in the order of the stream; the stream does not", ""
    if not _ascends(values, view.arrived) or not (values[1:] < values[:-1]).any():
        return None
    given = given_labels(view)
    as_text = f"np.lexsort((np.argsort({_sorted_as_text(view.n, 0)}), {given}))"
    orders = {
        f"np.argsort({given}, kind='stable')": np.argsort(values, kind="stable"),
        as_text: np.lexsort((np.argsort(_as_text(view.n, 0)), values)),
    }
    found = next((code for code, order in orders.items() if np.array_equal(view.arrived, order)), "")
    classes = plural(len(np.unique(values)), "class")
    evidence = f"the stream goes through {classes} one by one, as a listing of directories does; the labels do not"
    return (evidence, found) if found else None


def _labels_by_class(values: NDArray[Any], arrived: Ints) -> bool:
    """Whether the labels are those of the stream, sorted by class."""
    if (values[1:] < values[:-1]).any():
        return False
    streamed = values[arrived]
    found = len(np.unique(streamed))
    runs = streamed[np.flatnonzero(np.append(True, streamed[1:] != streamed[:-1]))[: 2 * found]]
    # One file for each class, read in turn, has all classes in the same order again and again.
    if found < 2 or (runs[found:] == runs[: len(runs) - found]).all():
        return False
    return bool((arrived[np.argsort(streamed, kind="stable")] == np.arange(len(values))).all())


def stride(view: View) -> Cause | None:
    """Samples r, r + W, r + 2W, … for one r after the other."""
    order, n = view.arrived, view.n
    if n < MIN_ROWS or len(order) != n or order[0] != 0:
        return None
    step = int(order[1])
    if not 2 <= step <= n // 2 or not _strides(order, step):
        return None
    evidence = f"samples 0, {step:,}, {2 * step:,}, …, then 1, {step + 1:,}, …: a stride of {step:,} in {step:,} blocks"
    blocks = tuple(-(-(n - first) // step) for first in range(step))
    if step > -(-n // step) and view.trace.calls != blocks:
        evidence = f"{evidence}, or {-(-n // step):,} files of up to {step:,} rows in turn"
        return cause(view, "interleaved", certain=False, evidence=evidence, files=-(-n // step))
    shards = view.trace.calls == blocks or step in {view.fact("replicas"), view.fact("shards")}
    evidence += f", one for each of the {step:,} calls" if view.trace.calls == blocks else ""
    return cause(
        view,
        "stride",
        certain=shards,
        evidence=evidence,
        step=step,
        order=f"np.concatenate([np.arange(r, {n}, {step}) for r in range({step})])",
    )


def _strides(order: Ints, step: int) -> bool:
    """Whether the samples are 0, ``step``, 2 ``step``, …, then 1, 1 + ``step``, …."""
    short, longer = divmod(len(order), step)
    for rows in chunks(len(order)):
        block, position = order[rows] % step, order[rows] // step
        expected = block * short + np.minimum(block, longer) + position
        if not np.array_equal(expected, np.arange(rows.start, rows.stop)):
            return False
    return True
