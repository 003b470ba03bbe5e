"""The fail-fast check: whether the batches fed so far already prove that the rows cannot be scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.contract import BatchTag
from evalguard.capture.recording.recorder import Recorder
from evalguard.core import arrivals, target_comparison
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import match_keys
from evalguard.core.stable_order import stable_order
from evalguard.core.trace import UNKNOWN
from evalguard.data import tree

Int64 = NDArray[np.int64]


class FailFastCheck:
    """Checks each batch once, after the model has computed on it.

    It finds only faults that no later batch can undo: a row that is not the
    sample expected at its position, a repeated sample, a row beyond the last
    label, a target that differs from the label, a batch that changed between
    source and model. Missing samples and unknown rows are judged at the end of
    the call.

    Args:
        labels: Function that returns the labels, with fingerprints of the
            inputs as this model receives them, or None.
        ordered: Whether row ``i`` belongs to label ``i``; False for ``evaluate``.
        padding: Whether rows beyond the last label may be padding.
    """

    def __init__(self, labels: Callable[[Recorder], LabelTable | None], *, ordered: bool, padding: bool) -> None:
        self._find = labels
        self._ordered, self._padding = ordered, padding
        self._batches = self._rows = 0
        self._labels: LabelTable | None = None
        self._sorted: NDArray[np.uint64] | None = None
        self._left: Int64 | None = None

    def __call__(self, recorder: Recorder) -> str:
        """The fault that the latest batches prove, as text; empty if they prove none."""
        unchecked, recorder.unchecked = recorder.unchecked, []
        # Not earlier, because the first batch shows the dtype and shape to which a reference is cast.
        if self._labels is None:
            self._labels = self._find(recorder)
        for size, tag in unchecked:
            start, batch = self._rows, self._batches
            self._rows, self._batches = start + size, batch + 1
            wrong = self._fault(recorder, batch, start, size, tag)
            if wrong:
                return f"{wrong} in rows {start:,} to {start + size - 1:,}"
        return ""

    def _fault(self, recorder: Recorder, batch: int, start: int, size: int, tag: BatchTag) -> str:
        labels = self._labels
        if labels is None:
            return ""
        n_labels = len(labels)
        if start + size > n_labels and not self._padding:
            return f"more rows than the {n_labels:,} labels"
        rows = np.arange(start, min(start + size, n_labels))
        samples = self._samples(recorder, labels, start, rows, tag)
        if samples is None:
            if tag.altered:
                return "rows that changed between the source and the model"
        else:
            fault = self._out_of_position(samples, rows) if self._ordered else self._repeated(samples, n_labels)
            if fault:
                return fault
        return self._wrong_targets(recorder, batch, labels, rows, samples)

    def _samples(self, recorder: Recorder, labels: LabelTable, start: int, rows: Int64, tag: BatchTag) -> Int64 | None:
        """Samples of the batch by the strongest identity that is available; ``UNKNOWN`` for rows without one."""
        # Content first, because it is what the model received; a key or an index is what the source states.
        stop = start + len(rows)
        if labels.fingerprints is not None and stop <= len(recorder.fingerprints.parts):
            return self._by_content(recorder.fingerprints.parts[start:stop], labels.fingerprints, rows)
        stated = None if tag.samples is None else tag.samples[: len(rows)]
        if labels.keys is not None and tag.keys is not None:
            found = match_keys(tag.keys[: len(rows)], labels.keys).samples
            # The index of a source that lists its keys numbers its own list. If the labels are in another order, the
            # rows are judged at the end of the call.
            if recorder.options.key is None and stated is not None and not np.array_equal(found, stated):
                return None
            return found
        return stated

    def _by_content(self, fed: NDArray[np.uint64], known: NDArray[np.uint64], rows: Int64) -> Int64:
        if self._sorted is None:
            self._order = stable_order(known)
            self._sorted = known[self._order]
        at = np.minimum(np.searchsorted(self._sorted, fed), len(known) - 1)
        found = self._sorted[at] == fed
        samples = np.where(found, self._order[at], UNKNOWN)
        # Equal samples are interchangeable: a row that equals the sample at its position is that sample.
        in_position = fed == known[rows] if self._ordered else np.zeros(len(fed), dtype=bool)
        return np.where(in_position, rows, samples)

    def _out_of_position(self, samples: Int64, rows: Int64) -> str:
        wrong = np.flatnonzero((samples != UNKNOWN) & (samples >= 0) & (samples != rows))
        if not wrong.size:
            return ""
        row = int(wrong[0])
        return f"sample {int(samples[row]):,} at the position of sample {int(rows[row]):,}"

    def _repeated(self, samples: Int64, n_labels: int) -> str:
        """The first sample that comes more often than it and its equals are in the labels; empty if there is none."""
        # For `evaluate` the order does not matter; each sample must come once.
        if self._left is None:
            self._left = np.ones(n_labels, dtype=np.int64)
            if self._sorted is not None:  # equal samples are counted together, under the first of them
                first = np.searchsorted(self._sorted, self._sorted)
                self._left = np.zeros(n_labels, dtype=np.int64)
                np.add.at(self._left, self._order[first], 1)
        known = samples[arrivals.known(samples, n_labels)]
        np.subtract.at(self._left, known, 1)
        again = known[self._left[known] < 0]
        return f"repeated sample {int(again[0]):,}" if again.size else ""

    def _wrong_targets(
        self, recorder: Recorder, batch: int, labels: LabelTable, rows: Int64, samples: Int64 | None
    ) -> str:
        if labels.values is None or batch >= len(recorder.targets):
            return ""
        if not self._ordered:
            if samples is None or not arrivals.known(samples, len(labels)).all():
                return ""
            rows = samples
        expected = tree.map_leaves(lambda values: values[rows], labels.values)
        given = target_comparison.in_form_of(labels.values, recorder.targets[batch], recorder.outputs)
        found = tree.map_leaves(lambda values: values[: len(rows)], given)
        wrong = target_comparison.compare_labels(found, expected).rows
        if self._sorted is not None and labels.fingerprints is not None:
            # Targets of equal inputs may come in any order, so they are judged at the end of the call.
            content = labels.fingerprints[rows[wrong]]
            n_equal = np.searchsorted(self._sorted, content, "right") - np.searchsorted(self._sorted, content, "left")
            wrong = wrong[n_equal == 1]
        return f"targets that differ from the labels ({wrong.size:,} of {len(rows):,})" if wrong.size else ""
