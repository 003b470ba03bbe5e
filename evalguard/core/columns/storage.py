"""Growing columns: one array in memory, or above a fixed size in a memory-mapped temporary file.

The file has no name, so it disappears with its last user, after an exception too.
If the disk has no room for it, the column stays in memory.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Larger columns are in a file: the system writes them out at need, and no swap space is used.
MAX_IN_MEMORY = 256_000_000


class ColumnBuffer:
    """A growing array of one type.

    ``len(buffer)`` is the number of rows, ``buffer.array()`` the array, ``buffer[start:stop]`` a part of it.

    Args:
        dtype: dtype of the array.
    """

    __slots__ = ("_array", "_rows")

    def __init__(self, dtype: DTypeLike) -> None:
        # Usually longer than the rows in use, see `_lengthened`.
        self._array: NDArray[Any] = np.empty(0, dtype)
        self._rows = 0

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def append(self, part: NDArray[Any]) -> None:
        """Append rows."""
        rows = self._rows + len(part)
        if rows > len(self._array):
            self._array = _lengthened(self._array, rows)
        self._array[self._rows : rows] = part
        self._rows = rows

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Some rows, read-only; they stay as they are when others are appended."""
        found = np.asarray(self._array[: self._rows][rows])
        found.flags.writeable = False
        return found

    def array(self) -> NDArray[Any]:
        """All rows, read-only; memory-mapped if they are in a file."""
        return self[:]


def _lengthened(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """An array of at least ``rows`` that begins with the values of this one."""
    # Twice as long where that is allowed: each row is then copied about once, however small the parts are.
    twice, most = 2 * len(array), MAX_IN_MEMORY // array.itemsize
    if rows > most:
        longer = _mapped(max(rows, twice), array.dtype)
    else:
        longer = np.empty(max(rows, min(twice, most)), array.dtype)
    longer[: len(array)] = array
    return longer


def _mapped(rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array for values to come: a mapped temporary file, or in memory if the disk has no room for it."""
    # macOS has no `posix_fallocate`, so nothing tells there whether the disk has room.
    if hasattr(os, "posix_fallocate"):
        with contextlib.suppress(OSError), tempfile.TemporaryFile(prefix="evalguard-") as file:
            # A full disk raises here. In a sparse file it would kill the process when rows are written (SIGBUS).
            os.posix_fallocate(file.fileno(), 0, rows * dtype.itemsize)
            return np.memmap(file, dtype, "r+", shape=(rows,))
    return np.empty(rows, dtype)


def concatenated(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate arrays of one dtype, as a ``ColumnBuffer`` keeps them."""
    buffer: ColumnBuffer | None = None
    for array in arrays:
        if buffer is None:
            buffer = ColumnBuffer(array.dtype)
        buffer.append(array)
    return np.zeros(0) if buffer is None else buffer.array()
