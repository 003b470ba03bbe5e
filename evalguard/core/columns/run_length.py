"""Run-length columns of int64: an evaluation in order takes a few bytes for any number of rows.

A run is its first value and its length; each value is ``step`` more than the one
before (1 for row numbers, 0 for batch sizes). Rows without any order take
sixteen bytes each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks
from evalguard.core.columns.storage import ColumnBuffer

Int64 = NDArray[np.int64]

# How many runs are lists of numbers before they become arrays; from how many on an array is added as arrays.
_MAX_OPEN_RUNS, _MANY_RUNS = 1 << 12, 8


class RunLengthColumn:
    """A growing column of int64.

    ``len(runs)`` is the number of rows, ``np.asarray(runs)`` the array.

    Args:
        step: Difference between neighbours in a run: 0 or 1.
    """

    def __init__(self, step: int = 1) -> None:
        self._step = step
        # In row order: the closed runs, then the open ones, of which the last may still grow.
        self._closed = ColumnBuffer(np.int64), ColumnBuffer(np.int64)
        self._firsts: list[int] = []
        self._lengths: list[int] = []
        self._rows = 0

    @classmethod
    def of(cls, values: Any, step: int = 1) -> RunLengthColumn:
        """A column with the values of a ``range``, an array or a sequence."""
        runs = cls(step)
        if isinstance(values, range) and values.step == step == 1:
            runs.extend_run(values.start, len(values))
        else:
            runs.extend(np.asarray(values, dtype=np.int64))
        return runs

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def append(self, value: int) -> None:
        """Append one row."""
        self.extend_run(value, 1)

    def extend_run(self, first: int, length: int) -> None:
        """Append a run of rows."""
        if length <= 0:
            return
        self._rows += length
        if self._lengths and first == self._firsts[-1] + self._step * self._lengths[-1]:
            self._lengths[-1] += length
            return
        self._firsts.append(first)
        self._lengths.append(length)
        if len(self._firsts) > _MAX_OPEN_RUNS:
            self._close(keep=1)

    def extend(self, values: Int64) -> None:
        """Append an array of rows."""
        if not len(values):
            return
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(values) != self._step) + 1, [len(values)]])
        if len(bounds) <= _MANY_RUNS:
            for start, stop in itertools.pairwise(bounds.tolist()):
                self.extend_run(int(values[start]), stop - start)
            return
        self._close()
        self._rows += len(values)
        self._add(values[bounds[:-1]], np.diff(bounds))

    def is_range(self, length: int) -> bool:
        """Whether the column is 0, 1, 2, …, ``length - 1``."""
        return self._step == 1 and not len(self._closed[0]) and self._lengths == [length] and self._firsts == [0]

    def may_contain(self, value: int) -> bool:
        """Whether some run covers this value."""
        return any(
            ((firsts <= value) & (value < firsts + np.maximum(1, self._step * lengths))).any()
            for firsts, lengths in self._parts()
        )

    def lowest(self) -> int:
        """The smallest value; 0 if the column is empty."""
        return min((int(firsts.min()) for firsts, _ in self._parts()), default=0)

    def total(self) -> int:
        """Sum of all values."""
        return sum(
            int((firsts * lengths + self._step * (lengths * (lengths - 1) // 2)).sum())
            for firsts, lengths in self._parts()
        )

    @property
    def n_bytes(self) -> int:
        """Approximate size of the column, in bytes."""
        return 16 * len(self._closed[0]) + 72 * len(self._firsts)

    def runs(self) -> tuple[Int64, Int64]:
        """First value and length of each run, in row order."""
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64)), *self._parts()]
        return np.concatenate([firsts for firsts, _ in parts]), np.concatenate([lengths for _, lengths in parts])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The array, shape ``(rows,)``."""
        if copy is False:
            msg = "a run-length column has no array that could be shared; expected copy=None or True"
            raise ValueError(msg)
        rows = np.empty(self._rows, dtype=np.int64)
        at = 0
        for firsts, lengths in self._parts():
            for first, length in _not_many_rows(firsts, lengths, self._step):
                part = self._spread(first, length)
                rows[at : at + len(part)] = part
                at += len(part)
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def _parts(self) -> Iterator[tuple[Int64, Int64]]:
        """First values and lengths of all runs in row order, not many at a time."""
        firsts, lengths = self._closed
        for some in chunks(len(firsts)):
            yield firsts[some], lengths[some]
        if self._firsts:
            yield np.array(self._firsts, dtype=np.int64), np.array(self._lengths, dtype=np.int64)

    def _spread(self, firsts: Int64, lengths: Int64) -> Int64:
        if self._step and len(firsts) == 1:
            return np.arange(firsts[0], firsts[0] + lengths[0])
        rows = np.repeat(firsts, lengths)
        if self._step and len(rows) > len(firsts):
            rows += np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows

    def _close(self, keep: int = 0) -> None:
        """Turn the open runs, except the last ``keep``, into arrays."""
        cut = len(self._firsts) - keep
        self._add(np.array(self._firsts[:cut], dtype=np.int64), np.array(self._lengths[:cut], dtype=np.int64))
        self._firsts, self._lengths = self._firsts[cut:], self._lengths[cut:]

    def _add(self, firsts: Int64, lengths: Int64) -> None:
        for buffer, part in zip(self._closed, (firsts, lengths), strict=True):
            buffer.append(part)


def _not_many_rows(firsts: Int64, lengths: Int64, step: int) -> Iterator[tuple[Int64, Int64]]:
    """The same runs, long ones cut, with at most as many rows at a time as a chunk has."""
    ends = np.cumsum(lengths)
    starts = ends - lengths
    for rows in chunks(int(ends[-1])):
        which = slice(np.searchsorted(ends, rows.start, "right"), np.searchsorted(starts, rows.stop, "left"))
        before = np.maximum(rows.start - starts[which], 0)
        until = np.minimum(rows.stop - starts[which], lengths[which])
        yield firsts[which] + step * before, until - before
