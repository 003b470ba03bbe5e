"""``tf.data``: each batch is given its number, behind the caller's last transformation.

There it changes nothing before it: ``map`` and ``batch`` are still fused, a
shuffle keeps its seed, and the cardinality stays what it was. A model that is
replicated splits its batches, so there each row carries its own number. Where
the dataset knows how many batches it holds and all of them are asked for, they
are numbered as they are delivered: an iterator gives each batch once, in order,
so if as many came as there are, none was left out.
"""

from __future__ import annotations

import sys
from typing import Any

from evalguard.capture.batch_digests import UNLIMITED
from evalguard.capture.buffer_reuse import BufferReuseDetector
from evalguard.capture.probes.base import Probe
from evalguard.capture.probes.tf_pipeline import allocates_batches, pipeline_facts
from evalguard.core.trace import ROW_BITS

MAX_BATCHES = 2**62


class TfDataProbe(Probe):
    """Tags batches inside the dataset's own graph."""

    kind = "tf.data"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        tf = sys.modules["tensorflow"]
        self._n_expected: int | None = None
        self._reuse_detector: BufferReuseDetector | None = None
        self._fed = 0
        if not _rows_are_countable(tf, source.element_spec):
            return
        self._n_expected = self._expected_batches()
        if self._n_expected is not None:
            self.unwrap = self._number_batch
        elif self.replicated:
            self.source = _rows_numbered(tf, source)
        else:
            # No function of ours runs in the pipeline: numbers beside it are all. (Dataset.counter() is a
            # scan, and costs 100 us a batch more than a range; the repeat leaves the cardinality to the source.)
            self.source = tf.data.Dataset.zip((source, tf.data.Dataset.range(MAX_BATCHES).repeat()))
        if self._n_expected is None:
            self.unwrap = tuple
        if self.replicated:
            return
        if allocates_batches(source):
            self.safe_batches = UNLIMITED
        else:
            self._reuse_detector = BufferReuseDetector(self.unwrap)
            self.unwrap = self._reuse_detector.identify

    @property
    def mutable(self) -> bool:  # type: ignore[override]
        """Whether rows may change after they were fed."""
        return self._reuse_detector is not None and self._reuse_detector.mutable

    def without_tag(self, data: Any) -> Any:
        """Without the number, where one rides beside the batch."""
        return data if self.source is self.original else data[0]

    def intact(self) -> list[bool]:
        """For each batch of the last execution: is it still what it was when it was fed?"""
        return [] if self._reuse_detector is None else self._reuse_detector.intact()

    def _expected_batches(self) -> int | None:
        """Batches of a call that asks for all of them, if their number is known."""
        batches, steps = int(self.original.cardinality()), self.call.get("steps")
        whole = batches >= 0 and (steps is None or steps >= batches)
        return batches if whole and not self.replicated else None

    def _number_batch(self, data: Any) -> tuple[Any, int]:
        number, self._fed = self._fed, self._fed + 1
        return data, number

    def tags_complete(self, delivered: int) -> bool:
        """Where batches were numbered as they came: as many came as there are."""
        return self._n_expected is None or self._n_expected == delivered

    def facts(self) -> dict[str, Any]:
        """Adds what the pipeline is made of, and the number of batches where the dataset knows it."""
        known = {**super().facts(), **pipeline_facts(self.original)}
        if self._reuse_detector is not None and self._reuse_detector.overwritten:
            known["filled_anew"] = True
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
