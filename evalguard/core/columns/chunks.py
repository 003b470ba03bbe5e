"""Long arrays in chunks of rows: reading 10^8 rows needs the memory of one chunk only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger[Any]]

ROWS = 1 << 16


def chunks(n_rows: int) -> Iterator[slice]:
    """Consecutive slices of at most ``ROWS`` rows."""
    for start in range(0, n_rows, ROWS):
        yield slice(start, min(start + ROWS, n_rows))


def small_type(*bounds: int) -> type[np.signedinteger[Any]]:
    """int32 if values up to these bounds fit, else int64."""
    return np.int32 if max(bounds) < np.iinfo(np.int32).max else np.int64


def counts_up(values: Ints, first: int = 0, modulo: int = 0) -> bool:
    """Whether the values are ``first``, ``first + 1``, …, each ``% modulo`` if that is given."""
    for rows in chunks(len(values)):
        expected = np.arange(first + rows.start, first + rows.stop)
        if not np.array_equal(values[rows], expected % modulo if modulo else expected):
            return False
    return True


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether both arrays have the same length and values."""
    return len(one) == len(other) and all(np.array_equal(one[rows], other[rows]) for rows in chunks(len(one)))


def rising(values: NDArray[Any]) -> bool:
    """Whether each value is greater than the one before."""
    return all((values[rows.start + 1 : rows.stop + 1] > values[rows]).all() for rows in chunks(len(values) - 1))


def n_distinct(values: NDArray[np.integer[Any]]) -> int:
    """Number of distinct integers, ``len(np.unique(values))``."""
    # Not `np.unique`: since NumPy 2.3 it uses a hash table, which is many times slower on this many values.
    ordered = np.sort(values)
    return min(len(ordered), 1) + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def first_true(mask: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    """The positions of the first True values, at most ``limit``."""
    found = np.zeros(0, dtype=np.int64)
    for rows in chunks(len(mask)):
        found = np.concatenate([found, np.flatnonzero(mask[rows])[:limit] + rows.start])
        if len(found) >= limit:
            break
    return found[:limit]
