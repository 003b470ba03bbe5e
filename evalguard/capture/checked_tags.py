"""Riding tags for batches of which a part cannot be digested, such as text, with digests of the numbers in them.

A tag says which batch this was when the source emitted it. A source that
overwrites its buffer while the batch waits changes the rows under their tag.
"""

from __future__ import annotations

import threading
from typing import Any

from evalguard.capture.contract import BatchTag
from evalguard.capture.hashing import arrays_of, digest, numbers_of
from evalguard.capture.overwriting import MemoryWatch
from evalguard.capture.tags import RidingTags
from evalguard.core.own_errors import swallow


class CheckedTags(RidingTags):
    """Tags that ride, and a digest of the numbers of each batch; for batches that are made in this process."""

    def __init__(self, first: Any) -> None:
        super().__init__(first)
        self._digests: dict[int, set[int]] = {}
        self._memory = MemoryWatch()
        # `emit` runs in threads of tf.data or of an enqueuer.
        self._lock = threading.Lock()

    def emit(self, batch: Any, number: int, index: Any = None) -> tuple[Any, ...]:
        """The batch with its tag."""
        arrays = arrays_of(numbers_of(batch))
        emitted = digest(arrays)
        with self._lock:
            self._memory.emitted(arrays)
            # Several, because Keras requests the first items twice, and an item may be other data the second time.
            self._digests.setdefault(number, set()).add(emitted)
        return super().emit(batch, number, index)

    def identify(self, data: Any) -> tuple[Any, BatchTag]:
        """The batch in its original structure, and its tag; altered where its numbers are not those emitted."""
        batch, tag = super().identify(data)
        try:
            delivered = digest(self._memory.hold(numbers_of(batch)))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be read is not known
            swallow(error)
            return batch, BatchTag()
        with self._lock:
            # Taken out, so that a long call keeps those of waiting batches only.
            emitted = None if tag.number is None else self._digests.pop(tag.number, None)
        if emitted is not None and delivered not in emitted:
            return batch, BatchTag(altered=True)
        return batch, tag

    def intact(self) -> list[bool]:
        """For each batch identified since the last call: whether it is unchanged."""
        return self._memory.intact()
