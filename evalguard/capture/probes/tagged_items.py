"""A wrapper of a PyDataset or Sequence that tags or digests its items, and changes neither their order nor workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from evalguard.capture.emitted_batches import EmittedBatches
from evalguard.capture.hashing import can_digest, digest
from evalguard.core.own_errors import swallow
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.tree import unpack

# Keras 3 requests the first two items twice to learn their shapes (keras 3.15, py_dataset_adapter.py:303,
# get_tf_dataset), tf_keras the first one (2.21, engine/data_adapter.py:1044).
PEEKED = 2


class TaggedItems:
    """Digests each item, or tags it with its number and its sample indices.

    Args:
        inner: The caller's dataset.
        may_digest: Whether all items are made in this process and no batch is
            split over replicas.
        indices: Function from an item number to the samples of the item; None
            if they are not stated.

    Attributes:
        requested: Item numbers requested in this process, in order.
        item_changed: Whether ``__getitem__`` returned different data on a
            second call.
        batches: Identifies the items. The first item decides how, and Keras
            always requests that in this process.
    """

    def __init__(self, inner: Any, *, may_digest: bool = False, indices: Callable[[int], Any] | None = None) -> None:
        # No super().__init__: it would set workers and queue size, which are properties here.
        self._inner = inner
        self._lock = threading.Lock()
        self._peeked: dict[int, Any] = {}
        self.requested: list[int] = []
        self.item_changed = False
        self._indices = indices
        self.batches = EmittedBatches(may_digest=may_digest)

    def __getstate__(self) -> dict[str, Any]:
        # For worker processes, because a lock cannot be pickled.
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __getitem__(self, index: int) -> Any:
        """The inner dataset's item, tagged."""
        batch = self._inner[index]
        self.requested.append(index)
        if index < PEEKED:
            self._compare(index, batch)
        stated = getattr(batch, "sample_index", None)
        batch = self.as_keras_packs(batch)
        # Not tagged, so that Keras raises its own error about the item as the user returned it (:232).
        if not self.is_batch(batch) or (isinstance(batch, tuple) and len(batch) not in {1, 2, 3}):
            return batch
        return self.batches.emit(batch, index, self._sample_indices(index) if stated is None else stated)

    def as_keras_packs(self, batch: Any) -> Any:
        """The item as Keras 3 standardises it: an array or a list becomes a tuple."""
        # keras 3.15, py_dataset_adapter.py:225.
        if isinstance(batch, np.ndarray):
            return (batch,)
        return tuple(batch) if isinstance(batch, list) else batch

    def is_batch(self, batch: Any) -> bool:
        """Whether Keras accepts such an item."""
        return isinstance(batch, (tuple, dict))

    def _sample_indices(self, index: int) -> Any:
        if self._indices is None:
            return None
        try:
            return self._indices(index)
        except Exception:  # noqa: BLE001 - an error of the user's own method; the items then state no index
            return None

    def _compare(self, index: int, batch: Any) -> None:
        """Record whether a second call of ``__getitem__`` returned other data."""
        try:
            x = unpack(batch)[0]
            content = digest(x) if can_digest(x) else row_fingerprints(x)[0].tobytes()
        except Exception as error:  # noqa: BLE001 - only evidence for a cause is lost
            swallow(error)
            return
        with self._lock:
            self.item_changed |= self._peeked.setdefault(index, content) != content
