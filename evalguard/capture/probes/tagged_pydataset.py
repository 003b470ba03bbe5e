"""A PyDataset that wraps the caller's.

The class is in a module of its name because it subclasses a Keras class, which is
imported only if the caller uses it, and because a worker process must be able to
unpickle it.
"""

from __future__ import annotations

import keras

from evalguard.capture.probes.tagged_items import TaggedItems


class TaggedPyDataset(TaggedItems, keras.utils.PyDataset):
    """Wraps a PyDataset: Keras 3 reads workers and queue size from the dataset itself."""

    # The adapter reads these (keras 3.15, py_dataset_adapter.py:214). They are properties and not copies, so that they
    # follow what the user changes between two calls.
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
        """Call the inner dataset's method."""
        self._inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Call the inner dataset's method."""
        # Keras also calls this when a call begins (keras 3.15, trainers/epoch_iterator.py:103, reset), so a dataset
        # that shuffles here does so before `evaluate`.
        self._inner.on_epoch_end()
