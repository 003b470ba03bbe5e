"""Around a dataset whose items are asked for by number: same items, same order, same workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalguard.capture.batch_digests import BatchDigests, can_digest, sampled_digest
from evalguard.capture.tags import Unwrap, unwrap_like, wrap_batch
from evalguard.core.own_errors import swallow
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.kinds import is_image_iterator
from evalguard.data.tree import unpack

# Keras 3 asks for the first two items twice to learn their shapes (keras 3.15,
# py_dataset_adapter.py, get_tf_dataset), tf_keras for the first (data_adapter.py).
PEEKED = 2


class TaggedItems:
    """Seals each item, or tags it with its number and its sample indices; the rest is the inner dataset's.

    Args:
        inner: The caller's dataset.
        may_digest: All items are made in this process, and batches stay whole.

    Attributes:
        requested: Item numbers asked for in this process, in order.
        item_changed: An item asked for twice was not the same both times.
        unwrap: Takes a delivered item apart; known from the first item, which
            Keras always reads in this process.
        digests: Those of the items, where they are sealed; None where they carry tags.
    """

    def __init__(self, inner: Any, *, may_digest: bool = False) -> None:
        # No super().__init__: workers and queues are settings of the inner dataset.
        self._inner = inner
        self._lock = threading.Lock()
        self._peeked: dict[int, Any] = {}
        self.requested: list[int] = []
        self.item_changed = False
        self.unwrap: Unwrap | None = None
        self._may_digest = may_digest
        self._indices = _indices_of(inner)
        self.digests: BatchDigests | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "unwrap": None, "digests": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __getitem__(self, index: int) -> Any:
        """The inner dataset's item, tagged."""
        batch = self._inner[index]
        self.requested.append(index)
        if index < PEEKED:
            self._compare(index, batch)
        # As Keras standardises items: an array is (x,), a list is a tuple; a dict stays.
        if isinstance(batch, np.ndarray):
            batch = (batch,)
        if isinstance(batch, list):
            batch = tuple(batch)
        if not isinstance(batch, (tuple, dict)) or (isinstance(batch, tuple) and len(batch) not in {1, 2, 3}):
            return batch
        if self.unwrap is None:
            self._begin(batch)
        stated = self._sample_indices(index)
        if self.digests is None:
            return wrap_batch(batch, index, stated)
        self.digests.put(batch, index, getattr(batch, "sample_index", stated))
        return batch

    def _begin(self, batch: Any) -> None:
        """The first item decides whether items are sealed, and stay as they are, or carry a tag."""
        if self._may_digest and can_digest(batch):
            self.digests = BatchDigests()
            self.unwrap = self.digests.identify
        else:
            self.unwrap = unwrap_like(batch)

    def _sample_indices(self, index: int) -> Any:
        if self._indices is None:
            return None
        try:
            return self._indices(index)
        except Exception:  # noqa: BLE001 - the user's own method; an item without an index is reported as not named
            return None

    def _compare(self, index: int, batch: Any) -> None:
        """Whether an item asked for twice was the same both times."""
        try:
            x = unpack(batch)[0]
            content = sampled_digest(x)[0] if can_digest(x) else row_fingerprints(x)[0].tobytes()
        except Exception as error:  # noqa: BLE001 - evidence for a cause only
            swallow(error)
            return
        with self._lock:
            self.item_changed |= self._peeked.setdefault(index, content) != content


def _indices_of(inner: Any) -> Callable[[int], Any] | None:
    """What gives the samples of an item by its number; None where the dataset does not say."""
    indices = getattr(inner, "sample_indices", None)
    if callable(indices):
        return indices  # type: ignore[no-any-return]
    return _Slices(inner) if is_image_iterator(inner) else None


@dataclass(frozen=True, slots=True)
class _Slices:
    """Items of an image iterator: what its ``__getitem__`` itself takes the samples from."""

    inner: Any

    def __call__(self, index: int) -> Any:
        size = self.inner.batch_size
        return self.inner.index_array[size * index : size * (index + 1)]
