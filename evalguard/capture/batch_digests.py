"""Seals: a digest of each batch where the source hands it out, looked for again where the model is fed.

A batch that comes out sealed needs no tag beside it, and what happened to its
rows on the way shows: a source that fills one buffer again and again while its
batches wait in a queue feeds the model rows that it never meant to give.
(TensorFlow takes an aligned NumPy array over without a copy; ``py_func.cc``.)

Of large batches, some numbers of each row make the seal: to read all of them
twice costs more than a hundredth of a small conv net's step. Two batches that
wait together and look alike are sealed by all their numbers, and all that come
after them.
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

# Batches that were delivered lately, to tell one that comes twice from one that is not known.
MAX_REMEMBERED = 1024
# A source that fills some of NumPy's arrays in turn has come round to the first after this many batches; where no
# memory has come again by then, it does not come round within the next few either.
REUSE_WINDOW, SAFE_BATCHES = 64, 16
# Of batches that nobody else has the memory of: any number of them may be looked at later.
UNLIMITED = sys.maxsize
# TensorFlow takes over what lies at a multiple of so many bytes (tensorflow 2.21, ``py_func.cc``; it tells this one in
# ``tf.sysconfig.get_compile_flags()``), and copies all else.
TF_ALIGNMENT = 64
# Numbers in a part of a batch from which on its rows are looked at in some places only: how many numbers of each row,
# and in how many places, the first of these that divides the row.
MIN_LARGE_SIZE, SAMPLED_NUMBERS, PARTS = 1 << 16, 128, (2, 3, 5, 7, 1)
# Bytes of large batches on their way that are kept, to be told from others that look alike.
MAX_IN_FLIGHT_BYTES = 1 << 26
_FLOAT64 = np.dtype(np.float64)
# In this machine's own order of bytes; of floats those that Keras feeds as they are, or as float32.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPfdFD")
_hash = xxhash.xxh3_64_intdigest


class BatchDigests:
    """Batches that a source handed out and that have not been delivered yet.

    Attributes:
        mutable: Memory was filled anew and handed out again, so that a batch may change after it was fed.
        full_digests: Batches may look alike, or change: all numbers of large ones make the seal, too.
    """

    def __init__(self) -> None:
        self._in_flight: dict[int, list[int]] = {}
        self._index: dict[int, Any] = {}
        self._delivered: dict[int, int] = {}
        self._owners: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.mutable = self.full_digests = False
        # Large batches that are under way, by pull, and the bytes of each.
        self._in_flight_large: dict[int, tuple[Any, int]] = {}
        self._in_flight_bytes = 0
        # The first large one and the digest of all its numbers: it is its memory that comes again first, and may then
        # hold something else.
        self._first: tuple[int, int] | None = None
        self._fed: list[tuple[Any, int]] = []
        self._all_digested = True
        # Whether TensorFlow has taken memory over, how many batches have come from then on, and whether the memory of
        # these was all allocated by NumPy for an array that can be told from others.
        self._zero_copy, self._n_emitted, self._known_owners = False, 0, True
        self._lock = threading.Lock()

    @property
    def safe_batches(self) -> int:
        """How many more batches may be delivered before one must have been looked at."""
        if self.mutable:
            return 0
        if not self._zero_copy:
            return UNLIMITED
        return SAFE_BATCHES if self._n_emitted >= REUSE_WINDOW and self._known_owners else 0

    def put(self, batch: Any, pull: int, index: Any = None) -> None:
        """Note a batch that is handed out.

        Args:
            batch: As the source gave it.
            pull: Its number in the stream.
            index: Label row of each of its rows, or None.
        """
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
            if pull in pulls:  # an item that is asked for twice, as Keras does to learn shapes
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
            if self._zero_copy:  # of what TensorFlow copies nothing changes on its way
                self._n_emitted += 1
                if self._is_overwritten(batch, batch_digest) and not self.mutable:
                    self.mutable = True
                    self._use_full_digests()

    def identify(self, batch: Any) -> tuple[Any, Any]:
        """A delivered batch and its tag: its number, or what ``tagging.tag_rows`` gives where rows have an index.

        Equal batches are interchangeable: they are delivered in the order in
        which they were handed out. A batch that nobody handed out has the tag
        ``ALTERED``; None if a batch could not be sealed.
        """
        try:
            batch_digest, large = sampled_digest(batch)
            if self.mutable:
                self._fed.append((batch, digest(batch) if large else batch_digest))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, None
        with self._lock:
            if large and self.full_digests:
                whole = digest(batch)
                # The old seal stays with what was filled anew since: it may be on its way as a copy.
                batch_digest = (
                    batch_digest if batch_digest in self._in_flight and whole not in self._in_flight else whole
                )
            pulls = self._in_flight.get(batch_digest)
            if pulls is None:
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
        """For each batch taken since the last time of asking: is it still what it was? Empty where none can change.

        Asked when the model is done with them: a source that fills one array
        again does so while the model computes, too.
        """
        fed, self._fed = self._fed, []
        return [digest(batch) == batch_digest for batch, batch_digest in fed]

    def _use_full_digests(self) -> None:
        """From now on all numbers of large batches make their seal, of those that are under way, too."""
        self.full_digests = True
        in_flight_large, self._in_flight_large = self._in_flight_large, {}
        self._owners.clear()
        for batch_digest, pulls in list(self._in_flight.items()):
            # What is not any more as it was handed out keeps its seal.
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
        """Whether memory that was handed out, and is still owned by the same array, now holds something else."""
        overwritten = False
        for leaf in parts_of(batch):
            if type(leaf) is not np.ndarray:
                self._known_owners = False
                continue
            owner = leaf
            while type(base := owner.base) is np.ndarray:
                owner = base
            if base is not None or not owner.flags.owndata:
                self._known_owners = False
            address = leaf.__array_interface__["data"][0]
            before = self._owners.get(address)
            overwritten |= before is not None and before[1] != batch_digest and before[0]() is owner
            if len(self._owners) >= MAX_REMEMBERED:
                self._owners.clear()
            self._owners[address] = weakref.ref(owner), batch_digest
        return overwritten


def looked_at(leaf: NDArray[Any]) -> NDArray[Any]:
    """Some places of large rows, of others all numbers."""
    positions = _sampled_slices(leaf.shape)
    return leaf if positions is None else leaf.reshape(positions[0])[positions[1]]


def can_digest(structure: Any) -> bool:
    """Whether all leaves are arrays or tensors of numbers that Keras feeds as they are."""
    found = parts_of(structure)
    return bool(found) and all(map(_is_plain, found))


def parts_of(structure: Any) -> Any:
    """Leaves of a nest; a flat tuple of arrays, as most batches are, is gone through no further."""
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
    """Whether TensorFlow may use this memory as it is; else it makes a copy as soon as it is given a batch."""
    return type(leaf) is not np.ndarray or leaf.__array_interface__["data"][0] % TF_ALIGNMENT == 0


def sampled_digest(batch: Any) -> tuple[int, int]:
    """A seal of a batch as ``digest`` makes it, but for large parts: of these it is of some places in each row.

    Returns:
        Seal, and the bytes of the parts that are large.
    """
    batch_digest = large = 0
    for leaf in parts_of(batch):
        array = tree.as_array(leaf)
        if array.size >= MIN_LARGE_SIZE and (positions := looked_at(array)) is not array:
            large += array.nbytes
            array = positions
        batch_digest = _hashed(array, batch_digest)
    return batch_digest, large


@functools.lru_cache(maxsize=64)
def _sampled_slices(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]] | None:
    """How to reach the numbers looked at of arrays of this shape: in another shape, and where; None: all of them."""
    rows = shape[0]
    numbers = math.prod(shape[1:])
    if numbers < 2 * SAMPLED_NUMBERS:
        return None
    # Parts of equal length, the middle of each.
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
    if array.dtype == _FLOAT64:
        array = array.astype(np.float32)
    return _hash(array.data if array.flags.c_contiguous else array.tobytes(), batch_digest)
