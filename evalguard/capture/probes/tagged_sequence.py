"""A tf_keras Sequence around the caller's, importable by name so that any worker process can unpickle it."""

from __future__ import annotations

import tf_keras

from evalguard.capture.probes.tagged_items import TaggedItems


class TaggedSequence(TaggedItems, tf_keras.utils.Sequence):
    """tf_keras takes workers and queue as arguments of the call."""

    def __len__(self) -> int:
        return len(self._inner)

    def on_epoch_end(self) -> None:
        """Pass on."""
        self._inner.on_epoch_end()
