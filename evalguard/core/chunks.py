"""Long arrays, some rows at a time: what is read off 10^8 rows needs the memory of one chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger[Any]]

ROWS = 1 << 16


def chunks(n_rows: int) -> Iterator[slice]:
    """Stretches of at most ``ROWS`` rows that follow each other."""
    for start in range(0, n_rows, ROWS):
        yield slice(start, min(start + ROWS, n_rows))


def small_type(*bounds: int) -> type[np.signedinteger[Any]]:
    """Integers of half the size where samples and rows up to these bounds fit."""
    return np.int32 if max(bounds) < np.iinfo(np.int32).max else np.int64


def counts_up(values: Ints, first: int = 0, modulo: int = 0) -> bool:
    """Whether the values are ``first``, ``first + 1``, …; with ``modulo``, of what is left of these."""
    for rows in chunks(len(values)):
        expected = np.arange(first + rows.start, first + rows.stop)
        if not np.array_equal(values[rows], expected % modulo if modulo else expected):
            return False
    return True


def first_true(mask: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    """The first places that are True, at most ``limit``."""
    found = np.zeros(0, dtype=np.int64)
    for rows in chunks(len(mask)):
        found = np.concatenate([found, np.flatnonzero(mask[rows])[:limit] + rows.start])
        if len(found) >= limit:
            break
    return found[:limit]
