"""Batches of a dataset whose memory may be an array of the user's: is it overwritten while the model runs?"""

from __future__ import annotations

from collections import deque
from typing import Any

from evalguard.capture.batch_digests import NATIVE, digest, parts_of
from evalguard.capture.tags import Unwrap
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# Of batches that a dataset delivers: how many are kept, in number and bytes, and looked at again from the first on.
RECHECKED_BATCHES, MAX_PENDING_BYTES = 4, 1 << 23


class BufferReuseDetector:
    """Batches of a dataset whose memory may be an array of the user's: is it filled anew while the model runs?

    Batches that were delivered are kept for a while. Memory of one of them that
    comes again may hold other rows by now, at any time; a cache hands out the
    same memory with the same rows. The first batches are looked at again in any
    case, for nothing is known of them yet.

    Args:
        unwrap: Takes a delivered batch apart.

    Attributes:
        mutable: Whether each batch is looked at again after the model ran.
        overwritten: Whether memory came again with other rows in it.
    """

    def __init__(self, unwrap: Unwrap) -> None:
        self._unwrap = unwrap
        self.mutable = True
        self.overwritten = False
        self._seen = 0
        self._reused = False
        # Tensors, where their memory is, and their digest where they were looked at.
        self._recent: deque[tuple[Any, frozenset[int], int | None]] = deque(maxlen=RECHECKED_BATCHES)
        self._fed: list[tuple[tuple[Any, ...], int] | None] = []

    def identify(self, data: Any) -> tuple[Any, Any]:
        """A delivered batch, and its tag."""
        batch, tag = self._unwrap(data)
        self._fed.append(None)
        try:
            self._check_reuse(tuple(leaf for leaf in parts_of(batch) if type(leaf).__name__ == "EagerTensor"))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read cannot be fingerprinted either
            swallow(error)
        return batch, tag

    def _check_reuse(self, leaves: tuple[Any, ...]) -> None:
        arrays = tuple(array for array in map(tree.as_array, leaves) if array.dtype in NATIVE)
        at = frozenset(array.__array_interface__["data"][0] for array in arrays if array.size)
        batch_digest = digest(arrays) if self.mutable else None
        for _, before, had in self._recent:
            if not at.isdisjoint(before):
                self._reused = True
                self.overwritten |= None not in (batch_digest, had) and batch_digest != had
        if batch_digest is not None:
            self._fed[-1] = arrays, batch_digest
        if not self._seen:
            size = sum(array.nbytes for array in arrays)
            self._recent = deque(maxlen=min(RECHECKED_BATCHES, max(1, MAX_PENDING_BYTES // max(size, 1))))
        self._recent.append((leaves, at, batch_digest))
        self._seen += 1
        self.mutable = self._reused or self._seen < RECHECKED_BATCHES

    def intact(self) -> list[bool]:
        """For each batch taken since the last time of asking: is it still what it was, as far as it was looked at?"""
        fed, self._fed = self._fed, []
        return [recorded is None or digest(recorded[0]) == recorded[1] for recorded in fed]
