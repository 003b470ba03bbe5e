"""Tables and arrays of a step file, read into NumPy; errors name the entry of the step file that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import label_table as core
from evalguard.data.arrow import is_arrow, open_arrow
from evalguard.errors import ConfigError, LabelsError

MAX_NAMED = 5
# The formats that tf.io decodes; `image_dataset_from_directory` accepts all but .webp (keras 3.15,
# utils/image_dataset_utils.py:25).
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


def existing(path: Path, where: str, what: str) -> Path:
    """The path, if it is a file.

    Raises:
        ConfigError: There is no such file.
    """
    if not path.is_file():
        msg = f"{where}: expected {what} at {path}, found none there"
        raise ConfigError(msg)
    return path


def read_table(path: Path, where: str, keys: Iterable[str | None] = ()) -> Any:
    """A CSV, Parquet, JSONL or Arrow file as an Arrow table; key columns of a CSV stay text.

    Raises:
        ConfigError: It is missing, unreadable, or has no row.
    """
    import pyarrow as pa
    from pyarrow import csv, json, parquet

    existing(path, where, "a CSV, Parquet, JSONL or Arrow file")
    suffix = path.suffix.lower()
    try:
        if suffix in {".parquet", ".pq"}:
            table = parquet.read_table(path)
        elif suffix in {".jsonl", ".ndjson"}:
            table = json.read_json(path)
        elif is_arrow(path):
            table = open_arrow(path).read_all()
        else:
            types = {key: pa.string() for key in keys if key is not None}
            table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True))
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"{where}: expected a CSV, Parquet, JSONL or Arrow table, found in {path}: {error}"
        raise ConfigError(msg) from error
    if not table.num_rows:
        msg = f"{where}: expected at least one row in {path}, found none"
        raise ConfigError(msg)
    return table


def names_of(table: Any, column: str, where: str) -> NDArray[Any]:
    """A column of names, one for each row.

    Raises:
        ConfigError: There is no such column, a name is empty, or a name occurs twice.
    """
    array = column_of(table, column, where)
    names = array.astype(np.int64) if array.dtype.kind in "iu" else array.astype(np.str_)
    unique, first, counts = np.unique(names, return_index=True, return_counts=True)
    if len(unique) < len(names):
        twice = unique[counts > 1][0]
        rows = np.flatnonzero(names == twice)[:MAX_NAMED]
        found = f"{str(twice)[:80]!r} at rows {shown_rows(rows)}"
        msg = f"{where}: expected each name once in column {column!r}, found {found}"
        raise ConfigError(msg)
    del first
    return names


def column_of(table: Any, column: str, where: str) -> NDArray[Any]:
    """A column as an array.

    Raises:
        ConfigError: There is no such column, or a row has no value.
    """
    if column not in table.column_names:
        known = ", ".join(map(repr, table.column_names))
        msg = f"{where}: expected a column {column!r}, found columns {known}"
        raise ConfigError(msg)
    found = table[column]
    if found.null_count:
        rows = np.flatnonzero(np.asarray(found.is_null()))
        msg = f"{where}, column {column!r}: rows {shown_rows(rows)} are empty ({len(rows)} in all)"
        raise ConfigError(msg)
    return _numpy(found)


def features(table: Any, columns: Sequence[str], dtype: str, where: str) -> NDArray[Any]:
    """The columns side by side, shape ``(n, values)``; a column of lists adds as many values as a list has.

    Raises:
        ConfigError: A column is missing or does not hold numbers.
    """
    parts = []
    for column in columns:
        if column not in table.column_names:
            known = ", ".join(map(repr, table.column_names))
            msg = f"{where}: expected a column {column!r}, found columns {known}"
            raise ConfigError(msg)
        try:
            array = _numpy(table[column]).astype(dtype)
        except (ValueError, TypeError) as error:
            msg = f"{where}, column {column!r}: expected numbers ({dtype}), found {table[column].type}: {error}"
            raise ConfigError(msg) from error
        parts.append(array.reshape(len(array), -1))
    if not parts:
        msg = f"{where}: expected at least one column of features, found none"
        raise ConfigError(msg)
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _numpy(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        return np.asarray(column.to_pylist())
    array: NDArray[Any] = np.asarray(column.to_numpy())
    return array


def read_arrays(path: Path, where: str) -> Any:
    """A ``.npy`` file as an array, memory-mapped; a ``.npz`` file as a dict of arrays.

    Raises:
        ConfigError: It is missing, not readable, or holds Python objects.
    """
    existing(path, where, "a .npy or .npz file")
    try:
        loaded = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except Exception as error:
        # NumPy passes on the errors of its readers of zip files and headers, which are of many classes.
        msg = f"{where}: expected a .npy or .npz file without Python objects, found in {path}: {error}"
        raise ConfigError(msg) from error


def image_files(folder: Path, where: str) -> list[str]:
    """Image files below a folder, relative to it, sorted.

    Raises:
        ConfigError: There is no such folder, or no image in it.
    """
    if not folder.is_dir():
        msg = f"{where}: expected a folder of images at {folder}, found none there"
        raise ConfigError(msg)
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    if not found:
        msg = f"{where}: expected image files ({', '.join(sorted(IMAGE_SUFFIXES))}) below {folder}, found none"
        raise ConfigError(msg)
    return found


def shown_rows(rows: Any) -> str:
    """The first row numbers, for a message."""
    return ", ".join(str(int(row)) for row in rows[:MAX_NAMED]) + (", …" if len(rows) > MAX_NAMED else "")


def array_of(source: Any, name: str) -> NDArray[Any]:
    """Labels as an array.

    Raises:
        LabelsError: Rows differ in length, or one has no label.
    """
    try:
        array = np.asarray(source)
    except ValueError as error:
        msg = f"{name}: expected one label per sample, found rows of different lengths"
        raise LabelsError(msg) from error
    if array.ndim == 0:
        msg = f"{name}: expected a sequence of labels, found {type(source).__qualname__}"
        raise LabelsError(msg)
    if array.dtype == object:
        null = [row for row, item in enumerate(array.ravel().tolist()) if item is None or item != item]
        if null:
            shown_rows = ", ".join(map(str, null[: core.MAX_NAMED]))
            msg = f"{name}: expected a label for each sample; rows {shown_rows} have none ({len(null)} in all)"
            raise LabelsError(msg)
    return array


def read_label_table(path: Path, key: str | None) -> Any:
    """A labels file as an Arrow table; keys in a CSV stay text.

    Raises:
        LabelsError: It is unreadable.
    """
    import pyarrow as pa
    from pyarrow import csv, json, parquet

    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return parquet.read_table(path)
        if path.suffix.lower() in {".jsonl", ".ndjson"}:
            return json.read_json(path)
        if is_arrow(path):
            return open_arrow(path).read_all()
        # A key is a name: 0012 must not become 12.
        convert = csv.ConvertOptions(column_types={key: pa.string()} if key else {}, strings_can_be_null=True)
        return csv.read_csv(path, convert_options=convert)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"labels file {path}: expected a CSV, Parquet, JSONL or Arrow table, found: {error}"
        raise LabelsError(msg) from error


def column_values(column: Any, path: Path, name: str) -> NDArray[Any]:
    """A column of an Arrow table as an array; text as text, not as objects.

    Raises:
        LabelsError: A row is empty.
    """
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        shown_rows = ", ".join(str(int(row)) for row in rows[: core.MAX_NAMED])
        msg = f"labels file {path}, column {name!r}: rows {shown_rows} are empty ({len(rows)} in all)"
        raise LabelsError(msg)
    # `to_numpy` would make an array of arrays from lists, such as several classes for one sample.
    lists = "list" in str(column.type)
    array: NDArray[Any] = array_of(column.to_pylist(), path.name) if lists else np.asarray(column.to_numpy())
    if array.dtype == object and all(isinstance(item, str) for item in array.tolist()):
        return array.astype(np.str_)
    return array
