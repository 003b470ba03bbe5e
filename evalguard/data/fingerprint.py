"""Row fingerprints: one uint64 (xxh3) for each row of inputs, as the model is fed it.

A fingerprint covers the row's bytes, its dtype and its shape, for all inputs of
a nest together. So -0.0 differs from 0.0 and a NaN equals the NaN with the same
payload. Two differences are levelled out, since Keras levels them out before
the model computes: float64 counts as float32, and a trailing dimension of size
one counts as none.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.data import tree

ALGORITHM = "xxh3-64/1"
# Rows up to this many bytes are cut out by numpy in one go; longer ones are hashed where they lie.
SMALL_ROW = 2048

UInt64 = NDArray[np.uint64]
_hash = xxhash.xxh3_64_intdigest


@functools.lru_cache(maxsize=1024)
def _seed(dtype: str, shape: tuple[int, ...] | None, tail: tuple[int, ...]) -> np.uint64:
    return np.uint64(_hash(f"{dtype}|{shape}|{tail}".encode()))


@functools.lru_cache(maxsize=1024)
def _dense_spec(dtype: np.dtype[Any], shape: tuple[int, ...]) -> LeafSpec:
    return LeafSpec(dtype.name, _row_shape(shape))


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """How one input looks to the model.

    Attributes:
        dtype: NumPy name, or ``str``.
        shape: Shape of a row without trailing ones; None where rows differ in
            length, then ``tail`` is the shape behind the first row dimension.
        tail: See ``shape``.
    """

    dtype: str
    shape: tuple[int, ...] | None
    tail: tuple[int, ...] = ()

    def __str__(self) -> str:
        """For messages: ``float32(28, 28)``."""
        sizes = ["varying", *map(str, self.tail)] if self.shape is None else [*map(str, self.shape)]
        return f"{self.dtype}({', '.join(sizes)})"

    @property
    def seed(self) -> np.uint64:
        """What sets rows of equal bytes but other dtype or shape apart."""
        return _seed(self.dtype, self.shape, self.tail)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: row ``i`` is ``values[splits[i]:splits[i + 1]]``."""

    values: Any
    splits: NDArray[np.int64]


Leaf = NDArray[Any] | Ragged


def row_fingerprints(
    x: Any, *, like: Sequence[LeafSpec] = (), pad_value: Any = None
) -> tuple[UInt64, tuple[LeafSpec, ...]]:
    """Fingerprints of the rows of a nest of inputs.

    Args:
        x: Nest of arrays, tensors, ragged or sparse tensors, or lists, each
            with ``n`` rows.
        like: Bring each input to this dtype and row shape first, as a loader
            would have done; for references.
        pad_value: Compare rows without trailing entries of this value along
            their first dimension.

    Returns:
        uint64, shape ``(n,)``, and how each input looked.
    """
    parts, specs = [], []
    for position, leaf in enumerate(tree.leaves(x)):
        wanted = like[position] if position < len(like) else None
        plain = _cast(_plain(leaf), wanted)
        if pad_value is not None:
            plain = _without_padding(plain, pad_value)
        rows, spec = _leaf_rows(plain)
        parts.append(rows)
        specs.append(spec)
    if not parts:
        msg = "expected at least one input array, found none"
        raise ValueError(msg)
    return _together(parts), tuple(specs)


def chosen_fingerprints(
    x: Any, choose: Callable[[int], NDArray[np.int64]], *, like: Sequence[LeafSpec] = (), pad_value: Any = None
) -> tuple[UInt64, tuple[LeafSpec, ...]]:
    """Fingerprints of some rows only.

    Args:
        x: As for ``row_fingerprints``.
        choose: Is told the number of rows, gives those that are wanted.
        like: As for ``row_fingerprints``.
        pad_value: As for ``row_fingerprints``.

    Returns:
        uint64, shape ``(k,)``, and how each input looked.
    """
    leaves = tree.leaves(x)
    if leaves and all(is_dense(leaf) for leaf in leaves):
        rows = choose(len(tree.numbers(leaves[0])))
        x = tree.map_leaves(lambda leaf: tree.numbers(leaf)[rows], x)
        return row_fingerprints(x, like=like, pad_value=pad_value)
    # Rows of different lengths lie one behind the other: they are told apart where they are fingerprinted.
    found, specs = row_fingerprints(x, like=like, pad_value=pad_value)
    return found[choose(len(found))], specs


