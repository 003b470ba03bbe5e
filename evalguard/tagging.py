"""How a tag rides: the batch and its tag travel as a pair in the place of ``x``.

Wrapping the whole batch, rather than adding an entry to ``x``, lets the engine
hand the model exactly the structure that it would have got unguarded, so a
compiled function is never traced again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalguard import nests
from evalguard.core.trace import ROW_BITS, UNKNOWN


class Pair(NamedTuple):
    """A batch and its tag; a namedtuple, so that Keras and ``tf.nest`` keep it as it is."""

    batch: Any
    tag: Any


class TaggedX(NamedTuple):
    """A batch ``(x,)`` that knows its samples."""

    x: Any


class TaggedXY(NamedTuple):
    """A batch ``(x, y)`` that knows its samples."""

    x: Any
    y: Any


class TaggedXYW(NamedTuple):
    """A batch ``(x, y, sample_weight)`` that knows its samples."""

    x: Any
    y: Any
    sample_weight: Any


def _with_index(base: type) -> type:
    """A subclass with room for ``sample_index``; namedtuples alone have none."""

    def reduce(self: Any) -> tuple[Any, ...]:
        return tagged, (tuple(self), self.sample_index)

    return type(base.__name__, (base,), {"__doc__": base.__doc__, "__reduce__": reduce, "sample_index": None})


_CLASSES = {1: _with_index(TaggedX), 2: _with_index(TaggedXY), 3: _with_index(TaggedXYW)}


def tagged(batch: Any, *, index: Any) -> Any:
    """A batch that says which samples it holds.

    To be yielded by a generator or returned by ``PyDataset.__getitem__``. It is
    an ordinary ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)`` tuple for
    Keras, so it does no harm where no guard is active.

    Args:
        batch: ``x``, or a tuple or list of up to three parts.
        index: Label row of each row of the batch, int, shape ``(n,)``; a
            ``range`` or list will do.

    Raises:
        ValueError: The batch has more than three parts, or ``index`` has not
            one entry for each row.
    """
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if len(parts) not in _CLASSES:
        msg = f"expected a batch (x,), (x, y) or (x, y, sample_weight), found {len(parts)} parts"
        raise ValueError(msg)
    rows = np.asarray(index, dtype=np.int64).reshape(-1)
    expected = nests.n_rows(parts[0])
    if expected is not None and expected != len(rows):
        msg = f"expected one index for each of the {expected} rows of the batch, found {len(rows)}"
        raise ValueError(msg)
    result = _CLASSES[len(parts)](*parts)
    result.sample_index = rows
    return result


def tag_rows(pull: int, n_rows: int, index: Any = None) -> NDArray[np.int64]:
    """Tag of a batch: int64, shape ``(n_rows, 2)``: place in the stream, and label row or -1."""
    tag = np.empty((n_rows, 2), dtype=np.int64)
    start = pull << ROW_BITS
    tag[:, 0] = np.arange(start, start + n_rows)
    tag[:, 1] = UNKNOWN
    if index is not None:
        stated = np.asarray(index).reshape(-1)
        # A source that miscounts its own rows has not said which sample is which.
        if len(stated) == n_rows and stated.dtype.kind in "iu":
            tag[:, 1] = stated
    return tag


def wrap_batch(batch: Any, pull: int, index: Any = None) -> Any:
    """``(Pair,)``: the batch with its tag, or the batch alone where its rows cannot be counted."""
    rows = nests.n_rows(nests.unpack(batch)[0])
    if rows is None:
        return batch
    stated = getattr(batch, "sample_index", None)
    return (Pair(batch, tag_rows(pull, rows, index if stated is None else stated)),)


def unwrap(data: Any) -> tuple[Any, Any]:
    """``(batch, tag)``; the tag is None where the batch carried none."""
    if type(data) is tuple and len(data) == 1 and isinstance(data[0], Pair):
        return data[0]
    return data, None
