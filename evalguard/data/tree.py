"""Trees of arrays, as Keras accepts them: dict, list and tuple, walked without importing a framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.own_errors import not_ours

_BY_DLPACK = frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})

# Class names of dense arrays, so that TensorFlow need not be imported. Ragged and sparse tensors have other names.
ARRAYS = frozenset({"EagerTensor", "ndarray"})


class RowsError(ValueError):
    """The inputs of a batch are not rows, one for each sample; the message goes into the report."""


def leaves(structure: Any) -> list[Any]:
    """The leaves in Keras' order: sequences in order, mappings by sorted key; None is not a leaf."""
    # First an array, then a flat tuple: nearly every batch is one of them, and this runs between two steps of a model.
    if type(structure) is np.ndarray:
        return [structure]
    if type(structure) is tuple and {type(part).__name__ for part in structure} <= ARRAYS:
        return list(structure)
    if structure is None:
        return []
    if isinstance(structure, (list, tuple)) and _is_sequence_of_inputs(structure):
        return [leaf for part in structure for leaf in leaves(part)]
    if isinstance(structure, Mapping):
        return [leaf for name in sorted(structure) for leaf in leaves(structure[name])]
    return [] if _is_absent(structure) else [structure]


def _is_absent(leaf: Any) -> bool:
    """Whether a leaf is None or an empty ``tf.experimental.Optional``, which stands for None in a dataset.

    Keras replaces a None from a generator by an empty Optional, and converts that back before the model computes
    (keras 3.15, ``generator_data_adapter.py:42``; ``backend/tensorflow/trainer.py:115``, ``_autoconvert_optionals``).
    The class is recognised by name, because this runs for each leaf of each batch; ``tests/data/test_tree.py`` fails if
    the name changes.
    """
    return leaf is None or (type(leaf).__name__ == "_OptionalImpl" and not leaf.has_value())


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
    """The same tree with ``function`` applied to each leaf, in the order of ``leaves``; namedtuples become tuples."""
    if _is_absent(structure):
        return None
    if isinstance(structure, Mapping):
        mapped = {name: map_leaves(function, structure[name]) for name in sorted(structure)}
        return {name: mapped[name] for name in structure}
    if isinstance(structure, list):
        return [map_leaves(function, part) for part in structure]
    if isinstance(structure, tuple):
        return tuple(map_leaves(function, part) for part in structure)
    return function(structure)


def n_rows(structure: Any) -> int | None:
    """Rows of the first leaf; None if there is no leaf or it has no first dimension."""
    found = leaves(structure)
    return _first_dimension(found[0]) if found else None


def _first_dimension(leaf: Any) -> int | None:
    shape = getattr(leaf, "shape", None)
    try:
        return len(leaf) if shape is None else int(shape[0])
    except (IndexError, TypeError, ValueError):
        return None


def same_rows(structure: Any) -> int:
    """Rows of a batch of inputs: the same number in each leaf.

    Raises:
        RowsError: There is no leaf, a leaf is a scalar, or the numbers differ.
    """
    sizes = [_rows(leaf) for leaf in leaves(structure)]
    if len(sizes) == 1:
        return sizes[0]
    if not sizes:
        msg = (
            "x: expected at least one array, found none (None is not an array), so no row can be counted. "
            "Pass an input that has one entry for each sample."
        )
        raise RowsError(msg)
    if len(set(sizes)) > 1:
        msg = (
            f"x: expected the same number of rows in every input, found {_listed(sizes)}, so a row is not a sample, "
            "as for a model that takes one whole graph at a time. Pass inputs that all have one entry for "
            "each sample, or compare the predictions with their keys or sample indices in evalguard.check()."
        )
        raise RowsError(msg)
    return sizes[0]


def _rows(leaf: Any) -> int:
    rows = _first_dimension(leaf)
    if rows is not None:
        return rows
    if hasattr(leaf, "nrows"):  # tf.RaggedTensor
        return int(leaf.nrows())
    array = as_array(leaf)
    if array.ndim == 0 and array.dtype != object:
        msg = (
            "x: expected inputs with one entry for each sample, found a scalar. "
            "Give it a first dimension with one entry for each sample, or make it a constant of the model."
        )
        raise RowsError(msg)
    with not_ours():  # the source may have yielded an object without a length
        return len(array)


def _listed(numbers: list[int]) -> str:
    return f"{', '.join(f'{number:,}' for number in numbers[:-1])} and {numbers[-1]:,}"


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
