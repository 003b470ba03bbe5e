"""The right rows in another order: shuffled, sorted otherwise, read in parallel, gathered from shards."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import Ints, chunks
from evalguard.core.diagnosis import remedies
from evalguard.core.diagnosis.view import View, cause, plural
from evalguard.core.report import Diagnosis
from evalguard.core.trace import ALTERED, Int64

SORTED = "labels in another sort order than the stream"
STRIDE = "stride: shards or ranks put one behind the other"
INTERLEAVED = "several files read in turn (interleave)"
BUFFER = "the source fills its array again while the model still waits for it"
QUEUE = "unordered queue between source and model"
PARALLEL = "parallel work inside the source: whole batches overtake one another"
RESHUFFLED = "shuffled anew at each pass"
SHUFFLED = "`shuffle=True`"
WINDOW = "shuffle buffer, or a parallel map that gives up order, inside the source"

# A random order brings some row forward by most of the whole length; a buffer by no more than its size.
WINDOW_SHARE = 0.45
MIN_ROWS = 6


# -- A known order ----------------------------------------------------------------------------------------------------


def sorted_otherwise(view: View) -> Diagnosis | None:
    """Keys, row numbers or classes are sorted in the stream in a way that they are not in the labels."""
    if len(view.arrived) < MIN_ROWS or not view.moved:
        return None
    by_key = _by_key(view)
    evidence = by_key or _by_number(view) or _by_class(view)
    if not evidence:
        return None
    return cause(
        SORTED,
        certain=bool(by_key),
        evidence=evidence,
        reproduced="keras 3.15",
        **remedies.sorted_otherwise(view, by_key=bool(by_key)),
    )


def _by_key(view: View) -> str:
    keys = view.labels.keys
    if keys is None:
        return ""
    if keys.dtype.kind == "i" and _ascends(keys, view.arrived):
        return "the stream goes through the keys in order of number, the labels do not"
    # A few first: most streams are none of the kind, and text is slow to compare.
    few = keys[view.arrived[:100]].astype(np.str_)
    if not _ascends_as_text(few) and not _ascends_by_number(few):
        return ""
    text = keys.astype(np.str_)
    if _ascends_as_text(text[view.arrived]):
        other = "in order of number" if _ascends_by_number(text) else "in another order"
        return f"the stream goes through the keys in order of text ({_turn(text, view)}), the labels {other}"
    if _ascends_by_number(text[view.arrived]):
        other = "in order of text" if _ascends_as_text(text) else "in another order"
        return f"the stream goes through the keys in order of number ({_turn(text, view)}), the labels {other}"
    return ""


def _ascends(values: NDArray[Any], order: Ints, *, strictly: bool = True) -> bool:
    """Whether the values go up in this order."""
    for rows in chunks(len(order) - 1):
        part = values[order[rows.start : rows.stop + 1]]
        goes_on = part[1:] > part[:-1] if strictly else part[1:] >= part[:-1]
        if not goes_on.all():
            return False
    return True


def _ascends_as_text(names: NDArray[Any]) -> bool:
    return bool((names[1:] > names[:-1]).all())


def _ascends_by_number(text: NDArray[Any]) -> bool:
    before: list[Any] = []
    for name in text.tolist():
        # Odd places are numbers, even ones text: two lists can always be compared.
        parts = [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name))]
        if parts < before:
            return False
        before = parts
    return True


def _turn(text: NDArray[Any], view: View) -> str:
    """The first two keys that follow one another in the stream and not in the labels."""
    at = int(np.flatnonzero(np.diff(view.arrived) != 1)[0])
    return " before ".join(repr(str(text[sample]))[:40] for sample in view.arrived[at : at + 2])


def _by_number(view: View) -> str:
    """Row numbers, from 0 or 1, sorted as text in the stream or in the labels."""
    order, n = view.arrived, view.n
    for first, ten in ((0, 10), (1, 9)):
        if n <= ten or len(order) != n:
            continue
        # Text puts 10 right behind 1: looked at before all numbers are made into text.
        if order[1 + (first == 0)] == ten and np.array_equal(order, _as_text(n, first)):
            return _numbers_say("the stream", "the labels by number", first, n)
        if order[ten] == 1 + (first == 0) and np.array_equal(_as_text(n, first)[order], np.arange(n)):
            return _numbers_say("the labels", "the stream by number", first, n)
    return ""


def _as_text(n: int, first: int) -> Int64:
    return np.argsort(np.arange(first, n + first).astype(np.str_), kind="stable")


def _numbers_say(one: str, other: str, first: int, n: int) -> str:
    return f"{one} would be sorted as text if rows were named {first} to {n + first - 1} (10 before 2), {other}"


def _by_class(view: View) -> str:
    """All rows of one class, then of the next: the order of a listing of one directory per class."""
    values = view.labels.values
    if not isinstance(values, np.ndarray) or values.ndim != 1 or len(view.arrived) != view.n:
        return ""
    if values.dtype.kind not in "iubUS":
        return ""
    if not _ascends(values, view.arrived, strictly=False) or not (values[1:] < values[:-1]).any():
        return ""
    found = len(np.unique(values))
    inside = np.argsort(values, kind="stable"), np.lexsort((np.argsort(_as_text(view.n, 0)), values))
    if not any(np.array_equal(view.arrived, order) for order in inside):
        return ""
    return f"the stream goes through {found} classes one by one, as a listing of directories does; the labels do not"


def stride(view: View) -> Diagnosis | None:
    """Samples r, r + W, r + 2W, … for one r after the other."""
    order, n = view.arrived, view.n
    if n < MIN_ROWS or len(order) != n or order[0] != 0:
        return None
    step = int(order[1])
    if not 2 <= step <= n // 2 or not _strides(order, step):
        return None
    evidence = f"samples 0, {step}, {2 * step}, …, then 1, {step + 1}, …: a stride of {step} in {step} blocks"
    blocks = tuple(-(-(n - first) // step) for first in range(step))
    if step > -(-n // step) and view.trace.calls != blocks:
        return cause(
            INTERLEAVED,
            certain=False,
            evidence=f"{evidence}, or {-(-n // step)} files of up to {step} rows in turn",
            **remedies.interleaved(view, -(-n // step)),
        )
    shards = view.trace.calls == blocks or step in {view.fact("replicas"), view.fact("shards")}
    return cause(
        STRIDE.replace("stride", f"stride of {step}"),
        certain=shards,
        evidence=evidence + (f", one for each of the {step} calls" if view.trace.calls == blocks else ""),
        reproduced="keras 3.15",
        **remedies.stride(view, step),
    )


def _strides(order: Ints, step: int) -> bool:
    """Whether the samples are 0, ``step``, 2 ``step``, …, then 1, 1 + ``step``, …."""
    short, longer = divmod(len(order), step)
    for rows in chunks(len(order)):
        block, place = order[rows] % step, order[rows] // step
        expected = block * short + np.minimum(block, longer) + place
        if not np.array_equal(expected, np.arange(rows.start, rows.stop)):
            return False
    return True


# -- Whole batches ----------------------------------------------------------------------------------------------------


def queue(view: View) -> Diagnosis | None:
    """Tags given at the source come out in another order: order was lost on the way, not in the source."""
    if not view.trace.ordered or not view.trace.tagged or view.trace.transport_intact:
        return None
    tags = np.asarray(view.trace.tags)[: view.n_rows]
    if not _some_descend(tags, view.trace.calls):
        return None
    if view.samples is not None and len(view.trace.calls) == 1 and not _ascends(view.rows, np.argsort(tags)):
        return None
    return cause(
        QUEUE,
        certain=True,
        evidence=f"{_descents(tags)} times a row came out behind one that {view.name} had given later",
        **remedies.queue(view),
    )


def buffer(view: View) -> Diagnosis | None:
    """Rows changed between the source and the model: the source filled the same array again."""
    altered = len(view.trace.rows_tagged(ALTERED))
    if not altered and not (view.facts.get("filled_anew") and _some_repeat(view)):
        return None
    seen = f"{view.name} hands out the same memory again, with other rows in it, and rows are repeated"
    return cause(
        BUFFER,
        certain=altered > 0,
        evidence=f"{altered} rows were fed with another content than {view.name} had handed out" if altered else seen,
        reproduced="keras 3.15, tensorflow 2.21",
        **remedies.buffer(view),
    )


def _some_repeat(view: View) -> bool:
    return view.samples is not None and len(np.unique(view.rows)) < len(view.rows)


def _some_descend(tags: Int64, calls: tuple[int, ...]) -> bool:
    return any(_descents(part) for part in np.split(tags, np.cumsum(calls)[:-1]))


def _descents(tags: Int64) -> int:
    return int(np.count_nonzero(tags[1:] < tags[:-1]))


def batches(view: View) -> Diagnosis | None:
    """Whole batches changed places, the rows inside are as they should be."""
    order = _batch_order(view)
    if order is None or view.facts.get("shuffle") is True:
        return None
    early = int((order - np.arange(len(order))).max())
    if _is_global(early, len(order)) and len(order) > MIN_ROWS and view.fact("workers") < 2:
        return None
    moved = int(np.count_nonzero(order != np.arange(len(order))))
    return cause(
        PARALLEL,
        certain=False,
        evidence=(
            f"{moved} of {plural(len(order), 'batch')} changed places, by up to {early}, and all rows inside them are "
            f"in order: displacements are multiples of {view.batch}"
        ),
        reproduced="keras 3.15",
        **remedies.batches_overtake(view),
    )


def _batch_order(view: View) -> Int64 | None:
    """Which batch each delivered batch is, where they are whole ones of the label order."""
    if view.batch < 2 or view.n_rows != view.n or view.missing.size or len(view.starts) < 2:
        return None
    inside = np.ones(view.n_rows, dtype=bool)
    inside[view.starts] = False
    for rows in chunks(view.n_rows - 1):
        steps = np.diff(view.rows[rows.start : rows.stop + 1])
        if (steps[inside[rows.start + 1 : rows.stop + 1]] != 1).any():
            return None
    first = view.rows[view.starts]
    return None if (first % view.batch).any() else first // view.batch


# -- Random orders ----------------------------------------------------------------------------------------------------


def _is_global(reach: int, length: int) -> bool:
    return reach + 1 > WINDOW_SHARE * length


def _reordered(view: View) -> bool:
    """Another order is seen: of samples, or, where these are unknown, of the stream's own targets."""
    return bool(view.moved) if view.samples is not None else _targets_permuted(view)


