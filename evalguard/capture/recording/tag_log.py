"""The tag log: tags of the batches of one call, in run-length columns. A call in order takes a few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.trace import ALTERED, ROW_BITS, ROW_MASK, UNKNOWN, BatchTags, Tags
from evalguard.data import tree

Int64 = NDArray[np.int64]


def n_tagged(tag: Any) -> int:
    """How many rows a tag names one by one; 0 where it names the batch, or where rows could not be counted."""
    return len(tag) if isinstance(tag, range) or getattr(tag, "ndim", 0) > 0 else 0


class CallTags:
    """Collects tags, batch by batch.

    Attributes:
        sizes: Rows of each batch.
        stated: Whether the rows of the last batch stated which sample they are.
        last: Rows of the last batch.
    """

    def __init__(self) -> None:
        self.sizes = RunLengthColumn(step=0)
        self.stated = False
        self.last = 0
        self._n_rows = 0
        self._pulls = RunLengthColumn()
        # Only where a tag names rows rather than a whole batch:
        self._rows: RunLengthColumn | None = None
        self._index: RunLengthColumn | None = None
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Batches."""
        return len(self.sizes)

    @property
    def n_rows(self) -> int:
        """Rows."""
        return self._n_rows

    def add(self, tag: Any, size: int) -> None:
        """Record the tag of a batch.

        Args:
            tag: The number of the batch, ``ALTERED`` or None; or one tag for
                each of its rows, a ``range`` or int64, shape ``(size,)``, or
                ``(size, 2)`` with the samples that they state; empty where
                rows could not be counted.
            size: Rows of the batch.
        """
        self.stated = False
        if isinstance(tag, range):
            self._row_tags().extend_run(tag.start, size)
            self._add_index(None, size)
        elif not n_tagged(tag):
            # A 0-d tensor where tf.data numbered the batch, an int where the probe did.
            number = int(tag) if tag is not None and getattr(tag, "ndim", 0) == 0 else UNKNOWN
            if self._rows is None:
                self._pulls.append(number)
            elif number < 0:
                self._rows.extend(np.full(size, number, dtype=np.int64))
            else:
                self._rows.extend_run(number << ROW_BITS, size)
            self._add_index(None, size)
        else:
            rows = np.asarray(tree.as_array(tag), dtype=np.int64)
            two = rows.ndim > 1
            column = rows[:, 0] if two else rows
            # Row tags of one whole batch say no more than its number: one run instead of one for each batch.
            if two and self._rows is None and _is_whole_batch(column):
                self._pulls.append(int(column[0]) >> ROW_BITS)
            else:
                self._row_tags().extend(column)
            self.stated = two and size > 0 and bool(rows[0, 1] != UNKNOWN)
            self._add_index(rows[:, 1] if two else None, size)
        self.sizes.append(size)
        self._n_rows += size
        self.last = size

    def add_batches(self, tags: Sequence[Any], sizes: Sequence[int]) -> None:
        """Record several batches, each as ``add`` does."""
        # The usual case, numbers in a row and equal sizes: two runs, compared in C (`list.__eq__`, `list.count`).
        first, size = tags[0], sizes[0]
        numbered = self._rows is None and self._index is None and type(first) is int and first >= 0
        if numbered and tags == list(range(first, first + len(tags))) and sizes.count(size) == len(sizes):
            self._pulls.extend_run(first, len(tags))
            self.sizes.extend_run(size, len(tags))
            self._n_rows += size * len(tags)
            self.last, self.stated = size, False
            return
        for tag, rows in zip(tags, sizes, strict=True):
            self.add(tag, rows)

    def _row_tags(self) -> RunLengthColumn:
        """The tags row by row; created when the first tag of a single row arrives."""
        if self._rows is None:
            before = BatchTags(self._pulls, self.sizes) if len(self.sizes) else ()
            self._rows = RunLengthColumn.of(before)
        return self._rows

    def _add_index(self, index: Int64 | None, size: int) -> None:
        if self._index is None:
            if index is None or (index == UNKNOWN).all():
                return
            # Earlier batches stated nothing.
            self._index = RunLengthColumn.of(np.full(self._n_rows, UNKNOWN))
        self._index.extend(np.full(size, UNKNOWN) if index is None else index)

    def mark_changed(self, back: int) -> None:
        """Record that the ``back``-th batch from the end changed after it was fed."""
        self._changed.add(len(self.sizes) - back)

    @property
    def any_changed(self) -> bool:
        """Whether some batch changed after it was fed."""
        return bool(self._changed)

    def tags(self, *, trusted: bool = True) -> Tags:
        """Tags of all rows; all ``UNKNOWN`` where they are not ``trusted``."""
        if not trusted:
            return np.full(self._n_rows, UNKNOWN, dtype=np.int64)
        tags: Tags = BatchTags(self._pulls, self.sizes) if self._rows is None else self._rows
        return tags if not self._changed else self._without_changed(tags, ALTERED)

    def index(self) -> RunLengthColumn | Int64 | None:
        """The samples that rows state; None if no row states one."""
        if self._index is None or not self._changed:
            return self._index
        return self._without_changed(self._index, UNKNOWN)

    def _without_changed(self, column: Any, value: int) -> Int64:
        rows = np.array(np.asarray(column))
        ends = np.cumsum(np.asarray(self.sizes))
        for batch in self._changed:
            rows[ends[batch] - np.asarray(self.sizes)[batch] : ends[batch]] = value
        return rows


def _is_whole_batch(tags: Int64) -> bool:
    """Whether tags name all rows of one batch in order, so that its number says the same."""
    first = int(tags[0]) if len(tags) else -1
    return first >= 0 and not first & ROW_MASK and np.array_equal(tags, np.arange(first, first + len(tags)))
