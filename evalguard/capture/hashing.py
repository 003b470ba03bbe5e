"""One digest of all numbers of a batch, equal before and after Keras converts it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints

_FLOAT32 = np.dtype(np.float32)
# Native byte order only.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPefdFD")
# Floats that count as float32: adapters cast some of them on the way.
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_hash = xxhash.xxh3_64_intdigest


def can_digest(structure: Any) -> bool:
    """Whether all leaves are arrays or tensors of numbers that Keras feeds unchanged, but for the float type."""
    found = tree.leaves(structure)
    return bool(found) and all(map(_is_plain, found))


def numbers_of(structure: Any) -> list[Any]:
    """The leaves that can be digested."""
    return [leaf for leaf in tree.leaves(structure) if _is_plain(leaf)]


def _is_plain(leaf: Any) -> bool:
    if isinstance(leaf, np.ndarray):
        return (leaf.dtype in NATIVE or leaf.dtype.name == "bfloat16") and leaf.ndim > 0
    if type(leaf).__name__ == "EagerTensor":
        dtype = leaf.dtype
        return bool(leaf.ndim) and (dtype.is_integer or dtype.is_bool or dtype.name in _FLOATS)
    return False


def arrays_of(batch: Any) -> list[NDArray[Any]]:
    """The leaves of a batch as arrays, in the memory in which they lie."""
    return [tree.as_array(leaf) for leaf in tree.leaves(batch)]


def row_digests(batch: Any, n_rows: int) -> NDArray[np.int64]:
    """One digest of the numbers in each row of a batch, as ``digest`` reads them."""
    rows = [_as_float32(array) for array in arrays_of(numbers_of(batch)) if len(array) == n_rows]
    return row_fingerprints(rows)[0].view(np.int64) if rows else np.zeros(n_rows, dtype=np.int64)


def digest(batch: Any) -> int:
    """One digest of all arrays of a batch, whatever structure holds them; floats count as float32."""
    batch_digest = 0
    for array in arrays_of(batch):
        numbers = _as_float32(array)
        batch_digest = _hash(numbers.data if numbers.flags.c_contiguous else numbers.tobytes(), batch_digest)
    return batch_digest


def _as_float32(array: NDArray[Any]) -> NDArray[Any]:
    # Some adapters cast to float32 on the way (tf_keras 2.21, engine/data_adapter.py:1140), others do not. bfloat16,
    # which NumPy does not know itself, is of kind V.
    return array.astype(np.float32) if array.dtype.kind in "fV" and array.dtype != _FLOAT32 else array