def is_dense(leaf: Any) -> bool:
    """Whether any row of a leaf can be had by itself, in no time."""
    return type(leaf).__name__ == "EagerTensor" or (isinstance(leaf, np.ndarray) and leaf.ndim > 0)


def _together(parts: list[UInt64]) -> UInt64:
    if len(parts) == 1:
        return parts[0]
    table = np.ascontiguousarray(np.stack(parts, axis=1))
    return _hash_bytes(table, table.itemsize * len(parts))


def _leaf_rows(leaf: Leaf) -> tuple[UInt64, LeafSpec]:
    if isinstance(leaf, Ragged):
        return _ragged_rows(leaf)
    if leaf.dtype.kind in "OSU":
        return _text_rows(leaf)
    spec = _dense_spec(leaf.dtype, leaf.shape[1:])
    size = leaf.nbytes // len(leaf) if len(leaf) else 0
    rows = _hash_bytes(np.ascontiguousarray(leaf), size)
    return rows ^ spec.seed, spec


def _hash_bytes(array: NDArray[Any], size: int) -> UInt64:
    n_rows = len(array)
    if size == 0:
        return np.full(n_rows, _hash(b""), dtype=np.uint64)
    raw = array.reshape(-1).view(np.uint8)
    if size <= SMALL_ROW:
        rows = raw.view(f"V{size}").tolist()
    else:
        view = raw.data
        rows = [view[start : start + size] for start in range(0, n_rows * size, size)]
    return np.fromiter(map(_hash, rows), dtype=np.uint64, count=n_rows)


def _ragged_rows(leaf: Ragged) -> tuple[UInt64, LeafSpec]:
    values, splits = leaf.values, leaf.splits
    if isinstance(values, Ragged) or values.dtype.kind in "OSU":
        inner, inner_spec = _leaf_rows(values)
        spec = LeafSpec(inner_spec.dtype, None, inner_spec.shape or ())
        values = inner
    else:
        spec = LeafSpec(values.dtype.name, None, _row_shape(values.shape[1:]))
        values = np.ascontiguousarray(values)
    bounds = splits.tolist()
    rows = [_hash(values[start:stop].tobytes()) for start, stop in itertools.pairwise(bounds)]
    return np.asarray(rows, dtype=np.uint64) ^ spec.seed, spec


def _text_rows(leaf: NDArray[Any]) -> tuple[UInt64, LeafSpec]:
    flat = leaf.reshape(len(leaf), -1).tolist()
    spec = LeafSpec("str", _row_shape(leaf.shape[1:]))
    rows = [_hash(b"".join(_framed(item) for item in row)) for row in flat]
    return np.asarray(rows, dtype=np.uint64) ^ spec.seed, spec


def _framed(item: Any) -> bytes:
    text = item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text


def _row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return tuple(int(size) for size in shape)


def _plain(leaf: Any) -> Leaf:
    """A leaf as numpy, float64 as float32, without copying where it can be helped."""
    if type(leaf).__name__ == "EagerTensor":  # by far the commonest; a tensor is slow to say what it has not
        return _array_plain(tree.numbers(leaf))
    if hasattr(leaf, "row_splits"):  # tf.RaggedTensor
        return Ragged(_plain(leaf.values), np.asarray(leaf.row_splits, dtype=np.int64))
    if hasattr(leaf, "dense_shape"):  # tf.SparseTensor
        return _plain(_dense_from_sparse(leaf))
    if hasattr(leaf, "toarray"):  # scipy.sparse
        return _plain(leaf.toarray())
    array = _array(leaf)
    if array is None:
        return _ragged_from_list(leaf)
    if array.dtype == object and array.ndim == 1 and len(array) and isinstance(array[0], (np.ndarray, list)):
        return _ragged_from_list(array.tolist())
    return _array_plain(array)


