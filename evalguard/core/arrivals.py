"""Which rows hold which sample: shared by checks, counts and order metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import Ints, chunks, small_type
from evalguard.core.trace import UNKNOWN, Int64


def known(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows whose sample is one of the labels."""
    return (samples >= 0) & (samples < n_labels)


def seen(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Samples that were delivered, shape ``(n_labels,)``."""
    found = np.zeros(n_labels, dtype=bool)
    for rows in chunks(len(samples)):
        part = samples[rows]
        # Most often all of them are: a minimum and a maximum take less than a mask.
        whole = part.min(initial=0) >= 0 and part.max(initial=-1) < n_labels
        found[part if whole else part[known(part, n_labels)]] = True
    return found


def arrival_counts(samples: Int64, n_labels: int) -> NDArray[Any]:
    """Number of rows of each sample, shape ``(n_labels,)``; bool if no sample is repeated."""
    found = seen(samples, n_labels)
    if np.count_nonzero(found) == np.count_nonzero(known(samples, n_labels)):
        return found
    counts = np.zeros(n_labels, dtype=small_type(len(samples)))
    for rows in chunks(len(samples)):
        part = samples[rows]
        # Sorted in chunks: `bincount` would take eight bytes per sample, and a copy of the rows.
        which, how_many = np.unique(part[known(part, n_labels)], return_counts=True)
        counts[which] += how_many.astype(counts.dtype)
    return counts


def arrivals(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows at which a known sample arrives for the first time, bool, shape ``(n_rows,)``."""
    is_first = known(samples, n_labels)
    if np.count_nonzero(is_first) == np.count_nonzero(seen(samples, n_labels)):
        return is_first
    first = np.zeros(n_labels, dtype=small_type(len(samples)))
    for rows in reversed(list(chunks(len(samples)))):
        named = np.flatnonzero(is_first[rows])[::-1]
        # Written backwards, so that the first row of a sample is the one that stays.
        first[samples[rows][named]] = named + rows.start
    for rows in chunks(len(samples)):
        named = np.flatnonzero(is_first[rows])
        is_first[rows][named] = first[samples[rows][named]] == named + rows.start
    return is_first


def first_arrivals(samples: Int64, n_labels: int) -> Int64:
    """``arrivals`` as row numbers, in order."""
    return np.flatnonzero(arrivals(samples, n_labels))


def arrived(samples: Int64, n_labels: int) -> Ints:
    """The samples at first arrivals, in order; int32 if samples and rows fit, else int64."""
    is_first = arrivals(samples, n_labels)
    found = np.empty(np.count_nonzero(is_first), dtype=small_type(n_labels, len(samples)))
    at = 0
    for rows in chunks(len(samples)):
        part = samples[rows][is_first[rows]]
        found[at : at + len(part)] = part
        at += len(part)
    return found


def duplicate_rows(samples: Int64, n_labels: int) -> Int64:
    """Rows after the first with the same known sample."""
    return np.flatnonzero(repeated(samples, n_labels))


def repeated(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """Rows after the first one with the same sample, bool, shape ``(n_rows,)``."""
    return known(samples, n_labels) & ~arrivals(samples, n_labels)


def reordered(samples: Int64, n_labels: int) -> NDArray[np.bool_]:
    """First arrivals below the running maximum, bool, shape ``(n_rows,)``."""
    late = arrivals(samples, n_labels)
    overtaken = Overtaken()
    for rows in chunks(len(samples)):
        first = np.flatnonzero(late[rows])
        late[rows][first] = overtaken.among(samples[rows][first])
    return late


class Overtaken:
    """``w[i] < max(w[<i])`` (RFC 4737, Type-P-Reordered), for values in chunks."""

    def __init__(self) -> None:
        self._highest = -1

    def among(self, part: Ints) -> NDArray[np.bool_]:
        """Which values of the next chunk are below an earlier one."""
        # A running maximum, not a comparison with arange: one skipped sample must
        # not make every sample behind it look displaced.
        late: NDArray[np.bool_] = part < np.maximum(np.maximum.accumulate(part), self._highest)
        self._highest = max(self._highest, int(part.max(initial=-1)))
        return late


def misaligned(samples: Int64) -> NDArray[np.bool_]:
    """Rows that would be scored against another sample's label, bool, shape ``(n_rows,)``."""
    wrong: NDArray[np.bool_] = samples != UNKNOWN
    for rows in chunks(len(samples)):
        wrong[rows] &= samples[rows] != np.arange(rows.start, rows.stop)
    return wrong
