"""How a batch carries its tag: as one more part after its own parts.

Keras accepts ``(x,)``, ``(x, y)`` and ``(x, y, sample_weight)``, so a tagged
batch is ``(x, tag)``, ``(x, y, tag)`` or ``(x, y, (sample_weight, tag))``. The
engine removes the tag and rebuilds exactly the structure that the model would
receive unguarded, so a compiled function is never traced again. The tag is not
nested deeper, because each level costs about 70 us per batch in ``tf.data``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.capture.hashing import has_float64, row_digests
from evalguard.core.own_errors import swallow
from evalguard.core.plural import plural
from evalguard.core.trace import UNKNOWN, batch_and_row, row_tag
from evalguard.data import tree

# Number of parts of a batch that has all of them: `(x, y, sample_weight)`.
FULL = 3
Int64 = NDArray[np.int64]


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
    """A subclass with an attribute ``sample_index``, because instances of a namedtuple accept no new attributes."""

    # Without this, pickle would drop `sample_index` when a worker process returns the batch.
    def reduce(self: Any) -> tuple[Any, ...]:
        return _unpickled, (tuple(self), self.sample_index)

    # Made by `type()`, so that `_make` and `_fields` are inherited and tf.nest accepts it as a namedtuple.
    return type(base.__name__, (base,), {"__doc__": base.__doc__, "__reduce__": reduce, "sample_index": None})


def _unpickled(parts: tuple[Any, ...], index: Any) -> Any:
    result = _CLASSES[len(parts)](*parts)
    result.sample_index = index
    return result


_CLASSES = {1: _with_index(TaggedX), 2: _with_index(TaggedXY), 3: _with_index(TaggedXYW)}


def tagged(batch: Any, *, index: Any) -> Any:
    """Return a batch that states which samples it holds.

    Yield it from a generator or return it from ``PyDataset.__getitem__``. For
    Keras it is an ordinary tuple ``(x,)``, ``(x, y)`` or ``(x, y,
    sample_weight)``, so it has no effect if no guard is active.

    Args:
        batch: ``x``, or a tuple or list of up to three parts.
        index: Label row of each row of the batch: int, shape ``(n,)``, or a
            ``range`` or list of integers.

    Raises:
        ValueError: The batch has more than three parts, or ``index`` does not
            have one entry for each row.
    """
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if len(parts) not in _CLASSES:
        msg = f"expected a batch (x,), (x, y) or (x, y, sample_weight), found {plural(len(parts), 'part')}"
        raise ValueError(msg)
    # A copy, because the caller may overwrite the index before the batch is emitted.
    rows = np.array(index, dtype=np.int64).reshape(-1)
    expected = tree.n_rows(parts[0])
    if expected is not None and expected != len(rows):
        msg = f"expected one index for each of the {expected:,} rows of the batch, found {len(rows):,}"
        raise ValueError(msg)
    result = _CLASSES[len(parts)](*parts)
    result.sample_index = rows
    return result


def stated_samples(index: Any, n_rows: int) -> NDArray[np.int64] | None:
    """The samples that a source states for a batch, int64, shape ``(n,)``; None without one integer for each row."""
    if index is None:
        return None
    # A copy, because the source may overwrite its index for the next batch.
    stated = np.array(index).reshape(-1)
    # With more or fewer entries than rows, it is not known which entry belongs to which row.
    if len(stated) != n_rows or stated.dtype.kind not in "iu" or (stated == UNKNOWN).all():
        return None
    return stated.astype(np.int64, copy=False)


class RidingTags(Untagged):
    """Adds a tag to each batch, as one more part that passes through Keras with it, with a digest of each row.

    The digests reveal a source that overwrites its buffer while the batch
    waits: the rows change, and the tag does not.

    Args:
        first: The first batch; all batches have its structure.
    """

    def __init__(self, first: Any) -> None:
        # `emit` wraps a dict or a bare array in a tuple and turns a namedtuple into a plain one. The model must
        # receive the original structure, or tf.function traces its step again.
        kind = type(first)
        self._is_tuple = isinstance(first, tuple)
        self._is_full = self._is_tuple and len(first) == FULL
        self._rebuild = getattr(kind, "_make", None)
        # Each batch of the current execution and its digests; None if it could not be read.
        self._fed: list[tuple[Any, Int64] | None] = []

    def emit(self, batch: Any, number: int, index: Any = None) -> tuple[Any, ...]:
        """Return the batch with its tag: int64, shape ``(n, 4)``, with no rows if the batch's rows cannot be counted.

        Columns: the row's tag (batch and row), sample or ``UNKNOWN``, digest with all floats as float32, digest with
        float64 as it is.
        """
        # The tag has as many rows as the batch, because `experimental_distribute_dataset` divides each leaf by its
        # first dimension (keras 3.15, backend/tensorflow/trainer.py:753).
        parts = batch if isinstance(batch, tuple) else (batch,)
        n_rows = tree.n_rows(parts[0]) or 0
        rows = np.empty((n_rows, 4), dtype=np.int64)
        rows[:, 0] = np.arange(row_tag(number), row_tag(number, n_rows))
        samples = stated_samples(index, n_rows)
        rows[:, 1] = UNKNOWN if samples is None else samples
        rows[:, 2] = rows[:, 3] = row_digests(batch, n_rows)
        if has_float64(batch):
            rows[:, 3] = row_digests(batch, n_rows, float64=True)
        return (*parts, rows) if len(parts) < FULL else (parts[0], parts[1], (parts[2], rows))

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return the batch in its original structure, and its tag: altered if the rows are not those emitted."""
        rows = tree.as_array(data[2][1] if self._is_full else data[-1])
        batch = self.without_tag(data)
        # One entry for every batch, so that `intact` has an answer for each.
        self._fed.append(None)
        try:
            float64 = has_float64(batch)
            digests = row_digests(batch, len(rows), float64=float64)
            self._fed[-1] = batch, digests
            emitted = rows[:, 3 if float64 else 2]
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, NOT_OBSERVED
        if len(rows) and not (emitted.any() and digests.any()):
            return batch, NOT_OBSERVED
        if not np.array_equal(digests, emitted):
            return batch, BatchTag(altered=True)
        samples = rows[:, 1]
        return batch, tag_of_rows(rows[:, 0], samples if (samples != UNKNOWN).any() else None)

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged."""
        fed, self._fed = self._fed, []
        return [each is None or _is_unchanged(*each) for each in fed]

    def without_tag(self, data: Any) -> Any:
        """Return the batch in its original structure."""
        if not self._is_tuple:
            return data[0]
        parts = (data[0], data[1], data[2][0]) if self._is_full else tuple(data[:-1])
        return parts if self._rebuild is None else self._rebuild(parts)


def _is_unchanged(batch: Any, digests: NDArray[np.int64]) -> bool:
    return np.array_equal(row_digests(batch, len(digests), float64=has_float64(batch)), digests)


def tag_of_rows(rows: Any, samples: NDArray[np.int64] | None = None) -> BatchTag:
    """The tag of a batch by those of its rows, shape ``(n,)``; it has no number if the rows are not consecutive."""
    rows = tree.as_array(rows)
    # Empty if rows could not be counted. A strategy splits batches into consecutive rows (`RidingTags.emit`). Rows in
    # another order are identified by the samples that they state only.
    if not len(rows) or not np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return BatchTag(samples=samples)
    number, first_row = batch_and_row(int(rows[0]))
    return BatchTag(number, samples, first_row=first_row)
