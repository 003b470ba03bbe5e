"""SHA-256 of the files and arrays that were checked. An array is hashed as the ``.npy`` file that NumPy saves.

This way an in-toto statement about predictions in memory can be compared with a
file that was saved later: ``sha256sum predictions.npy`` gives the same digest.
An array in Fortran order is hashed in C order, which ``numpy.save`` does not do.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.stages import stage
from evalguard.data import tree
from evalguard.errors import ConfigError

# Rows of text that are hashed at once.
TEXT_ROWS = 1 << 20


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
    """Name of each file or folder → SHA-256. If two have the same name, the second is listed by its path.

    Raises:
        ConfigError: One of them cannot be read.
    """
    found: dict[str, str] = {}
    for path in map(Path, paths):
        name = path.name if path.name not in found else path.as_posix()
        found[name] = path_sha256(path)
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


def columns_sha256(columns: Mapping[str, Any], *, names_only: bool = False) -> str | None:
    """SHA-256 of named columns, shape ``(n,)`` each, in their order; None if one is of another kind.

    Args:
        columns: Numbers, booleans or text; a text may be None.
        names_only: Hash the names alone.
    """
    digest = hashlib.sha256()
    for name, column in columns.items():
        values = "" if names_only else _column_sha256(column)
        if values is None:
            return None
        digest.update(f"{json.dumps(name)} {values}\n".encode())
    return digest.hexdigest()


def _column_sha256(column: Any) -> str | None:
    array = np.ma.asarray(column)
    if array.ndim != 1 or np.ma.getmask(array).any():
        return None
    if array.dtype.kind in "biuf":
        return npy_sha256([array.data])
    digest = hashlib.sha256(b"text")
    # As text and not as an array, whose width differs between a table in memory and the same in a file.
    for start in range(0, len(array), TEXT_ROWS):
        items = array.data[start : start + TEXT_ROWS].tolist()
        if not all(item is None or isinstance(item, str) for item in items):
            return None
        digest.update(json.dumps(items).encode())
    return digest.hexdigest()


def path_sha256(path: str | Path) -> str:
    """SHA-256 of a file, or of a folder, hexadecimal.

    That of a folder is the SHA-256 of a list of its files: ``sha256sum`` of each,
    two spaces, its path in the folder, sorted by path, each line ending in a newline.

    Raises:
        ConfigError: There is no such file or folder, or it cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        return file_sha256(path)
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if not file.is_dir()}
    # MLflow adds this file to what it downloads by `models:/`, and not to what it downloads by `runs:/`
    # (mlflow 3.17, store/artifact/models_artifact_repo.py, `_add_registered_model_meta_file`).
    files.pop("registered_model_meta", None)
    if not files:
        msg = f"expected files in the folder {path}, found none"
        raise ConfigError(msg)
    lines = (f"{file_sha256(files[name])}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
