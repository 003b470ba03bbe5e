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
REMEMBERED = 1024
# A source that fills some of NumPy's arrays in turn has come round to the first after this many batches; where no
# memory has come again by then, it does not come round within the next few either.
COME_ROUND, LASTING = 64, 16
# Of batches that nobody else has the memory of: any number of them may be looked at later.
FOR_EVER = sys.maxsize
# TensorFlow takes over what lies at a multiple of so many bytes (tensorflow 2.21, ``py_func.cc``; it tells this one in
# ``tf.sysconfig.get_compile_flags()``), and copies all else.
ALIGNED = 64
# Numbers in a part of a batch from which on its rows are looked at in some places only: how many numbers of each row,
# and in how many places, the first of these that divides the row.
LARGE, LOOKED_AT, PARTS = 1 << 16, 128, (2, 3, 5, 7, 1)
# Bytes of large batches on their way that are kept, to be told from others that look alike.
MOST_WAITING = 1 << 26
_FLOAT64 = np.dtype(np.float64)
# In this machine's own order of bytes; of floats those that Keras feeds as they are, or as float32.
NATIVE = frozenset(np.dtype(code) for code in "?bhilqpBHILQPfdFD")
_hash = xxhash.xxh3_64_intdigest


class Seals:
    """Batches that a source handed out and that have not been delivered yet.

    Attributes:
        shared: Memory was filled anew and handed out again, so that a batch may change after it was fed.
        careful: Batches may look alike, or change: all numbers of large ones make the seal, too.
    """

    def __init__(self) -> None:
        self._open: dict[int, list[int]] = {}
        self._index: dict[int, Any] = {}
        self._delivered: dict[int, int] = {}
        self._owners: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.shared = self.careful = False
        # Large batches that are under way, by pull, and the bytes of each.
        self._waiting: dict[int, tuple[Any, int]] = {}
        self._waiting_bytes = 0
        # The first large one and the digest of all its numbers: it is its memory that comes again first, and may then
        # hold something else.
        self._first: tuple[int, int] | None = None
        self._fed: list[tuple[Any, int]] = []
        self._all_sealed = True
        # Whether TensorFlow has taken memory over, how many batches have come from then on, and whether the memory of
        # these was all allocated by NumPy for an array that can be told from others.
        self._taken_over, self._handed_out, self._known_owners = False, 0, True
        self._lock = threading.Lock()

    @property
    def lasting(self) -> int:
        """How many more batches may be delivered before one must have been looked at."""
        if self.shared:
            return 0
        if not self._taken_over:
            return FOR_EVER
        return LASTING if self._handed_out >= COME_ROUND and self._known_owners else 0

    def put(self, batch: Any, pull: int, index: Any = None) -> None:
        """Note a batch that is handed out.

        Args:
            batch: As the source gave it.
            pull: Its number in the stream.
            index: Label row of each of its rows, or None.
        """
        seal, large = look(batch) if sealable(batch) else (None, 0)
        with self._lock:
            if seal is None:
                self._all_sealed = False
                return
            if large and not self.careful:
                alike = self._open.get(seal, [])
                if pull in alike:
                    return
                if alike or self._waiting_bytes + large > MOST_WAITING:
                    self._be_careful()
            if large and self.careful:
                seal = digest(batch)
            pulls = self._open.setdefault(seal, [])
            if pull in pulls:  # an item that is asked for twice, as Keras does to learn shapes
                return
            pulls.append(pull)
            if index is not None:
                self._index[pull] = index
            if large and not self.careful:
                self._waiting[pull] = batch, large
                self._waiting_bytes += large
                if self._first is None:
                    self._first = pull, digest(batch)
            if not self._taken_over:
                self._taken_over = any(map(_may_be_taken_over, parts_of(batch)))
            if self._taken_over:  # of what TensorFlow copies nothing changes on its way
                self._handed_out += 1
                if self._filled_anew(batch, seal) and not self.shared:
                    self.shared = True
                    self._be_careful()

    def take(self, batch: Any) -> tuple[Any, Any]:
        """A delivered batch and its tag: its number, or what ``tagging.tag_rows`` gives where rows have an index.

        Equal batches are interchangeable: they are delivered in the order in
        which they were handed out. A batch that nobody handed out has the tag
        ``ALTERED``; None if a batch could not be sealed.
        """
        try:
            seal, large = look(batch)
            if self.shared:
                self._fed.append((batch, digest(batch) if large else seal))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, None
        with self._lock:
            if large and self.careful:
                whole = digest(batch)
                # The old seal stays with what was filled anew since: it may be on its way as a copy.
                seal = seal if seal in self._open and whole not in self._open else whole
            pulls = self._open.get(seal)
            if pulls is None:
                return batch, self._delivered.get(seal, ALTERED if self._all_sealed else None)
            pull = pulls.pop(0)
            if not pulls:
                del self._open[seal]
            if len(self._delivered) >= REMEMBERED:
                self._delivered.clear()
            self._delivered[seal] = pull
            if self._waiting:
                self._waiting_bytes -= self._waiting.pop(pull, (None, 0))[1]
            index = self._index.pop(pull, None) if self._index else None
        return batch, pull if index is None else tag_rows(pull, tree.n_rows(batch) or 0, index)

    def intact(self) -> list[bool]:
        """For each batch taken since the last time of asking: is it still what it was? Empty where none can change.

        Asked when the model is done with them: a source that fills one array
        again does so while the model computes, too.
        """
        fed, self._fed = self._fed, []
        return [digest(batch) == seal for batch, seal in fed]

    def _be_careful(self) -> None:
        """From now on all numbers of large batches make their seal, of those that are under way, too."""
        self.careful = True
        waiting, self._waiting = self._waiting, {}
        self._owners.clear()
        for seal, pulls in list(self._open.items()):
            # What is not any more as it was handed out keeps its seal.
            for pull in [pull for pull in pulls if pull in waiting and look(waiting[pull][0])[0] == seal]:
                pulls.remove(pull)
                first = self._first
                whole = first[1] if first is not None and first[0] == pull else digest(waiting[pull][0])
                self._open.setdefault(whole, []).append(pull)
            if not pulls:
                del self._open[seal]

    def _filled_anew(self, batch: Any, seal: int) -> bool:
        """Whether memory that was handed out, and is still owned by the same array, now holds something else."""
        anew = False
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
            anew |= before is not None and before[1] != seal and before[0]() is owner
            if len(self._owners) >= REMEMBERED:
                self._owners.clear()
            self._owners[address] = weakref.ref(owner), seal
        return anew


