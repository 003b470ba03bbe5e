"""A column of the fingerprints of the rows that a model receives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evalguard.core.columns.storage import ColumnBuffer
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.row_layout import LeafSpec, is_padding


@dataclass(slots=True)
class FingerprintColumn:
    """Collects fingerprints, batch by batch.

    Attributes:
        pad_value: See ``fingerprint.row_fingerprints``.
        float64: Whether the model computes in float64.
        parts: uint64, one for each row.
        padding: bool, one for each row: whether it consists of ``pad_value``
            only. Empty without a ``pad_value``.
        specs: Dtype and row shape of each input in the first batch.
        first_row: The first row, to explain why no row matches the reference.
    """

    pad_value: Any = None
    float64: bool = False
    parts: ColumnBuffer = field(init=False)
    padding: ColumnBuffer = field(init=False)
    specs: tuple[LeafSpec, ...] = ()
    first_row: Any = None

    def __post_init__(self) -> None:
        self.parts, self.padding = ColumnBuffer(np.uint64), ColumnBuffer(np.bool_)

    def add(self, x: Any, to_numpy: Callable[[Any], Any]) -> None:
        """Record the rows of one batch of inputs, or of several batches concatenated."""
        rows, specs = row_fingerprints(x, pad_value=self.pad_value, float64=self.float64)
        # Only for the first batch. The row is copied, because the batch's memory may be overwritten.
        if not self.specs:
            self.specs = specs
            self.first_row = tree.map_leaves(lambda leaf: np.array(to_numpy(leaf)[:1]), x)
        self.parts.append(rows)
        if self.pad_value is not None:
            self.padding.append(is_padding(x, self.pad_value, float64=self.float64))
