"""What was observed of a guarded call: one entry per delivered row, and the state of the source.

A tag is an int64 that travels with its row from the source to the prediction:
``pull << 32 | row``, the number of the batch that was pulled from the source and
the row inside it. ``-1`` is a row without a tag, ``-2`` a row that is not what the
source emitted.

Longer than 300 lines because one class describes each of its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import chunks, counts_up
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.plural import plural
from evalguard.core.row_names import RowNames

UNKNOWN = -1
FOREIGN = -2
ALTERED = -2
ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1

# The method of a trace of one validation inside `fit`: it is compared with the first one, and nothing more is
# required of it.
FIT = "fit"
# The result of a tested model: one batch, computed again in another order, gave the same rows.
ROW_WISE = "row-wise"

Int64 = NDArray[np.int64]


def row_tag(number: int, row: int = 0) -> int:
    """The tag of one row: batch ``number`` of the source, row ``row`` of it."""
    return (number << ROW_BITS) + row


def batch_and_row(tag: int) -> tuple[int, int]:
    """The number of the batch and the row inside it that a tag names."""
    return tag >> ROW_BITS, tag & ROW_MASK


@dataclass(frozen=True, slots=True)
class SourceState:
    """The state of one source before and after one guarded call.

    Attributes:
        kind: ``arrays``, ``pydataset``, ``generator``, ``tf.data``, …
        type_name: Class name of what the caller passed.
        started: True if a generator had been advanced before this call.
        calls_before: Earlier guarded calls with the same object.
        pulled_before: Batches that those calls took from it.
        pulled: Batches that this call took, None if that cannot be counted.
        delivered: Batches that this call delivered.
        exhausted: The source ended during this call.
        facts: What else is known about it: ``shuffle``, ``workers``,
            ``batch_size``, ``steps``, …; plain values only.
    """

    kind: str = "unknown"
    type_name: str = "unknown"
    started: bool = False
    calls_before: int = 0
    pulled_before: int = 0
    pulled: int | None = None
    delivered: int = 0
    exhausted: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ahead(self) -> int:
        """Batches taken from the source and not delivered."""
        return 0 if self.pulled is None else max(0, self.pulled - self.delivered)


@dataclass(frozen=True, slots=True, eq=False)
class BatchTags:
    """Tags of rows that are numbered batch by batch; ``np.asarray`` returns them as an array.

    Attributes:
        pulls: Number of each batch, or ``UNKNOWN`` or ``ALTERED`` for all its rows.
        sizes: Rows of each batch.
    """

    pulls: RunLengthColumn
    sizes: RunLengthColumn

    def __len__(self) -> int:
        """Rows."""
        return self.sizes.total()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """int64, shape ``(rows,)``."""
        del copy  # always one
        pulls, sizes = np.asarray(self.pulls), np.asarray(self.sizes)
        known = pulls >= 0
        # Add the row's number in the stream to get its tag.
        rows = np.repeat(np.where(known, (pulls << ROW_BITS) - np.cumsum(sizes) + sizes, pulls), sizes)
        numbered = np.repeat(known, sizes)
        for part in chunks(len(rows)):
            rows[part] += numbered[part] * np.arange(part.start, part.stop)
        return rows if dtype is None else rows.astype(dtype, copy=False)


Column = Int64 | RunLengthColumn
Tags = Int64 | RunLengthColumn | BatchTags


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One guarded call, or several calls that predict the labels together.

    Attributes:
        n_rows: Rows of predictions that the caller received.
        tags: int64, shape ``(n_rows,)``: see the module's docstring. Like
            ``index`` and ``batch_sizes`` an array or a run-length column;
            ``np.asarray`` returns the array.
        index: int64, shape ``(n_rows,)``: the label row that the source states
            for the row, ``-1`` if it states none. None: it never does.
        index_source: ``stated`` by the source, ``position`` of the row in an
            array passed as a whole, or ``listed``: a number in the source's
            own list of keys, which is a label row only where the labels list
            the same keys; or ``part``: the label row that the caller names.
        keys: The key that each row carried, shape ``(n_rows,)``, or None.
        fingerprints: uint64, shape ``(n_rows,)``: digest of the row that the
            model received, or None.
        in_part: The digests are of what a function of the caller's returns of each row.
        spec: dtype and row shape of the fingerprinted inputs.
        targets: The stream's own ``y`` at each delivered row: an array, a
            mapping or a sequence of arrays, or None.
        scored_targets: The same of the rows in ``scored`` only, where others have none.
        weights: The stream's own sample weight of each row that ``evaluate`` scored, in the form of ``targets``.
        batch_sizes: Rows in each delivered batch, int64.
        calls: Rows of each call, in order.
        sources: The source's state at each call, in order.
        method: Name of the Keras method that was guarded.
        ordered: False if the order of the rows does not matter, as in
            ``evaluate``: each sample once, with its own target.
        scored: Rows of ``evaluate`` in a session that predicted as well: among
            themselves they have no order. None: ``ordered`` holds for all.
        unobserved: Why some rows could not be observed; empty if all were.
        one_to_one: False if the model does not return one row per input row,
            or if nothing at all was observed, so that rows and labels cannot
            be paired.
        padding: bool, shape ``(n_rows,)``: rows declared to be dummies.
        stopped: The fault for which the guard stopped the call; empty if it
            ran to its end.
        key_asked: A key was asked to say which sample a row is, whether there is one or not.
        no_output_rows: Some output has no rows that can be counted.
        not_returned: Why it is not known that the caller got what the model
            computed; empty if it is.
        outputs: Digests of the rows as they were computed and as they were
            returned, uint64, shape ``(2, n_rows)``; None where all are equal.
        moved: Rows that were returned elsewhere than they were computed.
        confirmed: The rows are those that the caller scores, in that order.
        not_confirmed: Why it is not known which rows are scored where.
        rearranged: Rows that are scored elsewhere than they were returned.
        scored_from: Where the caller got each row that is scored, int64, shape ``(n_rows,)``; None: not confirmed.
        parts: Rows of each call, in the order in which the caller got them, before they were put in that of the score.
        ended: When each call ended, seconds; empty where the calls have an order.
        in_threads: Several threads or tasks made the calls.
        verified: What a test of the model showed: ``ROW_WISE`` or
            ``untestable: why``; empty if it was not tested, or moves rows.
        moved_in_model: Rows that a batch computed again showed to be the
            outputs of other rows.
        row_names: The pandas index of the rows that were passed; None where they have none, and once it was compared.
    """

    n_rows: int
    tags: Tags
    index: Column | None = None
    index_source: str = "stated"
    keys: NDArray[Any] | None = None
    fingerprints: NDArray[np.uint64] | None = None
    in_part: bool = False
    spec: tuple[str, ...] = ()
    targets: Any = None
    scored_targets: Any = None
    weights: Any = None
    batch_sizes: Column = field(default_factory=lambda: np.zeros(0, np.int64))
    calls: tuple[int, ...] = ()
    sources: tuple[SourceState, ...] = ()
    method: str = "predict"
    ordered: bool = True
    scored: Int64 | None = None
    unobserved: str = ""
    one_to_one: bool = True
    padding: NDArray[np.bool_] | None = None
    stopped: str = ""
    key_asked: bool = False
    no_output_rows: bool = False
    not_returned: str = ""
    outputs: NDArray[np.uint64] | None = None
    moved: int = 0
    confirmed: bool = False
    not_confirmed: str = ""
    rearranged: int = 0
    scored_from: Int64 | None = None
    parts: tuple[int, ...] = ()
    ended: tuple[float, ...] = ()
    in_threads: bool = False
    verified: str = ""
    moved_in_model: int = 0
    row_names: RowNames | None = None

    def __post_init__(self) -> None:
        for name in ("tags", "index", "keys", "fingerprints", "padding", "row_names"):
            array = getattr(self, name)
            if array is not None and len(array) != self.n_rows:
                msg = f"Trace.{name}: expected {plural(self.n_rows, 'row')}, found {len(array):,}"
                raise ValueError(msg)
        if not self.calls:
            object.__setattr__(self, "calls", (self.n_rows,))

    @property
    def joined(self) -> bool:
        """Rows of a finished table that are scored against the label of their sample, wherever they stand."""
        return self.method == "check" and not self.ordered

    @property
    def source(self) -> SourceState:
        """State of the (last) source."""
        return self.sources[-1] if self.sources else SourceState()

    def rows_tagged(self, value: int) -> Int64:
        """Rows with this tag."""
        column = self.tags.pulls if isinstance(self.tags, BatchTags) else self.tags
        if isinstance(column, RunLengthColumn) and not column.may_contain(value):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(np.asarray(self.tags) == value)

    @property
    def n_bytes(self) -> int:
        """Approximate size of the columns, in bytes; large ones are in temporary files."""
        tags = (self.tags.pulls, self.tags.sizes) if isinstance(self.tags, BatchTags) else (self.tags,)
        found = [*tags, self.index, self.batch_sizes, self.keys, self.fingerprints, self.padding]
        found += _arrays((self.targets, self.weights))
        columns = {id(column): column for column in found if column is not None}.values()
        return sum(each.n_bytes if isinstance(each, RunLengthColumn) else np.asarray(each).nbytes for each in columns)

    @property
    def tagged(self) -> bool:
        """Whether every row has a tag."""
        if isinstance(self.tags, RunLengthColumn):
            return self.tags.lowest() >= 0
        return bool((np.asarray(self.tags) >= 0).all())

    @property
    def pairs_x_with_y(self) -> bool:
        """Whether x and y of a batch may belong together: no source joins rows that it shuffles with others."""
        return not any(state.facts.get("zips_a_shuffle") for state in self.sources)

    @property
    def transport_intact(self) -> bool | None:
        """True: the rows arrived in the order the source emitted them, once each. None: not known.

        In each call, pulls must arrive in order, without a gap, and each from
        its first row on.
        """
        if self.unobserved:
            return None
        if len(self.calls) == 1 and _folded_in_order(self.tags):
            return True
        if len(self.calls) == 1 and isinstance(self.tags, BatchTags):
            pulls = np.asarray(self.tags.pulls)[np.asarray(self.tags.sizes) > 0]
            return counts_up(pulls) if (pulls >= 0).all() else None
        if not self.tagged:
            return None
        ends = np.cumsum(self.calls)
        parts = np.split(np.asarray(self.tags), ends[:-1])
        return all(_in_order(part) for part in parts)


def _arrays(structure: Any) -> list[Any]:
    if isinstance(structure, Mapping):
        structure = tuple(structure.values())
    if not isinstance(structure, (tuple, list)):
        return [structure]
    return [array for part in structure for array in _arrays(part)]


def _folded_in_order(tags: Tags) -> bool:
    """Whether the runs alone show that the rows are in order, without expanding them."""
    if isinstance(tags, BatchTags):
        return tags.pulls.is_range(len(tags.pulls))
    return isinstance(tags, RunLengthColumn) and tags.is_range(len(tags))


def _in_order(tags: Int64) -> bool:
    if tags.size and tags[0] != 0:
        return False
    for rows in chunks(len(tags) - 1):
        before, after = tags[rows], tags[rows.start + 1 : rows.stop + 1]
        # Either the next row of the same batch, or row 0 of the next batch.
        next_batch = (after & ROW_MASK == 0) & ((after >> ROW_BITS) - (before >> ROW_BITS) == 1)
        if not ((after - before == 1) | next_batch).all():
            return False
    return True