def looked_at(leaf: NDArray[Any]) -> NDArray[Any]:
    """Some places of large rows, of others all numbers."""
    places = _places(leaf.shape)
    return leaf if places is None else leaf.reshape(places[0])[places[1]]


def sealable(nest: Any) -> bool:
    """Whether all leaves are arrays or tensors of numbers that Keras feeds as they are."""
    found = parts_of(nest)
    return bool(found) and all(map(_is_plain, found))


def parts_of(nest: Any) -> Any:
    """Leaves of a nest; a flat tuple of arrays, as most batches are, is gone through no further."""
    if type(nest) is tuple:
        for part in nest:
            if type(part) is not np.ndarray and type(part).__name__ != "EagerTensor":
                return tree.leaves(nest)
        return nest
    return tree.leaves(nest)


def _is_plain(leaf: Any) -> bool:
    if type(leaf) is np.ndarray:
        return leaf.dtype in NATIVE and leaf.ndim > 0
    if type(leaf).__name__ == "EagerTensor":
        dtype, rank = leaf.dtype, leaf.ndim
        if not (dtype.is_integer or dtype.is_bool or dtype.name in {"float32", "float64"}):
            return False
        return bool(rank)
    return isinstance(leaf, np.ndarray) and leaf.dtype in NATIVE and leaf.ndim > 0


def _may_be_taken_over(leaf: Any) -> bool:
    """Whether TensorFlow may use this memory as it is; else it makes a copy as soon as it is given a batch."""
    return type(leaf) is not np.ndarray or leaf.__array_interface__["data"][0] % ALIGNED == 0


def look(batch: Any) -> tuple[int, int]:
    """A seal of a batch as ``digest`` makes it, but for large parts: of these it is of some places in each row.

    Returns:
        Seal, and the bytes of the parts that are large.
    """
    seal = large = 0
    for leaf in parts_of(batch):
        array = tree.numbers(leaf)
        if array.size >= LARGE and (places := looked_at(array)) is not array:
            large += array.nbytes
            array = places
        seal = _hashed(array, seal)
    return seal, large


@functools.lru_cache(maxsize=64)
def _places(shape: tuple[int, ...]) -> tuple[tuple[int, int, int], tuple[slice, slice, slice]] | None:
    """How to reach the numbers looked at of arrays of this shape: in another shape, and where; None: all of them."""
    rows = shape[0]
    numbers = math.prod(shape[1:])
    if numbers < 2 * LOOKED_AT:
        return None
    # Parts of equal length, the middle of each.
    parts = next(parts for parts in PARTS if numbers % parts == 0)
    length, width = numbers // parts, LOOKED_AT // parts
    start = (length - width) // 2
    return (rows, parts, length), (slice(None), slice(None), slice(start, start + width))


def digest(batch: Any) -> int:
    """One digest of all arrays of a batch, whatever structure holds them; float64 counts as float32."""
    seal = 0
    for leaf in parts_of(batch):
        seal = _hashed(tree.numbers(leaf), seal)
    return seal


def _hashed(array: NDArray[Any], seal: int) -> int:
    if array.dtype == _FLOAT64:
        array = array.astype(np.float32)
    return _hash(array.data if array.flags.c_contiguous else array.tobytes(), seal)
