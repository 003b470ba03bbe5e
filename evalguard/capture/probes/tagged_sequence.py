"""A tf_keras Sequence that wraps the caller's; in a module by itself for the reasons of ``tagged_pydataset``."""

from __future__ import annotations

from typing import Any

import tf_keras

from evalguard.capture.emitted_batches import as_tf_keras_packs
from evalguard.capture.probes.tagged_items import TaggedItems


class TaggedSequence(TaggedItems, tf_keras.utils.Sequence):
    """Wraps a Sequence: tf_keras receives workers and queue size as arguments of the call."""

    def as_keras_packs(self, batch: Any) -> Any:
        """The item as tf_keras packs it."""
        return as_tf_keras_packs(batch)

    def is_batch(self, batch: Any) -> bool:
        """Whether tf_keras accepts such an item: any but None."""
        return batch is not None

    def __len__(self) -> int:
        return len(self._inner)

    def on_epoch_end(self) -> None:
        """Call the inner sequence's method."""
        self._inner.on_epoch_end()
