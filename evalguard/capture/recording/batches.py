"""Batches on their way to the model: noted, and handed on without their tags, replica by replica."""

from __future__ import annotations

import sys
import time
from typing import Any

from evalguard.capture.contract import TAG_PENDING
from evalguard.capture.recording.recorder import Recorder
from evalguard.data import tree


def capture_batches(recorder: Recorder, iterator: Any, steps: int) -> list[Any]:
    """The batches of one execution, noted and without their tags.

    Raises:
        StopIteration: The iterator has ended.
    """
    batches: list[Any] = []
    for _ in range(steps):
        try:
            batches.append(capture_batch(recorder, next(iterator)))
        except StopIteration:
            if not batches:
                raise
            break
    return batches


def capture_batch(recorder: Recorder, data: Any) -> Any:
    """Note one distributed batch; hand on what the model shall get."""
    start = time.perf_counter()
    stream = recorder.stream
    if recorder.capacity and (capacity := min(recorder.capacity, stream.safe_batches)):
        # Between two steps nothing of ours is in the processor's caches: each line here costs a microsecond.
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
    """Note a batch that may change soon, or a copy of it; keep those after it where they do not."""
    if recorder.pending:
        recorder.flush()
    stream = recorder.stream
    if stream.tag_from_rows:
        batch, tag, buffered = data, TAG_PENDING, recorder.buffer(data, TAG_PENDING)
        if not buffered and not recorder.n_without_tag:
            # Its rows are too many to wait, its tag is not.
            batch, tag = stream.unwrap(data)
            buffered = recorder.buffer(batch, tag)
    elif stream.mutable:
        # Looked at now, and again when the model is done.
        batch, tag, buffered = data, TAG_PENDING, False
    else:
        batch, tag = stream.unwrap(data)
        buffered = recorder.buffer(batch, tag)
    if not buffered:
        # What is held came before: its tags are taken, and noted, before this one's.
        recorder.flush()
        if tag is TAG_PENDING:
            batch, tag = stream.unwrap(data)
        record_batch(recorder, batch, tag)
    recorder.defer_next(batch)
    return recorder.without_key(batch) if recorder.options.drop_key else batch


def record_batch(recorder: Recorder, batch: Any, tag: Any) -> None:
    """Note one batch, that of each replica by itself."""
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
