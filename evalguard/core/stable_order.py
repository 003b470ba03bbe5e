"""The stable order of many numbers: ``np.argsort(values, kind="stable")``, several times as fast at 10^7 of them.

NumPy sorts numbers ten times as fast as it finds their order, so each number
is packed with its position into 64 bits, and these are sorted. ``python -m
benchmarks core`` shows what it is good for: "confirming 10^7 rows … that were
not put back" takes twice as long with NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import rising

Int64 = NDArray[np.int64]
BITS = 64
SIGN = np.uint64(1 << (BITS - 1))

# More pairs than this, in which the packed order is not that of the values, are no chance of digests.
MAX_INVERSIONS = 1000


def stable_order(values: NDArray[Any]) -> Int64:
    """The positions of the values in ascending order, equal ones in order of position; int64.

    Args:
        values: One dimension. int64 or uint64; other dtypes are left to NumPy.
    """
    if values.dtype not in (np.int64, np.uint64) or len(values) < 2:
        return np.argsort(values, kind="stable")
    if rising(values):
        return np.arange(len(values))
    least, of_position = values.min(), (len(values) - 1).bit_length()
    if (int(values.max()) - int(least)).bit_length() + of_position > BITS:
        return _by_upper_bits(values if values.dtype == np.uint64 else values.view(np.uint64) ^ SIGN)
    packed: NDArray[np.uint64] = (values - least).view(np.uint64)
    packed <<= np.uint64(of_position)
    packed |= np.arange(len(values), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << of_position) - 1)
    return packed.view(np.int64)


def _by_upper_bits(values: NDArray[np.uint64]) -> Int64:
    """The same for digests: the few of which the upper bits are equal are put in order afterwards."""
    low = np.uint64((1 << (len(values) - 1).bit_length()) - 1)
    packed = np.arange(len(values), dtype=np.uint64)
    packed |= values & ~low
    packed.sort()
    # Neighbours of which the upper bits are equal; in random digests they are few.
    near = np.flatnonzero((packed[1:] ^ packed[:-1]) <= low)
    inversions = near[values[packed[near + 1] & low] < values[packed[near] & low]]
    if len(inversions) > MAX_INVERSIONS:
        return np.argsort(values, kind="stable")
    starts = np.unique(packed[inversions] & ~low)
    runs = [slice(np.searchsorted(packed, start), np.searchsorted(packed, start | low, "right")) for start in starts]
    packed &= low
    order = packed.view(np.int64)
    for run in runs:
        order[run] = order[run][np.argsort(values[order[run]], kind="stable")]
    return order
