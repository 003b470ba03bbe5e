"""Detect sources that overwrite the memory of a batch: what the model received is compared again after the step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from evalguard.data import tree

# Number of addresses that are remembered; it covers more batches than any queue holds.
MAX_REMEMBERED = 4096
# TensorFlow copies memory at any other address (tensorflow 2.21, `py_func.cc`; `-DEIGEN_MAX_ALIGN_BYTES=64` is fixed in
# python/platform/sysconfig.py). `tests/capture/test_batch_digests.py` fails if that changes.
ALIGNMENT = 64


class MemoryWatch:
    """Addresses of the batches that a source emitted, and copies of those that the model reads from that memory.

    TensorFlow uses an aligned NumPy array without copying it (``py_func.cc``).
    Only such a batch can change while the model computes on it.
    """

    def __init__(self) -> None:
        # An ordered set. If TensorFlow's own memory has one of these addresses, that batch is copied without need.
        self._emitted: dict[int, None] = {}
        # For each batch of the current execution: the arrays that may change, each with a copy.
        self._fed: list[list[tuple[NDArray[Any], NDArray[Any]]]] = []

    def emitted(self, arrays: Iterable[NDArray[Any]]) -> None:
        """Remember where the arrays of a batch lie."""
        for array in arrays:
            address = _address(array)
            if address % ALIGNMENT == 0:
                # Moved to the end, so that an array that is emitted with every batch is not forgotten.
                self._emitted.pop(address, None)
                self._emitted[address] = None
        while len(self._emitted) > MAX_REMEMBERED:
            del self._emitted[next(iter(self._emitted))]

    def hold(self, batch: Any) -> Any:
        """Return a batch that the model is about to receive, with copies of the arrays in memory of the source."""
        # No entry for `intact` is needed: its list is read from the end, and no earlier batch has one.
        if not self._emitted:
            return batch
        copied: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._fed.append(copied)

        def held(leaf: Any) -> Any:
            if type(leaf).__name__ not in tree.ARRAYS:
                return leaf
            array = tree.as_array(leaf)
            if _address(array) not in self._emitted:
                return leaf
            copied.append((array, array.copy()))
            return copied[-1][1]

        return tree.map_leaves(held, batch)

    def intact(self) -> list[bool]:
        """For each batch that ``hold`` returned since the last call, whether it is unchanged.

        Batches before the first that may change are left out. Called after the model has computed on the batches.
        """
        fed, self._fed = self._fed, []
        # Compare bytes, so that a NaN equals itself.
        return [all(array.tobytes() == copy.tobytes() for array, copy in copied) for copied in fed]


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
