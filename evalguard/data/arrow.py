"""Arrays as columns of Arrow tables, and Arrow files that are mapped rather than read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.files import whole_file

SUFFIXES = frozenset({".arrow", ".feather"})
# Smaller files are read into memory: a process that maps a file crashes (SIGBUS) if another truncates it.
MAPPED_BYTES = 64 << 20


def is_arrow(path: Path) -> bool:
    """Whether a file is an Arrow file, also called Feather (version 2), by its name."""
    return path.suffix.lower() in SUFFIXES


def is_mapped(path: Path) -> bool:
    """Whether a file is large enough to be mapped."""
    return path.stat().st_size >= MAPPED_BYTES


def open_arrow(path: Path) -> Any:
    """A reader of the file's record batches; a large uncompressed file is mapped, not read into memory."""
    import pyarrow as pa

    return pa.ipc.open_file(pa.memory_map(str(path)) if is_mapped(path) else pa.BufferReader(path.read_bytes()))


def write_arrow(table: Any, path: Path) -> None:
    """Write an Arrow file that can be mapped: one record batch, not compressed.

    An older file of this name is replaced, not overwritten, so a process that has mapped it can still read it.
    """
    import pyarrow as pa

    with whole_file(path) as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)


def column_of(array: NDArray[Any], *, mappable: bool = False) -> Any:
    """An array as a column; rows of several values become lists.

    Args:
        array: Shape ``(n, ...)``. Numbers in native byte order are not copied,
            except float16 for Parquet.
        mappable: The column is for ``write_arrow``. Booleans are stored as
            bytes, because Arrow packs them into bits, which NumPy cannot map.
    """
    import pyarrow as pa

    rows = array.reshape(len(array), -1) if array.ndim > 1 else array
    plain = array.dtype.kind in "iuf" or (array.dtype.kind == "b" and mappable)
    if not plain or not array.dtype.isnative or not array.size:
        # `pa.string` has 32-bit offsets: Arrow would split more than 2 GB of text into several chunks.
        text = mappable and array.dtype.kind == "U" and array.ndim == 1
        return pa.array(rows.tolist(), type=pa.large_string() if text else None)
    flat = rows.reshape(-1)
    if flat.dtype == np.float16 and not mappable:
        flat = flat.astype(np.float32)  # Parquet has float16 only since format version 2.10
    values = pa.array(flat.view(np.uint8) if flat.dtype.kind == "b" else flat)
    return values if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(values, rows.shape[1])


def array_of_column(column: Any, dtype: str | None = None, shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """The array from which ``column_of`` made a column; memory-mapped if the column is mapped and has one chunk.

    Args:
        column: A column of an Arrow table.
        dtype: Dtype of the array; if omitted, that of the column.
        shape: Shape of one row of the array.
    """
    import pyarrow as pa

    wanted = None if dtype is None else np.dtype(dtype)
    parts = [_flat(chunk) for chunk in column.chunks]
    kinds = (pa.types.is_integer, pa.types.is_floating)
    plain = wanted is None or wanted.kind in "biuf"
    if not plain or not all(any(kind(part.type) for kind in kinds) and not part.null_count for part in parts):
        array = np.asarray(column.to_pylist(), dtype=wanted)
        return array.reshape(len(array), *shape)
    arrays = [part.to_numpy(zero_copy_only=True) for part in parts]
    array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    if wanted is not None:
        # Booleans were written as bytes.
        same = wanted.kind == "b" and array.dtype == np.uint8
        array = array.view(wanted) if same else array.astype(wanted, copy=False)
    return array.reshape(len(array) // math.prod(shape) if shape else len(array), *shape)


def _flat(chunk: Any) -> Any:
    while "list" in str(chunk.type):
        chunk = chunk.flatten()
    return chunk
