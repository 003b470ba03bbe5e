"""One digest of all numbers of a batch, equal before and after Keras converts it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.core.own_errors import not_ours, swallow
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints

_FLOAT32 = np.dtype(np.float32)
# Native byte order only.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPefdFD")
# Floats that count as float32: adapters cast some of them on the way.
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_hash = xxhash.xxh3_64_intdigest


def can_digest(structure: Any) -> bool:
    """Whether all leaves are arrays or tensors of numbers that Keras feeds unchanged, except for the float type."""
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


def has_float64(batch: Any) -> bool:
    """Whether some part of a batch is float64, which some adapters cast to float32."""
    return any(getattr(leaf, "dtype", None) == np.float64 for leaf in tree.leaves(batch))


def row_digests(batch: Any, n_rows: int, *, float64: bool = False) -> NDArray[np.int64]:
    """One digest of each row of all parts, text too, with floats as float32 or as they are.

    0 where an input has other rows, or cannot be read.
    """
    leaves = [leaf for leaf in tree.leaves(batch) if hasattr(leaf, "shape") and tree.n_rows(leaf) == n_rows]
    inputs = tree.leaves(batch[0] if isinstance(batch, tuple) else batch)
    if not {id(leaf) for leaf in inputs} <= {id(leaf) for leaf in leaves}:
        return np.zeros(n_rows, dtype=np.int64)
    parts = [_comparable(leaf) for leaf in leaves]
    try:
        with not_ours():
            return row_fingerprints(parts, float64=float64)[0].view(np.int64)
    except Exception as error:  # noqa: BLE001 - parts without rows stay with their tag
        swallow(error)
        return np.zeros(n_rows, dtype=np.int64)


def _comparable(leaf: Any) -> Any:
    """A part in the byte order and the float type that it may have after Keras."""
    if isinstance(leaf, np.ndarray) and not leaf.dtype.isnative:
        leaf = leaf.astype(leaf.dtype.newbyteorder("="))
    if not _is_plain(leaf):
        return leaf
    array = tree.as_array(leaf)
    return array if array.dtype == np.float64 else _as_float32(array)


def digest(batch: Any, *, float64: bool = False) -> int:
    """One digest of all arrays of a batch, whatever structure holds them.

    Floats count as float32; with ``float64`` only those that float32 holds exactly.
    """
    batch_digest = 0
    for array in arrays_of(batch):
        numbers = _as_float32(array)
        if float64 and array.dtype == np.float64 and not np.array_equal(numbers, array, equal_nan=True):
            numbers = array
        batch_digest = _hash(numbers.data if numbers.flags.c_contiguous else numbers.tobytes(), batch_digest)
    return batch_digest


def _as_float32(array: NDArray[Any]) -> NDArray[Any]:
    # Some adapters cast to float32 on the way (tf_keras 2.21, engine/data_adapter.py:1140), others do not. bfloat16,
    # which NumPy does not know itself, is of kind V.
    return array.astype(np.float32) if array.dtype.kind in "fV" and array.dtype != _FLOAT32 else array
