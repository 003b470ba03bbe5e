"""Batches on their way to the model: recorded, and passed on without their tags, replica by replica."""

from __future__ import annotations

import sys
import time
from typing import Any

from evalguard.capture.contract import TAG_PENDING
from evalguard.capture.recording.recorder import Recorder
from evalguard.data import tree


def capture_batches(recorder: Recorder, iterator: Any, steps: int) -> list[Any]:
    """The batches of one execution, recorded and without their tags.

    Raises:
        StopIteration: The iterator has ended.
    """
    batches: list[Any] = []
    for _ in range(steps):
        try:
            batches.append(capture_batch(recorder, next(iterator)))
        except StopIteration:
            # The source ended within an execution: Keras computes on what is there, and ends at the next pull (keras
            # 3.15, backend/tensorflow/trainer.py:567, `get_data`).
            if not batches:
                raise
            break
    return batches


def capture_batch(recorder: Recorder, data: Any) -> Any:
    """Record one distributed batch; returns what the model receives."""
    start = time.perf_counter()
    batch = data
    if not recorder.stream.tag_from_rows or not recorder.buffer(data, TAG_PENDING):
        # The tags of buffered batches come before this one's: equal batches are matched in the order of arrival.
        if recorder.n_without_tag:
            recorder.flush()
        batch, tag = recorder.stream.unwrap(data)
        if not recorder.buffer(batch, tag):
            # The trace is positional: batches before this one are recorded first.
            recorder.flush()
            record_batch(recorder, batch, tag)
    if recorder.options.drop_key:
        batch = recorder.without_key(batch)
    recorder.seconds += time.perf_counter() - start
    return batch


def record_batch(recorder: Recorder, batch: Any, tag: Any) -> None:
    """Record one batch, separately for each replica."""
    # Under a strategy Keras passes `PerReplica` leaves and concatenates the outputs in replica order (keras 3.15,
    # backend/tensorflow/trainer.py:851), so rows are recorded in that order.
    if _per_replica(tag):
        for part, rows in zip(_local_batches(batch), tag.values, strict=True):
            recorder.record(part, rows)
    elif tag is None and any(_per_replica(leaf) for leaf in tree.leaves(batch)):
        for part in _local_batches(batch):
            recorder.record(part, None)
    else:
        recorder.record(batch, tag)


def _per_replica(leaf: Any) -> bool:
    """Whether a strategy split this leaf over replicas (``tf.distribute.DistributedValues``)."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(leaf, tf.distribute.DistributedValues)


def _local_batches(batch: Any) -> list[Any]:
    """The batch as each local replica sees it, in replica order."""
    first = next(leaf for leaf in tree.leaves(batch) if _per_replica(leaf))

    def part(number: int) -> Any:
        return tree.map_leaves(lambda leaf: leaf.values[number] if _per_replica(leaf) else leaf, batch)

    return [part(number) for number in range(len(first.values))]
