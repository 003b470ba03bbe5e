"""Batches that lie in memory of the user's, who may write to it while the model computes: each is hashed twice."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag, Stream
from evalguard.capture.hashing import NATIVE, digest
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# How many delivered batches are kept, in number and in bytes, to see whether a later one lies in the same memory.
RECENT_BATCHES, MAX_RECENT_BYTES = 4, 1 << 23


class RehashedBatches:
    """Hashes each batch when it is delivered, and again after the model ran.

    Where the two differ, nobody knows which one the model read.

    Args:
        stream: Identifies the batches.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.without_tag = stream.without_tag
        self._fed: list[tuple[tuple[NDArray[Any], ...], int] | None] = []

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """A delivered batch, and its tag."""
        batch, tag = self._stream.identify(data)
        # A place for every batch, so that `intact` answers for each even where hashing fails.
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
        """Nothing: its memory is hashed at once."""
        del data

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged."""
        fed, self._fed = self._fed, []
        return [recorded is None or digest(recorded[0], float64=True) == recorded[1] for recorded in fed]


def _may_change(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) or type(leaf).__name__ == "EagerTensor"


class BufferReuseDetector(RehashedBatches):
    """Also notices that a dataset reuses memory, with other rows in it; a cache reuses memory with the same rows.

    Attributes:
        overwritten: Whether memory was reused with other rows in it.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self.overwritten = False
        # Tensors, the addresses of their memory, and their digest. The tensors themselves: as long as they live,
        # TensorFlow cannot give their memory to another tensor, so an address that recurs is the user's own.
        self._recent: deque[tuple[Any, frozenset[int], int]] | None = None

    def _delivered(self, leaves: list[Any], arrays: tuple[NDArray[Any], ...], batch_digest: int) -> None:
        at = frozenset(array.__array_interface__["data"][0] for array in arrays if array.size)
        # The first batch shows how many fit; large ones would otherwise double the memory of the call.
        if self._recent is None:
            size = sum(array.nbytes for array in arrays)
            self._recent = deque(maxlen=min(RECENT_BATCHES, max(1, MAX_RECENT_BYTES // max(size, 1))))
        for _, before, had in self._recent:
            self.overwritten |= not at.isdisjoint(before) and batch_digest != had
        self._recent.append((leaves, at, batch_digest))
