"""Copies of small batches: what the model was fed, to be looked at later."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from evalguard import nests

SMALL_BATCH = 1 << 16
_PLAIN = frozenset("biufc")
_ARRAYS = frozenset({"EagerTensor", "ndarray"})


class Copy(NamedTuple):
    """A batch of NumPy arrays, in the structure of the one copied (namedtuples become tuples).

    Attributes:
        batch: The copy.
        n_bytes: What it takes.
    """

    batch: Any
    n_bytes: int


def small_copy(batch: Any) -> Copy | None:
    """A copy of a batch of at most 64 KiB of plain numbers; None of any other."""
    size = 0
    copies = []
    for part in batch if type(batch) is tuple else (batch,):
        if type(part).__name__ in _ARRAYS:
            array = np.asarray(part)
            size += array.nbytes
            if size > SMALL_BATCH or array.dtype.kind not in _PLAIN or array.ndim == 0:
                return None
            copies.append(array.copy())
            continue
        inner = _copy_of_nest(part)
        if inner is None:
            return None
        copies.append(inner.batch)
        size += inner.n_bytes
    if size > SMALL_BATCH:
        return None
    return Copy(tuple(copies) if type(batch) is tuple else copies[0], size)


def _copy_of_nest(nest: Any) -> Copy | None:
    """The same of a dict, a list, a namedtuple or None."""
    found = nests.leaves(nest)
    if any(type(leaf).__name__ not in _ARRAYS for leaf in found):
        return None
    flat = small_copy(tuple(found))
    return None if flat is None else Copy(nests.map_leaves(np.array, nest), flat.n_bytes)
