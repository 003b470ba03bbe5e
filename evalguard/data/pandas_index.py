"""Read the pandas index of frames and series, as a copy that later changes do not affect."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.row_names import INTEGERS, SEVERAL_ORDERS, TEXT, TIMES, RowNames

# A list with more parts holds rows; a tree of inputs, or of labels for each output, has fewer.
MAX_PARTS = 64
# Size of a text index as a NumPy array, in which each name takes as much memory as the longest.
MAX_CHARACTERS = 1 << 24
NOTHING = np.zeros(0)


def index_of(structure: Any) -> RowNames | None:
    """The pandas index of inputs or labels; None if there is no frame, or if frames name different rows.

    Args:
        structure: A frame or series, or a tree of arrays with some among them.
    """
    pandas = sys.modules.get("pandas")
    # Another thread may still be importing pandas.
    kinds = (getattr(pandas, "DataFrame", None), getattr(pandas, "Series", None))
    if None in kinds:
        return None
    try:
        # The index, and perhaps its class, is the user's code.
        with not_ours():
            found = [frame.index for frame in _frames(structure, kinds)]
            named = [index for index in found if not _by_default(index)]
            if not found:
                return None
            others = [index for index in named[1:] if not index.equals(named[0])]
            if others:
                same = all(index.sort_values().equals(named[0].sort_values()) for index in others)
                return RowNames(SEVERAL_ORDERS, NOTHING, len(named[0])) if same else None
            return _names((named or found)[0], pandas)
    except Exception as error:  # noqa: BLE001 - an index that cannot be read must not stop the user's call
        swallow(error)
        return None


def _frames(structure: Any, kinds: tuple[Any, ...]) -> list[Any]:
    if isinstance(structure, kinds):
        return [structure]
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)) or len(structure) > MAX_PARTS:
        return []
    return [frame for part in structure for frame in _frames(part, kinds)]


def _by_default(index: Any) -> bool:
    return bool(getattr(index, "step", None) == 1 and index.start == 0)


def _names(index: Any, pandas: Any) -> RowNames:
    if isinstance(index, pandas.RangeIndex):
        return RowNames(INTEGERS, range(index.start, index.stop, index.step), len(index))
    if isinstance(index, pandas.MultiIndex):
        return RowNames("tuples (a MultiIndex)", NOTHING, len(index))
    kind = index.inferred_type
    if kind != "integer" and index.hasnans:
        return RowNames("missing values", NOTHING, len(index))
    # Copies, because the memory may be that of a column that the user changes later.
    if kind == "integer" and not (index.dtype.kind == "u" and index.max() > np.iinfo(np.int64).max):
        return RowNames(INTEGERS, index.to_numpy(dtype=np.int64, copy=True), len(index))
    if kind == "string":
        names = index.to_numpy(dtype=object, copy=True)
        if max(map(len, names), default=0) * len(names) > MAX_CHARACTERS:
            return RowNames("long text", NOTHING, len(index))
        return RowNames(TEXT, names, len(index))
    if kind == "datetime64":
        zone = "" if index.tz is None else " of a time zone"
        times = index.tz_convert(None) if zone else index
        return RowNames(TIMES + zone, times.as_unit("ns").to_numpy(copy=True), len(index))
    return RowNames(f"{kind} values", NOTHING, len(index))
