"""How a batch carries its tag: as one more part after its own parts.

Keras accepts ``(x,)``, ``(x, y)`` and ``(x, y, sample_weight)``, so a tagged
batch is ``(x, tag)``, ``(x, y, tag)`` or ``(x, y, (sample_weight, tag))``. The
engine removes the tag and rebuilds exactly the structure that the model would
receive unguarded, so a compiled function is never traced again. The form is flat
because each level of nesting costs Keras about 70 us per batch in ``tf.data``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalguard.core.trace import ROW_BITS, UNKNOWN
from evalguard.data import tree

Unwrap = Callable[[Any], tuple[Any, Any]]
FULL = 3


class TaggedX(NamedTuple):
    """A batch ``(x,)`` that states its samples."""

    x: Any


class TaggedXY(NamedTuple):
    """A batch ``(x, y)`` that states its samples."""

    x: Any
    y: Any


class TaggedXYW(NamedTuple):
    """A batch ``(x, y, sample_weight)`` that states its samples."""

    x: Any
    y: Any
    sample_weight: Any


def _with_index(base: type) -> type:
    """A subclass with room for ``sample_index``, because namedtuples have no other attributes."""

    # Without this, pickle would drop `sample_index` on the way from a worker process.
    def reduce(self: Any) -> tuple[Any, ...]:
        return _unpickled, (tuple(self), self.sample_index)

    # By `type()`, so that `_make` and `_fields` are inherited: tf.nest takes the result for a namedtuple.
    return type(base.__name__, (base,), {"__doc__": base.__doc__, "__reduce__": reduce, "sample_index": None})


def _unpickled(parts: tuple[Any, ...], index: Any) -> Any:
    result = _CLASSES[len(parts)](*parts)
    result.sample_index = index
    return result


_CLASSES = {1: _with_index(TaggedX), 2: _with_index(TaggedXY), 3: _with_index(TaggedXYW)}


def tagged(batch: Any, *, index: Any) -> Any:
    """A batch that states which samples it holds.

    Yield it from a generator or return it from ``PyDataset.__getitem__``. To
    Keras it is an ordinary ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``
    tuple, so it changes nothing where no guard is active.

    Args:
        batch: ``x``, or a tuple or list of up to three parts.
        index: Label row of each row of the batch, int, shape ``(n,)``; a
            ``range`` or a list is accepted, too.

    Raises:
        ValueError: The batch has more than three parts, or ``index`` does not
            have one entry for each row.
    """
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if len(parts) not in _CLASSES:
        msg = f"expected a batch (x,), (x, y) or (x, y, sample_weight), found {len(parts)} parts"
        raise ValueError(msg)
    rows = np.asarray(index, dtype=np.int64).reshape(-1)
    expected = tree.n_rows(parts[0])
    if expected is not None and expected != len(rows):
        msg = f"expected one index for each of the {expected} rows of the batch, found {len(rows)}"
        raise ValueError(msg)
    result = _CLASSES[len(parts)](*parts)
    result.sample_index = rows
    return result


def tag_rows(pull: int, n_rows: int, index: Any = None) -> NDArray[np.int64]:
    """Tag of a batch: int64, shape ``(n_rows, 2)``: position in the stream, and label row or -1."""
    tag = np.empty((n_rows, 2), dtype=np.int64)
    start = pull << ROW_BITS
    tag[:, 0] = np.arange(start, start + n_rows)
    tag[:, 1] = UNKNOWN
    if index is not None:
        stated = np.asarray(index).reshape(-1)
        # A source that miscounts its own rows has not stated which sample is which.
        if len(stated) == n_rows and stated.dtype.kind in "iu":
            tag[:, 1] = stated
    return tag


def wrap_batch(batch: Any, pull: int, index: Any = None) -> tuple[Any, ...]:
    """The batch with its tag; the tag is empty where rows cannot be counted."""
    # The tag has as many rows as the batch, because `experimental_distribute_dataset` divides each leaf by its first
    # dimension (keras 3.15, backend/tensorflow/trainer.py:753).
    parts = batch if isinstance(batch, tuple) else (batch,)
    rows = tree.n_rows(parts[0]) or 0
    stated = getattr(batch, "sample_index", None)
    tag = tag_rows(pull, rows, index if stated is None else stated)
    return (*parts, tag) if len(parts) < FULL else (parts[0], parts[1], (parts[2], tag))


def unwrap_like(batch: Any) -> Unwrap:
    """A function that removes the tag of a batch and restores the structure of ``batch``."""
    # `wrap_batch` wrapped a dict or a bare array in a tuple and turned a namedtuple into a plain one. The model must
    # receive the original structure, or tf.function traces its step again.
    kind = type(batch)
    full = isinstance(batch, tuple) and len(batch) == FULL

    def split(data: Any) -> tuple[Any, Any]:
        if full:
            return (data[0], data[1], data[2][0]), data[2][1]
        return data[:-1], data[-1]

    if not isinstance(batch, tuple):
        return lambda data: (data[0], data[1])
    if kind is tuple:
        return split

    def rebuilt(data: Any) -> tuple[Any, Any]:
        parts, tag = split(data)
        return kind._make(parts), tag

    return rebuilt if hasattr(kind, "_make") else split


def untagged(data: Any) -> tuple[Any, Any]:
    """The batch unchanged and None, for sources that carry no tag."""
    return data, None
