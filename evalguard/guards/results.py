"""What a guard knows of the rows that were returned: index, keys, labels, a data frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def in_order(values: NDArray[Any], index: NDArray[np.int64] | None) -> Any:
    """The values of the samples in ``index``, masked where a row is no labelled sample."""
    if index is None:
        return None
    known = (index >= 0) & (index < len(values))
    rows = values[np.where(known, index, 0)]
    if known.all():
        return rows
    mask = np.broadcast_to(~known.reshape(-1, *[1] * (rows.ndim - 1)), rows.shape)
    return np.ma.MaskedArray(rows, mask=mask)
