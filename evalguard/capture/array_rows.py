"""Arrays that Keras slices: each delivered batch is compared with the rows expected at that position."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from evalguard.capture.contract import NOT_OBSERVED, BatchTag, Untagged
from evalguard.core.own_errors import swallow
from evalguard.data import tree

NUMBERS = 64


class ArrayRows(Untagged):
    """Compares each delivered batch with the rows that Keras must slice next, in up to ``NUMBERS`` numbers of a row.

    Keras copies consecutive rows into memory of TensorFlow, where nobody changes
    them: this notices a release that does otherwise. To compare all numbers of
    images costs two percent of a call on a small conv net.

    Args:
        x: Tree of arrays for which ``can_digest`` is true.
    """

    def __init__(self, x: Any) -> None:
        self._leaves = tuple(tree.as_array(leaf) for leaf in tree.leaves(x))
        self._at = 0

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """A delivered batch and its tag; altered where it does not hold the rows expected next."""
        try:
            return data, self._tag_of(data)
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return data, NOT_OBSERVED

    def hold(self, data: Any) -> Any:
        """The batch itself: Keras slices into memory that TensorFlow allocates."""
        return data

    def _tag_of(self, batch: Any) -> BatchTag:
        # No tag is needed: `predict` and `evaluate` pass shuffle=False (keras 3.15, backend/tensorflow/trainer.py:530,
        # :483), so the adapter must slice from row 0 on (array_data_adapter.py:107, get_tf_dataset).
        delivered = [tree.as_array(leaf) for leaf in tree.leaves(tree.unpack(batch)[0])]
        start, size = self._at, len(delivered[0])
        self._at += size
        for leaf, got in zip(self._leaves, delivered, strict=True):
            # Bytes, not `==`: a NaN must equal itself, and -0.0 differs from 0.0.
            if _cast(_some(leaf[start : start + size]), got).tobytes() != _some(got).tobytes():
                return BatchTag(altered=True)
        return BatchTag(0, first_row=start)


def _some(rows: NDArray[Any]) -> NDArray[Any]:
    """Numbers of each row at equal distances, shape ``(n, up to NUMBERS)``."""
    flat = rows.reshape(len(rows), -1)
    return flat[:, :: -(-flat.shape[1] // NUMBERS) or 1]


def _cast(rows: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Rows as Keras casts them: floats to its own float type."""
    # keras 3.15, trainers/data_adapters/array_slicing.py:431: before slicing, floats become `floatx`.
    return rows if rows.dtype == like.dtype else rows.astype(like.dtype)
