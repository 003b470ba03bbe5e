"""A PyDataset around the caller's, importable by name so that any worker process can unpickle it."""

from __future__ import annotations

import keras

from evalguard.capture.probes.tagged_items import TaggedItems


class TaggedPyDataset(TaggedItems, keras.utils.PyDataset):
    """Keras 3 asks the dataset itself for workers and queue."""

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
