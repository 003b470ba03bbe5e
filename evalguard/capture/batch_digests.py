"""Batch digests: taken of each batch when the source emits it, looked up when the model receives it.

The digest identifies a batch without a tag and reveals any change in between.
Such changes happen: a source that overwrites one buffer while its batches wait
in a queue feeds the model rows that it never meant to give, because TensorFlow
uses an aligned NumPy array without copying it (``py_func.cc``).

The digest of a large batch covers sampled positions of each row: reading all
numbers twice costs more than 1% of a small conv net's step. When two batches in
flight are equal at the sampled positions, these two and all later batches get
full digests.
"""

from __future__ import annotations

import functools
import math
import sys
import threading
import weakref
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from evalguard.capture.tags import tag_rows
from evalguard.core.own_errors import swallow
from evalguard.core.trace import ALTERED
from evalguard.data import tree

# How many delivered batches are remembered, to distinguish a batch that comes twice from an unknown one.
MAX_REMEMBERED = 1024
# If a source reused no memory within REUSE_WINDOW batches, none is expected within the next SAFE_BATCHES either.
REUSE_WINDOW, SAFE_BATCHES = 64, 16
# For batches whose memory no other object can write to: they may be hashed at any later time.
UNLIMITED = sys.maxsize
# TensorFlow uses memory in place where its address is a multiple of this, and copies it otherwise (tensorflow 2.21,
# ``py_func.cc``; the number is in python/platform/sysconfig.py:86, ``tf.sysconfig.get_compile_flags()``).
TF_ALIGNMENT = 64
# A part with at least MIN_LARGE_SIZE numbers is digested at sampled positions: SAMPLED_NUMBERS numbers of each row, in
# as many sections as the first of PARTS that divides the row.
MIN_LARGE_SIZE, SAMPLED_NUMBERS, PARTS = 1 << 16, 128, (2, 3, 5, 7, 1)
# How many bytes of large batches in flight are kept, to give them full digests once two of them are ambiguous.
MAX_IN_FLIGHT_BYTES = 1 << 26
_FLOAT64 = np.dtype(np.float64)
# Native byte order only; of the floats those that Keras feeds unchanged or as float32.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPfdFD")
_hash = xxhash.xxh3_64_intdigest


