"""Bring inputs into one layout for hashing: sparse as dense, lists as ragged, cast, without padding."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.data import tree

hash_row = xxhash.xxh3_64_intdigest


@functools.lru_cache(maxsize=1024)
def _seed(dtype: str, shape: tuple[int, ...] | None, tail: tuple[int, ...]) -> np.uint64:
    return np.uint64(hash_row(f"{dtype}|{shape}|{tail}".encode()))


@functools.lru_cache(maxsize=1024)
def dense_spec(dtype: np.dtype[Any], shape: tuple[int, ...]) -> LeafSpec:
    """The spec of a dense leaf."""
    return LeafSpec(dtype.name, row_shape(shape))


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """Dtype and row shape of one input, as the model receives it.

    Attributes:
        dtype: NumPy name, or ``str``.
        shape: Shape of a row without trailing ones; None if rows differ in
            length.
        tail: If rows differ in length, the shape of a row without its first
            dimension.
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
        """A hash of dtype and shape, so that rows of equal bytes but other dtype or shape differ."""
        return _seed(self.dtype, self.shape, self.tail)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: row ``i`` is ``values[splits[i]:splits[i + 1]]``."""

    values: Any
    splits: NDArray[np.int64]


Leaf = NDArray[Any] | Ragged
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


def row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one row, without trailing axes of length one."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return tuple(int(size) for size in shape)


def plain_leaf(leaf: Any, *, float64: bool = False) -> Leaf:
    """A leaf as a NumPy array or ``Ragged``, copied only if necessary; float64 becomes float32 unless ``float64``.

    Raises:
        ValueError: It is a scalar.
    """
    plain = _plain_leaf(leaf)
    return plain if float64 or element_dtype(plain) != np.float64 else cast_dtype(plain, "float32")


def element_dtype(leaf: Leaf) -> np.dtype[Any]:
    """The dtype of the values of a leaf."""
    while isinstance(leaf, Ragged):
        leaf = leaf.values
    return leaf.dtype


def _plain_leaf(leaf: Any) -> Leaf:
    # First, because it is the usual case and `hasattr` is slow on a tensor that lacks the attribute: its `__getattr__`
    # repeats the lookup (tensorflow 2.21, python/framework/tensor.py:251).
    if type(leaf).__name__ == "EagerTensor":
        return _array_plain_leaf(tree.as_array(leaf))
    if hasattr(leaf, "row_splits"):  # tf.RaggedTensor
        return Ragged(_plain_leaf(leaf.values), np.asarray(leaf.row_splits, dtype=np.int64))
    if hasattr(leaf, "dense_shape"):  # tf.SparseTensor
        return _plain_leaf(_dense_from_sparse(leaf))
    if hasattr(leaf, "toarray"):  # scipy.sparse
        return _plain_leaf(leaf.toarray())
    array = _array(leaf)
    if array is None:
        return _ragged_from_list(leaf)
    if array.dtype == object and array.ndim == 1 and len(array) and isinstance(array[0], (np.ndarray, list)):
        return _ragged_from_list(array.tolist())
    return _array_plain_leaf(array)


def _array_plain_leaf(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 0:
        msg = "expected inputs with a row dimension, found a scalar"
        raise ValueError(msg)
    return array


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
    return Ragged(np.concatenate(filled), splits)


def cast_leaf(leaf: Leaf, wanted: LeafSpec | None) -> Leaf:
    """Cast a reference to the dtype and row shape that the model received, as a loader would have done."""
    if wanted is None or wanted.dtype == "str":
        return leaf
    leaf = cast_dtype(leaf, wanted.dtype)
    if isinstance(leaf, Ragged):
        return leaf
    same_size = wanted.shape is not None and len(leaf) and leaf.size // len(leaf) == int(np.prod(wanted.shape))
    if same_size and wanted.shape is not None and _squeezed(leaf.shape[1:]) == _squeezed(wanted.shape):
        return leaf.reshape(len(leaf), *wanted.shape)
    return leaf


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def cast_dtype(leaf: Leaf, name: str) -> Leaf:
    """A leaf of numbers in another dtype. Text is returned unchanged, and so are fractions if that is an integer."""
    if isinstance(leaf, Ragged):
        return Ragged(cast_dtype(leaf.values, name), leaf.splits)
    if leaf.dtype.name == name or leaf.dtype.kind in "OSU":
        return leaf
    dtype = _dtype(name)
    # A number too large for the dtype becomes infinite, as in Keras' own cast.
    with np.errstate(invalid="ignore", over="ignore"):
        cast = leaf.astype(dtype)
    # The model received integers. Rounding the reference could make rows of another preprocessing match.
    lossy = leaf.dtype.kind == "f" and dtype.kind in "iub" and not np.array_equal(cast, leaf)
    return leaf if lossy else cast


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except TypeError:  # bfloat16 and float8 come with ml_dtypes, which TensorFlow and JAX bring
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return dtype


def one_zero_one_nan(array: NDArray[Any]) -> NDArray[Any]:
    """A contiguous array with 0.0 for -0.0 and the same bits for every NaN; not copied if it has neither."""
    array = np.ascontiguousarray(array)
    dtype = array.dtype
    if dtype.kind == "c":
        return one_zero_one_nan(array.view(array.real.dtype)).view(dtype)
    negative_zero = _negative_zero(dtype)
    if negative_zero is None or not array.size:
        return array
    # Two passes that allocate nothing. Adding 0.0 to every array takes more than twice as long on images.
    flat = array.reshape(-1)
    bits = flat.view(negative_zero.dtype)
    if bits[bits.argmin()] == negative_zero:
        array = array + dtype.type(0)
    # `argmax` finds the first NaN if there is one. On float16 it is slower than a test of all values.
    has_nan = np.isnan(flat).any() if dtype.itemsize == 2 else np.isnan(flat[flat.argmax()])
    return np.where(np.isnan(array), dtype.type(np.nan), array) if has_nan else array


@functools.lru_cache(maxsize=64)
def _negative_zero(dtype: np.dtype[Any]) -> Any:
    """The bits of -0.0 as an integer, which is the lowest of its size; None for other dtypes."""
    return np.array(-0.0, dtype).view(f"i{dtype.itemsize}")[()] if dtype.name in _FLOATS else None


def without_padding(leaf: Leaf, pad_value: Any) -> Leaf:
    """Rows without trailing entries of ``pad_value`` along their first dimension."""
    if isinstance(leaf, Ragged) or leaf.ndim < 2:
        return leaf
    pad = pad_value.encode() if isinstance(pad_value, str) and leaf.dtype.kind in "OS" else pad_value
    filled = (leaf != pad).any(axis=tuple(range(2, leaf.ndim)))
    lengths = np.where(filled.any(axis=1), leaf.shape[1] - filled[:, ::-1].argmax(axis=1), 0)
    keep = np.arange(leaf.shape[1]) < lengths[:, None]
    return Ragged(leaf[keep], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def is_padding(x: Any, pad_value: Any, *, float64: bool = False) -> NDArray[np.bool_]:
    """Which rows consist of ``pad_value`` only, in every input: bool, shape ``(n,)``."""
    flags = []
    for leaf in tree.leaves(x):
        plain = plain_leaf(leaf, float64=float64)
        if isinstance(plain, Ragged):
            flags.append(np.diff(plain.splits) == 0)
        else:
            pad = pad_value.encode() if isinstance(pad_value, str) and plain.dtype.kind in "OS" else pad_value
            flags.append((plain == pad).all(axis=tuple(range(1, plain.ndim))))
    combined: NDArray[np.bool_] = np.logical_and.reduce(flags)
    return combined
