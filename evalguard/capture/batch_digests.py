"""Batch digests: taken of each batch when the source emits it, looked up when the model receives it.

The digest identifies a batch without a tag and reveals any change in between.
Such changes happen because TensorFlow uses an aligned NumPy array without
copying it (``py_func.cc``): if a source overwrites its buffer while a batch waits
in a queue, the model receives the later rows.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.capture.hashing import arrays_of, can_digest, digest, has_float64
from evalguard.capture.overwriting import MemoryWatch
from evalguard.capture.tags import stated_samples
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# How many delivered batches are remembered, to distinguish a batch that comes twice from an unknown one.
MAX_REMEMBERED = 1024


class _Emitted(NamedTuple):
    """A batch that the source emitted.

    Attributes:
        number: Its number in the stream.
        samples: Label row of each of its rows, or None.
        exact: Digest of floats as they are.
    """

    number: int
    samples: NDArray[np.int64] | None
    exact: int | None


class BatchDigests(Untagged):
    """Identifies batches by the digests of those that the source emitted and the model has not received yet."""

    def __init__(self) -> None:
        # Digest → emitted batches, oldest first; several, because batches may be equal. Samples belong to the batch and
        # not to its number, because an item that is requested again may hold other data.
        self._in_flight: dict[int, list[_Emitted]] = {}
        self._delivered: dict[int, int] = {}
        self._memory = MemoryWatch()
        self._all_digested = True
        # `emit` runs in threads of tf.data or of an enqueuer (keras 3.15, py_dataset_adapter.py:314, :267).
        self._lock = threading.Lock()

    def emit(self, batch: Any, number: int, index: Any = None) -> Any:
        """Record a batch that the source emits and return it unchanged.

        Args:
            batch: As the source emitted it.
            number: Its number in the stream.
            index: Label row of each of its rows, or None.
        """
        # Outside the lock, so that `identify` need not wait while a large batch is hashed. A tuple, because
        # `tree.leaves` is fastest on it.
        arrays = tuple(arrays_of(batch)) if can_digest(batch) else None
        batch_digest = None if arrays is None else digest(arrays)
        exact = digest(arrays, float64=True) if arrays is not None and has_float64(arrays) else batch_digest
        samples = None if index is None else stated_samples(index, tree.n_rows(batch) or 0)
        with self._lock:
            if arrays is None or batch_digest is None:
                self._all_digested = False
                return batch
            self._memory.emitted(arrays)
            waiting = self._in_flight.setdefault(batch_digest, [])
            # Keras requests the first items twice, to learn their shapes (keras 3.15, py_dataset_adapter.py:306).
            if all(number != other.number or exact != other.exact for other in waiting):
                waiting.append(_Emitted(number, samples, exact))
        return batch

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch and its tag.

        Equal batches are interchangeable and are matched in the order in which
        the source emitted them. A batch that the source did not emit is
        altered. If an emitted batch could not be digested, it may be that one;
        its tag is then unknown.
        """
        try:
            batch_digest = digest(data)
            exact = digest(data, float64=True) if has_float64(data) else None
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return data, NOT_OBSERVED
        with self._lock:
            waiting = self._in_flight.get(batch_digest)
            if waiting is None:
                again = self._delivered.get(batch_digest)
                return data, BatchTag(again, altered=again is None and self._all_digested)
            # If float64 arrived as float64, batches that are equal as float32 may differ.
            at = next((at for at, one in enumerate(waiting) if exact in {None, one.exact}), None)
            if at is None:
                return data, BatchTag(altered=self._all_digested)
            number, samples = waiting[at].number, waiting.pop(at).samples
            if not waiting:
                del self._in_flight[batch_digest]
            if len(self._delivered) >= MAX_REMEMBERED:
                self._delivered.clear()
            self._delivered[batch_digest] = number
            return data, BatchTag(number, samples)

    def hold(self, data: Any) -> Any:
        """Return the batch, with copies of the arrays that the source may overwrite."""
        return self._memory.hold(data)

    def intact(self) -> list[bool]:
        """For each batch that ``hold`` returned since the last call, whether it is unchanged."""
        return self._memory.intact()
