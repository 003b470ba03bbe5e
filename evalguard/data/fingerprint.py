"""Row fingerprints: one uint64 (xxh3) for each row of inputs, as the model receives it.

A fingerprint covers the row's bytes, its dtype and its shape, for all inputs of
a tree together. Differences without a meaning are ignored: -0.0 equals 0.0, all
NaNs are equal, and trailing dimensions of size one are dropped.

float64 counts as float32, because a model casts it before it computes. If the
model computes in float64, a row stays in float64 unless float32 holds it exactly:
such a row may have been float32 before Keras cast it to float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks
from evalguard.data import tree
from evalguard.data.row_layout import (
    Leaf,
    LeafSpec,
    Ragged,
    cast_dtype,
    cast_leaf,
    dense_spec,
    element_dtype,
    hash_row,
    one_zero_one_nan,
    plain_leaf,
    row_shape,
    without_padding,
)

ALGORITHM = "xxh3-64/2"
# NumPy copies rows of up to this many bytes out in one call; longer rows are hashed in place.
SMALL_ROW = 2048

UInt64 = NDArray[np.uint64]


def row_fingerprints(
    x: Any, *, like: Sequence[LeafSpec] = (), pad_value: Any = None, float64: bool = False
) -> tuple[UInt64, tuple[LeafSpec, ...]]:
    """Fingerprints of the rows of a tree of inputs.

    Args:
        x: Tree of arrays, tensors, ragged or sparse tensors, or lists, each
            with ``n`` rows.
        like: Cast each input to this dtype and row shape first, as a loader
            would have done; for references.
        pad_value: Hash rows without trailing entries of this value along
            their first dimension.
        float64: The model computes in float64.

    Returns:
        uint64, shape ``(n,)``, and dtype and row shape of each input.

    Raises:
        ValueError: There is no input, or one is a scalar.
    """
    parts, specs = [], []
    for position, leaf in enumerate(tree.leaves(x)):
        wanted = like[position] if position < len(like) else None
        # Cast a reference only once: float64 to float32 to float16 would round twice.
        plain = cast_leaf(plain_leaf(leaf, float64=float64 or wanted is not None), wanted)
        if pad_value is not None:
            plain = without_padding(plain, pad_value)
        rows, spec = _float64_rows(plain) if element_dtype(plain) == np.float64 else _leaf_rows(plain)
        parts.append(rows)
        specs.append(spec)
    if not parts:
        msg = "expected at least one input array, found none"
        raise ValueError(msg)
    return together(parts), tuple(specs)


def together(parts: list[UInt64]) -> UInt64:
    """Combine columns of row digests into one digest for each row: uint64, shape ``(n,)``."""
    if len(parts) == 1:
        return parts[0]
    table = np.ascontiguousarray(np.stack(parts, axis=1))
    return _hash_bytes(table, table.itemsize * len(parts))


def _float64_rows(leaf: Leaf) -> tuple[UInt64, LeafSpec]:
    rows, spec = _leaf_rows(leaf)
    as_float32 = cast_dtype(leaf, "float32")
    return np.where(_differ(leaf, as_float32), rows, _leaf_rows(as_float32)[0]), spec


def _differ(leaf: Leaf, other: Leaf) -> NDArray[np.bool_]:
    """Which rows differ in a value that is not NaN: bool, shape ``(n,)``."""
    if isinstance(leaf, Ragged) and isinstance(other, Ragged):
        before = np.concatenate([[0], np.cumsum(_differ(leaf.values, other.values))])
        differ = before[leaf.splits[1:]] > before[leaf.splits[:-1]]
    else:
        values = np.asarray(leaf)
        differ = ((values != other) & (values == values)).any(axis=tuple(range(1, values.ndim)))
    return np.asarray(differ, dtype=np.bool_)


def _leaf_rows(leaf: Leaf) -> tuple[UInt64, LeafSpec]:
    if isinstance(leaf, Ragged):
        return _ragged_rows(leaf)
    if leaf.dtype.kind in "OSU":
        return _text_rows(leaf)
    spec = dense_spec(leaf.dtype, leaf.shape[1:])
    size = leaf.nbytes // len(leaf) if len(leaf) else 0
    rows = _hash_bytes(one_zero_one_nan(leaf), size)
    return rows ^ spec.seed, spec


def _hash_bytes(array: NDArray[Any], size: int) -> UInt64:
    n_rows = len(array)
    if size == 0:
        return np.full(n_rows, hash_row(b""), dtype=np.uint64)
    raw = array.reshape(-1).view(np.uint8)
    rows: Iterable[Any]
    if size <= SMALL_ROW:
        # In chunks, because rows take many times their memory as Python objects.
        parts = (raw[part.start * size : part.stop * size].view(f"V{size}").tolist() for part in chunks(n_rows))
        rows = itertools.chain.from_iterable(parts)
    else:
        view = raw.data
        rows = (view[start : start + size] for start in range(0, n_rows * size, size))
    return np.fromiter(map(hash_row, rows), dtype=np.uint64, count=n_rows)


def _ragged_rows(leaf: Ragged) -> tuple[UInt64, LeafSpec]:
    values, splits = leaf.values, leaf.splits
    if isinstance(values, Ragged) or values.dtype.kind in "OSU":
        inner, inner_spec = _leaf_rows(values)
        spec = LeafSpec(inner_spec.dtype, None, inner_spec.shape or ())
        values = inner
    else:
        spec = LeafSpec(values.dtype.name, None, row_shape(values.shape[1:]))
        values = one_zero_one_nan(values)
    bounds = splits.tolist()
    rows = [hash_row(values[start:stop].tobytes()) for start, stop in itertools.pairwise(bounds)]
    return np.asarray(rows, dtype=np.uint64) ^ spec.seed, spec


def _text_rows(leaf: NDArray[Any]) -> tuple[UInt64, LeafSpec]:
    # Not -1: NumPy cannot infer the second dimension of an empty batch.
    flat = leaf.reshape(len(leaf), math.prod(leaf.shape[1:])).tolist()
    spec = LeafSpec("str", row_shape(leaf.shape[1:]))
    rows = [hash_row(b"".join(_framed(item) for item in row)) for row in flat]
    return np.asarray(rows, dtype=np.uint64) ^ spec.seed, spec


def _framed(item: Any) -> bytes:
    # The length comes first, so that ["ab", "c"] and ["a", "bc"] differ. `surrogatepass`, because file names on Linux
    # may hold bytes that are not UTF-8.
    text = item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text
