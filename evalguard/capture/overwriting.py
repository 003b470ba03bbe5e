"""Sources that write other rows into memory that they emitted before: what was fed is hashed again after the step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from evalguard.capture.hashing import digest_arrays

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
        # An ordered set. An address may recur for memory that TensorFlow owns; that batch is hashed once too often.
        self._emitted: dict[int, None] = {}
        # Batches of the execution under way; None where nothing can change or the batch could not be read.
        self._fed: list[tuple[list[NDArray[Any]], int] | None] = []

    def emitted(self, arrays: Iterable[NDArray[Any]]) -> None:
        """Remember where the arrays of a batch lie."""
        for array in arrays:
            address = _address(array)
            if address % ALIGNMENT == 0:
                self._emitted[address] = None
        while len(self._emitted) > MAX_REMEMBERED:
            del self._emitted[next(iter(self._emitted))]

    def fed(self, arrays: list[NDArray[Any]], batch_digest: int) -> None:
        """Keep a batch until the model has computed on it, if it lies in memory of the source."""
        in_place = bool(self._emitted) and any(_address(array) in self._emitted for array in arrays)
        self._fed.append((arrays, batch_digest) if in_place else None)

    def unreadable(self) -> None:
        """Keep the place of a batch that could not be read."""
        self._fed.append(None)

    def intact(self) -> list[bool]:
        """For each batch fed since the last call: whether it is unchanged.

        Called after the model has computed on them: the source may overwrite an array meanwhile.
        """
        fed, self._fed = self._fed, []
        return [batch is None or digest_arrays(batch[0]) == batch[1] for batch in fed]


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
