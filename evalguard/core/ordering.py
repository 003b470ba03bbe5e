"""Order metrics: how far a stream is from the order of the labels, as exact numbers.

The terms are those of RFC 4737 (reordered, extent, n-reordering, runs, gaps),
RFC 5236 (displacement, reorder density, buffer occupancy) and RFC 5560
(arrival counts), on first arrivals of known samples. What the RFCs define for
endless streams of packets is read here for a finite one whose length is known:
nothing is lost by a time-out, and a missing sample is skipped. *Runs*, *gaps*
and *buffer occupancy* rest on the formulas given at their functions.

Every function is vectorised and works on 32 bits where they suffice: a random
permutation of 10^7 rows takes seconds, and a few arrays of memory.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import checks
from evalguard.core.trace import Int64

Ints = NDArray[np.signedinteger[Any]]

MAX_BINS = 41
# After so many rounds, what is left of the search for smaller values is done by bisection.
_JUMPS = 8


def order_metrics(samples: Int64, n_labels: int, batch_sizes: Int64 | None = None) -> dict[str, Any]:
    """All order metrics as plain data.

    Args:
        samples: Sample of each delivered row, int64, shape ``(n_rows,)``.
        n_labels: Number of labelled samples.
        batch_sizes: Rows of each delivered batch, to tell steps within a
            batch from steps across two.
    """
    arrived = _small(samples[checks.first_arrivals(samples, n_labels)], n_labels)
    late = is_reordered(arrived)
    return {
        "arrivals": len(arrived),
        "reordered": int(np.count_nonzero(late)),
        "extent": _spread(extents(arrived)[late]),
        "n_reordering": _n_reordering(n_reordering(arrived)),
        "runs": _spread(run_lengths(late)),
        "gaps": _gaps(arrived),
        "displacement": _displacement(displacements(arrived, n_labels)),
        "buffer": _spread(buffer_occupancy(arrived, n_labels)),
        "arrival_counts": arrival_counts(samples, n_labels),
        "offset": _offsets(samples, n_labels),
        "delta": _deltas(samples, batch_sizes),
        "fingerprints": {"order": order_fingerprint(samples), "set": set_fingerprint(samples, n_labels)},
    }


def _small(values: Int64, bound: int) -> Ints:
    """Half the memory where values and positions fit in 32 bits."""
    return values.astype(np.int32) if max(bound, len(values)) < np.iinfo(np.int32).max else values


def _positions(like: Ints) -> Ints:
    return np.arange(len(like), dtype=like.dtype)


# -- RFC 4737 ---------------------------------------------------------------------------------------------------------


def is_reordered(arrived: Ints) -> NDArray[np.bool_]:
    """``w[i] < max(w[<i])``: a later sample has arrived before."""
    return arrived < np.maximum.accumulate(arrived) if len(arrived) else np.zeros(0, dtype=bool)


def extents(arrived: Ints) -> Ints:
    """``i - min{j < i : w[j] > w[i]}`` where reordered, else 0: how long a later sample has been waiting."""
    if not len(arrived):
        return arrived
    positions = _positions(arrived)
    highest = np.maximum.accumulate(arrived)
    record = np.ones(len(arrived), dtype=bool)
    record[1:] = highest[1:] > highest[:-1]
    # first_above[v]: where a sample above v arrived first. A table, as bisecting 10^7 random values misses the cache.
    values = np.concatenate([[0], highest[record]])
    first_above = np.repeat(positions[record], np.diff(values))
    late = arrived < highest
    found = np.zeros_like(arrived)
    found[late] = positions[late] - first_above[arrived[late]]
    return found


def n_reordering(arrived: Ints) -> Ints:
    """The largest n with ``w[j] > w[i]`` for all ``i - n <= j < i``."""
    positions = _positions(arrived)
    return positions - previous_smaller(arrived) - 1


def previous_smaller(arrived: Ints) -> Ints:
    """The last ``j < i`` with ``w[j] < w[i]``, else -1. Values are distinct."""
    before = _positions(arrived) - 1
    # All between before[i] and i is larger than w[i]; so is all between before[j] and j for a larger w[j]:
    # jump there. In a random order every other row is done in each round.
    active = _still_larger(arrived, before, np.arange(len(arrived)))
    for _ in range(_JUMPS):
        if not active.size:
            return before
        before[active] = before[before[active]]
        active = _still_larger(arrived, before, active)
    before[active] = _bisected(arrived, before[active], arrived[active])
    return before


def _still_larger(arrived: Ints, before: Ints, rows: Int64) -> Int64:
    candidates = before[rows]
    inside = candidates >= 0
    return rows[inside][arrived[candidates[inside]] > arrived[rows[inside]]]


def _bisected(arrived: Ints, start: Ints, values: Ints) -> Ints:
    """The last ``j <= start`` with ``w[j] < value``, for each of the values, by a tree of minima."""
    if not len(start):
        return start
    levels = [arrived]
    while len(levels[-1]) > 1:
        below = levels[-1]
        whole = below[: len(below) // 2 * 2].reshape(-1, 2).min(axis=1)
        levels.append(np.concatenate([whole, below[len(below) // 2 * 2 :]]))
    node = start.copy()
    height = np.zeros(len(start), dtype=np.int8)
    _climb(levels, node, height, values)
    return _descend(levels, node, height, values)


def _climb(levels: list[Ints], node: Ints, height: NDArray[np.int8], values: Ints) -> None:
    """Move left and up until the subtree holds a smaller value; -1 where there is none."""
    open_rows = np.arange(len(node))
    for level, minima in enumerate(levels):
        open_rows = open_rows[node[open_rows] >= 0]
        open_rows = open_rows[minima[node[open_rows]] > values[open_rows]]
        if not open_rows.size:
            return
        # An odd node's left brother is looked at on this level, an even one has none below its parent's brother.
        odd = node[open_rows] % 2 == 1
        brother = open_rows[odd]
        node[brother] -= 1
        found = minima[node[brother]] < values[brother]
        settled = np.zeros(len(node), dtype=bool)
        settled[brother[found]] = True
        open_rows = open_rows[~settled[open_rows]]
        node[open_rows] = node[open_rows] // 2 - 1
        height[open_rows] = level + 1


def _descend(levels: list[Ints], node: Ints, height: NDArray[np.int8], values: Ints) -> Ints:
    """From the root of each subtree to its last value that is smaller."""
    for level in range(len(levels) - 1, 0, -1):
        rows = np.flatnonzero((height == level) & (node >= 0))
        if not rows.size:
            continue
        below = levels[level - 1]
        right = np.minimum(node[rows] * 2 + 1, len(below) - 1)
        node[rows] = np.where(below[right] < values[rows], right, node[rows] * 2)
        height[rows] = level - 1
    return node


def _n_reordering(degrees: Ints) -> dict[str, int]:
    return {"max": int(degrees.max(initial=0)), "at_least_3": int(np.count_nonzero(degrees >= 3))}


def run_lengths(late: NDArray[np.bool_]) -> Int64:
    """Lengths of the stretches of arrivals between which one or more are reordered."""
    edges = np.flatnonzero(np.diff(late, prepend=True, append=True))
    return edges[1::2] - edges[::2]


def discontinuities(arrived: Ints) -> Int64:
    """Arrivals that lie below the one just before them."""
    return np.flatnonzero(arrived[1:] < arrived[:-1]) + 1


def _gaps(arrived: Ints) -> dict[str, Any]:
    """Distances between discontinuities; all a multiple of the batch where whole batches changed places."""
    gaps = np.diff(discontinuities(arrived))
    most, count = _most_common(gaps)
    return {"count": len(gaps), "most_common": most, "most_common_count": count, "divisor": int(np.gcd.reduce(gaps))}


# -- RFC 5236 ---------------------------------------------------------------------------------------------------------


def displacements(arrived: Ints, n_labels: int) -> Ints:
    """``sort(w) - w``, by position: above 0 late, below 0 early."""
    return _in_order(arrived, n_labels) - arrived


def _in_order(arrived: Ints, n_labels: int) -> Ints:
    """The arrived samples sorted, without sorting."""
    seen = np.zeros(n_labels, dtype=bool)
    seen[arrived] = True
    return np.flatnonzero(seen).astype(arrived.dtype)


def _displacement(displaced: Ints) -> dict[str, Any]:
    size = np.abs(displaced)
    return {
        "moved": int(np.count_nonzero(displaced)),
        "min": int(displaced.min(initial=0)),
        "max": int(displaced.max(initial=0)),
        "mean_abs": float(size.mean()) if len(size) else 0.0,
        "histogram": histogram(displaced),
    }


def buffer_occupancy(arrived: Ints, n_labels: int) -> Ints:
    """Rows held back after each arrival, by a buffer that lets samples out in order as soon as it can.

    After arrival ``i``, the first k samples (of those that arrive at all) are
    out if each of them has arrived by then; the other ``i + 1 - k`` are held.
    """
    arrived_at = np.zeros(n_labels, dtype=arrived.dtype)
    arrived_at[arrived] = _positions(arrived)
    out_at = np.maximum.accumulate(arrived_at[_in_order(arrived, n_labels)])
    out = np.cumsum(np.bincount(out_at, minlength=len(arrived)), dtype=arrived.dtype)
    held: Ints = _positions(arrived) + 1 - out
    return held


# -- RFC 5560, offsets, deltas ----------------------------------------------------------------------------------------


def arrival_counts(samples: Int64, n_labels: int) -> list[list[int]]:
    """Pairs of an arrival count and the number of samples that have it: ``[[0, 2], [1, 48]]``."""
    counts = np.bincount(samples[checks.known(samples, n_labels)], minlength=n_labels)
    how_many = np.bincount(counts)
    return [[int(count), int(how_many[count])] for count in np.flatnonzero(how_many)]


def _offsets(samples: Int64, n_labels: int) -> dict[str, Any]:
    """``a[i] - i`` over rows of known samples: the error against the label array as a user indexes it."""
    rows = np.flatnonzero(checks.known(samples, n_labels))
    offsets = samples[rows] - rows
    most, count = _most_common(offsets)
    return {
        "misaligned": int(checks.misaligned_rows(samples).size),
        "min": int(offsets.min(initial=0)),
        "max": int(offsets.max(initial=0)),
        "most_common": most,
        "most_common_count": count,
    }


def _deltas(samples: Int64, batch_sizes: Int64 | None) -> dict[str, Any]:
    """Steps from each row to the next: 1 is right, more skips, less steps back."""
    across = np.zeros(max(0, len(samples) - 1), dtype=bool)
    if batch_sizes is not None and int(batch_sizes.sum()) == len(samples):
        ends = np.cumsum(batch_sizes)[:-1]
        across[ends[(ends > 0) & (ends < len(samples))] - 1] = True
    steps = np.diff(samples)
    named = (samples[1:] >= 0) & (samples[:-1] >= 0)
    return {"within": _steps(steps[named & ~across]), "across": _steps(steps[named & across])}


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
    """The same of the multiset of samples: equal for two orders of the same rows."""
    is_known = checks.known(samples, n_labels)
    counts = np.bincount(samples[is_known])
    return _digest(counts, np.sort(samples[~is_known]))


def _digest(*arrays: Int64) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(len(array).to_bytes(8, "little"))
        sha.update(np.ascontiguousarray(array, dtype="<i8").data)
    return sha.hexdigest()[:16]


# -- Summaries --------------------------------------------------------------------------------------------------------


def _spread(values: Ints) -> dict[str, Any]:
    """Number, maximum and mean; zeros where there is none."""
    mean = float(values.mean()) if len(values) else 0.0
    return {"count": len(values), "max": int(values.max(initial=0)), "mean": mean}


def _most_common(values: Ints) -> tuple[int | None, int]:
    """The value that occurs most often, the least of several, and how often."""
    if not len(values):
        return None, 0
    low = int(values.min())
    if int(values.max()) - low > 4 * len(values) + 1024:
        distinct, how_many = np.unique(values, return_counts=True)
        return int(distinct[how_many.argmax()]), int(how_many.max())
    how_many = np.bincount(values - low)
    return low + int(how_many.argmax()), int(how_many.max())


def histogram(values: Ints, max_bins: int = MAX_BINS) -> list[list[int]]:
    """``[low, high, count]`` of bins of whole numbers, both ends in, one of them centred at 0; empty ones are left out.

    This is the reorder density of RFC 5236 in absolute numbers, where the
    values are displacements.
    """
    if not len(values):
        return []
    reach = max(abs(int(values.min())), abs(int(values.max())))
    half = max(1, max_bins // 2)
    # Of odd width, so that the bin around 0 is as wide as the others; of width 1 where that suffices.
    width = 1 if reach <= half else 2 * math.ceil((reach / half - 1) / 2 + 1) - 1
    bins = (values + width // 2) // width
    low = int(bins.min())
    counts = np.bincount(bins - low)
    starts = (np.flatnonzero(counts) + low) * width - width // 2
    return [[int(start), int(start) + width - 1, int(counts[counts > 0][k])] for k, start in enumerate(starts)]
