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
    stream = recorder.stream
    if recorder.capacity and (capacity := min(recorder.capacity, stream.safe_batches)):
        # The hot path. Between two steps none of this code is in the processor's caches: each line costs about a
        # microsecond. So it only stores references and postpones the rest; `safe_batches` says for how long. Read each
        # time: the source may reuse memory from the next batch on.
        batch, tag = (data, TAG_PENDING) if stream.tag_from_rows else stream.unwrap(data)
        recorder.pending.append((batch, tag))
        recorder.capacity = capacity - 1
        if capacity == 1:
            recorder.flush()
            recorder.defer_next(batch)
    else:
        batch = _capture_now(recorder, data)
    recorder.seconds += time.perf_counter() - start
    return batch


def _capture_now(recorder: Recorder, data: Any) -> Any:
    """Record a batch that may change soon, or buffer a copy; decide whether the next ones can wait."""
    # Order: batches before this one must be recorded first, because the trace is positional.
    if recorder.pending:
        recorder.flush()
    stream = recorder.stream
    if stream.tag_from_rows:
        batch, tag, buffered = data, TAG_PENDING, recorder.buffer(data, TAG_PENDING)
        if not buffered and not recorder.n_without_tag:
            # Too large to copy, but if its rows are not needed its tag alone can wait. Not where earlier batches still
            # wait for their tags: `unwrap` counts, so tags must be taken in order.
            batch, tag = stream.unwrap(data)
            buffered = recorder.buffer(batch, tag)
    elif stream.mutable:
        # Hashed now, and again after the model has computed: the source overwrites this memory.
        batch, tag, buffered = data, TAG_PENDING, False
    else:
        batch, tag = stream.unwrap(data)
        buffered = recorder.buffer(batch, tag)
    if not buffered:
        # Buffered batches came before this one: their tags are taken and recorded first.
        recorder.flush()
        if tag is TAG_PENDING:
            batch, tag = stream.unwrap(data)
        record_batch(recorder, batch, tag)
    recorder.defer_next(batch)
    return recorder.without_key(batch) if recorder.options.drop_key else batch


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
