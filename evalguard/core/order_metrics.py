"""Order metrics: how far a stream is from the order of the labels, as exact numbers.

The terms are those of RFC 4737 (reordered, extent, n-reordering, runs, gaps),
RFC 5236 (displacement, reorder density, buffer occupancy) and RFC 5560
(arrival counts), on first arrivals of known samples. What the RFCs define for
endless streams of packets is read here for a finite one whose length is known:
nothing is lost by a time-out, and a missing sample is skipped. *Runs*, *gaps*
and *buffer occupancy* rest on the formulas given at their functions.

Every function goes through the rows some at a time, and works on 32 bits where
they suffice: 10^8 rows in random order take half a minute, and two bytes for
each byte of the samples.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import checks
from evalguard.core.columns.chunks import Ints, chunks, small_type
from evalguard.core.trace import Int64

MAX_BINS = 41


def order_metrics(samples: Int64, n_labels: int, batch_sizes: Int64 | None = None) -> dict[str, Any]:
    """All order metrics as plain data.

    Args:
        samples: Sample of each delivered row, int64, shape ``(n_rows,)``.
        n_labels: Number of labelled samples.
        batch_sizes: Rows of each delivered batch, to tell steps within a
            batch from steps across two.
    """
    arrived = checks.arrived(samples, n_labels)
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


def is_reordered(arrived: Ints) -> NDArray[np.bool_]:
    """``w[i] < max(w[<i])``: a later sample has arrived before."""
    late = np.zeros(len(arrived), dtype=bool)
    highest = -1
    for rows in chunks(len(arrived)):
        part = arrived[rows]
        late[rows] = part < np.maximum(np.maximum.accumulate(part), highest)
        highest = max(highest, int(part.max()))
    return late


def extents(arrived: Ints) -> Iterator[Ints]:
    """``i - min{j < i : w[j] > w[i]}`` where reordered, else 0: how long a later sample has been waiting."""
    # first_above[v]: where a sample above v arrived first. A table, as bisecting for random values misses the cache.
    first_above = np.zeros(int(arrived.max(initial=-1)) + 1, dtype=arrived.dtype)
    highest = 0
    for rows in chunks(len(arrived)):
        part = arrived[rows]
        positions = np.arange(rows.start, rows.stop, dtype=arrived.dtype)
        tops = np.maximum.accumulate(np.concatenate([[highest], part]))
        record = tops[1:] > tops[:-1]
        first_above[highest : tops[-1]] = np.repeat(positions[record], np.diff(tops)[record])
        highest = int(tops[-1])
        yield np.where(part < tops[1:], positions - first_above[part], 0)


def n_reordering(arrived: Ints) -> dict[str, int]:
    """Of the largest n with ``w[j] > w[i]`` for all ``i - n <= j < i``: the greatest, and how many are 3 or more."""
    return {"max": _most_overtaken(arrived), "at_least_3": _overtaken_by_3(arrived)}


def _most_overtaken(arrived: Ints) -> int:
    """The greatest n: of the lowest row, which reaches back to the start; of the lowest behind it, to that; and so on.

    What lies between two of these rows reaches no farther than to the first of
    them, and so less far than the second.
    """
    most, later, lowest = 0, len(arrived), np.iinfo(arrived.dtype).max
    for rows in reversed(list(chunks(len(arrived)))):
        part = arrived[rows][::-1]
        low = np.flatnonzero(part <= np.minimum(np.minimum.accumulate(part), lowest))
        if low.size:
            places = np.concatenate([[later], rows.stop - 1 - low])
            most = max(most, int(-np.diff(places).min()) - 1)
            later, lowest = int(places[-1]), int(part[low[-1]])
    return max(most, later)


def _overtaken_by_3(arrived: Ints) -> int:
    count = 0
    for rows in chunks(len(arrived) - 3):
        part = arrived[rows.start : rows.stop + 3]
        lowest = np.minimum(np.minimum(part[:-3], part[1:-2]), part[2:-1])
        count += int(np.count_nonzero(part[3:] < lowest))
    return count


def run_lengths(late: NDArray[np.bool_]) -> Iterator[Int64]:
    """Lengths of the stretches of arrivals between which one or more are reordered."""
    since = 0
    for rows in chunks(len(late)):
        stops = np.flatnonzero(late[rows])
        lengths = np.diff(stops, prepend=-1 - since) - 1
        since = rows.stop - rows.start - 1 - int(stops[-1]) if stops.size else since + rows.stop - rows.start
        yield lengths[lengths > 0]
    if since:
        yield np.array([since])


def gaps(arrived: Ints) -> Iterator[Int64]:
    """Distances between arrivals that lie below the one just before them."""
    last = np.zeros(0, dtype=np.int64)
    for rows in chunks(len(arrived) - 1):
        part = arrived[rows.start : rows.stop + 1]
        back = np.concatenate([last, np.flatnonzero(part[1:] < part[:-1]) + rows.start])
        yield np.diff(back)
        last = back[-1:]


def _gaps(arrived: Ints) -> dict[str, Any]:
    """All gaps are a multiple of the batch where whole batches changed places."""
    tally: Counter[int] = Counter()
    # They do not add up to more than the rows, so that few of them can differ.
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


def displacements(arrived: Ints, n_labels: int) -> Ints:
    """``sort(w) - w``, by position: above 0 late, below 0 early."""
    displaced = _in_order(arrived, n_labels)
    displaced -= arrived
    return displaced


def _in_order(arrived: Ints, n_labels: int) -> Ints:
    """The arrived samples sorted, without sorting."""
    if len(arrived) == n_labels:
        return np.arange(n_labels, dtype=arrived.dtype)
    seen = checks.seen(arrived, n_labels)
    found = np.empty_like(arrived)
    at = 0
    for samples in chunks(n_labels):
        part = np.flatnonzero(seen[samples]) + samples.start
        found[at : at + len(part)] = part
        at += len(part)
    return found


def _displacement(displaced: Ints) -> dict[str, Any]:
    size = _spread(np.abs(displaced[rows]) for rows in chunks(len(displaced)))
    return {
        "moved": int(np.count_nonzero(displaced)),
        "min": int(displaced.min(initial=0)),
        "max": int(displaced.max(initial=0)),
        "mean_abs": size["mean"],
        "histogram": histogram(displaced),
    }


def waits(arrived: Ints, n_labels: int) -> Iterator[Ints]:
    """Rows held back by a buffer that lets samples out in order as soon as it can; in another order than they arrive.

    The k-th sample (of those that arrive at all) is let out as soon as it and
    all before it have arrived, after row ``out[k] >= k``. Up to then k rows
    are out, so ``out[k] - k`` are held just before: the most that ever are, for
    some k. And each sample that is due waits for ``out[k] - k`` rows beyond
    those that it needs, which add up to the rows held after each arrival.
    """
    arrived_at = np.full(n_labels, -1, dtype=arrived.dtype)
    for rows in chunks(len(arrived)):
        arrived_at[arrived[rows]] = np.arange(rows.start, rows.stop, dtype=arrived.dtype)
    k, latest = 0, -1
    for samples in chunks(n_labels):
        part = arrived_at[samples]
        out = np.maximum(np.maximum.accumulate(part[part >= 0]), latest)
        yield out - np.arange(k, k + len(out))
        k += len(out)
        latest = max(latest, int(out.max(initial=-1)))


# -- RFC 5560, offsets, deltas ----------------------------------------------------------------------------------------


def _arrival_counts(samples: Int64, n_labels: int) -> list[list[int]]:
    """Pairs of an arrival count and the number of samples that have it: ``[[0, 2], [1, 48]]``."""
    tally: Counter[int] = Counter()
    counts = checks.arrival_counts(samples, n_labels)
    for part in chunks(n_labels):
        values, how_many = np.unique(counts[part], return_counts=True)
        tally.update(dict(zip(map(int, values), how_many.tolist(), strict=True)))
    return [[count, tally[count]] for count in sorted(tally)]


def _offsets(samples: Int64, n_labels: int) -> dict[str, Any]:
    """``a[i] - i`` over rows of known samples: the error against the label array as a user indexes it."""
    offsets = np.empty(len(samples), dtype=small_type(n_labels, len(samples)))
    count = 0
    for rows in chunks(len(samples)):
        named = np.flatnonzero(checks.known(samples[rows], n_labels))
        offsets[count : count + len(named)] = samples[rows][named] - named - rows.start
        count += len(named)
    offsets = offsets[:count]
    offsets.sort()
    most, how_often = _most_common(offsets)
    return {
        "misaligned": int(np.count_nonzero(checks.misaligned(samples))),
        "min": min(0, int(offsets[0])) if count else 0,
        "max": max(0, int(offsets[-1])) if count else 0,
        "most_common": most,
        "most_common_count": how_often,
    }


def _most_common(arranged: Ints) -> tuple[int | None, int]:
    """The value that occurs most often among sorted ones, the least of several, and how often."""
    if not len(arranged):
        return None, 0
    # Some value occurs so often exactly where two places so far apart hold the same.
    high = 1
    while _first_repeated(arranged, high) is not None:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _first_repeated(arranged, middle) is not None else (low, middle)
    return _first_repeated(arranged, low), low


def _first_repeated(arranged: Ints, times: int) -> int | None:
    """The least value that occurs so often, among sorted ones."""
    for rows in chunks(len(arranged) - times + 1):
        part = arranged[rows]
        equal = part == arranged[rows.start + times - 1 : rows.stop + times - 1]
        if equal.any():
            return int(part[equal.argmax()])
    return None


def _deltas(samples: Int64, batch_sizes: Int64 | None) -> dict[str, Any]:
    """Steps from each row to the next: 1 is right, more skips, less steps back."""
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
    """The same of the multiset of samples: equal for two orders of the same rows."""
    counts = checks.arrival_counts(samples, n_labels)
    # Up to the last sample that was seen: it does not depend on the number of labels.
    unseen = int(np.argmax(counts[::-1] != 0)) if counts.any() else len(counts)
    return _digest(counts[: len(counts) - unseen], np.sort(samples[~checks.known(samples, n_labels)]))


def _digest(*arrays: NDArray[Any]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(len(array).to_bytes(8, "little"))
        for rows in chunks(len(array)):
            sha.update(np.ascontiguousarray(array[rows], dtype="<i8").data)
    return sha.hexdigest()[:16]


# -- Summaries --------------------------------------------------------------------------------------------------------


def _spread(parts: Iterable[Ints]) -> dict[str, Any]:
    """Number, maximum and mean; zeros where there is none."""
    count = most = total = 0
    for part in parts:
        count += len(part)
        most = max(most, int(part.max(initial=0)))
        total += int(part.sum(dtype=np.int64))
    return {"count": count, "max": most, "mean": total / count if count else 0.0}


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
    low = (int(values.min()) + width // 2) // width
    counts = np.zeros((int(values.max()) + width // 2) // width - low + 1, dtype=np.int64)
    for rows in chunks(len(values)):
        counts += np.bincount((values[rows] + width // 2) // width - low, minlength=len(counts))
    starts = ((np.flatnonzero(counts) + low) * width - width // 2).tolist()
    return [[start, start + width - 1, count] for start, count in zip(starts, counts[counts > 0].tolist(), strict=True)]