def _array_plain(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 0:
        msg = "expected inputs with a row dimension, found a scalar"
        raise ValueError(msg)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _array(leaf: Any) -> NDArray[Any] | None:
    try:
        return np.asarray(leaf)
    except ValueError:  # a list of rows of different lengths
        return None


def _dense_from_sparse(leaf: Any) -> NDArray[Any]:
    values, indices = np.asarray(leaf.values), np.asarray(leaf.indices)
    dense = np.zeros(tuple(int(size) for size in np.asarray(leaf.dense_shape)), dtype=values.dtype)
    dense[tuple(indices.T)] = values
    return dense


def _ragged_from_list(rows: Sequence[Any]) -> Ragged:
    arrays = [np.asarray(row) for row in rows]
    splits = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    filled = [array for array in arrays if len(array)] or arrays[:1]
    values = np.concatenate(filled)
    return Ragged(values.astype(np.float32) if values.dtype == np.float64 else values, splits)


def _cast(leaf: Leaf, wanted: LeafSpec | None) -> Leaf:
    """A reference as a loader would have fed it: other number type, other form of the same row."""
    if wanted is None or wanted.dtype == "str":
        return leaf
    if isinstance(leaf, Ragged):
        values = leaf.values if isinstance(leaf.values, Ragged) else _cast_dtype(leaf.values, wanted.dtype)
        return Ragged(values, leaf.splits)
    leaf = _cast_dtype(leaf, wanted.dtype)
    same_size = wanted.shape is not None and len(leaf) and leaf[0].size == int(np.prod(wanted.shape))
    if same_size and wanted.shape is not None and _squeezed(leaf.shape[1:]) == _squeezed(wanted.shape):
        return leaf.reshape(len(leaf), *wanted.shape)
    return leaf


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _cast_dtype(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype.name == name or array.dtype.kind in "OSU":
        return array
    dtype = _dtype(name)
    if array.dtype.kind == "f" and dtype.kind in "iub":
        # Fed as whole numbers: equal only if nothing is lost, or another preprocessing would look alike.
        with np.errstate(invalid="ignore"):
            whole = array.astype(dtype)
        return whole if np.array_equal(whole, array) else array
    return array.astype(dtype)


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:  # bfloat16 and float8 come with ml_dtypes, which TensorFlow and JAX bring
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return dtype


def _without_padding(leaf: Leaf, pad_value: Any) -> Leaf:
    """Rows without trailing entries of ``pad_value`` along their first dimension."""
    if isinstance(leaf, Ragged) or leaf.ndim < 2:
        return leaf
    pad = pad_value.encode() if isinstance(pad_value, str) and leaf.dtype.kind in "OS" else pad_value
    filled = (leaf != pad).reshape(leaf.shape[0], leaf.shape[1], -1).any(axis=2)
    lengths = np.where(filled.any(axis=1), leaf.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    keep = np.arange(leaf.shape[1]) < lengths[:, None]
    return Ragged(leaf[keep], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def is_padding(x: Any, pad_value: Any) -> NDArray[np.bool_]:
    """Rows that consist of ``pad_value`` only, in every input: bool, shape ``(n,)``."""
    flags = []
    for leaf in tree.leaves(x):
        plain = _plain(leaf)
        if isinstance(plain, Ragged):
            flags.append(np.diff(plain.splits) == 0)
        else:
            pad = pad_value.encode() if isinstance(pad_value, str) and plain.dtype.kind in "OS" else pad_value
            flags.append((plain == pad).reshape(len(plain), -1).all(axis=1))
    combined: NDArray[np.bool_] = np.logical_and.reduce(flags)
    return combined


Choice = Callable[[Any], Any]
