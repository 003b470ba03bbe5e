"""A recorded call as a ``Trace``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.columns.storage import ColumnBuffer
from evalguard.core.trace import UNKNOWN, BatchTags, Column, Tags


def positions(tags: Tags) -> Column | None:
    """Row numbers of an array from tags; None where no row has one."""
    # Still in runs: as an array, 10 million rows in order would take 80 MB instead of a few bytes.
    if isinstance(tags, BatchTags):
        tags = np.asarray(tags)
    return tags if isinstance(tags, RunLengthColumn) or (tags != UNKNOWN).any() else None


def all_rows(column: ColumnBuffer, rows: int) -> NDArray[Any] | None:
    """The column of all rows; None if it lacks some, because one gap would shift all rows behind it."""
    return column.array() if rows and len(column) == rows else None


def all_keys(parts: list[NDArray[Any]], rows: int) -> NDArray[Any] | None:
    """The keys of all rows; None if some batch has none."""
    if not parts or sum(len(part) for part in parts) != rows:
        return None
    if len({part.dtype.kind for part in parts}) > 1:
        # Numbers in one batch and text in another: `np.concatenate` of both needs one dtype.
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)
