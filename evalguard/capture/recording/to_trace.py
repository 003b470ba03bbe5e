"""A recorded call as a ``Trace``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.columns.storage import ColumnBuffer
from evalguard.core.trace import UNKNOWN, BatchTags, Column, Tags


def positions(tags: Tags) -> Column | None:
    """Tags that are row numbers of an array; None where no row has one."""
    if isinstance(tags, BatchTags):
        tags = np.asarray(tags)
    return tags if isinstance(tags, RunLengthColumn) or (tags != UNKNOWN).any() else None


def all_rows(column: ColumnBuffer, rows: int) -> NDArray[Any] | None:
    """All rows, or None if some batch has none."""
    return column.array() if rows and len(column) == rows else None


def all_keys(parts: list[NDArray[Any]], rows: int) -> NDArray[Any] | None:
    """All batches' rows, or None if some batch has none."""
    if not parts or sum(len(part) for part in parts) != rows:
        return None
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)
