"""``tf.data``: a running row number is added to each batch by ``Dataset.scan``.

The number is added behind the caller's last transformation, so it changes
nothing before it: ``map`` and ``batch`` are still fused, a shuffle keeps its
seed, and the cardinality stays what it was.
"""

from __future__ import annotations

import sys
from typing import Any

from evalguard.core.trace import ROW_BITS
from evalguard.probes.base import Probe
from evalguard.tagging import BATCH, TAG


class TfDataProbe(Probe):
    """Tags batches inside the dataset's own graph."""

    kind = "tf.data"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        tf = sys.modules["tensorflow"]
        if not _rows_are_countable(tf, source.element_spec):
            return

        def add_tag(pull: Any, *parts: Any) -> tuple[Any, Any]:
            batch = parts[0] if len(parts) == 1 and not isinstance(source.element_spec, tuple) else parts
            start = tf.bitwise.left_shift(pull, tf.constant(ROW_BITS, tf.int64))
            tag = tf.range(start, start + _n_rows(tf, batch))
            return pull + 1, {BATCH: batch, TAG: tag}

        def step(pull: Any, batch: Any) -> tuple[Any, Any]:
            return add_tag(pull, *batch) if isinstance(source.element_spec, tuple) else add_tag(pull, batch)

        self.source = source.scan(tf.constant(0, tf.int64), step)

    def facts(self) -> dict[str, Any]:
        """Adds the number of batches, where the dataset knows it."""
        known = super().facts()
        batches = int(self.original.cardinality())
        return {**known, "num_batches": batches} if batches >= 0 else known


def _first(tf: Any, element: Any) -> Any:
    return next((leaf for leaf in tf.nest.flatten(element) if leaf is not None), None)


def _rows_are_countable(tf: Any, spec: Any) -> bool:
    """Keras needs batched elements; one that is not is left for Keras to refuse."""
    first = _first(tf, spec)
    shape = getattr(first, "shape", None)
    return shape is not None and (shape.rank is None or shape.rank > 0)


def _n_rows(tf: Any, batch: Any) -> Any:
    first = _first(tf, batch)
    if isinstance(first, tf.RaggedTensor):
        return tf.cast(first.nrows(), tf.int64)
    if isinstance(first, tf.SparseTensor):
        return first.dense_shape[0]
    return tf.shape(first, out_type=tf.int64)[0]