class BatchDigests:
    """Digests of the batches that a source emitted and that the model has not received yet.

    Attributes:
        mutable: The source overwrote memory and emitted it again, so a batch may change after it was fed.
        full_digests: Batches are ambiguous at the sampled positions, or may change: digests cover all numbers.
    """

    def __init__(self) -> None:
        # Digest → pulls, oldest first; several, because batches may be equal.
        self._in_flight: dict[int, list[int]] = {}
        self._index: dict[int, Any] = {}
        self._delivered: dict[int, int] = {}
        # Address → owner of the memory, weakly: the check must not itself keep memory from being reused.
        self._owners: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.mutable = self.full_digests = False
        # Large batches in flight, by pull, and the bytes of each.
        self._in_flight_large: dict[int, tuple[Any, int]] = {}
        self._in_flight_bytes = 0
        # The first large batch and its full digest: its memory is the first to be overwritten.
        self._first: tuple[int, int] | None = None
        self._fed: list[tuple[Any, int]] = []
        self._all_digested = True
        # Whether TensorFlow may have used memory in place, how many batches followed since, and whether NumPy allocated
        # the memory of all of them for an array whose identity can be checked.
        self._zero_copy, self._n_emitted, self._known_owners = False, 0, True
        # `put` runs in threads of tf.data or of an enqueuer (keras 3.15, py_dataset_adapter.py:314, :267).
        self._lock = threading.Lock()

    @property
    def safe_batches(self) -> int:
        """How many more batches may be delivered before the first of them must be hashed."""
        if self.mutable:
            return 0
        if not self._zero_copy:
            return UNLIMITED
        return SAFE_BATCHES if self._n_emitted >= REUSE_WINDOW and self._known_owners else 0

    def put(self, batch: Any, pull: int, index: Any = None) -> None:
        """Record a batch that the source emits.

        Args:
            batch: As the source emitted it.
            pull: Its number in the stream.
            index: Label row of each of its rows, or None.
        """
        # Outside the lock, so that `identify` need not wait while a large batch is hashed.
        batch_digest, large = sampled_digest(batch) if can_digest(batch) else (None, 0)
        with self._lock:
            if batch_digest is None:
                self._all_digested = False
                return
            if large and not self.full_digests:
                ambiguous = self._in_flight.get(batch_digest, [])
                if pull in ambiguous:
                    return
                if ambiguous or self._in_flight_bytes + large > MAX_IN_FLIGHT_BYTES:
                    self._use_full_digests()
            if large and self.full_digests:
                batch_digest = digest(batch)
            pulls = self._in_flight.setdefault(batch_digest, [])
            if pull in pulls:  # Keras requests items twice, to learn shapes (keras 3.15, py_dataset_adapter.py:306)
                return
            pulls.append(pull)
            if index is not None:
                self._index[pull] = index
            if large and not self.full_digests:
                self._in_flight_large[pull] = batch, large
                self._in_flight_bytes += large
                if self._first is None:
                    self._first = pull, digest(batch)
            if not self._zero_copy:
                self._zero_copy = any(map(_may_be_zero_copy, parts_of(batch)))
            if self._zero_copy:  # else TensorFlow copied it, and later writes by the source cannot reach the model
                self._n_emitted += 1
                if self._is_overwritten(batch, batch_digest) and not self.mutable:
                    self.mutable = True
                    self._use_full_digests()

    def identify(self, batch: Any) -> tuple[Any, Any]:
        """A delivered batch and its tag: its number, or what ``tags.tag_rows`` returns where rows have an index.

        Equal batches are interchangeable and are matched in the order in which
        the source emitted them. The tag is ``ALTERED`` for a batch that the
        source did not emit, and None if some batch could not be digested.
        """
        try:
            batch_digest, large = sampled_digest(batch)
            # All numbers: any part may be overwritten while the model computes.
            if self.mutable:
                self._fed.append((batch, digest(batch) if large else batch_digest))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, None
        with self._lock:
            if large and self.full_digests:
                whole = digest(batch)
                # See `_use_full_digests`: an overwritten batch keeps its sampled digest. It may arrive as an old copy.
                if batch_digest not in self._in_flight or whole in self._in_flight:
                    batch_digest = whole
            pulls = self._in_flight.get(batch_digest)
            if pulls is None:
                # Unless every batch was digested, an unknown one may be one without a digest.
                return batch, self._delivered.get(batch_digest, ALTERED if self._all_digested else None)
            pull = pulls.pop(0)
            if not pulls:
                del self._in_flight[batch_digest]
            if len(self._delivered) >= MAX_REMEMBERED:
                self._delivered.clear()
            self._delivered[batch_digest] = pull
            if self._in_flight_large:
                self._in_flight_bytes -= self._in_flight_large.pop(pull, (None, 0))[1]
            index = self._index.pop(pull, None) if self._index else None
        return batch, pull if index is None else tag_rows(pull, tree.n_rows(batch) or 0, index)

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged. Empty where none can change.

        Called after the model has computed on them: the source may overwrite an array meanwhile.
        """
        fed, self._fed = self._fed, []
        return [digest(batch) == batch_digest for batch, batch_digest in fed]

    def _use_full_digests(self) -> None:
        """Use full digests from now on, and replace those of the large batches in flight."""
        self.full_digests = True
        in_flight_large, self._in_flight_large = self._in_flight_large, {}
        # The digests stored beside the owners are sampled ones: compared with full ones all memory would look changed.
        self._owners.clear()
        for batch_digest, pulls in list(self._in_flight.items()):
            # An overwritten batch keeps its sampled digest: its full one can no longer be computed.
            for pull in [
                pull
                for pull in pulls
                if pull in in_flight_large and sampled_digest(in_flight_large[pull][0])[0] == batch_digest
            ]:
                pulls.remove(pull)
                first = self._first
                whole = first[1] if first is not None and first[0] == pull else digest(in_flight_large[pull][0])
                self._in_flight.setdefault(whole, []).append(pull)
            if not pulls:
                del self._in_flight[batch_digest]

    def _is_overwritten(self, batch: Any, batch_digest: int) -> bool:
        """Whether memory that was emitted before, and still belongs to the same array, now holds other rows."""
        overwritten = False
        for leaf in parts_of(batch):
            if type(leaf) is not np.ndarray:
                self._known_owners = False
                continue
            # The array that owns the memory, not the view: a source that slices one buffer emits a new view each time.
            owner = leaf
            while type(base := owner.base) is np.ndarray:
                owner = base
            if base is not None or not owner.flags.owndata:
                self._known_owners = False
            address = leaf.__array_interface__["data"][0]
            before = self._owners.get(address)
            # An equal address alone proves nothing: NumPy's allocator gives freed memory to the next array. Only the
            # same living owner with other rows is a reused buffer.
            overwritten |= before is not None and before[1] != batch_digest and before[0]() is owner
            if len(self._owners) >= MAX_REMEMBERED:
                self._owners.clear()
            self._owners[address] = weakref.ref(owner), batch_digest
        return overwritten


def sampled_numbers(leaf: NDArray[Any]) -> NDArray[Any]:
    """The numbers at the sampled positions of each row; all numbers of small rows."""
    positions = _sampled_slices(leaf.shape)
    return leaf if positions is None else leaf.reshape(positions[0])[positions[1]]


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


def _may_be_zero_copy(leaf: Any) -> bool:
    """Whether TensorFlow may use this memory in place; otherwise it copies a batch as soon as it receives it."""
    return type(leaf) is not np.ndarray or leaf.__array_interface__["data"][0] % TF_ALIGNMENT == 0


def sampled_digest(batch: Any) -> tuple[int, int]:
    """The digest of a batch, with large parts read at sampled positions only.

    Returns:
        The digest, and the bytes of the parts that are large.
    """
    batch_digest = large = 0
    for leaf in parts_of(batch):
        array = tree.as_array(leaf)
        if array.size >= MIN_LARGE_SIZE and (positions := sampled_numbers(array)) is not array:
            large += array.nbytes
            array = positions
        batch_digest = _hashed(array, batch_digest)
    return batch_digest, large


@functools.lru_cache(maxsize=64)
def _sampled_slices(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]] | None:
    """The sampled positions of arrays of this shape: a shape to view them in, and slices of it; None: all positions."""
    rows = shape[0]
    numbers = math.prod(shape[1:])
    if numbers < 2 * SAMPLED_NUMBERS:
        return None
    # The middle of each of several equal sections: borders of images are often one colour.
    parts = next(parts for parts in PARTS if numbers % parts == 0)
    length, width = numbers // parts, SAMPLED_NUMBERS // parts
    start = (length - width) // 2
    return (rows, parts, length), (slice(None), slice(None), slice(start, start + width))


def digest(batch: Any) -> int:
    """One digest of all arrays of a batch, whatever structure holds them; float64 counts as float32."""
    batch_digest = 0
    for leaf in parts_of(batch):
        batch_digest = _hashed(tree.as_array(leaf), batch_digest)
    return batch_digest


def _hashed(array: NDArray[Any], batch_digest: int) -> int:
    # Some adapters cast float64 to float32 on the way (tf_keras 2.21, engine/data_adapter.py:1140), others do not.
    if array.dtype == _FLOAT64:
        array = array.astype(np.float32)
    return _hash(array.data if array.flags.c_contiguous else array.tobytes(), batch_digest)
