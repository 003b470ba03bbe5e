"""What the recognisers read: the delivered samples, and the values that several of them need.

Longer than 300 lines because each value is read by several of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import arrivals, target_comparison
from evalguard.core.columns.chunks import Ints, counts_up
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import match_keys
from evalguard.core.order_rfc import displacements
from evalguard.core.shown_keys import shown_key
from evalguard.core.trace import ROW_BITS, UNKNOWN, Int64, SourceState, Trace

# The length at which a key is cut.
MAX_KEY = 40


@dataclass(frozen=True, eq=False)
class View:
    """A trace with its samples, and values derived from both.

    Attributes:
        trace: What was observed.
        labels: The external labels.
        samples: Sample of each judged row, int64; None where not known.
    """

    trace: Trace
    labels: LabelTable
    samples: Int64 | None

    @cached_property
    def rows(self) -> Int64:
        """Samples of the judged rows, sorted where order does not matter; none where they are not known."""
        if self.samples is None:
            return np.zeros(0, dtype=np.int64)
        return self.samples if self.trace.ordered else np.sort(self.samples)

    @cached_property
    def n(self) -> int:
        """Number of labels."""
        return len(self.labels)

    @cached_property
    def n_rows(self) -> int:
        """Number of judged rows."""
        return self.trace.n_rows if self.samples is None else len(self.samples)

    # -- The source ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> SourceState:
        """State of the (last) source."""
        return self.trace.source

    @property
    def facts(self) -> Mapping[str, Any]:
        """What else is known of the source."""
        return self.trace.source.facts

    def fact(self, name: str) -> int:
        """A fact that is a number; 0 where it is not known."""
        value = self.facts.get(name)
        return int(value) if isinstance(value, (int, np.integer)) else 0

    @property
    def kind(self) -> str:
        """Kind of the source."""
        return self.source.kind

    @property
    def one_shot(self) -> bool:
        """The source can be read once only."""
        return self.kind == "generator"

    @property
    def used_before(self) -> bool:
        """A source that can be read once only had been read before this call."""
        first = self.trace.sources[0] if self.trace.sources else SourceState()
        return self.one_shot and (first.started or first.calls_before > 0)

    @property
    def name(self) -> str:
        """The source as the user knows it: its class name, or a plain word where the class is not theirs."""
        words = {"arrays": "x", "batch": "loader", "unknown": "source"}
        if self.is_pipeline:
            return "dataset"
        if self.is_loader:
            return "loader"
        # A generator expression (`<genexpr>`) has no name that could be called.
        named = self.source.type_name if self.source.type_name.isidentifier() else "batches"
        return words.get(self.kind, named)

    @property
    def is_loop(self) -> bool:
        """The caller's own loop passes the batches one by one."""
        return self.kind == "batch"

    @property
    def is_loader(self) -> bool:
        """A ``DataLoader`` of torch or grain."""
        return self.kind == "DataLoader"

    @property
    def is_tf(self) -> bool:
        """A ``tf.data`` dataset, perhaps one that a strategy has distributed."""
        return self.kind == "tf.data" or self.kind.startswith("Distributed")

    @property
    def is_pipeline(self) -> bool:
        """Made by ``.shuffle()``, ``.batch()`` and the like: ``tf.data`` and grain's datasets."""
        return self.is_tf or self.kind.endswith(("MapDataset", "IterDataset"))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Its kinds in causes.toml, the most specific first."""
        terms, by_row = self.labels.origin.terms, self.labels.keys is None
        step, check = terms.get("in") == "step", self.trace.method == "check"
        # The fix for a function of the user is in Python, unless the function only returns arrays.
        read = step and (self.kind == "arrays" or not terms.get("data", "").startswith("{call:"))
        kinds = {
            "unnamed in a step": step and self.samples is None,
            "unnamed rows in a step": read and self.samples is None,
            "rows in a step": read,
            "step with workers": step and "workers" in self.facts,
            "step": step,
            "command by row": terms.get("in") == "command" and by_row,
            "command": terms.get("in") == "command",
            "check by row": check and by_row,
            "check": check,
            "scored by Keras": self.trace.method in {"evaluate", "test_on_batch"},
            "several calls": len(self.trace.calls) > 1 and not self.is_loop,
            "used before": self.used_before or self.kind == "unknown",
            "generator with workers": self.one_shot and "workers" in self.facts,
            "with workers": "workers" in self.facts,
            self.kind: True,
            "tf.data": self.is_tf,
            "pipeline": self.is_pipeline,
            "any": True,
        }
        return tuple(kind for kind, holds in kinds.items() if holds)

    @property
    def called(self) -> str:
        """The guarded call, or the loop around it."""
        return f"for batch in loader: {self.call('batch')}" if self.is_loop else self.call(self.name)

    def call(self, source: str, of: SourceState | None = None, **changed: Any) -> str:
        """The guarded call as the user wrote it: ``model.predict(source, steps=7)``; in a step, its data."""
        if self.labels.origin.terms.get("in") == "step":
            return f"data: {self.labels.origin.terms.get('data', '{...}')}"
        facts = (of or self.source).facts
        given = {**{name: facts[name] for name in ("steps",) if name in facts}, **changed}
        options = "".join(f", {name}={value}" for name, value in given.items() if value is not None)
        method = self.trace.method if self.trace.method != "check" else "predict"
        return f"model{'' if method == '__call__' else f'.{method}'}({source}{options})"

    @property
    def ended(self) -> bool:
        """The source ended by itself, no number of steps cut it."""
        return self.source.exhausted or 0 < self.fact("num_batches") <= self.fact("steps")

    @property
    def had_more(self) -> bool:
        """The source had more batches than were delivered."""
        return self.source.ahead > 0 or self.fact("num_batches") > self.fact("steps") > 0

    @property
    def keeps_order(self) -> bool:
        """Nothing in the source changes the order of what it reads: an array, a pipeline that was read, a table."""
        return self.kind == "arrays" or self.facts.get("keeps_order") is True or self.trace.method == "check"

    # -- Batches ------------------------------------------------------------------------------------------------------

    @cached_property
    def batch(self) -> int:
        """Rows of a whole batch; 0 where batches are not known."""
        sizes = np.asarray(self.trace.batch_sizes)
        return int(sizes.max()) if sizes.size else self.fact("batch_size")

    @cached_property
    def starts(self) -> Int64:
        """First row of each delivered batch; none where batches are not known."""
        sizes = np.asarray(self.trace.batch_sizes)
        if not sizes.size or int(sizes.sum()) < self.n_rows or (sizes == 0).any():
            return np.zeros(0, dtype=np.int64)
        starts: Int64 = np.cumsum(sizes) - sizes
        return starts[starts < self.n_rows]

    @cached_property
    def first_pull(self) -> int | None:
        """Which of the source's batches was delivered first; None where rows carry no tags."""
        tags = np.asarray(self.trace.tags)
        return int(tags[0] >> ROW_BITS) if tags.size and tags[0] >= 0 else None

    # -- Samples ------------------------------------------------------------------------------------------------------

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Rows whose sample is among the labels."""
        return arrivals.known(self.rows, self.n)

    @cached_property
    def in_order(self) -> bool:
        """Rows are samples 0, 1, 2, …, however many there are."""
        return self.samples is not None and counts_up(self.rows)

    def wraps_after(self, length: int) -> bool:
        """Rows are samples 0, 1, 2, … up to this number of them, then from 0 again."""
        return self.samples is not None and counts_up(self.rows, modulo=length)

    @cached_property
    def aligned(self) -> bool:
        """Row i is sample i, for all samples."""
        return self.in_order and self.n_rows == self.n

    @cached_property
    def foreign(self) -> int:
        """Rows whose sample is not among the labels."""
        return int(np.count_nonzero(~self.known & (self.rows != UNKNOWN)))

    @property
    def outside(self) -> Int64:
        """Numbers of the rows whose sample is not among the labels, as the rows came."""
        return np.flatnonzero(~arrivals.known(self.rows if self.samples is None else self.samples, self.n))

    @cached_property
    def again(self) -> Int64:
        """The sample of each row that repeats one."""
        return self.rows[arrivals.repeated(self.rows, self.n)]

    @cached_property
    def unnamed(self) -> int:
        """Rows whose sample is not known."""
        return int(np.count_nonzero(self.rows == UNKNOWN))

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """Samples that were delivered."""
        return arrivals.seen(self.rows, self.n)

    @cached_property
    def missing(self) -> Int64:
        """Samples that were not delivered."""
        return np.flatnonzero(~self.seen)

    @cached_property
    def duplicates(self) -> int:
        """Rows that repeat a sample."""
        return int(np.count_nonzero(self.known)) - int(np.count_nonzero(self.seen))

    @cached_property
    def arrived(self) -> Ints:
        """First arrivals of known samples, in order."""
        return arrivals.arrived(self.rows, self.n)

    @cached_property
    def displaced(self) -> Ints:
        """Displacement of each first arrival, in positions: above 0 late, below 0 early (RFC 5236)."""
        arrived = self.arrived
        if self.missing.size:
            arrived = (np.cumsum(self.seen, dtype=arrived.dtype) - 1)[arrived]
        return displacements(arrived, len(arrived))

    @cached_property
    def moved(self) -> int:
        """Number of first arrivals that are out of position."""
        return int(np.count_nonzero(self.displaced))

    @cached_property
    def reach(self) -> int:
        """By how many positions the earliest row is early: a shuffle buffer of b rows moves a row by at most b - 1."""
        return int(-self.displaced.min(initial=0))

    # -- The stream's own targets -------------------------------------------------------------------------------------

    @cached_property
    def against_rows(self) -> target_comparison.LabelComparison:
        """The stream's targets against the label that each row is scored against."""
        if not self.trace.ordered:
            return self.against_samples
        return target_comparison.compare_labels(self.trace.targets, self.labels.values)

    @cached_property
    def against_samples(self) -> target_comparison.LabelComparison:
        """The stream's targets against the label of the sample that each row holds."""
        return target_comparison.compare_labels(self.trace.targets, self.labels.values, self.samples)

    @property
    def by_key(self) -> bool:
        """Samples were identified by keys alone."""
        return self.trace.keys is not None and self.labels.keys is not None and not self.by_content

    @cached_property
    def with_other_keys(self) -> Int64:
        """Rows that hold the content of one sample and carry the key of another one."""
        carried, keys, prints = self.trace.keys, self.labels.keys, self.labels.fingerprints
        none = np.zeros(0, dtype=np.int64)
        if carried is None or keys is None or self.samples is None or self.trace.fingerprints is None or prints is None:
            return none
        named = match_keys(carried, keys).samples[: len(self.samples)]
        both = np.flatnonzero(arrivals.known(named, self.n) & arrivals.known(self.samples, self.n))
        # Samples with equal inputs are interchangeable.
        return np.compress(prints[named[both]] != prints[self.samples[both]], both)

    @property
    def by_position(self) -> bool:
        """Samples are positions in an array, so nothing shows which of them are missing; some may be known dummies."""
        declared = self.trace.index_source == "position" and self.trace.index is not None
        return declared and self.trace.padding is None and not (self.by_key or self.by_content)

    @property
    def by_content(self) -> bool:
        """Samples were identified by the content of the rows."""
        return self.trace.fingerprints is not None and self.labels.fingerprints is not None


def named(keys: Any, rows: Int64, limit: int = 3) -> str:
    """The first few of some keys: ``'a', 'b', 'c', …``."""
    shown = ", ".join(f"'{shown_key(keys[int(row)], MAX_KEY)}'" for row in rows[:limit])
    return shown + (", …" if len(rows) > limit else "")


def listed(values: Int64, limit: int = 5) -> str:
    """The first few of some numbers."""
    return ", ".join(f"{int(value):,}" for value in values[:limit]) + (", …" if len(values) > limit else "")
