"""Run-length columns of int64: an evaluation in order takes a few bytes for any number of rows.

A run is its first value and its length; each value is ``step`` more than the one
before (1 for row numbers, 0 for batch sizes). A column without runs falls back to
plain arrays, so it never takes much more than eight bytes per row, or four if its
values fit 32 bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import Ints, chunks, small_type

Int64 = NDArray[np.int64]

Part = tuple[Int64, Int64] | Ints

# If the mean run is shorter than this, values are stored plainly.
MIN_MEAN_RUN = 8
_MAX_OPEN_RUNS = 1 << 12
_MAX_SMALL_PARTS = 1 << 10


class RunLengthColumn:
    """A growing column of int64.

    ``len(runs)`` is the number of rows, ``np.asarray(runs)`` the array.

    Args:
        step: Difference between neighbours in a run: 0 or 1.
    """

    def __init__(self, step: int = 1) -> None:
        self._step = step
        # In row order: closed parts (runs or plain values), then the open runs.
        self._parts: list[Part] = []
        self._n_compact = 0
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
        if self._lengths:
            last, before = self._firsts[-1], self._lengths[-1]
            if first == last + self._step * before:
                self._lengths[-1] = before + length
                return
        self._firsts.append(first)
        self._lengths.append(length)
        if len(self._firsts) > _MAX_OPEN_RUNS:
            self._close(keep=1)

    def extend(self, values: Int64) -> None:
        """Append an array of rows."""
        if not len(values):
            return
        starts = np.flatnonzero(np.diff(values) != self._step) + 1
        if len(starts) * MIN_MEAN_RUN > len(values) and len(values) >= MIN_MEAN_RUN:
            self._close()
            self._rows += len(values)
            self._add_part(_small(values))
            return
        bounds = [0, *starts.tolist(), len(values)]
        for start, stop in itertools.pairwise(bounds):
            self.extend_run(int(values[start]), stop - start)

    def is_range(self, length: int) -> bool:
        """Whether the column is 0, 1, 2, …, ``length - 1``."""
        folded = self._lengths == [length] and self._firsts == [0]
        return self._step == 1 and folded and not self._parts

    def may_contain(self, value: int) -> bool:
        """Whether some run covers this value."""
        for part in self._all():
            first, length = part if isinstance(part, tuple) else (part, np.int64(1))
            if ((first <= value) & (value < first + np.maximum(1, self._step * length))).any():
                return True
        return False

    def lowest(self) -> int:
        """The smallest value; 0 if the column is empty."""
        firsts = (part[0] if isinstance(part, tuple) else part for part in self._all())
        return min((int(part.min()) for part in firsts if len(part)), default=0)

    def total(self) -> int:
        """Sum of all values."""
        found = 0
        for part in self._all():
            if isinstance(part, tuple):
                first, length = part
                found += int((first * length + self._step * (length * (length - 1) // 2)).sum())
            else:
                found += int(part.sum())
        return found

    @property
    def n_bytes(self) -> int:
        """Approximate memory of the column, in bytes."""
        arrays = [array for part in self._parts for array in (part if isinstance(part, tuple) else (part,))]
        return sum(array.nbytes for array in arrays) + 72 * len(self._firsts)

    def runs(self) -> tuple[Int64, Int64]:
        """First value and length of each run, in row order; plain values as runs of one row."""
        firsts, lengths = [], []
        for part in self._all():
            first, length = part if isinstance(part, tuple) else (part, np.ones(len(part), dtype=np.int64))
            firsts.append(first)
            lengths.append(length)
        return np.concatenate(firsts), np.concatenate(lengths)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The array, shape ``(rows,)``."""
        if copy is False:
            msg = "a run-length column has no array that could be shared; expected copy=None or True"
            raise ValueError(msg)
        rows = np.empty(self._rows, dtype=np.int64)
        at = 0
        for plain in self._plain():
            rows[at : at + len(plain)] = plain
            at += len(plain)
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def _all(self) -> Iterator[Part]:
        """All parts, in row order."""
        yield from self._parts
        yield self._open_runs()

    def _plain(self) -> Iterator[Ints]:
        """All rows, not many at a time where they are in runs."""
        for part in self._all():
            if not isinstance(part, tuple):
                yield part
                continue
            firsts, lengths = part
            ends = np.cumsum(lengths)
            starts = ends - lengths
            for rows in chunks(int(ends[-1]) if len(ends) else 0):
                which = slice(np.searchsorted(ends, rows.start, "right"), np.searchsorted(starts, rows.stop, "left"))
                before = np.maximum(rows.start - starts[which], 0)
                until = np.minimum(rows.stop - starts[which], lengths[which])
                yield self._spread(firsts[which] + self._step * before, until - before)

    def _spread(self, firsts: Int64, lengths: Int64) -> Int64:
        if len(firsts) == 1 and self._step:
            return np.arange(firsts[0], firsts[0] + lengths[0])
        rows = np.repeat(firsts, lengths)
        if self._step:
            rows += np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows

    def _open_runs(self) -> tuple[Int64, Int64]:
        return np.array(self._firsts, dtype=np.int64), np.array(self._lengths, dtype=np.int64)

    def _close(self, keep: int = 0) -> None:
        """Turn the open runs, except the last ``keep``, into arrays; into plain values if that is smaller."""
        cut = len(self._firsts) - keep
        if cut <= 0:
            return
        firsts = np.array(self._firsts[:cut], dtype=np.int64)
        lengths = np.array(self._lengths[:cut], dtype=np.int64)
        self._firsts, self._lengths = self._firsts[cut:], self._lengths[cut:]
        folded = int(lengths.sum()) > 2 * cut
        self._add_part((firsts, lengths) if folded else _small(self._spread(firsts, lengths)))

    def _add_part(self, part: Part) -> None:
        """Add a closed part before the open runs."""
        self._parts.append(part)
        if len(self._parts) - self._n_compact > _MAX_SMALL_PARTS:
            # The headers of many small arrays take as much memory as their rows.
            kinds = itertools.groupby(self._parts[self._n_compact :], lambda part: isinstance(part, tuple))
            self._parts[self._n_compact :] = [part for folded, group in kinds for part in _merged(folded, group)]
            self._n_compact = len(self._parts)


def _merged(folded: bool, parts: Iterable[Any]) -> list[Part]:
    return list(parts) if folded else [np.concatenate(list(parts))]


def _small(values: Int64) -> Ints:
    """A copy as int32 if the values fit, else as int64."""
    return values.astype(small_type(*(abs(int(value)) for value in (values.min(), values.max()))))
