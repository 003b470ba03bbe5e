"""Arrays, tensors, data frames and nests of them: a row's sample is its position.

Where the rows that Keras will slice can be told beforehand, each delivered
batch is compared with them and nothing rides along. Else each row is tagged
with its position.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from evalguard.capture.array_rows import ArrayRows
from evalguard.capture.batch_digests import UNLIMITED, can_digest
from evalguard.capture.probes.base import Probe
from evalguard.data import tree


class ArraysProbe(Probe):
    """Sends ``x`` through Keras' own slicing."""

    kind = "arrays"
    index_source = "position"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        sizes = {tree.n_rows(leaf) for leaf in tree.leaves(source)}
        # Of unequal lengths: left alone, so that Keras says so in its own words.
        rows = sizes.pop() if len(sizes) == 1 else None
        if rows is None:
            return
        if can_digest(source) and not self.replicated:
            # Keras cuts each batch out, into memory of its own.
            self.unwrap, self.tag_from_rows, self.safe_batches = ArrayRows(source).identify, True, UNLIMITED
            return
        # evaluate() takes targets and weights beside x; they ride inside, in the place of x.
        packed = tree.pack(source, call.get("y"), call.get("sample_weight"))
        call.update({name: None for name in ("y", "sample_weight") if name in call})
        self.source = (packed, np.arange(rows, dtype=np.int64))
        self.unwrap = itemgetter(0)

    def without_tag(self, data: Any) -> Any:
        """Without the positions, where they ride with the rows."""
        return data if self.source is self.original else data[0][0]
