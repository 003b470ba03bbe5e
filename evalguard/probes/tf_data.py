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

from evalguard.core.trace import ROW_BITS
from evalguard.probes.base import Probe
from evalguard.probes.tf_pipeline import makes_its_batches, pipeline_facts
from evalguard.seals import FOR_EVER, Lent

MOST_BATCHES = 2**62


class TfDataProbe(Probe):
    """Tags batches inside the dataset's own graph."""

    kind = "tf.data"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        tf = sys.modules["tensorflow"]
        self._due: int | None = None
        self._lent: Lent | None = None
        self._fed = 0
        if not _rows_are_countable(tf, source.element_spec):
            return
        self._due = self._batches_due()
        if self._due is not None:
            self.unwrap = self._numbered
        elif self.replicated:
            self.source = _rows_numbered(tf, source)
        else:
            # No function of ours runs in the pipeline: numbers beside it are all. (Dataset.counter() is a
            # scan, and costs 100 us a batch more than a range; the repeat leaves the cardinality to the source.)
            self.source = tf.data.Dataset.zip((source, tf.data.Dataset.range(MOST_BATCHES).repeat()))
        if self._due is None:
            self.unwrap = tuple
        if self.replicated:
            return
        if makes_its_batches(source):
            self.lasting = FOR_EVER
        else:
            self._lent = Lent(self.unwrap)
            self.unwrap = self._lent.take

    @property
    def shared(self) -> bool:  # type: ignore[override]
        """Whether rows may change after they were fed."""
        return self._lent is not None and self._lent.shared

    def own(self, data: Any) -> Any:
        """Without the number, where one rides beside the batch."""
        return data if self.source is self.original else data[0]

    def intact(self) -> list[bool]:
        """For each batch of the last execution: is it still what it was when it was fed?"""
        return [] if self._lent is None else self._lent.intact()

    def _batches_due(self) -> int | None:
        """Batches of a call that asks for all of them, if their number is known."""
        batches, steps = int(self.original.cardinality()), self.call.get("steps")
        whole = batches >= 0 and (steps is None or steps >= batches)
        return batches if whole and not self.replicated else None

    def _numbered(self, data: Any) -> tuple[Any, int]:
        number, self._fed = self._fed, self._fed + 1
        return data, number

    def all_numbered(self, delivered: int) -> bool:
        """Where batches were numbered as they came: as many came as there are."""
        return self._due is None or self._due == delivered

    def facts(self) -> dict[str, Any]:
        """Adds what the pipeline is made of, and the number of batches where the dataset knows it."""
        known = {**super().facts(), **pipeline_facts(self.original)}
        if self._lent is not None and self._lent.filled_anew:
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
