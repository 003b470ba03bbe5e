"""A PyDataset around the caller's: same items, in the same order, by the same workers.

In a module of its own, importable by name, so that worker processes started by
any method can unpickle it.
"""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np

from evalguard.fingerprint import row_fingerprints
from evalguard.nests import unpack
from evalguard.tagging import Unwrap, unwrap_like, wrap_batch

# Keras 3 asks for the first two items twice to learn their shapes
# (keras 3.15, py_dataset_adapter.py, get_tf_dataset).
PEEKED = 2


class TaggedPyDataset(keras.utils.PyDataset):
    """Delegates everything; tags each item with its number and its sample indices."""

    def __init__(self, inner: Any) -> None:
        # No super().__init__: the three settings below belong to the inner dataset.
        self._inner = inner
        self._lock = threading.Lock()
        self.asked: list[int] = []
        self._peeked: dict[int, Any] = {}
        self.item_changed = False
        # Known from the first item, which Keras always reads in this process to learn the shapes.
        self.unwrap: Unwrap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "unwrap": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def workers(self) -> int:
        """The inner dataset's."""
        return int(self._inner.workers)

    @property
    def use_multiprocessing(self) -> bool:
        """The inner dataset's."""
        return bool(self._inner.use_multiprocessing)

    @property
    def max_queue_size(self) -> int:
        """The inner dataset's."""
        return int(self._inner.max_queue_size)

    @property
    def num_batches(self) -> int | None:
        """The inner dataset's."""
        batches: int | None = self._inner.num_batches
        return batches

    def on_epoch_begin(self) -> None:
        """Pass on."""
        self._inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Pass on."""
        self._inner.on_epoch_end()

    def __getitem__(self, index: int) -> Any:
        """The inner dataset's item, tagged."""
        batch = self._inner[index]
        self.asked.append(index)
        if index < PEEKED:
            self._compare(index, batch)
        # As Keras standardises items: an array is (x,), a list is a tuple; a dict stays.
        if isinstance(batch, np.ndarray):
            batch = (batch,)
        if isinstance(batch, list):
            batch = tuple(batch)
        if not isinstance(batch, (tuple, dict)) or (isinstance(batch, tuple) and len(batch) not in {1, 2, 3}):
            return batch
        if self.unwrap is None:
            self.unwrap = unwrap_like(batch)
        return wrap_batch(batch, index, self._sample_indices(index))

    def _sample_indices(self, index: int) -> Any:
        indices = getattr(self._inner, "sample_indices", None)
        if not callable(indices):
            return None
        try:
            return indices(index)
        except Exception:  # noqa: BLE001 - an item without an index is reported as not named
            return None

    def _compare(self, index: int, batch: Any) -> None:
        """Whether an item asked for twice was the same both times."""
        try:
            content, _ = row_fingerprints(unpack(batch)[0])
        except Exception:  # noqa: BLE001 - evidence for a cause only
            return
        with self._lock:
            before = self._peeked.setdefault(index, content)
            self.item_changed |= before is not content and not np.array_equal(before, content)
