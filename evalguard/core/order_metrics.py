"""Order metrics: exact numbers for how far a stream is from the order of the labels.

The terms are those of RFC 4737 (reordered, extent, n-reordering, runs, gaps),
RFC 5236 (displacement, reorder density, buffer occupancy) and RFC 5560
(arrival counts), applied to first arrivals of known samples. The RFCs define
them for endless packet streams. Here the stream is finite and its length known:
no packet is lost by a time-out, and a missing sample is skipped. *Runs*, *gaps*
and *buffer occupancy* use the formulas in the docstrings of their functions.

Every function works in chunks of rows, and with 32 bits where they suffice: 10^8
rows in random order take half a minute, and two bytes per byte of the samples.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import arrivals
from evalguard.core.columns.chunks import Ints, chunks, small_type
from evalguard.core.order_rfc import (
    displacements,
    extents,
    gaps,
    histogram,
    is_reordered,
    n_reordering,
    run_lengths,
    waits,
)
from evalguard.core.trace import Int64


def order_metrics(samples: Int64, n_labels: int, batch_sizes: Int64 | None = None) -> dict[str, Any]:
    """All order metrics as plain data.

    Args:
        samples: Sample of each delivered row, int64, shape ``(n_rows,)``.
        n_labels: Number of labelled samples.
        batch_sizes: Rows of each delivered batch. They separate steps within
            a batch from steps between two batches.
    """
    arrived = arrivals.arrived(samples, n_labels)
    late = is_reordered(arrived)
    return {
        "arrivals": len(arrived),
        "reordered": int(np.count_nonzero(late)),
        "extent": _spread(part[part > 0] for part in extents(arrived)),
        "n_reordering": n_reordering(arrived),
        "runs": _spread(run_lengths(late)),
        "gaps": _gaps(arrived),
        "displacement": _displacement(displacements(arrived, n_labels)),
        "buffer": _spread(waits(arrived, n_labels)),
        "arrival_counts": _arrival_counts(samples, n_labels),
        "offset": _offsets(samples, n_labels),
        "delta": _deltas(samples, batch_sizes),
        "fingerprints": {"order": order_fingerprint(samples), "set": set_fingerprint(samples, n_labels)},
    }


# -- RFC 4737 ---------------------------------------------------------------------------------------------------------


def _gaps(arrived: Ints) -> dict[str, Any]:
    """Gaps; all are multiples of the batch size if whole batches are swapped."""
    tally: Counter[int] = Counter()
    # The gaps add up to at most the number of rows, so only few different values are possible.
    for part in gaps(arrived):
        values, how_many = np.unique(part, return_counts=True)
        tally.update(dict(zip(values.tolist(), how_many.tolist(), strict=True)))
    count = max(tally.values(), default=0)
    return {
        "count": tally.total(),
        "most_common": min((gap for gap in tally if tally[gap] == count), default=None),
        "most_common_count": count,
        "divisor": math.gcd(*tally),
    }


# -- RFC 5236 ---------------------------------------------------------------------------------------------------------


def _displacement(displaced: Ints) -> dict[str, Any]:
    size = _spread(np.abs(displaced[rows]) for rows in chunks(len(displaced)))
    return {
        "moved": int(np.count_nonzero(displaced)),
        "min": int(displaced.min(initial=0)),
        "max": int(displaced.max(initial=0)),
        "mean_abs": size["mean"],
        "histogram": histogram(displaced),
    }


# -- RFC 5560, offsets, deltas ----------------------------------------------------------------------------------------


def _arrival_counts(samples: Int64, n_labels: int) -> list[list[int]]:
    """Pairs of an arrival count and the number of samples that have it: ``[[0, 2], [1, 48]]``."""
    tally: Counter[int] = Counter()
    counts = arrivals.arrival_counts(samples, n_labels)
    for part in chunks(n_labels):
        values, how_many = np.unique(counts[part], return_counts=True)
        tally.update(dict(zip(map(int, values), how_many.tolist(), strict=True)))
    return [[count, tally[count]] for count in sorted(tally)]


def _offsets(samples: Int64, n_labels: int) -> dict[str, Any]:
    """``a[i] - i`` over rows of known samples: the error of indexing the label array by row."""
    offsets = np.empty(len(samples), dtype=small_type(n_labels, len(samples)))
    count = 0
    for rows in chunks(len(samples)):
        named = np.flatnonzero(arrivals.known(samples[rows], n_labels))
        offsets[count : count + len(named)] = samples[rows][named] - named - rows.start
        count += len(named)
    offsets = offsets[:count]
    offsets.sort()
    most, how_often = _most_common(offsets)
    return {
        "misaligned": int(np.count_nonzero(arrivals.misaligned(samples))),
        "min": min(0, int(offsets[0])) if count else 0,
        "max": max(0, int(offsets[-1])) if count else 0,
        "most_common": most,
        "most_common_count": how_often,
    }


def _most_common(arranged: Ints) -> tuple[int | None, int]:
    """The most common of sorted values (the smallest if several are), and how often it occurs."""
    if not len(arranged):
        return None, 0
    # A value occurs k times exactly if two positions k - 1 apart hold the same value.
    high = 1
    while _first_repeated(arranged, high) is not None:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _first_repeated(arranged, middle) is not None else (low, middle)
    return _first_repeated(arranged, low), low


def _first_repeated(arranged: Ints, times: int) -> int | None:
    """The smallest of sorted values that occurs at least ``times`` times; None if there is none."""
    for rows in chunks(len(arranged) - times + 1):
        part = arranged[rows]
        equal = part == arranged[rows.start + times - 1 : rows.stop + times - 1]
        if equal.any():
            return int(part[equal.argmax()])
    return None


def _deltas(samples: Int64, batch_sizes: Int64 | None) -> dict[str, Any]:
    """Steps from each row to the next: 1 is in order, more is a skip, less is a step back."""
    across = np.zeros(max(0, len(samples) - 1), dtype=bool)
    if batch_sizes is not None and int(batch_sizes.sum()) == len(samples):
        ends = np.cumsum(batch_sizes)[:-1]
        across[ends[(ends > 0) & (ends < len(samples))] - 1] = True
    within, over = Counter[str](next=0, skip=0, back=0), Counter[str](next=0, skip=0, back=0)
    for rows in chunks(len(across)):
        part = samples[rows.start : rows.stop + 1]
        steps, named = np.diff(part), (part[1:] >= 0) & (part[:-1] >= 0)
        within.update(_steps(steps[named & ~across[rows]]))
        over.update(_steps(steps[named & across[rows]]))
    return {"within": dict(within), "across": dict(over)}


def _steps(steps: Int64) -> dict[str, int]:
    return {
        "next": int(np.count_nonzero(steps == 1)),
        "skip": int(np.count_nonzero(steps > 1)),
        "back": int(np.count_nonzero(steps < 1)),
    }


# -- Fingerprints -----------------------------------------------------------------------------------------------------


def order_fingerprint(samples: Int64) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the sequence of samples."""
    return _digest(samples)


def set_fingerprint(samples: Int64, n_labels: int) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the multiset of samples: the same for any order of the rows."""
    counts = arrivals.arrival_counts(samples, n_labels)
    # Only up to the last sample that was seen, so that it does not depend on the number of labels.
    unseen = int(np.argmax(counts[::-1] != 0)) if counts.any() else len(counts)
    return _digest(counts[: len(counts) - unseen], np.sort(samples[~arrivals.known(samples, n_labels)]))


def _digest(*arrays: NDArray[Any]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(len(array).to_bytes(8, "little"))
        for rows in chunks(len(array)):
            sha.update(np.ascontiguousarray(array[rows], dtype="<i8").data)
    return sha.hexdigest()[:16]


# -- Summaries --------------------------------------------------------------------------------------------------------


def _spread(parts: Iterable[Ints]) -> dict[str, Any]:
    """Number, maximum and mean; zeros if there are no values."""
    count = most = total = 0
    for part in parts:
        count += len(part)
        most = max(most, int(part.max(initial=0)))
        total += int(part.sum(dtype=np.int64))
    return {"count": count, "max": most, "mean": total / count if count else 0.0}
