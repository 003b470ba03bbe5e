"""Two sequences of which one is the other, some rows later: labels that begin too early or too late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evalguard.core.arrivals import known
from evalguard.core.columns.chunks import chunks, equal
from evalguard.core.trace import Int64

# A shift by up to so many rows, and by up to that part of them, is recognised also where few rows are distinct.
NEAR, NEAR_PART = 64, 4
# A larger shift needs so many bits of evidence, in rows of which so many differ from the row before: ordered blocks of
# classes are equal to themselves some rows on. Unshifted, at least one row in NEAR_PART must differ.
BITS, CHANGES = 64, 16
# The first HEAD rows choose the positions at which the other side may begin, and PLACES of them are tried. Periodic
# labels are equal at many: where FEW rows are equal, IN_FULL positions are compared in full.
HEAD, PLACES, FEW, IN_FULL = 32, 1000, 1000, 8


def shift_between(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> int:
    """The ``k`` with ``ours[i] == theirs[i + k]`` at every row that both have; 0 where there is none.

    Args:
        ours: A number for each row, equal for equal rows, shape ``(m,)``.
        theirs: The same, shape ``(n,)``.
    """
    least = min(len(ours), len(theirs))
    if least < 2 or equal(ours[:least], theirs[:least]):
        return 0
    bits = _bits(ours, theirs)
    found = [
        sign * k for sign, one, other in ((1, ours, theirs), (-1, theirs, ours)) for k in _shifts(one, other, bits)
    ]
    return min(found, key=abs, default=0)


def _shifts(ours: NDArray[np.int64], theirs: NDArray[np.int64], bits: NDArray[np.float64]) -> Iterator[int]:
    """The first k > 0 with ``ours[i] == theirs[i + k]``, if there is one."""
    far = 0
    for k in _places(ours[:HEAD], theirs):
        rows = min(len(ours), len(theirs) - k)
        if k > NEAR and equal(ours[: min(rows, FEW)], theirs[k : k + min(rows, FEW)]):
            far += 1
        if far > IN_FULL:
            return
        if not equal(ours[:rows], theirs[k : k + rows]) or (ours[:rows] == ours[0]).all():
            continue
        least = min(len(ours), len(theirs))
        # What a period explains is equal where it is not shifted, too.
        near = k <= min(NEAR, least // NEAR_PART) and bool((ours[k : least - k] != theirs[k : least - k]).any())
        around = len(ours) == len(theirs) and 2 * k <= least and equal(ours[rows:], theirs[:k])
        changes = np.count_nonzero(ours[1:rows] != ours[: rows - 1])
        told = changes >= CHANGES and bits[ours[:rows]].sum() >= BITS
        # Of another version of labels with a period some rows are equal where they are, too.
        told = told and _apart(ours[:rows], theirs) and _apart(theirs[k : k + rows], ours[k:])
        if near or around or told:
            yield k
            return


def _apart(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> bool:
    """Whether many of the rows that both have are unequal."""
    rows = min(len(ours), len(theirs))
    return rows == 0 or NEAR_PART * int(np.count_nonzero(ours[:rows] != theirs[:rows])) >= rows


def _places(head: NDArray[np.int64], within: NDArray[np.int64]) -> list[int]:
    """Where the head may begin, in rows from 1 on, the nearest first; at the end only a part of it is left."""
    places = np.flatnonzero(within[1:] == head[0]) + 1
    for row in range(1, len(head)):
        inside = places + row < len(within)
        places = places[~inside | (within[np.minimum(places + row, len(within) - 1)] == head[row])]
    return [int(place) for place in places[:PLACES]]


def _bits(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each number tells, in bits, by how often it comes."""
    counts = np.bincount(np.concatenate([ours, theirs]))
    return -np.log2(np.maximum(counts, 1) / (len(ours) + len(theirs)))


def shift_of_samples(samples: Int64, n_labels: int) -> int:
    """The ``k`` with ``samples[i] == i + k`` at every row that has such a label; the others are none of them.

    0 where there is none.

    Args:
        samples: The sample of each row, in order.
        n_labels: Number of labels.
    """
    ours = known(samples, n_labels)
    if not ours.any():
        return 0
    first = int(np.argmax(ours))
    k = int(samples[first]) - first
    # Fewer than half of the rows are chance.
    if not k or 2 * int(np.count_nonzero(ours)) < len(samples):
        return 0
    for rows in chunks(len(samples)):
        wanted = np.arange(rows.start, rows.stop) + k
        inside = (wanted >= 0) & (wanted < n_labels)
        if not np.array_equal(ours[rows], inside) or not np.array_equal(samples[rows][inside], wanted[inside]):
            return 0
    return k