def _targets_permuted(view: View) -> bool:
    return view.trace.ordered and bool(view.against_rows.rows.size) and view.n_rows == view.n and same_values(view)


def same_values(view: View) -> bool:
    """The stream's targets hold nothing but values of the labels; True where that cannot be told."""
    targets, values = view.trace.targets, view.labels.values
    if not isinstance(targets, np.ndarray) or not isinstance(values, np.ndarray):
        return True
    if targets.size != len(targets) or values.size != len(values) or targets.dtype.kind == "O":
        return True
    return bool(np.isin(np.unique(targets), values).all())


def _shuffles(view: View) -> bool:
    """Spread over the whole range, and next to every row moved."""
    return _is_global(view.reach, len(view.arrived)) and 2 * view.moved > len(view.arrived) > 2


def reshuffled(view: View) -> Diagnosis | None:
    """A dataset that is shuffled at each pass: labels gathered in another pass do not fit."""
    seen = view.facts.get("reshuffled_each_pass")
    if not _reordered(view) or seen is False:
        return None
    changed = bool(view.facts.get("stateful_getitem"))
    guessed = (view.kind == "tf.data" or changed) and view.samples is not None and _shuffles(view)
    if not seen and not guessed:
        return None
    evidence = _order_evidence(view)
    if seen:
        evidence += f"; the {view.name} is shuffled anew whenever it is read"
    elif changed:
        evidence += "; an item that was asked for twice was not the same"
    return cause(
        RESHUFFLED,
        # Branches that are each shuffled for themselves are no pairs in any pass.
        certain=bool(seen) and view.fact("shuffled_branches") < 2,
        evidence=evidence,
        reproduced="keras 3.15",
        **remedies.reshuffled(view),
    )


