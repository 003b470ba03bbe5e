"""Arrays that Keras slices: compares each delivered batch with the rows expected at that position."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from evalguard.capture.batch_digests import digest, parts_of
from evalguard.core.own_errors import swallow
from evalguard.core.trace import ALTERED
from evalguard.data import tree


class ArrayRows:
    """Compares each delivered batch with the rows that Keras must slice next.

    Args:
        x: Tree of arrays for which ``can_digest`` is true.
    """

    def __init__(self, x: Any) -> None:
        self._leaves = tuple(tree.as_array(leaf) for leaf in tree.leaves(x))
        self._at = 0

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
        due = [_cast(leaf[start : start + size], got) for leaf, got in zip(self._leaves, delivered, strict=True)]
        # Digests, not `==`: a NaN must equal itself, and -0.0 differs from 0.0.
        return range(start, start + size) if digest(tuple(due)) == digest(delivered) else ALTERED


def _cast(rows: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Rows as Keras casts them: floats to its own float type."""
    # keras 3.15, trainers/data_adapters/array_slicing.py:431: before slicing, floats become `floatx`.
    return rows if rows.dtype == like.dtype else rows.astype(like.dtype)
