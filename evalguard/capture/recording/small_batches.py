"""Small batches, kept as bytes until there are enough of them to be worth noting.

Between two steps of a model neither the code nor the rows are in the processor's
caches: to note one batch there costs several times what it costs among others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.data import tree

SMALL_BATCH = 1 << 16
MAX_BYTES, MAX_BATCHES = 1 << 18, 256
# Of batches that nobody else can change nothing is copied, so that large ones may wait, too.
MAX_PENDING_BYTES = 1 << 25
# Codes of ``struct``, which are NumPy's as well.
_PLAIN = frozenset("?bBhHiIlLqQefd")
_ARRAYS = frozenset({"EagerTensor", "ndarray"})

Form = tuple[tuple[str, tuple[int, ...]], ...]


class BatchGroup:
    """Batches of one form, one behind the other.

    Attributes:
        flat: Each batch is a tuple of its parts; False: it is the one part itself.
        form: Of each part its code and the shape of a row; none where nothing is kept of the rows.
        sizes: Rows of each batch.
        tags: Tag of each batch.
        raw: Bytes of the parts of each batch. Flat, as all here: what Python's collector of garbage has to look
            through would cost more than all the rest.
    """

    def __init__(self, flat: bool, form: Form) -> None:
        self.flat, self.form = flat, form
        self.sizes: list[int] = []
        self.tags: list[Any] = []
        self.raw: list[bytes] = []

    def parts(self) -> list[NDArray[Any]]:
        """The rows of all batches, part by part."""
        rows = sum(self.sizes)
        found = []
        for number, (code, shape) in enumerate(self.form):
            raw = b"".join(self.raw[number :: len(self.form)])
            found.append(np.frombuffer(raw, code).reshape(rows, *shape) if raw else np.empty((rows, *shape), code))
        return found


class SmallBatchBuffer:
    """Collects small batches.

    Attributes:
        groups: In the order they came.
        n_bytes: What is kept of their rows.
        n_batches: How many there are.
    """

    def __init__(self) -> None:
        self.groups: list[BatchGroup] = []
        self.n_bytes = self.n_batches = 0

    def add(self, batch: Any, tag: Any, rows: bool) -> bool:
        """Keep a batch as it is now; False: it is not small, or no array of numbers and no flat tuple of such.

        Args:
            batch: As delivered.
            tag: Goes with it.
            rows: Whether its rows are of any use; else only their number is kept.
        """
        flat = type(batch) is tuple
        form: Form = ()
        raw = []
        size, n_bytes = -1, 0
        for part in batch if flat else (batch,):
            if type(part).__name__ not in _ARRAYS:
                return False
            try:
                view = tree.as_array(part).data
                code, shape = view.format, view.shape
            except (TypeError, ValueError, BufferError):  # text, and numbers that Python has no code for
                return False
            if code not in _PLAIN or not shape or size not in (-1, shape[0]):
                return False
            size = shape[0]
            if not rows:
                break
            n_bytes += view.nbytes
            if n_bytes > SMALL_BATCH:
                return False
            raw.append(view.tobytes())
            form += ((code, shape[1:]),)
        if size < 0:
            return False
        group = self.groups[-1] if self.groups else None
        if group is None or group.form != form or group.flat is not flat:
            group = BatchGroup(flat, form)
            self.groups.append(group)
        group.sizes.append(size)
        group.tags.append(tag)
        group.raw += raw
        self.n_bytes += n_bytes
        self.n_batches += 1
        return True

    def drain(self) -> list[BatchGroup]:
        """All that is held, in the order it came; nothing is held afterwards."""
        groups, self.groups = self.groups, []
        self.n_bytes = self.n_batches = 0
        return groups