def shuffled(view: View) -> Diagnosis | None:
    """A permutation over the whole range."""
    told = view.facts.get("shuffle")
    if not _reordered(view) or told is False or (not told and view.facts.get("reshuffled_each_pass")):
        return None
    if not told and (view.samples is None or not _shuffles(view)):
        return None
    evidence = _order_evidence(view) + (f"; {view.name} says shuffle={told}" if told else "")
    return cause(
        SHUFFLED,
        certain=bool(told),
        evidence=evidence,
        reproduced="keras 3.15, tf_keras 2.21",
        **remedies.shuffled(view, told=bool(told)),
    )


def _order_evidence(view: View) -> str:
    if view.samples is None:
        return f"{plural(view.against_rows.rows.size, 'row')} carry another target than their label, of the same values"
    early, late = view.reach, int(view.displaced.max(initial=0))
    moved = f"{view.moved:,} of {plural(len(view.arrived), 'row')} changed places"
    return f"{moved}, by up to {early:,} forward and {late:,} back"


def _kept_on_the_way(view: View) -> str:
    return f"; they came out as {view.name} had given them" if view.trace.transport_intact else ""


def window(view: View) -> Diagnosis | None:
    """Order lost inside a window that is small against the whole."""
    buffer = view.fact("shuffle_buffer")
    if view.samples is None or not view.moved or _is_global(view.reach, len(view.arrived)):
        return None
    size = view.reach + 1
    return cause(
        WINDOW,
        certain=bool(buffer) and size <= buffer,
        evidence=f"{_order_evidence(view)}: as a buffer of {buffer or size:,} rows does{_kept_on_the_way(view)}",
        reproduced="keras 3.15",
        **remedies.window(view, buffer or size),
    )
