"""Reordering as RFC 4737 and RFC 5236 define it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evalguard.core import arrivals
from evalguard.core.columns.chunks import Ints, chunks
from evalguard.core.trace import Int64

MAX_BINS = 41


def is_reordered(arrived: Ints) -> NDArray[np.bool_]:
    """``w[i] < max(w[<i])``: a later sample arrived before this one."""
    late = np.zeros(len(arrived), dtype=bool)
    overtaken = arrivals.Overtaken()
    for rows in chunks(len(arrived)):
        late[rows] = overtaken.among(arrived[rows])
    return late


def extents(arrived: Ints) -> Iterator[Ints]:
    """``i - min{j < i : w[j] > w[i]}`` for reordered rows, else 0: how long ago the first later sample arrived."""
    # first_above[v]: position of the first sample above v. A table, as bisecting random values misses the cache.
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
    """Maximum of the n-reordering over all rows, and the number of rows with 3 or more (RFC 4737).

    The n-reordering of row ``i`` is the largest n with ``w[j] > w[i]`` for all ``i - n <= j < i``.
    """
    return {"max": _most_overtaken(arrived), "at_least_3": _overtaken_by_3(arrived)}


def _most_overtaken(arrived: Ints) -> int:
    """The largest n over all rows.

    Only suffix minima count, rows with no lower row behind them: each reaches
    back to the previous suffix minimum. A row between two of them reaches at most
    to the first, so its n is smaller than that of the second.
    """
    most, later, lowest = 0, len(arrived), np.iinfo(arrived.dtype).max
    for rows in reversed(list(chunks(len(arrived)))):
        part = arrived[rows][::-1]
        low = np.flatnonzero(part <= np.minimum(np.minimum.accumulate(part), lowest))
        if low.size:
            positions = np.concatenate([[later], rows.stop - 1 - low])
            most = max(most, int(-np.diff(positions).min()) - 1)
            later, lowest = int(positions[-1]), int(part[low[-1]])
    return max(most, later)


def _overtaken_by_3(arrived: Ints) -> int:
    count = 0
    for rows in chunks(len(arrived) - 3):
        part = arrived[rows.start : rows.stop + 3]
        lowest = np.minimum(np.minimum(part[:-3], part[1:-2]), part[2:-1])
        count += int(np.count_nonzero(part[3:] < lowest))
    return count


def run_lengths(late: NDArray[np.bool_]) -> Iterator[Int64]:
    """Lengths of the runs: stretches of arrivals that are not reordered."""
    since = 0
    for rows in chunks(len(late)):
        stops = np.flatnonzero(late[rows])
        lengths = np.diff(stops, prepend=-1 - since) - 1
        since = rows.stop - rows.start - 1 - int(stops[-1]) if stops.size else since + rows.stop - rows.start
        yield lengths[lengths > 0]
    if since:
        yield np.array([since])


def gaps(arrived: Ints) -> Iterator[Int64]:
    """Distances between steps back, that is arrivals below the one directly before them."""
    last = np.zeros(0, dtype=np.int64)
    for rows in chunks(len(arrived) - 1):
        part = arrived[rows.start : rows.stop + 1]
        back = np.concatenate([last, np.flatnonzero(part[1:] < part[:-1]) + rows.start])
        yield np.diff(back)
        last = back[-1:]


def displacements(arrived: Ints, n_labels: int) -> Ints:
    """``sort(w) - w`` by position: above 0 late, below 0 early (RFC 5236)."""
    displaced = _in_order(arrived, n_labels)
    displaced -= arrived
    return displaced


def _in_order(arrived: Ints, n_labels: int) -> Ints:
    """The arrived samples in ascending order, in linear time."""
    if len(arrived) == n_labels:
        return np.arange(n_labels, dtype=arrived.dtype)
    seen = arrivals.seen(arrived, n_labels)
    found = np.empty_like(arrived)
    at = 0
    for samples in chunks(n_labels):
        part = np.flatnonzero(seen[samples]) + samples.start
        found[at : at + len(part)] = part
        at += len(part)
    return found


def waits(arrived: Ints, n_labels: int) -> Iterator[Ints]:
    """Occupancy of a buffer that releases samples in order as early as possible; its maximum and sum, not its order.

    The k-th of the arriving samples is released when it and all samples before
    it have arrived, after row ``out[k] >= k``. Until then k rows are released,
    so the buffer contains ``out[k] - k`` rows, and its maximum is reached at some
    k. The sum over k equals the sum of the occupancy after each arrival: the row
    that arrives at i waits for ``out[k] - i`` arrivals, and all i add up to all k.
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


def histogram(values: Ints, max_bins: int = MAX_BINS) -> list[list[int]]:
    """``[low, high, count]`` of integer bins, both ends inclusive, one bin centred at 0; empty bins are left out.

    For displacements this is the reorder density of RFC 5236 in absolute numbers.
    """
    if not len(values):
        return []
    reach = max(abs(int(values.min())), abs(int(values.max())))
    half = max(1, max_bins // 2)
    # The smallest odd number, so that the bin around 0 is as wide as the others, that gives few enough bins.
    width = 2 * math.ceil((reach / half - 1) / 2) + 1
    low = (int(values.min()) + width // 2) // width
    counts = np.zeros((int(values.max()) + width // 2) // width - low + 1, dtype=np.int64)
    for rows in chunks(len(values)):
        counts += np.bincount((values[rows] + width // 2) // width - low, minlength=len(counts))
    starts = ((np.flatnonzero(counts) + low) * width - width // 2).tolist()
    return [[start, start + width - 1, count] for start, count in zip(starts, counts[counts > 0].tolist(), strict=True)]
