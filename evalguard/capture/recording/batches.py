"""Identify and record the batches that the model is about to receive, and pass them on without their tags."""

from __future__ import annotations

import time
from typing import Any

from evalguard.capture.recording.recorder import Recorder
from evalguard.capture.replicas import local_batches


def capture_batches(recorder: Recorder, iterator: Any, steps: int) -> list[Any]:
    """Pull and record the batches of one execution, and return them without their tags.

    Raises:
        StopIteration: The iterator has ended.
    """
    batches: list[Any] = []
    for _ in range(steps):
        try:
            batches.append(capture_batch(recorder, next(iterator)))
        except StopIteration:
            # If the source ends within an execution, Keras computes on the batches that it has, and ends at the next
            # pull (keras 3.15, backend/tensorflow/trainer.py:567, `get_data`).
            if not batches:
                raise
            break
    return batches


def capture_batch(recorder: Recorder, data: Any) -> Any:
    """Record one delivered batch and return what the model receives."""
    # The hot path. Between two steps of the model none of this code is in the processor's caches, so each line costs
    # about a microsecond.
    start = time.perf_counter()
    if recorder.replicated:
        batch = _capture_replicas(recorder, data)
    else:
        held = recorder.stream.hold(data)
        batch = recorder.capture(data) if held is None else recorder.wait(data, held)
    if recorder.options.drop_key:
        batch = recorder.without_key(batch)
    recorder.seconds += time.perf_counter() - start
    return batch


def _capture_replicas(recorder: Recorder, data: Any) -> Any:
    """Record a distributed batch part by part, because each replica's part carries its own tag."""
    for part in local_batches(data):
        recorder.record(*recorder.stream.identify(part))
    return recorder.stream.without_tag(data)
