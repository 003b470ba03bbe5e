"""Fingerprints of the rows that a model is fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard import nests
from evalguard.fingerprint import LeafSpec, is_padding, row_fingerprints

# Small batches are copied and hashed many at a time: between two steps of a model, where
# neither the code nor the rows are in the processor's caches, it costs several times as much.
SMALL_BATCH = 1 << 16
HELD_BYTES = 1 << 20
_PLAIN = frozenset("biufc")


@dataclass(slots=True)
class Contents:
    """Collects fingerprints, batch by batch.

    Attributes:
        pad_value: See ``fingerprint.row_fingerprints``.
        at_once: Hash each batch as it comes.
        parts: uint64 of each row; complete after ``rows()``.
        padding: bool of each row: a declared dummy.
        specs: How the inputs looked.
        first: The first row, to explain a reference that matches nothing.
    """

    pad_value: Any = None
    at_once: bool = False
    parts: list[NDArray[np.uint64]] = field(default_factory=list)
    padding: list[NDArray[np.bool_]] = field(default_factory=list)
    specs: tuple[LeafSpec, ...] = ()
    first: Any = None
    _held: list[NDArray[Any]] = field(default_factory=list)
    _rows_held: int = 0

    def add(self, x: Any, to_numpy: Callable[[Any], Any]) -> None:
        """Note the rows of one batch of inputs, as they are now: a source may fill its buffer anew."""
        if not self.specs:
            _, self.specs = row_fingerprints(x, pad_value=self.pad_value)
            self.first = nests.map_leaves(lambda leaf: np.array(to_numpy(leaf)[:1]), x)
        small = _small(x) if self.pad_value is None and not self.at_once else None
        if small is None:
            self._hash_held()
            self._hash(x)
        elif not self._hold(small):
            self._hash_held()
            self._make_room(small)
            self._hold(small)

    def rows(self) -> list[NDArray[np.uint64]]:
        """Fingerprints of all rows so far, batch by batch or several batches together."""
        self._hash_held()
        self._held = []
        return self.parts

    def _hold(self, small: list[NDArray[Any]]) -> bool:
        """Copy a batch behind those held, if it is like them and there is room."""
        start = self._rows_held
        stop = start + len(small[0])
        if len(self._held) != len(small):
            return False
        for room, leaf in zip(self._held, small, strict=True):
            if stop > len(room) or room.dtype != leaf.dtype or room.shape[1:] != leaf.shape[1:]:
                return False
            room[start:stop] = leaf
        self._rows_held = stop
        return True

    def _make_room(self, small: list[NDArray[Any]]) -> None:
        row = max(1, sum(leaf.nbytes for leaf in small) // max(1, len(small[0])))
        rows = max(len(small[0]), HELD_BYTES // row)
        self._held = [np.empty((rows, *leaf.shape[1:]), leaf.dtype) for leaf in small]

    def _hash_held(self) -> None:
        if self._rows_held:
            self._hash([room[: self._rows_held] for room in self._held])
            self._rows_held = 0

    def _hash(self, x: Any) -> None:
        rows, _ = row_fingerprints(x, pad_value=self.pad_value)
        self.parts.append(rows)
        if self.pad_value is not None:
            self.padding.append(is_padding(x, self.pad_value))


def _small(x: Any) -> list[NDArray[Any]] | None:
    """The leaves as arrays, if they are plain and few bytes."""
    size, arrays = 0, []
    for leaf in [x] if type(x).__name__ == "EagerTensor" else nests.leaves(x):
        if type(leaf).__name__ not in {"EagerTensor", "ndarray"}:
            return None
        array = np.asarray(leaf)
        size += array.nbytes
        if size > SMALL_BATCH or array.ndim == 0 or array.dtype.kind not in _PLAIN:
            return None
        arrays.append(array)
    return arrays or None
