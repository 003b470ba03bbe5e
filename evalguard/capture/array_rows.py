"""Identify the batches that Keras slices from arrays: each is compared with the rows expected at its position."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.core.own_errors import swallow
from evalguard.data import tree

# Numbers of a row that are compared, at most.
NUMBERS = 64


class ArrayRows(Untagged):
    """Compares each delivered batch with the rows that Keras must slice next, in up to ``NUMBERS`` numbers of a row.

    Keras copies consecutive rows into memory of TensorFlow, which no other code
    writes to. The comparison detects a release of Keras that does otherwise.
    Comparing all numbers of images would add two percent to a call of a small
    convolutional network.

    Args:
        x: Tree of arrays for which ``can_digest`` is true.
    """

    def __init__(self, x: Any) -> None:
        self._leaves = tuple(tree.as_array(leaf) for leaf in tree.leaves(x))
        self._at = 0

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """Return a delivered batch and its tag, which is altered if the batch does not hold the rows expected next."""
        try:
            return data, self._tag_of(data)
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return data, NOT_OBSERVED

    def hold(self, data: Any) -> Any:
        """Return the batch itself, because Keras slices into memory that TensorFlow allocates."""
        return data

    def _tag_of(self, batch: Any) -> BatchTag:
        # No tag is needed: `predict` and `evaluate` pass shuffle=False (keras 3.15, backend/tensorflow/trainer.py:530,
        # :483), so the adapter must slice from row 0 on (array_data_adapter.py:107, get_tf_dataset).
        delivered = [tree.as_array(leaf) for leaf in tree.leaves(tree.unpack(batch)[0])]
        start, size = self._at, len(delivered[0])
        self._at += size
        for leaf, got in zip(self._leaves, delivered, strict=True):
            # Compare bytes, so that a NaN equals itself.
            if _cast(_some(leaf[start : start + size]), got).tobytes() != _some(got).tobytes():
                return BatchTag(altered=True)
        return BatchTag(0, first_row=start)


def _some(rows: NDArray[Any]) -> NDArray[Any]:
    """Up to ``NUMBERS`` numbers of each row at equal distances, shape ``(n, numbers)``."""
    flat = rows.reshape(len(rows), -1)
    return flat[:, :: -(-flat.shape[1] // NUMBERS) or 1]


def _cast(rows: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Rows in the dtype of those delivered."""
    # Keras casts floats to `floatx` before it slices (keras 3.15, trainers/data_adapters/array_slicing.py:431).
    return rows if rows.dtype == like.dtype else rows.astype(like.dtype)
