"""Sources that write other rows into memory that they emitted before: what was fed is compared after the step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from evalguard.data import tree

# How many addresses are remembered: of more batches than wait in any queue.
MAX_REMEMBERED = 4096
# TensorFlow copies memory at any other address (tensorflow 2.21, `py_func.cc`; `-DEIGEN_MAX_ALIGN_BYTES=64` is fixed in
# python/platform/sysconfig.py). `tests/capture/test_batch_digests.py` fails if that changes.
ALIGNMENT = 64


class MemoryWatch:
    """Where the batches of a source lie, and which of them the model was fed from that very memory.

    TensorFlow uses an aligned NumPy array without copying it (``py_func.cc``);
    only such a batch can change while the model computes on it.
    """

    def __init__(self) -> None:
        # An ordered set. An address may recur for memory that TensorFlow owns; that batch is copied without need.
        self._emitted: dict[int, None] = {}
        # For each batch of the execution under way, what may change of it, and a copy.
        self._fed: list[list[tuple[NDArray[Any], NDArray[Any]]]] = []

    def emitted(self, arrays: Iterable[NDArray[Any]]) -> None:
        """Remember where the arrays of a batch lie."""
        for array in arrays:
            address = _address(array)
            if address % ALIGNMENT == 0:
                # Put last again: what is emitted with each batch must not be forgotten.
                self._emitted.pop(address, None)
                self._emitted[address] = None
        while len(self._emitted) > MAX_REMEMBERED:
            del self._emitted[next(iter(self._emitted))]

    def hold(self, batch: Any) -> Any:
        """A batch that the model is about to receive, with copies of what lies in memory of the source."""
        # Not in the list of `intact` either, which is read from its end.
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
        """For each batch that was held since the last call, from the first that may change on: whether it is unchanged.

        Called after the model has computed on them: the source may overwrite an array meanwhile.
        """
        fed, self._fed = self._fed, []
        # Bytes, not `==`: a NaN must equal itself.
        return [all(array.tobytes() == copy.tobytes() for array, copy in copied) for copied in fed]


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
