"""Batches in memory that the user's code may overwrite while the model computes: each is hashed before and after."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag, Stream
from evalguard.capture.hashing import NATIVE, digest
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# How many delivered batches are kept, and how many bytes of them, to detect that a later one lies in the same memory.
RECENT_BATCHES, MAX_RECENT_BYTES = 4, 1 << 23


class RehashedBatches:
    """Hashes each batch when it is delivered, and again after the model has computed on it.

    If the two hashes differ, it is not known which rows the model read.

    Args:
        stream: Identifies the batches.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.without_tag = stream.without_tag
        self._fed: list[tuple[tuple[NDArray[Any], ...], int] | None] = []

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch and its tag."""
        batch, tag = self._stream.identify(data)
        # One entry for every batch, so that `intact` has an answer even if hashing fails.
        self._fed.append(None)
        try:
            leaves = [leaf for leaf in tree.leaves(batch) if _may_change(leaf)]
            arrays = tuple(array for array in map(tree.as_array, leaves) if array.dtype in NATIVE)
            batch_digest = digest(arrays, float64=True)
            self._fed[-1] = arrays, batch_digest
            self._delivered(leaves, arrays, batch_digest)
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read cannot be fingerprinted either
            swallow(error)
        return batch, tag

    def _delivered(self, leaves: list[Any], arrays: tuple[NDArray[Any], ...], batch_digest: int) -> None:
        """Called with each batch and its digest."""

    def hold(self, data: Any) -> Any:
        """Return None: the batch is identified at once, because its memory must be hashed now."""
        del data

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged."""
        fed, self._fed = self._fed, []
        return [recorded is None or digest(recorded[0], float64=True) == recorded[1] for recorded in fed]


def _may_change(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) or type(leaf).__name__ == "EagerTensor"


class BufferReuseDetector(RehashedBatches):
    """Also detects that a dataset reuses the memory of an earlier batch for other rows.

    A cache reuses memory with the same rows, which does not count.

    Attributes:
        overwritten: Whether memory was reused with other rows in it.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.overwritten = False
        # Tensors, the addresses of their memory, and their digest. As long as the tensors live, TensorFlow cannot give
        # their memory to other tensors, so an address that recurs is in the user's own memory.
        self._recent: deque[tuple[Any, frozenset[int], int]] | None = None

    def _delivered(self, leaves: list[Any], arrays: tuple[NDArray[Any], ...], batch_digest: int) -> None:
        at = frozenset(array.__array_interface__["data"][0] for array in arrays if array.size)
        # The size of the first batch limits how many are kept; large ones would double the memory of the call.
        if self._recent is None:
            size = sum(array.nbytes for array in arrays)
            self._recent = deque(maxlen=min(RECENT_BATCHES, max(1, MAX_RECENT_BYTES // max(size, 1))))
        for _, before, had in self._recent:
            self.overwritten |= not at.isdisjoint(before) and batch_digest != had
        self._recent.append((leaves, at, batch_digest))
