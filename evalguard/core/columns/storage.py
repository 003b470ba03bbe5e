"""Columns that outgrow the memory a call may take: what is beyond it lies in a temporary file, mapped to be judged.

The file has no name and goes with its last user, exceptions included. A disk that
takes no more costs nothing but memory: columns then stay there, and it is said.
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
# A column asks for room once in so many bytes, not with each batch.
BLOCK = 1 << 20
# Columns of one call that may each hold such a block without having asked.
COLUMNS = 8
SIZE = r"^\d+(\.\d+)? ?([kKMGT]i?)?B$"
_PREFIXES = " KMGT"


def size_in_bytes(size: int | str, option: str = "trace_memory") -> int:
    """A size as a number of bytes.

    Args:
        size: Bytes, or text such as ``512 MiB`` (of 1024) or ``2 GB`` (of 1000).
        option: What it is called, for the message.

    Raises:
        ConfigError: It is no size, or none above zero.
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
        msg = f"{option}: expected a number of bytes above zero, or such as '512 MiB' or '2 GB'; found {shown}"
        raise ConfigError(msg)
    return found


class MemoryBudget:
    """What the columns of one call may keep in memory together.

    Attributes:
        limit: Bytes.
        used: Bytes that columns have asked for and hold.
        problem: Why a column is in memory that should be on disk; empty if none is.
    """

    __slots__ = ("limit", "problem", "used")

    def __init__(self, limit: int = TRACE_MEMORY) -> None:
        self.limit = limit
        self.used = 0
        self.problem = ""

    @property
    def block(self) -> int:
        """Bytes by which a column grows before it asks for room."""
        return min(BLOCK, self.limit // COLUMNS)

    def fits(self, n_bytes: int) -> bool:
        """Whether there is room for so many bytes more; always, where the disk has refused to take any."""
        return bool(self.problem) or self.used + n_bytes <= self.limit


class ColumnStorage:
    """One column's part of the memory, and its file once it has outgrown it.

    Attributes:
        rows: Rows in the file, the first of the column.
    """

    __slots__ = ("_counted", "_dtype", "_file", "_memory", "_uncounted", "rows")

    def __init__(self, memory: MemoryBudget, dtype: DTypeLike) -> None:
        self._memory, self._dtype = memory, np.dtype(dtype)
        self._counted = self._uncounted = self.rows = 0
        self._file: IO[bytes] | None = None

    def __del__(self) -> None:
        # What is mapped stays.
        if self._file is not None:
            self._file.close()

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return self.rows * self._dtype.itemsize

    def add_bytes(self, n_bytes: int) -> bool:
        """Note that the column holds so many bytes more; True, once in a while: it must settle what it holds."""
        self._uncounted += n_bytes
        if self._uncounted <= self._memory.block:
            return False
        self._memory.used += self._uncounted
        self._counted, self._uncounted = self._counted + self._uncounted, 0
        return True

    @property
    def full(self) -> bool:
        """Whether the column must go to disk now."""
        return not self._memory.fits(0)

    def fits(self, rows: int) -> bool:
        """Whether there is room for a plain array of so many rows."""
        return self._memory.fits(rows * self._dtype.itemsize)

    def write(self, arrays: Iterable[NDArray[Any]]) -> bool:
        """Put rows behind those in the file; False: the disk took none, and they must stay in memory."""
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
        """A whole column in a file of its own, mapped; None: the disk took none."""
        storage = ColumnStorage(self._memory, self._dtype)
        return storage.mapped() if storage.write(arrays) else None

    def mapped(self) -> NDArray[Any]:
        """The rows in the file, read-only: they are in memory as long as the system likes."""
        if self._file is None or not self.rows:
            return np.zeros(0, dtype=self._dtype)
        view = mmap.mmap(self._file.fileno(), self.n_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(view, dtype=self._dtype)


class ColumnBuffer:
    """A growing array of one type.

    ``len(buffer)`` is its rows, ``buffer.array()`` the whole, ``pile[start:stop]`` some of its rows.

    Args:
        dtype: Of the whole.
        memory: Shared with other columns; by default one of its own.
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
        """More rows."""
        self._parts.append(part)
        self._rows += len(part)
        if self._storage.add_bytes(part.nbytes):
            self._compact()

    def _compact(self) -> None:
        if not self._storage.full or not self._spill():
            # Of many small arrays the heads take as much as the rows.
            self._parts[self._n_compact :] = [np.concatenate(self._parts[self._n_compact :])]
            self._n_compact = len(self._parts)

    def _spill(self) -> bool:
        if not self._storage.write(self._parts):
            return False
        self._parts, self._n_compact = [], 0
        return True

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows from ``start`` to ``stop``; quick for the latest."""
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
        """All rows: mapped where they are on disk, and then read-only."""
        if self._storage.rows and self._parts:
            self._spill()
        if not self._parts:
            return self._storage.mapped()
        return np.concatenate([self._storage.mapped(), *self._parts] if self._storage.rows else self._parts)


def concatenated(arrays: Iterable[NDArray[Any]], memory: MemoryBudget) -> NDArray[Any]:
    """Arrays of one type behind each other; on disk where they are beyond the memory."""
    buffer: ColumnBuffer | None = None
    for array in arrays:
        if buffer is None:
            buffer = ColumnBuffer(array.dtype, memory)
        buffer.append(array)
    return np.zeros(0) if buffer is None else buffer.array()


def on_disk(array: NDArray[Any]) -> bool:
    """Whether an array's rows are those of a file that is mapped."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def _write(file: IO[bytes], array: NDArray[Any]) -> None:
    left = array.reshape(-1).view(np.uint8).data
    while left:
        left = left[file.write(left) :]
