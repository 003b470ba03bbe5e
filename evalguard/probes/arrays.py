"""Arrays, tensors, data frames and nests of them: each row is tagged with its position."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np

from evalguard import nests
from evalguard.probes.base import Probe


class ArraysProbe(Probe):
    """Sends ``x`` and its row numbers through Keras' own slicing."""

    kind = "arrays"
    index_source = "position"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        sizes = {nests.n_rows(leaf) for leaf in nests.leaves(source)}
        # Of unequal lengths: left alone, so that Keras says so in its own words.
        rows = sizes.pop() if len(sizes) == 1 else None
        if rows is not None:
            # evaluate() takes targets and weights beside x; they ride inside, in the place of x.
            packed = nests.pack(source, call.get("y"), call.get("sample_weight"))
            call.update({name: None for name in ("y", "sample_weight") if name in call})
            self.source = (packed, np.arange(rows, dtype=np.int64))
            self.unwrap = itemgetter(0)
