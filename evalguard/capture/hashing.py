"""Digests of the numbers of a batch, which are equal before and after Keras converts it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.core.own_errors import not_ours, swallow
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints

_FLOAT32 = np.dtype(np.float32)
# Dtypes of numbers, in native byte order only.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPefdFD")
# Floats that count as float32, because some adapters of Keras cast them.
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
    """The leaves of a batch as arrays, without a copy."""
    return [tree.as_array(leaf) for leaf in tree.leaves(batch)]


def has_float64(batch: Any) -> bool:
    """Whether a part of a batch is float64, which some adapters of Keras cast to float32."""
    return any(getattr(leaf, "dtype", None) == np.float64 for leaf in tree.leaves(batch))


def row_digests(batch: Any, n_rows: int, *, float64: bool = False) -> NDArray[np.int64]:
    """One digest for each row over all parts, text included: int64, shape ``(n_rows,)``.

    All digests are 0 if an input has another number of rows or cannot be read.

    Args:
        batch: A tree of arrays or tensors.
        n_rows: Rows of the batch; other parts than inputs are left out if they have another number.
        float64: Hash float64 as it is; otherwise all floats are hashed as float32.
    """
    leaves = [leaf for leaf in tree.leaves(batch) if hasattr(leaf, "shape") and tree.n_rows(leaf) == n_rows]
    inputs = tree.leaves(batch[0] if isinstance(batch, tuple) else batch)
    if not {id(leaf) for leaf in inputs} <= {id(leaf) for leaf in leaves}:
        return np.zeros(n_rows, dtype=np.int64)
    parts = [_comparable(leaf) for leaf in leaves]
    try:
        with not_ours():
            return row_fingerprints(parts, float64=float64)[0].view(np.int64)
    except Exception as error:  # noqa: BLE001 - a batch that cannot be hashed is not known
        swallow(error)
        return np.zeros(n_rows, dtype=np.int64)


def _comparable(leaf: Any) -> Any:
    """A part in native byte order, with all floats except float64 as float32, because Keras may have cast them."""
    if isinstance(leaf, np.ndarray) and not leaf.dtype.isnative:
        leaf = leaf.astype(leaf.dtype.newbyteorder("="))
    if not _is_plain(leaf):
        return leaf
    array = tree.as_array(leaf)
    return array if array.dtype == np.float64 else _as_float32(array)


def digest(batch: Any, *, float64: bool = False) -> int:
    """One digest of all arrays of a batch, independent of the structure that holds them.

    Floats are hashed as float32. With ``float64``, a float64 array is hashed as
    float32 only if float32 holds all its values exactly.
    """
    batch_digest = 0
    for array in arrays_of(batch):
        numbers = _as_float32(array)
        if float64 and array.dtype == np.float64 and not np.array_equal(numbers, array, equal_nan=True):
            numbers = array
        batch_digest = _hash(numbers.data if numbers.flags.c_contiguous else numbers.tobytes(), batch_digest)
    return batch_digest


def _as_float32(array: NDArray[Any]) -> NDArray[Any]:
    # Some adapters cast to float32 (tf_keras 2.21, engine/data_adapter.py:1140), others do not. bfloat16 is not a dtype
    # of NumPy itself and has kind V.
    return array.astype(np.float32) if array.dtype.kind in "fV" and array.dtype != _FLOAT32 else array
