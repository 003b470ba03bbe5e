"""The tag log: tags of the batches of one call, in run-length columns, which take a few bytes if rows are in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.trace import ALTERED, UNKNOWN, BatchTags, Tags, batch_and_row

Int64 = NDArray[np.int64]


class TagColumn:
    """Collects tags, batch by batch.

    Attributes:
        sizes: Rows of each batch.
    """

    def __init__(self) -> None:
        self.sizes = RunLengthColumn(step=0)
        self._n_rows = 0
        self._numbers = RunLengthColumn()
        # Only if parts of batches were delivered, and only if samples were stated.
        self._rows: RunLengthColumn | None = None
        self._samples: RunLengthColumn | None = None
        self._changed: set[int] = set()

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.sizes)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._n_rows

    def add(self, tag: BatchTag, size: int) -> None:
        """Record the tag of a batch of ``size`` rows."""
        self.add_rows(tag.first_tag, size, tag.samples)

    def add_rows(self, first: int, size: int, samples: Int64 | None) -> None:
        """Record a batch by the tag of its first row, its size, and the samples that it states."""
        number, row = batch_and_row(first) if first >= 0 else (first, 0)
        if row and self._rows is None:
            # The first delivered part that is not the beginning of a batch. From here on the tag of each row is kept,
            # also for earlier batches.
            self._rows = RunLengthColumn.of(BatchTags(self._numbers, self.sizes))
        if self._rows is None:
            self._numbers.append(number)
        elif first < 0:
            self._rows.extend(np.full(size, first, dtype=np.int64))
        else:
            self._rows.extend_run(first, size)
        self._add_samples(samples, size)
        self.sizes.append(size)
        self._n_rows += size

    def _add_samples(self, samples: Int64 | None, size: int) -> None:
        if self._samples is None:
            if samples is None:
                return
            # Earlier batches have stated no samples.
            self._samples = RunLengthColumn.of(np.full(self._n_rows, UNKNOWN))
        # With more or fewer samples than rows, it is not known which sample belongs to which row.
        if samples is None or len(samples) != size:
            samples = np.full(size, UNKNOWN, dtype=np.int64)
        self._samples.extend(samples)

    def mark_changed(self, back: int) -> None:
        """Record that the ``back``-th batch from the end changed after the model received it."""
        self._changed.add(len(self.sizes) - back)

    @property
    def any_changed(self) -> bool:
        """Whether a batch changed after the model received it."""
        return bool(self._changed)

    def tags(self, *, trusted: bool = True) -> Tags:
        """Tags of all rows; all ``UNKNOWN`` if they are not ``trusted``."""
        if not trusted:
            return np.full(self._n_rows, UNKNOWN, dtype=np.int64)
        tags: Tags = BatchTags(self._numbers, self.sizes) if self._rows is None else self._rows
        return tags if not self._changed else self._without_changed(tags, ALTERED)

    def index(self) -> RunLengthColumn | Int64 | None:
        """The samples that rows state; None if no row states one."""
        if self._samples is None or not self._changed:
            return self._samples
        return self._without_changed(self._samples, UNKNOWN)

    def _without_changed(self, column: Any, value: int) -> Int64:
        rows = np.array(np.asarray(column))
        ends = np.cumsum(np.asarray(self.sizes))
        for batch in self._changed:
            rows[ends[batch] - np.asarray(self.sizes)[batch] : ends[batch]] = value
        return rows
