"""Arrays that Keras slices: compares each delivered batch with the rows expected at that position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.batch_digests import digest, parts_of, sampled_numbers
from evalguard.core.own_errors import swallow
from evalguard.core.trace import ALTERED
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints

# Rows of at least this many bytes are compared at sampled positions; how many rows are hashed at a time.
MIN_LARGE_ROW_BYTES, CHUNK = 1 << 12, 1 << 14


class ArrayRows:
    """Compares each delivered batch with the rows that Keras must slice next.

    Large rows are compared at sampled positions. Rows that equal another row at
    these positions are compared in full.

    Args:
        x: Tree of arrays for which ``can_digest`` is true.
    """

    def __init__(self, x: Any) -> None:
        self._leaves = tuple(tree.as_array(leaf) for leaf in tree.leaves(x))
        self._at = 0
        self._has_large_rows = sum(leaf.nbytes // max(len(leaf), 1) for leaf in self._leaves) >= MIN_LARGE_ROW_BYTES
        # Rows that equal another row at the sampled positions. Computed with the first batch, because only that shows
        # the dtype that Keras feeds: two float64 rows may be equal once they are float32.
        self._ambiguous: NDArray[np.bool_] | None = None

    def identify(self, batch: Any) -> tuple[Any, Any]:
        """A delivered batch and its row numbers; ``ALTERED`` where it does not hold the rows expected next."""
        try:
            return batch, self._numbers(batch)
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, None

    def _numbers(self, batch: Any) -> range | int:
        # No tag is needed: `predict` and `evaluate` pass shuffle=False (keras 3.15, backend/tensorflow/trainer.py:530,
        # :483), so the adapter must slice from row 0 on (array_data_adapter.py:107, get_tf_dataset).
        delivered = tuple(map(tree.as_array, parts_of(tree.unpack(batch)[0])))
        start, size = self._at, len(delivered[0])
        self._at += size
        due = range(start, start + size)
        same = self._same_at_sampled_positions if self._has_large_rows else self._same
        return due if same(delivered, slice(start, start + size)) else ALTERED

    def _same(self, delivered: tuple[NDArray[Any], ...], rows: Any) -> bool:
        due = [_cast(leaf[rows], got) for leaf, got in zip(self._leaves, delivered, strict=True)]
        return digest(tuple(due)) == digest(delivered)

    def _same_at_sampled_positions(self, delivered: tuple[NDArray[Any], ...], rows: slice) -> bool:
        if self._ambiguous is None:
            self._ambiguous = self._find_ambiguous(delivered)
        for leaf, got in zip(self._leaves, delivered, strict=True):
            # Bytes, not ==: a NaN must equal itself, and -0.0 differs from 0.0.
            if _cast(sampled_numbers(leaf[rows]), got).tobytes() != sampled_numbers(got).tobytes():
                return False
        ambiguous = np.flatnonzero(self._ambiguous[rows])
        return not len(ambiguous) or self._same(tuple(leaf[ambiguous] for leaf in delivered), rows.start + ambiguous)

    def _find_ambiguous(self, like: tuple[NDArray[Any], ...]) -> NDArray[np.bool_]:
        digests = []
        # In chunks, so that a memory-mapped array is not copied as a whole.
        for start in range(0, len(self._leaves[0]), CHUNK):
            rows = slice(start, start + CHUNK)
            positions = [_cast(sampled_numbers(leaf[rows]), got) for leaf, got in zip(self._leaves, like, strict=True)]
            digests.append(row_fingerprints(tuple(positions))[0])
        _, which, counts = np.unique(np.concatenate(digests), return_inverse=True, return_counts=True)
        ambiguous: NDArray[np.bool_] = counts[which] > 1
        return ambiguous


def _cast(rows: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Rows as Keras casts them: floats to its own float type."""
    # keras 3.15, trainers/data_adapters/array_slicing.py:431: before slicing, floats become `floatx`.
    return rows if rows.dtype == like.dtype else rows.astype(like.dtype)
