"""The kind of a source, found through ``sys.modules``: code that built a source has imported its framework."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.class_names import ClassNames
from evalguard.data import tree
from evalguard.errors import UnsupportedSourceError


def is_generator(source: object) -> bool:
    """Whether a source is a generator object. Keras 3 accepts no other iterator."""
    return isinstance(source, types.GeneratorType)


def is_tf_dataset(source: object) -> bool:
    """Whether a source is a ``tf.data.Dataset`` that no strategy has distributed yet."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(source, tf.data.Dataset)


def is_pydataset(source: object) -> bool:
    """Whether a source is a ``keras.utils.PyDataset``; image iterators are subclasses."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(source, keras.utils.PyDataset)


def is_sequence(source: object) -> bool:
    """Whether a source is a ``tf_keras.utils.Sequence``; image iterators are subclasses."""
    tf_keras = sys.modules.get("tf_keras")
    return tf_keras is not None and isinstance(source, tf_keras.utils.Sequence)


def is_iterator(source: object) -> bool:
    """Whether a source is any iterator, which tf_keras accepts."""
    return hasattr(source, "__next__") and hasattr(source, "__iter__")


def is_arrays(source: object) -> bool:
    """Whether a source is an array, tensor or data frame, or a tree of them."""
    # These are excluded first, because a user's PyDataset may also have `shape` and `__array__`.
    if is_tf_dataset(source) or is_iterator(source) or is_pydataset(source) or is_sequence(source):
        return False
    found = tree.leaves(source)
    return bool(found) and all(_is_array(leaf) for leaf in found)


def _is_array(leaf: Any) -> bool:
    marks = ("__array__", "row_splits", "dense_shape", "tocsr")
    return hasattr(leaf, "shape") and any(hasattr(leaf, mark) for mark in marks)


# Sources that Keras accepts and that cannot carry a tag; named by class and module, as they must not be imported here.
_UNTAGGABLE = (
    ("DistributedDataset", "tensorflow.python"),
    ("DistributedDatasetsFromFunction", "tensorflow.python"),
    ("DataLoader", "torch.utils.data"),
    ("MapDataset", "grain"),
    ("IterDataset", "grain"),
    ("DataLoader", "grain"),
    ("DataAdapter", "keras.src"),
)


def is_untaggable(source: object) -> bool:
    """Whether Keras accepts a source that cannot carry a tag; only content, keys or labels identify its rows."""
    classes = [(parent.__name__, parent.__module__ or "") for parent in type(source).__mro__]
    return any(name == wanted and part in module for name, module in classes for wanted, part in _UNTAGGABLE)


def is_image_iterator(source: object) -> bool:
    """Whether a source is an iterator of ``ImageDataGenerator.flow*``, of Keras 3's legacy path or of tf_keras.

    Its ``index_array`` holds the sample of each row, shuffled by default
    (keras 3.15, ``legacy/preprocessing/image.py``; tf_keras, ``preprocessing/image.py``).
    """
    return hasattr(source, "index_array") and hasattr(source, "_get_batches_of_transformed_samples")


def file_names(source: object) -> NDArray[np.str_] | None:
    """The file of each sample of an image iterator, in file order; None for iterators of arrays and other sources."""
    files = getattr(source, "filenames", None) if is_image_iterator(source) else None
    return None if files is None else np.asarray(files, dtype=np.str_)


def class_names(source: object) -> ClassNames | None:
    """The class names of the numbers in the ``y`` of an image iterator or a dataset made from a directory; else None.

    ``.map`` and other transformations return a dataset without these names (keras 3.15,
    ``utils/image_dataset_utils.py``).
    """
    names: Any
    if is_image_iterator(source):
        indices = getattr(source, "class_indices", None)
        if not isinstance(indices, Mapping) or sorted(indices.values()) != list(range(len(indices))):
            return None
        names, origin = sorted(indices, key=indices.__getitem__), "class_indices"
    elif is_tf_dataset(source):
        names, origin = getattr(source, "class_names", None) or [], "class_names"
    else:
        return None
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        return None
    certain = origin == "class_indices"
    return ClassNames(tuple(names), f"{origin} of {type(source).__name__.lstrip('_')}", certain=certain)


def returned_by(function: Callable[[], Any]) -> Iterable[Any]:
    """The batches that a function without arguments returns.

    Raises:
        UnsupportedSourceError: It returns something that a ``for`` loop cannot read.
    """
    made = function()
    if hasattr(made, "__iter__") or hasattr(made, "__getitem__"):
        return made  # type: ignore[no-any-return]
    name = getattr(function, "__qualname__", type(function).__qualname__)
    msg = f"expected that {name} returns batches, found that it returns {type(made).__qualname__}; yield the batches"
    raise UnsupportedSourceError(msg)
