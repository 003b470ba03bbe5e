"""Arrays, tensors, data frames and trees of them: a row's sample is its position.

If the rows that Keras will slice are known in advance, each delivered batch is
compared with them and carries no tag. Otherwise each row is tagged with its
position.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.capture.array_rows import ArrayRows
from evalguard.capture.contract import BatchTag, Untagged
from evalguard.capture.hashing import can_digest
from evalguard.capture.probes.base import Probe
from evalguard.capture.tags import tag_of_rows
from evalguard.data import tree


class ArraysProbe(Probe):
    """Passes ``x`` to Keras' own slicing."""

    kind = "arrays"
    index_source = "position"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        sizes = {tree.n_rows(leaf) for leaf in tree.leaves(source)}
        # With unequal lengths nothing is changed, so that Keras raises its usual error (keras 3.15,
        # trainers/data_adapters/data_adapter_utils.py:103, check_data_cardinality).
        rows = sizes.pop() if len(sizes) == 1 else None
        if rows is None:
            return
        if can_digest(source) and not self.replicated:
            self.stream = ArrayRows(source)
            return
        # `evaluate` receives targets and weights beside x. Here they are packed into x, and the positions are passed as
        # y, so that all are sliced together. The arguments `y` and `sample_weight` must then be None.
        packed = tree.pack(source, call.get("y"), call.get("sample_weight"))
        call.update({name: None for name in ("y", "sample_weight") if name in call})
        self.source = (packed, np.arange(rows, dtype=np.int64))
        self.stream = RidingPositions()


class RidingPositions(Untagged):
    """Batches that carry the position of each row in the array as one more part."""

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return the batch without the positions, and its tag."""
        # Keras packs a tuple x as `(x,)`, so `data` is `((packed, positions),)` (keras 3.15, data_adapter_utils.py:89).
        batch, positions = data[0]
        return batch, tag_of_rows(positions)

    def without_tag(self, data: Any) -> Any:
        """Return the batch without the positions."""
        return data[0][0]
