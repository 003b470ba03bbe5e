"""Batches on their way to the model: noted, and handed on without their tags, replica by replica."""

from __future__ import annotations

import sys
import time
from typing import Any

from evalguard.capture.contract import LATER
from evalguard.capture.recording.recorder import Recorder
from evalguard.data import tree


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
    start = time.perf_counter()
    stream = recorder.stream
    if recorder.room and (room := min(recorder.room, stream.lasting)):
        # Between two steps nothing of ours is in the processor's caches: each line here costs a microsecond.
        batch, tag = (data, LATER) if stream.bare else stream.unwrap(data)
        recorder.kept.append((batch, tag))
        recorder.room = room - 1
        if room == 1:
            recorder.settle()
            recorder.keep_from_now(batch)
    else:
        batch = _take_now(recorder, data)
    recorder.seconds += time.perf_counter() - start
    return batch


def _take_now(recorder: Recorder, data: Any) -> Any:
    """Note a batch that may change soon, or a copy of it; keep those after it where they do not."""
    if recorder.kept:
        recorder.settle()
    stream = recorder.stream
    if stream.bare:
        batch, tag, held = data, LATER, recorder.hold(data, LATER)
        if not held and not recorder.untold:
            # Its rows are too many to wait, its tag is not.
            batch, tag = stream.unwrap(data)
            held = recorder.hold(batch, tag)
    elif stream.shared:
        # Looked at now, and again when the model is done.
        batch, tag, held = data, LATER, False
    else:
        batch, tag = stream.unwrap(data)
        held = recorder.hold(batch, tag)
    if not held:
        # What is held came before: its tags are taken, and noted, before this one's.
        recorder.settle()
        if tag is LATER:
            batch, tag = stream.unwrap(data)
        note(recorder, batch, tag)
    recorder.keep_from_now(batch)
    return recorder.without_key(batch) if recorder.options.drop_key else batch


def note(recorder: Recorder, batch: Any, tag: Any) -> None:
    """Note one batch, that of each replica by itself."""
    if _per_replica(tag):
        for part, rows in zip(_local_batches(batch), tag.values, strict=True):
            recorder.note(part, rows)
    elif tag is None and any(_per_replica(leaf) for leaf in tree.leaves(batch)):
        for part in _local_batches(batch):
            recorder.note(part, None)
    else:
        recorder.note(batch, tag)


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
