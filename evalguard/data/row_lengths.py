"""Lengths of rows: of texts, of lists, and of sequences without their padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.data import tree


def lengths_of(leaf: Any, rows: NDArray[np.int64], pad_value: Any) -> NDArray[np.int64] | None:
    """The lengths of some rows of one input: int64, shape ``(len(rows),)``; None if a row has no length.

    Args:
        leaf: Texts, lists, ragged rows, or an array of shape ``(n, steps, ...)``.
        rows: Row numbers.
        pad_value: In an array, steps of this value at either end do not count.
    """
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
