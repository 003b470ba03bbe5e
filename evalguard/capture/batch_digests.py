"""Batch digests: taken of each batch when the source emits it, looked up when the model receives it.

The digest identifies a batch without a tag and reveals any change in between.
Such changes happen: a source that overwrites one buffer while its batches wait
in a queue feeds the model rows that it never meant to give, because TensorFlow
uses an aligned NumPy array without copying it (``py_func.cc``).
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.capture.tags import stated_samples
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# How many delivered batches are remembered, to distinguish a batch that comes twice from an unknown one.
MAX_REMEMBERED = 1024
_FLOAT64 = np.dtype(np.float64)
# Native byte order only; of the floats those that Keras feeds unchanged or as float32.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPfdFD")
_hash = xxhash.xxh3_64_intdigest


class BatchDigests(Untagged):
    """Digests of the batches that a source emitted and that the model has not received yet.

    Attributes:
        mutable: The source overwrote memory and emitted it again, so a batch may change after it was fed.
    """

    def __init__(self) -> None:
        # Digest → numbers of batches, oldest first; several, because batches may be equal.
        self._in_flight: dict[int, list[int]] = {}
        self._samples: dict[int, NDArray[np.int64]] = {}
        self._delivered: dict[int, int] = {}
        # Address → owner of the memory, weakly: the check must not itself keep memory from being reused.
        self._owners: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.mutable = False
        # Batches of the execution under way, and their digests; None where one could not be read.
        self._fed: list[tuple[Any, int | None]] = []
        self._all_digested = True
        # `emit` runs in threads of tf.data or of an enqueuer (keras 3.15, py_dataset_adapter.py:314, :267).
        self._lock = threading.Lock()

    def emit(self, batch: Any, number: int, index: Any = None) -> Any:
        """Record a batch that the source emits; returns it unchanged.

        Args:
            batch: As the source emitted it.
            number: Its number in the stream.
            index: Label row of each of its rows, or None.
        """
        # Outside the lock, so that `identify` need not wait while a large batch is hashed.
        batch_digest = digest(batch) if can_digest(batch) else None
        samples = None if index is None else stated_samples(index, tree.n_rows(batch) or 0)
        with self._lock:
            if batch_digest is None:
                self._all_digested = False
                return batch
            numbers = self._in_flight.setdefault(batch_digest, [])
            if number in numbers:  # Keras requests items twice, to learn shapes (keras 3.15, py_dataset_adapter.py:306)
                return batch
            numbers.append(number)
            if samples is not None:
                self._samples[number] = samples
            self.mutable |= self._is_overwritten(batch, batch_digest)
        return batch

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """A delivered batch and its tag.

        Equal batches are interchangeable and are matched in the order in which
        the source emitted them. A batch that the source did not emit is
        altered; if some batch could not be digested, it may be that one, and is
        not observed.
        """
        try:
            batch_digest = digest(data)
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            self._fed.append((data, None))
            return data, NOT_OBSERVED
        self._fed.append((data, batch_digest))
        with self._lock:
            numbers = self._in_flight.get(batch_digest)
            if numbers is None:
                again = self._delivered.get(batch_digest)
                return data, BatchTag(again, altered=again is None and self._all_digested)
            number = numbers.pop(0)
            if not numbers:
                del self._in_flight[batch_digest]
            if len(self._delivered) >= MAX_REMEMBERED:
                self._delivered.clear()
            self._delivered[batch_digest] = number
            return data, BatchTag(number, self._samples.pop(number, None))

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged. Empty where none can change.

        Called after the model has computed on them: the source may overwrite an array meanwhile.
        """
        fed, self._fed = self._fed, []
        # Whether the source overwrites its memory may have shown only while the model computed, so all were kept.
        if not self.mutable:
            return []
        return [batch_digest is None or digest(batch) == batch_digest for batch, batch_digest in fed]

    def _is_overwritten(self, batch: Any, batch_digest: int) -> bool:
        """Whether memory that was emitted before, and still belongs to the same array, now holds other rows."""
        overwritten = False
        for leaf in parts_of(batch):
            if type(leaf) is not np.ndarray:
                continue
            # The array that owns the memory, not the view: a source that slices one buffer emits a new view each time.
            owner = leaf
            while type(base := owner.base) is np.ndarray:
                owner = base
            address = leaf.__array_interface__["data"][0]
            before = self._owners.get(address)
            # An equal address alone proves nothing: NumPy's allocator gives freed memory to the next array. Only the
            # same living owner with other rows is a reused buffer.
            overwritten |= before is not None and before[1] != batch_digest and before[0]() is owner
            if len(self._owners) >= MAX_REMEMBERED:
                self._owners.clear()
            self._owners[address] = weakref.ref(owner), batch_digest
        return overwritten


def can_digest(structure: Any) -> bool:
    """Whether all leaves are arrays or tensors of numbers that Keras feeds unchanged, but for the float type."""
    found = parts_of(structure)
    return bool(found) and all(map(_is_plain, found))


def parts_of(structure: Any) -> Any:
    """Leaves of a tree; a flat tuple of arrays, which most batches are, is returned as it is."""
    # The class by name: `isinstance` would need TensorFlow imported.
    if type(structure) is tuple:
        for part in structure:
            if type(part) is not np.ndarray and type(part).__name__ != "EagerTensor":
                return tree.leaves(structure)
        return structure
    return tree.leaves(structure)


def _is_plain(leaf: Any) -> bool:
    if type(leaf) is np.ndarray:
        return leaf.dtype in NATIVE and leaf.ndim > 0
    if type(leaf).__name__ == "EagerTensor":
        dtype, rank = leaf.dtype, leaf.ndim
        if not (dtype.is_integer or dtype.is_bool or dtype.name in {"float32", "float64"}):
            return False
        return bool(rank)
    return isinstance(leaf, np.ndarray) and leaf.dtype in NATIVE and leaf.ndim > 0


def digest(batch: Any) -> int:
    """One digest of all arrays of a batch, whatever structure holds them; float64 counts as float32."""
    batch_digest = 0
    for leaf in parts_of(batch):
        batch_digest = hash_array(tree.as_array(leaf), batch_digest)
    return batch_digest


def hash_array(array: NDArray[Any], seed: int = 0) -> int:
    """The hash of the bytes of an array; float64 counts as float32."""
    # Some adapters cast float64 to float32 on the way (tf_keras 2.21, engine/data_adapter.py:1140), others do not.
    if array.dtype == _FLOAT64:
        array = array.astype(np.float32)
    return _hash(array.data if array.flags.c_contiguous else array.tobytes(), seed)
