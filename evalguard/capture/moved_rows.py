"""Rows that a model computed a second time: which are their own, which are other rows, and which are neither."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.trace import Int64

# Of a value, and of the large ones in its column. Seen in float32 between batches of different sizes: 4e-7.
TOLERANCE = 1e-5
# No more than this part of a column counts for what is large in it: one huge value must not hide that others differ.
LARGE = 0.9
# Numbers compared to find which rows others are: a few seconds.
MOST_COMPARED = 1 << 26
# A row that is nearer to its own did not move: it was computed less precisely.
FAR, FAR_IN_HALF_PRECISION = 1e-4, 1e-2
# Few distinct values, as an argmax leaves them, may be those of other rows by chance.
MIN_DISTINCT = 3


class DeliveredRows:
    """The rows of one output as they were delivered."""

    def __init__(self, output: NDArray[Any]) -> None:
        self.rows = _flat(output)
        # Text and whole numbers are equal or not.
        self.scale: NDArray[Any] | None = None
        if self.rows.dtype.kind in "fc":
            sizes = np.sort(np.where(np.isfinite(self.rows), np.abs(self.rows), 0), axis=0)
            zeros = np.count_nonzero(sizes == 0, axis=0)
            large = np.minimum(zeros + (LARGE * (len(sizes) - zeros - 1)).astype(np.int64), len(sizes) - 1)
            self.scale = np.take_along_axis(sizes, large[None], axis=0)[0]

    def all_equal(self) -> bool:
        """Whether all rows are equal."""
        return bool(self._equal(self.rows, self.rows[0], TOLERANCE).all())

    def compare(self, output: NDArray[Any], source: Int64, *, far: float, strict: bool) -> int:
        """How many of these rows are other rows and not their own; -1 where they differ in any other way.

        Args:
            output: Computed again.
            source: Which delivered row each one is.
            far: A row that moved differs from its own by more than this.
            strict: Each one that is not its own must be one other row, and no two of them the same.
        """
        again = _flat(output)
        strays = np.flatnonzero(~self._equal(again, self.rows[source], TOLERANCE))
        if not strays.size:
            return 0
        others = strays[~self._equal(again[strays], self.rows[source[strays]], far)]
        taken = np.zeros(len(self.rows), dtype=np.bool_)
        taken[np.delete(source, strays)] = True
        moved, values, one_each = 0, set(), others.size == strays.size
        for row in others[: max(1, MOST_COMPARED // max(1, self.rows.size))]:
            like = np.flatnonzero(self._equal(self.rows, again[row], TOLERANCE))
            free = like[~taken[like]]
            one_each = one_each and bool(free.size) and (not strict or like.size == 1)
            if like.size:
                moved += 1
                values.add(int(like[0]))
            taken[free[:1]] = True
        # A model that depends on the batch gives some rows the values of others by chance, and an argmax many of them.
        sure = one_each or (not strict and 2 * moved > strays.size and len(values) >= MIN_DISTINCT)
        return moved if sure else -1

    def _equal(self, ours: NDArray[Any], theirs: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
        """Which rows are equal within this tolerance."""
        same = ours == theirs
        if self.scale is not None:
            with np.errstate(invalid="ignore"):
                near = np.abs(ours - theirs) <= tolerance * (np.abs(theirs) + self.scale)
            same |= (near & np.isfinite(theirs)) | (np.isnan(ours) & np.isnan(theirs))
        equal: NDArray[np.bool_] = same.all(axis=1)
        return equal


def _flat(output: NDArray[Any]) -> NDArray[Any]:
    """One line of values for each row; all real types with a fraction as float64."""
    rows = output.reshape(len(output), -1)
    # bfloat16 has a dtype that NumPy does not know as a number.
    return rows.astype(np.float64) if "float" in rows.dtype.name else rows
