"""SHA-256 of the files and arrays that were checked. An array is hashed as the ``.npy`` file that NumPy saves.

This way an in-toto statement about predictions in memory can be compared with a
file that was saved later: ``sha256sum predictions.npy`` gives the same digest.
An array in Fortran order is hashed in C order, which ``numpy.save`` does not do.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.stages import stage
from evalguard.data import tree
from evalguard.data.tables import TableFile, read_arrays
from evalguard.errors import ConfigError


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        ConfigError: There is no such file, or it cannot be read.
    """
    try:
        with Path(path).open("rb") as stream, stage(f"hashing {Path(path).name}"):
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        msg = f"expected a file at {path}, found: {error}"
        raise ConfigError(msg) from error


def files_sha256(paths: Sequence[str | Path]) -> dict[str, str]:
    """Name of each file → SHA-256. If two files have the same name, the second is listed by its path.

    Raises:
        ConfigError: One of them cannot be read.
    """
    found: dict[str, str] = {}
    for path in map(Path, paths):
        name = path.name if path.name not in found else path.as_posix()
        found[name] = file_sha256(path)
    return found


def npy_sha256(parts: Sequence[NDArray[Any]]) -> str | None:
    """SHA-256 of the ``.npy`` file of the concatenated arrays, hexadecimal.

    None if they cannot be concatenated or that file would need pickle.

    Args:
        parts: Arrays of one dtype and one row shape, each ``(n, ...)``. They
            are hashed in C order.
    """
    shapes = {part.shape[1:] for part in parts}
    dtypes = {part.dtype for part in parts}
    if len(shapes) != 1 or len(dtypes) != 1 or any(part.ndim == 0 for part in parts):
        return None
    (shape,), (dtype,) = shapes, dtypes
    if dtype.hasobject:
        return None
    header = io.BytesIO()
    about = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (sum(map(len, parts)), *shape),
    }
    np.lib.format.write_array_header_1_0(header, about)
    digest = hashlib.sha256(header.getvalue())
    for part in parts:
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def tree_sha256(name: str, calls: Sequence[Any]) -> dict[str, str]:
    """SHA-256 by file name: ``name.npy`` for one array, ``name/<output>.npy`` for each of several outputs.

    Leaves that are not arrays are left out.

    Args:
        name: ``predictions`` or ``labels``.
        calls: The trees of one or more calls, whose rows are concatenated.
            Empty if one of them is None.
    """
    if not calls or any(call is None for call in calls):
        return {}
    columns = [dict(_named(name, call)) for call in calls]
    digests = {
        part: npy_sha256([column[part] for column in columns])
        for part in columns[0]
        if all(isinstance(column.get(part), np.ndarray) for column in columns)
    }
    return {f"{part}.npy": digest for part, digest in digests.items() if digest is not None}


def _named(name: str, structure: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(structure, Mapping):
        for part in structure:
            yield from _named(f"{name}/{part}", structure[part])
    elif isinstance(structure, (list, tuple)) and all(leaf is not structure for leaf in tree.leaves(structure)):
        for number, part in enumerate(structure):
            yield from _named(f"{name}/{number}", part)
    else:
        yield name, structure


def possible_sha256(path: Path) -> Iterator[str]:
    """Yield the digests that may identify a file: its own, and those of the arrays in a NumPy or Parquet file.

    Raises:
        ConfigError: The file cannot be read, or is not what its name says.
    """
    yield file_sha256(path)
    try:
        arrays = list(_arrays(path))
    except ConfigError:
        raise
    except Exception as error:
        # Arrow passes on errors of many classes from columns that are no arrays.
        msg = f"file {path}: expected columns that are arrays, found: {error}. Save it with Guard.to_frame"
        raise ConfigError(msg) from error
    for array in arrays:
        digest = npy_sha256([array])
        if digest is not None:
            yield digest


def _arrays(path: Path) -> Iterator[NDArray[Any]]:
    suffix, where = path.suffix.lower(), f"file {path.name}"
    if suffix == ".npy":
        yield read_arrays(path, where)
    elif suffix == ".npz":
        yield from read_arrays(path, where).values()
    elif suffix == ".parquet":
        yield from _columns(TableFile(path, where).read())


def _columns(table: Any) -> Iterator[NDArray[Any]]:
    """Yield the arrays of a table from ``Guard.to_frame``; columns ``prediction_0``, ``prediction_1``, … are one."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in table.column_names:
        stem, _, number = name.rpartition("_")
        numbered = number.isdecimal() and bool(stem)
        # A column `prediction` is not one of `prediction_0`, `prediction_1`.
        groups.setdefault((stem if numbered else name, numbered), []).append(name)
    for names in groups.values():
        ordered = sorted(names, key=lambda name: int(name.rpartition("_")[2]) if len(names) > 1 else 0)
        columns = [table[name].to_numpy() for name in ordered]
        if len(columns) == 1:
            # The array of a single column had shape (n,) or (n, 1).
            yield columns[0]
        yield np.stack(columns, axis=1)
