"""Whether the caller changed arrays since they were given: labels, weights, a reference."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evalguard.core.label_digest import DIGEST_ROWS
from evalguard.core.label_table import LabelTable


class ArrayWatch:
    """Arrays of the caller's that are read later than they were given.

    Args:
        structure: Arrays or a tree of them; other objects are not watched.

    Attributes:
        changed: What ``check`` found.
    """

    def __init__(self, structure: Any) -> None:
        self._arrays = _arrays_in(structure)
        self._before = _checksum(self._arrays)
        self.changed = False

    def check(self) -> bool:
        """Whether an array holds something else than when it was given, now or at an earlier check."""
        self.changed |= _checksum(self._arrays) != self._before
        return self.changed


def checksum(labels: LabelTable) -> int | None:
    """A checksum of labels and weights as they are now; None where a file holds them."""
    return _checksum([array for part in (labels.values, labels.weights) for array in _arrays_in(part)])


def _arrays_in(structure: Any) -> list[Any]:
    if isinstance(structure, np.ndarray):
        return [structure]
    if isinstance(structure, Mapping):
        return [array for part in structure.values() for array in _arrays_in(part)]
    if isinstance(structure, (list, tuple)) and any(isinstance(part, (np.ndarray, Mapping)) for part in structure):
        return [array for part in structure for array in _arrays_in(part)]
    return []


def _checksum(arrays: Sequence[Any]) -> int | None:
    if any(_is_mapped(array) for array in arrays):
        return None
    crc = 0
    for array in arrays:
        # A scalar has no rows.
        for start in range(0, len(array) if array.ndim else 0, DIGEST_ROWS):
            piece = np.ascontiguousarray(array[start : start + DIGEST_ROWS])
            numbers = not array.dtype.hasobject
            crc = zlib.crc32(piece.reshape(-1).view(np.uint8).data if numbers else repr(piece.tolist()).encode(), crc)
    return crc


def _is_mapped(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return array is not None and not isinstance(array, (bytes, bytearray))
