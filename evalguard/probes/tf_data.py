"""``tf.data``: each batch is given its number, behind the caller's last transformation.

There it changes nothing before it: ``map`` and ``batch`` are still fused, a
shuffle keeps its seed, and the cardinality stays what it was. A model that is
replicated splits its batches, so there each row carries its own number.
"""

from __future__ import annotations

import sys
from typing import Any

from evalguard.core.trace import ROW_BITS
from evalguard.probes.base import Probe
from evalguard.probes.tf_pipeline import pipeline_facts


class TfDataProbe(Probe):
    """Tags batches inside the dataset's own graph."""

    kind = "tf.data"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        tf = sys.modules["tensorflow"]
        if not _rows_are_countable(tf, source.element_spec):
            return
        strategy = getattr(call.get("self"), "distribute_strategy", None)
        if strategy is None or strategy.num_replicas_in_sync == 1:
            # No function of ours runs in the pipeline: a counter beside it is all.
            self.source = tf.data.Dataset.zip((source, tf.data.Dataset.counter()))
        else:
            self.source = _rows_numbered(tf, source)
        self.unwrap = tuple

    def facts(self) -> dict[str, Any]:
        """Adds what the pipeline is made of, and the number of batches where the dataset knows it."""
        known = {**super().facts(), **pipeline_facts(self.original)}
        batches = int(self.original.cardinality())
        return {**known, "num_batches": batches} if batches >= 0 else known


def _rows_numbered(tf: Any, source: Any) -> Any:
    bits = tf.constant(ROW_BITS, tf.int64)

    def step(pull: Any, batch: Any) -> tuple[Any, Any]:
        start = tf.bitwise.left_shift(pull, bits)
        return pull + 1, (batch, tf.range(start, start + _n_rows(tf, batch)))

    return source.scan(tf.constant(0, tf.int64), step)


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
