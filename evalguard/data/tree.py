"""Trees of arrays, as Keras accepts them: dict, list and tuple, walked without importing a framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BY_DLPACK = frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


def leaves(structure: Any) -> list[Any]:
    """The leaves in Keras' order: sequences in order, mappings by sorted key; None is not a leaf."""
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return [leaf for name in sorted(structure) for leaf in leaves(structure[name])]
    if isinstance(structure, (list, tuple)) and _is_sequence_of_inputs(structure):
        return [leaf for part in structure for leaf in leaves(part)]
    return [structure]


def _is_sequence_of_inputs(sequence: Any) -> bool:
    """Whether a sequence holds inputs; a list of numbers or strings is one input itself."""
    if not sequence:
        return True
    first = sequence[0]
    if isinstance(first, (list, tuple)):
        return _is_sequence_of_inputs(first)
    return not isinstance(first, (bool, int, float, complex, str, bytes))


def as_array(leaf: Any) -> NDArray[Any]:
    """A leaf as an array, without a copy where possible: ``np.asarray``, and faster for tensors.

    To convert a tensor, TensorFlow releases the GIL (tensorflow 2.21,
    ``ndarray_tensor.cc``): a thread that makes the next batch then runs first, and
    the model waits. DLPack keeps the GIL. Text, dtypes without DLPack code and
    memory of another device are converted by ``np.asarray``.
    """
    if type(leaf) is np.ndarray:
        return leaf
    # Only dtypes of this list: for others some releases abort the process instead of raising (text: tensorflow 2.21).
    if type(leaf).__name__ == "EagerTensor" and leaf.dtype.name in _BY_DLPACK and hasattr(leaf, "__dlpack__"):
        try:
            return np.from_dlpack(leaf)
        except Exception:  # noqa: BLE001 - memory of another device; each library raises another class of error
            return np.asarray(leaf)
    return np.asarray(leaf)


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same tree with ``function`` applied to each leaf; namedtuples become tuples."""
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return {name: map_leaves(function, part) for name, part in structure.items()}
    if isinstance(structure, list):
        return [map_leaves(function, part) for part in structure]
    if isinstance(structure, tuple):
        return tuple(map_leaves(function, part) for part in structure)
    return function(structure)


def n_rows(structure: Any) -> int | None:
    """Rows of the first leaf; None if there is no leaf or it has no first dimension."""
    for leaf in leaves(structure):
        shape = getattr(leaf, "shape", None)
        if shape is not None:
            try:
                return int(shape[0])
            except (IndexError, TypeError, ValueError):
                return None
        try:
            return len(leaf)
        except TypeError:
            return None
    return None


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """``(x, y, sample_weight)`` of a batch, as ``keras.utils.unpack_x_y_sample_weight`` reads it."""
    if isinstance(batch, list):
        batch = tuple(batch)
    if not isinstance(batch, tuple):
        return batch, None, None
    return (*batch, None, None)[:3] if batch else (None, None, None)


def pack(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch as ``keras.utils.pack_x_y_sample_weight`` packs it (keras 3.15, data_adapter_utils.py)."""
    if y is None:
        return x if not isinstance(x, (tuple, list)) else (x,)
    return (x, y) if sample_weight is None else (x, y, sample_weight)
