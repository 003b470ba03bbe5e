"""Compare rows that a model computed a second time with those delivered: same row, another row, or neither.

``verify_model`` uses it to find models that return their rows in another order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.trace import Int64

# Tolerance relative to a value plus the large values of its column. Between batches of different sizes, float32 outputs
# differ by 4e-7.
TOLERANCE = 1e-5
# This quantile of a column is its large value. The maximum may be one huge value, which would hide that others differ.
LARGE = 0.9
# Numbers that are compared at most to find which other rows the rows are; takes a few seconds.
MOST_COMPARED = 1 << 26
# A row that differs less from its own row did not move; it was computed with lower precision.
FAR, FAR_IN_HALF_PRECISION = 1e-4, 1e-2
# Fewer distinct values, such as those of an argmax, may equal those of other rows by chance.
MIN_DISTINCT = 3


class DeliveredRows:
    """The rows of one output as they were delivered.

    Attributes:
        rows: Shape ``(n, values)``.
        scale: Large value of each column, shape ``(values,)``; None if the values are not floats.
    """

    def __init__(self, output: NDArray[Any]) -> None:
        self.rows = _flat(output)
        # Text and integers are compared exactly.
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
        """How many rows equal another delivered row and not their own; -1 if they differ in any other way.

        Args:
            output: The output computed again, shape ``(m, ...)``.
            source: Which delivered row each of its rows should equal, shape ``(m,)``.
            far: Tolerance within which a row still counts as its own.
            strict: Each row that is not its own must equal exactly one other row, and no two of them the same.
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
        # If outputs depend on the batch, some rows get the values of others by chance, and with an argmax many do.
        sure = one_each or (not strict and 2 * moved > strays.size and len(values) >= MIN_DISTINCT)
        return moved if sure else -1

    def _equal(self, ours: NDArray[Any], theirs: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
        """Which rows are equal within this tolerance: bool, shape ``(n,)``."""
        same = ours == theirs
        if self.scale is not None:
            with np.errstate(invalid="ignore"):
                near = np.abs(ours - theirs) <= tolerance * (np.abs(theirs) + self.scale)
            same |= (near & np.isfinite(theirs)) | (np.isnan(ours) & np.isnan(theirs))
        equal: NDArray[np.bool_] = same.all(axis=1)
        return equal


def _flat(output: NDArray[Any]) -> NDArray[Any]:
    """The values of each row, shape ``(n, values)``, with real floats as float64."""
    rows = output.reshape(len(output), -1)
    # By name, because bfloat16 is not one of NumPy's float dtypes.
    return rows.astype(np.float64) if "float" in rows.dtype.name else rows
