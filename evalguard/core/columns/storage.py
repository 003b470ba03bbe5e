"""Columns that exceed the memory budget of a call: the excess goes to a temporary file, which is mapped for judging.

The file has no name, so it disappears with its last user, after an exception too.
If the disk is full, columns stay in memory, and the report says so.
"""

from __future__ import annotations

import contextlib
import mmap
import re
import tempfile
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from evalguard.errors import ConfigError

TRACE_MEMORY = 1 << 30
# A column checks the budget once per block of this many bytes, not with each batch.
BLOCK = 1 << 20
# Columns of one call that may each hold such a block uncounted.
COLUMNS = 8
SIZE = r"^\d+(\.\d+)? ?([kKMGT]i?)?B$"
_PREFIXES = " KMGT"


def size_in_bytes(size: int | str, option: str = "trace_memory") -> int:
    """A size as a number of bytes.

    Args:
        size: Bytes, or text such as ``512 MiB`` (of 1024) or ``2 GB`` (of 1000).
        option: Name of the option, for the message.

    Raises:
        ConfigError: It is not a size above zero.
    """
    found = 0
    if isinstance(size, str) and re.match(SIZE, size.strip()):
        digits, prefix = re.findall(r"^([\d.]+) ?([kKMGT]?)", size.strip())[0]
        base = 1024 if "i" in size else 1000
        found = int(float(digits) * base ** _PREFIXES.index(prefix.upper() or " "))
    elif isinstance(size, int) and not isinstance(size, bool):
        found = size
    if found <= 0:
        shown = repr(size)[:60]
        msg = f"{option}: expected a number of bytes above zero, or text such as '512 MiB' or '2 GB'; found {shown}"
        raise ConfigError(msg)
    return found


