"""Columns of int64 in runs: an evaluation in order takes a few bytes, whatever the number of its rows.

A run is its first value and its length; each value is ``step`` more than the one
before (1 for row numbers, 0 for batch sizes). A column without order falls back
to plain arrays, so it never takes much more than eight bytes a row, or four
where its values fit 32 bits.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.chunks import Ints, small_type

Int64 = NDArray[np.int64]

# Runs shorter than this on average are kept as plain values.
WORTH_FOLDING = 8
_LATEST = 1 << 12


class Runs:
    """A growing column of int64.

    ``len(runs)`` is its rows, ``np.asarray(runs)`` the plain array.

    Args:
        step: What each value of a run is more than the one before: 0 or 1.
    """

    def __init__(self, step: int = 1) -> None:
        self._step = step
        # Whole runs, folded runs of many appends and plain stretches, in the order of the rows.
        self._parts: list[tuple[Int64, Int64] | Ints] = []
        self._firsts: list[int] = []
        self._lengths: list[int] = []
        self._rows = 0

    @classmethod
    def of(cls, values: Any, step: int = 1) -> Runs:
        """The column of a ``range``, an array or a sequence."""
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
        """One more row."""
        self.extend_run(value, 1)

    def extend_run(self, first: int, length: int) -> None:
        """A run of rows."""
        if length <= 0:
            return
        self._rows += length
        if self._lengths:
            last, before = self._firsts[-1], self._lengths[-1]
            if first == last + self._step * before:
                self._lengths[-1] = before + length
                return
        self._firsts.append(first)
        self._lengths.append(length)
        if len(self._firsts) > _LATEST:
            self._close(keep=1)

    def extend(self, values: Int64) -> None:
        """Rows as an array."""
        if not len(values):
            return
        starts = np.flatnonzero(np.diff(values) != self._step) + 1
        if len(starts) * WORTH_FOLDING > len(values) and len(values) >= WORTH_FOLDING:
            self._close()
            self._parts.append(_small(values))
            self._rows += len(values)
            return
        bounds = [0, *starts.tolist(), len(values)]
        for start, stop in itertools.pairwise(bounds):
            self.extend_run(int(values[start]), stop - start)

    def is_range(self, length: int) -> bool:
        """Whether the column is 0, 1, 2, …, ``length - 1``."""
        return self._step == 1 and not self._parts and self._lengths == [length] and self._firsts == [0]

    def may_hold(self, value: int) -> bool:
        """Whether some run reaches over this value."""
        firsts, lengths = self.runs()
        return bool(((firsts <= value) & (value < firsts + np.maximum(1, self._step * lengths))).any())

    def lowest(self) -> int:
        """The least value; 0 where there is none."""
        parts = [*self._parts, self._latest()]
        firsts = [part[0] if isinstance(part, tuple) else part for part in parts]
        return min((int(part.min()) for part in firsts if len(part)), default=0)

    @property
    def n_bytes(self) -> int:
        """What the column takes, about."""
        arrays = [array for part in self._parts for array in (part if isinstance(part, tuple) else (part,))]
        return sum(array.nbytes for array in arrays) + 72 * len(self._firsts)

    def runs(self) -> tuple[Int64, Int64]:
        """First value and length of each run, in the order of the rows; plain stretches as runs of one row."""
        firsts, lengths = [], []
        for part in [*self._parts, self._latest()]:
            first, length = part if isinstance(part, tuple) else (part, np.ones(len(part), dtype=np.int64))
            firsts.append(first)
            lengths.append(length)
        return np.concatenate(firsts), np.concatenate(lengths)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The plain array, shape ``(rows,)``."""
        if copy is False:
            msg = "a column in runs has no array that could be shared; expected copy=None or True"
            raise ValueError(msg)
        rows = np.empty(self._rows, dtype=np.int64)
        at = 0
        for part in [*self._parts, self._latest()]:
            plain = self._spread(*part) if isinstance(part, tuple) else part
            rows[at : at + len(plain)] = plain
            at += len(plain)
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def _spread(self, firsts: Int64, lengths: Int64) -> Int64:
        if len(firsts) == 1 and self._step:
            return np.arange(firsts[0], firsts[0] + lengths[0])
        rows = np.repeat(firsts, lengths)
        if self._step:
            rows += np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows

    def _latest(self) -> tuple[Int64, Int64]:
        return np.array(self._firsts, dtype=np.int64), np.array(self._lengths, dtype=np.int64)

    def _close(self, keep: int = 0) -> None:
        """Put the latest runs away as arrays, all but ``keep`` of them; as plain values where that is smaller."""
        cut = len(self._firsts) - keep
        if cut <= 0:
            return
        firsts = np.array(self._firsts[:cut], dtype=np.int64)
        lengths = np.array(self._lengths[:cut], dtype=np.int64)
        self._firsts, self._lengths = self._firsts[cut:], self._lengths[cut:]
        folded = int(lengths.sum()) > 2 * cut
        self._parts.append((firsts, lengths) if folded else _small(self._spread(firsts, lengths)))


def _small(values: Int64) -> Ints:
    """A copy, of 32 bits where they suffice."""
    return values.astype(small_type(*(abs(int(value)) for value in (values.min(), values.max()))))
