"""Identify batches that pass through Python one by one, as from generators and PyDatasets, by digests or tags."""

from __future__ import annotations

from typing import Any

from evalguard.capture.batch_digests import BatchDigests
from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.capture.hashing import can_digest
from evalguard.capture.tags import FULL, RidingTags


def as_tf_keras_packs(batch: Any) -> Any:
    """A batch as tf_keras packs it: without the parts after an absent ``y``, and an ``x`` alone without its tuple.

    tf_keras 2.21, engine/data_adapter.py:1894 (``pack_x_y_sample_weight``).
    """
    parts = tuple(batch) if isinstance(batch, list) else batch
    if not isinstance(parts, tuple) or len(parts) not in {1, 2, 3} or (len(parts) > 1 and parts[1] is not None):
        return parts[:2] if isinstance(parts, tuple) and len(parts) == FULL and parts[2] is None else parts
    return parts[:1] if isinstance(parts[0], tuple) else parts[0]


class NoTags(Untagged):
    """Passes batches on unchanged."""

    def emit(self, batch: Any, number: int, samples: Any = None) -> Any:
        """Return the batch unchanged."""
        del number, samples
        return batch


class EmittedBatches:
    """Identifies batches by a digest if possible, otherwise by a tag that is added to them.

    The first batch decides for all. Keras makes one ``output_signature`` of the
    first two batches (keras 3.15, generator_data_adapter.py:67), so a later batch
    of another structure is an error in ``from_generator``.

    Args:
        may_digest: Whether all batches are made in this process and none is
            split over replicas.
    """

    def __init__(self, *, may_digest: bool) -> None:
        self._may_digest = may_digest
        self._way: BatchDigests | RidingTags | NoTags | None = None

    def __getstate__(self) -> dict[str, Any]:
        # For a worker process, which decides by its own first batch. Digests taken there would not reach this process.
        return {"_may_digest": False, "_way": None}

    def emit(self, batch: Any, number: int, samples: Any = None) -> Any:
        """Return what Keras receives instead of a batch that the source emits.

        Args:
            batch: As the source emitted it.
            number: Its number in the stream.
            samples: The label rows that the source states for it, if the batch
                itself (``evalguard.tagged``) states none.
        """
        if self._way is None:
            self._way = self._way_for(batch)
        stated = getattr(batch, "sample_index", None)
        return self._way.emit(batch, number, samples if stated is None else stated)

    def _way_for(self, first: Any) -> BatchDigests | RidingTags | NoTags:
        # Unchanged, so that Keras raises its own error for a batch with more than three parts.
        if isinstance(first, tuple) and len(first) > FULL:
            return NoTags()
        return BatchDigests() if self._may_digest and can_digest(first) else RidingTags(first)

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch and its tag."""
        # `_way` is None if no batch was emitted; Keras then raises before the model receives anything.
        return (data, NOT_OBSERVED) if self._way is None else self._way.identify(data)

    def without_tag(self, data: Any) -> Any:
        """Return the batch without its tag, if it carries one."""
        return data if self._way is None else self._way.without_tag(data)

    def hold(self, data: Any) -> Any:
        """Return the batch in memory that does not change; None if it carries a tag."""
        return None if self._way is None else self._way.hold(data)

    def intact(self) -> list[bool]:
        """For each batch of the last execution, whether it is unchanged since it was delivered."""
        return [] if self._way is None else self._way.intact()
