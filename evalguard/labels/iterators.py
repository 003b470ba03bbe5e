"""The labels, file names and weights that an image iterator holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.core.label_table import LabelTable, Values
from evalguard.data.kinds import class_names, is_image_iterator
from evalguard.errors import LabelsError


def labels_of_iterator(iterator: Any, name: str = "") -> LabelTable:
    """The labels of an image iterator; see ``Labels.from_iterator``."""
    name = name or type(iterator).__name__
    if not is_image_iterator(iterator):
        msg = f"{name}: expected an image iterator of ImageDataGenerator.flow*, found {type(iterator).__qualname__}"
        raise LabelsError(msg)
    files = getattr(iterator, "filenames", None)
    keys = None if files is None or len(set(files)) < len(files) else np.asarray(files, dtype=np.str_)
    values = _image_labels(iterator)
    if values is None and keys is None:
        msg = f"{name}: expected labels or files, found neither: use flow(x, y), or pass labels="
        raise LabelsError(msg)
    weights = getattr(iterator, "sample_weight", None)
    # With `flow(subset=...)` the iterator has the weights of both subsets (keras 3.15,
    # legacy/preprocessing/image.py:635).
    weights = None if weights is None or len(weights) != iterator.n else weights
    named = class_names(iterator) if isinstance(values, np.ndarray) else None
    return LabelTable(values=values, keys=keys, name=name, weights=weights, classes=named)


def _image_labels(iterator: Any) -> Values | None:
    """Labels by sample: ``labels`` if the images are files, ``y`` if they are an array; None if there are none."""
    if not hasattr(iterator, "filenames"):
        y = getattr(iterator, "y", None)
        return None if y is None else np.asarray(y)
    if getattr(iterator, "classes", None) is None and iterator.class_mode not in {"raw", "multi_output"}:
        return None  # made from a data frame, with class_mode None or "input"
    labels = iterator.labels
    if iterator.class_mode == "multi_output":
        return {str(number): np.asarray(column) for number, column in enumerate(labels)}
    return np.asarray(labels)
