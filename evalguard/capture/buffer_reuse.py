"""Batches of a dataset whose memory may be an array of the user's: is it overwritten while the model runs?"""

from __future__ import annotations

from collections import deque
from typing import Any

from evalguard.capture.batch_digests import NATIVE, digest, parts_of
from evalguard.capture.tags import Unwrap
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# Of batches that a dataset delivers: how many are kept, in number and bytes, and looked at again from the first on.
LOOKED_AT_AGAIN, MOST_KEPT = 4, 1 << 23


class Lent:
    """Batches of a dataset whose memory may be an array of the user's: is it filled anew while the model runs?

    Batches that were delivered are kept for a while. Memory of one of them that
    comes again may hold other rows by now, at any time; a cache hands out the
    same memory with the same rows. The first batches are looked at again in any
    case, for nothing is known of them yet.

    Args:
        unwrap: Takes a delivered batch apart.

    Attributes:
        shared: Whether each batch is looked at again after the model ran.
        filled_anew: Whether memory came again with other rows in it.
    """

    def __init__(self, unwrap: Unwrap) -> None:
        self._unwrap = unwrap
        self.shared = True
        self.filled_anew = False
        self._seen = 0
        self._came_again = False
        # Tensors, where their memory is, and their digest where they were looked at.
        self._kept: deque[tuple[Any, frozenset[int], int | None]] = deque(maxlen=LOOKED_AT_AGAIN)
        self._fed: list[tuple[tuple[Any, ...], int] | None] = []

    def take(self, data: Any) -> tuple[Any, Any]:
        """A delivered batch, and its tag."""
        batch, tag = self._unwrap(data)
        self._fed.append(None)
        try:
            self._look(tuple(leaf for leaf in parts_of(batch) if type(leaf).__name__ == "EagerTensor"))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read cannot be fingerprinted either
            swallow(error)
        return batch, tag

    def _look(self, leaves: tuple[Any, ...]) -> None:
        arrays = tuple(array for array in map(tree.numbers, leaves) if array.dtype in NATIVE)
        at = frozenset(array.__array_interface__["data"][0] for array in arrays if array.size)
        seal = digest(arrays) if self.shared else None
        for _, before, had in self._kept:
            if not at.isdisjoint(before):
                self._came_again = True
                self.filled_anew |= None not in (seal, had) and seal != had
        if seal is not None:
            self._fed[-1] = arrays, seal
        if not self._seen:
            size = sum(array.nbytes for array in arrays)
            self._kept = deque(maxlen=min(LOOKED_AT_AGAIN, max(1, MOST_KEPT // max(size, 1))))
        self._kept.append((leaves, at, seal))
        self._seen += 1
        self.shared = self._came_again or self._seen < LOOKED_AT_AGAIN

    def intact(self) -> list[bool]:
        """For each batch taken since the last time of asking: is it still what it was, as far as it was looked at?"""
        fed, self._fed = self._fed, []
        return [looked_at is None or digest(looked_at[0]) == looked_at[1] for looked_at in fed]
