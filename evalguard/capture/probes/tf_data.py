"""``tf.data``: each batch gets its number after the caller's last transformation.

A number that is added there changes nothing before it: ``map`` and ``batch`` are
still fused, a shuffle keeps its seed, and the cardinality stays the same. A
strategy with replicas splits batches, so there each row carries its own number.
If the number of batches is known and the call requests all of them, they are
numbered when they are delivered: an iterator emits each batch once and in order,
so if the expected number of batches arrived, no batch was left out.
"""

from __future__ import annotations

import sys
from typing import Any

from evalguard.capture.buffer_reuse import BufferReuseDetector
from evalguard.capture.contract import BatchTag, Untagged
from evalguard.capture.probes.base import Probe
from evalguard.capture.probes.tf_pipeline import allocates_batches, ends_in_prefetch, pipeline_facts
from evalguard.capture.tags import tag_of_rows
from evalguard.core.trace import row_tag

# More batches than any call pulls, and within int64, which `Dataset.range` needs.
MAX_BATCHES = 2**62


class TfDataProbe(Probe):
    """Tags batches inside the dataset's own graph."""

    kind = "tf.data"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        tf = sys.modules["tensorflow"]
        self._n_expected: int | None = None
        self._reuse_detector: BufferReuseDetector | None = None
        # A dataset that is not batched is not changed, so that Keras raises its own error.
        if not _rows_are_countable(tf, source.element_spec):
            return
        self._n_expected = self._expected_batches()
        if self._n_expected is not None:
            self.stream = CountedBatches()
        elif self.replicated:
            self.source, self.stream = _rows_numbered(tf, source), NumberedBatches()
        else:
            # `zip` with a range adds no function to the pipeline. `Dataset.counter()` is a `scan` and costs 100 us more
            # per batch. The `repeat` makes the range infinite, so the cardinality is the source's.
            self.source = tf.data.Dataset.zip((source, tf.data.Dataset.range(MAX_BATCHES).repeat()))
            self.stream = NumberedBatches()
            if ends_in_prefetch(source):
                # After the `zip` TensorFlow would add another prefetch, which requests one more batch.
                options = tf.data.Options()
                options.experimental_optimization.inject_prefetch = False
                self.source = self.source.with_options(options)
        if not allocates_batches(source):
            self.stream = self._reuse_detector = BufferReuseDetector(self.stream)

    def _expected_batches(self) -> int | None:
        """Number of batches, if it is known and the call requests all of them; else None."""
        # A negative cardinality is unknown or infinite (tf.data.UNKNOWN_CARDINALITY, INFINITE_CARDINALITY).
        batches, steps = int(self.original.cardinality()), self.call.get("steps")
        whole = batches >= 0 and (steps is None or steps >= batches)
        return batches if whole and not self.replicated else None

    def tags_complete(self, delivered: int) -> bool:
        """Whether the expected number of batches arrived, if they were numbered on arrival; else True."""
        return self._n_expected is None or self._n_expected == delivered

    def facts(self) -> dict[str, Any]:
        """Add the transformations of the pipeline, and the number of batches if it is known."""
        known = {**super().facts(), **pipeline_facts(self.original)}
        if self._reuse_detector is not None and self._reuse_detector.overwritten:
            known["filled_anew"] = True
        batches = int(self.original.cardinality())
        return {**known, "num_batches": batches} if batches >= 0 else known


class CountedBatches(Untagged):
    """Batches that are numbered as they are delivered."""

    def __init__(self) -> None:
        self._delivered = 0

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return the batch and its number."""
        number, self._delivered = self._delivered, self._delivered + 1
        return data, BatchTag(number)

    def hold(self, data: Any) -> Any:
        """Return the batch itself; if its memory may be the user's, a ``BufferReuseDetector`` wraps this stream."""
        return data


class NumberedBatches(Untagged):
    """Batches to which the dataset's graph has added their number, or one tag for each row."""

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return the batch without the number or tags, and its tag."""
        batch, added = data
        return batch, BatchTag(int(added)) if added.ndim == 0 else tag_of_rows(added)

    def without_tag(self, data: Any) -> Any:
        """Return the batch without the number or tags."""
        return data[0]


def _rows_numbered(tf: Any, source: Any) -> Any:
    # The graph cannot call `row_tag`, so it adds the difference between the first tags of two batches.
    step_of_batch = tf.constant(row_tag(1), tf.int64)

    def step(pull: Any, batch: Any) -> tuple[Any, Any]:
        start = pull * step_of_batch
        return pull + 1, (batch, tf.range(start, start + _n_rows(tf, batch)))

    return source.scan(tf.constant(0, tf.int64), step)


def _first(tf: Any, element: Any) -> Any:
    # `tf.nest` and not `tree.leaves`, because specs and symbolic tensors must be flattened as tf.data does.
    return next((leaf for leaf in tf.nest.flatten(element) if leaf is not None), None)


def _rows_are_countable(tf: Any, spec: Any) -> bool:
    """Whether elements are batched, as Keras requires."""
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
