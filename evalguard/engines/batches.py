"""Batches on their way to the model: noted, and handed on without their tags, replica by replica."""

from __future__ import annotations

import sys
from typing import Any

from evalguard import nests
from evalguard.engines.recorder import Recorder


def pulled(recorder: Recorder, iterator: Any, steps: int) -> list[Any]:
    """The batches of one execution, noted and without their tags.

    Raises:
        StopIteration: The iterator has ended.
    """
    batches: list[Any] = []
    for _ in range(steps):
        try:
            batches.append(take(recorder, next(iterator)))
        except StopIteration:
            if not batches:
                raise
            break
    return batches


def take(recorder: Recorder, data: Any) -> Any:
    """Note one distributed batch; hand on what the model shall get."""
    batch, tag = recorder.opened(data)
    if tag is not None and not _per_replica(tag):
        return recorder.take(batch, tag)
    if tag is None:
        if any(_per_replica(leaf) for leaf in nests.leaves(batch)):
            for part in _local_batches(batch):
                recorder.take(part, None)
            return batch
        return recorder.take(batch, None)
    for part, rows in zip(_local_batches(batch), tag.values, strict=True):
        recorder.take(part, rows)
    return _stripped(recorder, batch)


def _stripped(recorder: Recorder, batch: Any) -> Any:
    return recorder.without_key(batch) if recorder.wanted.strip_key else batch


def _per_replica(leaf: Any) -> bool:
    """Whether a strategy split this leaf over replicas (``tf.distribute.DistributedValues``)."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(leaf, tf.distribute.DistributedValues)


def _local_batches(batch: Any) -> list[Any]:
    """The batch as each local replica sees it, in replica order."""
    first = next(leaf for leaf in nests.leaves(batch) if _per_replica(leaf))

    def part(number: int) -> Any:
        return nests.map_leaves(lambda leaf: leaf.values[number] if _per_replica(leaf) else leaf, batch)

    return [part(number) for number in range(len(first.values))]