class MemoryBudget:
    """The memory that the columns of one call share.

    Attributes:
        limit: Bytes that may be used.
        used: Bytes that are in use and counted.
        problem: Why rows that should be on disk are in memory; empty if none are.
    """

    __slots__ = ("limit", "problem", "used")

    def __init__(self, limit: int = TRACE_MEMORY) -> None:
        self.limit = limit
        self.used = 0
        self.problem = ""

    @property
    def block(self) -> int:
        """Bytes by which a column grows before it checks the budget."""
        return min(BLOCK, self.limit // COLUMNS)

    def fits(self, n_bytes: int) -> bool:
        """Whether ``n_bytes`` more are within the limit; always True once the disk has failed."""
        return bool(self.problem) or self.used + n_bytes <= self.limit


class ColumnStorage:
    """One column's share of the memory budget, and its file once it exceeds that.

    Attributes:
        rows: Rows in the file, the first of the column.
    """

    __slots__ = ("_counted", "_dtype", "_file", "_memory", "_uncounted", "rows")

    def __init__(self, memory: MemoryBudget, dtype: DTypeLike) -> None:
        self._memory, self._dtype = memory, np.dtype(dtype)
        self._counted = self._uncounted = self.rows = 0
        self._file: IO[bytes] | None = None

    def __del__(self) -> None:
        # A mapping of the file stays valid.
        if self._file is not None:
            self._file.close()

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self.rows * self._dtype.itemsize

    def add_bytes(self, n_bytes: int) -> bool:
        """Count ``n_bytes`` more; True once per block: the column must then compact its parts or spill them."""
        self._uncounted += n_bytes
        if self._uncounted <= self._memory.block:
            return False
        self._memory.used += self._uncounted
        self._counted, self._uncounted = self._counted + self._uncounted, 0
        return True

    @property
    def full(self) -> bool:
        """Whether the column must spill to disk now."""
        return not self._memory.fits(0)

    def fits(self, rows: int) -> bool:
        """Whether an array of this many rows is within the limit."""
        return self._memory.fits(rows * self._dtype.itemsize)

    def write(self, arrays: Iterable[NDArray[Any]]) -> bool:
        """Append rows to the file; False if the disk is full, and the rows must stay in memory."""
        rows = self.rows
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0, prefix="evalguard-")  # noqa: SIM115 - outlives this
            self._file.seek(self.n_bytes)
            for array in arrays:
                _write(self._file, np.ascontiguousarray(array, dtype=self._dtype))
                rows += len(array)
        except OSError as error:
            self._memory.problem = f"{type(error).__name__}: {error.strerror or error}"
            with contextlib.suppress(OSError):
                if self._file is not None:
                    self._file.truncate(self.n_bytes)
            return False
        self.rows = rows
        self._memory.used -= self._counted
        self._counted = self._uncounted = 0
        return True

    def write_separate(self, arrays: Iterable[NDArray[Any]]) -> NDArray[Any] | None:
        """A whole column in a separate file, mapped; None if the disk is full."""
        storage = ColumnStorage(self._memory, self._dtype)
        return storage.mapped() if storage.write(arrays) else None

    def mapped(self) -> NDArray[Any]:
        """The rows in the file, memory-mapped and read-only."""
        if self._file is None or not self.rows:
            return np.zeros(0, dtype=self._dtype)
        view = mmap.mmap(self._file.fileno(), self.n_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(view, dtype=self._dtype)


class ColumnBuffer:
    """A growing array of one type.

    ``len(buffer)`` is the number of rows, ``buffer.array()`` the array, ``buffer[start:stop]`` a part of it.

    Args:
        dtype: dtype of the array.
        memory: Budget shared with other columns; a new one by default.
    """

    __slots__ = ("_n_compact", "_parts", "_rows", "_storage")

    def __init__(self, dtype: DTypeLike, memory: MemoryBudget | None = None) -> None:
        self._storage = ColumnStorage(memory or MemoryBudget(), dtype)
        self._parts: list[NDArray[Any]] = []
        self._rows = self._n_compact = 0

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def append(self, part: NDArray[Any]) -> None:
        """Append rows."""
        self._parts.append(part)
        self._rows += len(part)
        if self._storage.add_bytes(part.nbytes):
            self._compact()

    def _compact(self) -> None:
        if not self._storage.full or not self._spill():
            # The headers of many small arrays take as much memory as their rows.
            self._parts[self._n_compact :] = [np.concatenate(self._parts[self._n_compact :])]
            self._n_compact = len(self._parts)

    def _spill(self) -> bool:
        if not self._storage.write(self._parts):
            return False
        self._parts, self._n_compact = [], 0
        return True

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows from ``start`` to ``stop``; fast for the latest ones."""
        start, stop, _ = rows.indices(self._rows)
        found, end = [], self._rows
        for part in reversed(self._parts):
            if end <= start:
                break
            end -= len(part)
            found.append(part[max(0, start - end) : max(0, stop - end)])
        if start < end:
            found.append(self._storage.mapped()[start : min(stop, end)])
        return np.concatenate(found[::-1]) if found else self._storage.mapped()[:0]

    def array(self) -> NDArray[Any]:
        """All rows; memory-mapped and read-only if they are on disk."""
        if self._storage.rows and self._parts:
            self._spill()
        if not self._parts:
            return self._storage.mapped()
        return np.concatenate([self._storage.mapped(), *self._parts] if self._storage.rows else self._parts)


def concatenated(arrays: Iterable[NDArray[Any]], memory: MemoryBudget) -> NDArray[Any]:
    """Concatenate arrays of one dtype; on disk if they exceed the memory budget."""
    buffer: ColumnBuffer | None = None
    for array in arrays:
        if buffer is None:
            buffer = ColumnBuffer(array.dtype, memory)
        buffer.append(array)
    return np.zeros(0) if buffer is None else buffer.array()


def on_disk(array: NDArray[Any]) -> bool:
    """Whether an array is a memory-mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def _write(file: IO[bytes], array: NDArray[Any]) -> None:
    left = array.reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]
