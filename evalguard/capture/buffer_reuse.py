"""Buffer reuse detection for datasets: whether the user's code overwrites a batch's memory while the model runs."""

from __future__ import annotations

from collections import deque
from typing import Any

from evalguard.capture.contract import BatchTag, Stream
from evalguard.capture.hashing import NATIVE, digest
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# How many delivered batches are kept, in number and in bytes. The first RECHECKED_BATCHES are hashed again in any case.
RECHECKED_BATCHES, MAX_RECENT_BYTES = 4, 1 << 23


class BufferReuseDetector:
    """Detects datasets that reuse a buffer of the user's, and batches that change while the model runs.

    Delivered batches are kept for a while. If a later batch lies in the memory
    of a kept one, the source reuses that memory and may overwrite it at any
    time. A cache also reuses memory, but with the same rows. The first batches
    are hashed again after the model ran, because nothing is known of the source
    yet.

    Args:
        stream: Identifies the batches.

    Attributes:
        mutable: Whether each batch is hashed again after the model ran.
        overwritten: Whether memory was reused with other rows in it.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.without_tag = stream.without_tag
        self.mutable = True
        self.overwritten = False
        self._seen = 0
        self._reused = False
        # Tensors, the addresses of their memory, and their digest if one was taken. The tensors themselves: as long as
        # they live, TensorFlow cannot give their memory to another tensor, so an address that recurs is the user's own.
        self._recent: deque[tuple[Any, frozenset[int], int | None]] = deque(maxlen=RECHECKED_BATCHES)
        self._fed: list[tuple[tuple[Any, ...], int] | None] = []

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """A delivered batch, and its tag."""
        batch, tag = self._stream.identify(data)
        # A place for every batch, so that `intact` answers for each even where hashing fails.
        self._fed.append(None)
        try:
            self._check_reuse(tuple(leaf for leaf in tree.leaves(batch) if type(leaf).__name__ == "EagerTensor"))
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
        # The first batch shows how many fit; large ones would otherwise double the memory of the call.
        if not self._seen:
            size = sum(array.nbytes for array in arrays)
            self._recent = deque(maxlen=min(RECHECKED_BATCHES, max(1, MAX_RECENT_BYTES // max(size, 1))))
        self._recent.append((leaves, at, batch_digest))
        self._seen += 1
        self.mutable = self._reused or self._seen < RECHECKED_BATCHES

    def hold(self, data: Any) -> Any:
        """Nothing: its memory is checked at once."""
        del data

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged; True where no digest was taken."""
        fed, self._fed = self._fed, []
        return [recorded is None or digest(recorded[0]) == recorded[1] for recorded in fed]
