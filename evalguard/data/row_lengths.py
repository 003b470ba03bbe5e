"""How long rows are: texts, lists, and steps without padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.data import tree


def lengths_of(leaf: Any, rows: NDArray[np.int64], pad_value: Any) -> NDArray[np.int64] | None:
    """The lengths of some rows of one input: of texts, lists and ragged rows, else without padding at either end."""
    ragged = getattr(leaf, "row_lengths", None)
    if callable(ragged):
        return np.asarray(ragged())[rows].astype(np.int64)
    array = tree.as_array(leaf)[rows]
    if array.dtype.kind in "OSU":
        items = array.tolist()
        return np.asarray([len(item) for item in items]) if all(hasattr(item, "__len__") for item in items) else None
    if array.ndim < 2:
        return None
    real = (array != pad_value).reshape(*array.shape[:2], -1).any(axis=2)
    steps = array.shape[1]
    first, last = real.argmax(axis=1), steps - real[:, ::-1].argmax(axis=1)
    return np.where(real.any(axis=1), last - first, 0).astype(np.int64)
