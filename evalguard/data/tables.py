"""Tables and arrays, read into NumPy; errors name the file or the entry of the step file that they come from.

Longer than 300 lines because the readers of all formats refuse damaged content here, in the same words.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.label_table import is_null, normal_keys
from evalguard.core.plural import at_rows
from evalguard.core.policy import listed
from evalguard.core.shown_keys import cause_of, message_of, shown_key
from evalguard.core.stages import stage
from evalguard.data.arrow import is_arrow, is_mapped, open_arrow
from evalguard.errors import ConfigError, LabelsError

Wrong = type[ConfigError | LabelsError]

# Rows of a column that are in memory at once if it is read in pieces.
PIECE = 1 << 20
# The formats that tf.io decodes; `image_dataset_from_directory` accepts all but .webp (keras 3.15,
# utils/image_dataset_utils.py:25).
IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


def existing(path: Path, where: str, what: str, error: Wrong = ConfigError) -> Path:
    """The path, if it is a file.

    Raises:
        ConfigError: There is no such file; a LabelsError, if that is ``error``.
    """
    if not path.is_file():
        msg = f"{where}: expected {what} at {path}, found none there"
        raise error(msg)
    return path


class TableFile:
    """A CSV, Parquet, JSONL or Arrow file. From CSV and Parquet only the requested columns are read.

    Args:
        path: The file.
        where: Name of the file in messages.
        keys: Columns that stay text in a CSV: a key is a name, and 0012 must not become 12.
        error: Class of the errors.
    """

    def __init__(self, path: Path, where: str, keys: Iterable[str | None] = (), error: Wrong = ConfigError) -> None:
        suffix = path.suffix.lower()
        self._parquet, self._jsonl = suffix in {".parquet", ".pq"}, suffix in {".jsonl", ".ndjson"}
        self._csv = not (self._parquet or self._jsonl or is_arrow(path))
        self._keys = [key for key in keys if key is not None]
        self.path, self.where, self.error = path, where, error

    @cached_property
    def schema(self) -> Any:
        """Arrow schema: names of the columns and metadata. The types of a CSV are guessed from its beginning."""
        from pyarrow import csv, parquet

        with self._readable():
            if self._csv:
                with csv.open_csv(self.path, convert_options=self._convert()) as reader:
                    found = reader.schema
            else:
                found = parquet.read_schema(self.path) if self._parquet else self._whole.schema
            # Names that are not UTF-8 raise here, where the error names the file.
            _ = found.names
            return found

    @cached_property
    def _whole(self) -> Any:
        from pyarrow import json

        if self._jsonl:
            return json.read_json(self.path)
        table = open_arrow(self.path).read_all()
        # A damaged length of a text makes Arrow read memory of others, or allocate all there is. The texts of a mapped
        # file are not read for this.
        table.validate(full=not is_mapped(self.path))
        return table

    def read(self, *columns: str) -> Any:
        """These columns, or all, as an Arrow table."""
        from pyarrow import csv, parquet

        refuse_absent(columns, self.schema.names, self.where, self.error)
        with self._readable(), stage(f"reading {self.path.name}"):
            if self._parquet:
                table = parquet.read_table(self.path, columns=list(columns) or None)
                table.validate(full=True)  # text that is not UTF-8
                return table
            if self._csv:
                return csv.read_csv(self.path, convert_options=self._convert(*columns))
            return self._whole.select(columns) if columns else self._whole

    def column(self, name: str) -> NDArray[Any]:
        """One column as an array."""
        return column_of(self.read(name), name, self.where, self.error)

    def keys(self, name: str) -> NDArray[Any]:
        """The column with the keys."""
        return self.column(name)

    def pieces(self, name: str) -> Iterator[Any]:
        """Yield one column as Arrow arrays without a null. CSV and Parquet files are never in memory as a whole.

        Raises:
            ConfigError, LabelsError: The column is absent, or a row has no value.
        """
        empty = np.zeros(0, np.int64)
        start = 0
        for chunk in self._chunks(name):
            for first in range(0, len(chunk), PIECE):
                part = chunk.slice(first, PIECE)
                # The null of a dictionary column may be one of its values.
                part = part.dictionary_decode() if "dictionary" in str(part.type) else part
                empty = np.append(empty, start + np.flatnonzero(np.asarray(part.is_null(nan_is_null=True))))
                start += len(part)
                if not len(empty):
                    yield part
        _refuse_empty(empty, name, self.where, self.error)

    def _chunks(self, name: str) -> Iterator[Any]:
        from pyarrow import csv, parquet

        refuse_absent((name,), self.schema.names, self.where, self.error)
        with self._readable():
            if self._parquet:
                for batch in parquet.ParquetFile(self.path).iter_batches(PIECE, columns=[name]):
                    batch.validate(full=True)  # text that is not UTF-8
                    yield batch.column(name)
            elif self._csv:
                with csv.open_csv(self.path, convert_options=self._convert(name)) as reader:
                    yield from (batch.column(name) for batch in reader)
            else:
                yield from self._whole[name].chunks

    def _convert(self, *columns: str) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        types = dict.fromkeys(self._keys, pa.string())
        return csv.ConvertOptions(column_types=types, include_columns=list(columns), strings_can_be_null=True)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            found = f"found in {self.path}: {message_of(error)}"
            msg = f"{self.where}: expected a CSV, Parquet, JSONL or Arrow table, {found}"
            raise self.error(msg) from cause_of(error)


def read_table(path: Path, where: str, keys: Iterable[str | None] = (), *columns: str) -> Any:
    """A table of at least one row, or only some columns of it, as an Arrow table; key columns of a CSV stay text.

    Raises:
        ConfigError: It is missing, unreadable, or has no row.
    """
    existing(path, where, "a CSV, Parquet, JSONL or Arrow file")
    table = TableFile(path, where, keys).read(*columns)
    if not table.num_rows:
        msg = f"{where}: expected at least one row in {path}, found none"
        raise ConfigError(msg)
    return table


def refuse_absent(columns: Iterable[str], known: Iterable[str], where: str, error: Wrong = ConfigError) -> None:
    """Raise the error if one of the columns is not known, or if several have its name."""
    known = [*known]
    for column in columns:
        same = known.count(column)
        if same > 1:
            msg = f"{where}: expected one column {column!r}, found {same:,} of that name; rename the others"
            raise error(msg)
        if not same:
            msg = f"{where}: expected a column {column!r}, found columns {listed(known, column, repr)}"
            raise error(msg)


def names_of(array: NDArray[Any], column: str, where: str) -> NDArray[Any]:
    """A column as names, one for each row, as the keys of labels are read.

    Raises:
        ConfigError: A name occurs twice.
        LabelsError: There is not one name for each row.
    """
    names = normal_keys(array, where)
    unique, counts = np.unique(names, return_counts=True)
    if len(unique) < len(names):
        twice = unique[counts > 1][0]
        rows = np.flatnonzero(names == twice)
        found = f"{shown_key(twice)!r} {at_rows(rows)}"
        msg = f"{where}: expected each name once in column {column!r}, found {found}"
        raise ConfigError(msg)
    return names


def column_of(table: Any, column: str, where: str, error: Wrong = ConfigError) -> NDArray[Any]:
    """A column as an array; text as text, not as objects.

    Raises:
        ConfigError: There is no such column, or a row has no value.
        LabelsError: The same, if that is ``error``; or lists differ in length.
    """
    refuse_absent((column,), table.column_names, where, error)
    found = table[column]
    _refuse_empty(np.flatnonzero(np.asarray(found.is_null())), column, where, error)
    array = _numpy(found, where)
    if array.dtype == object and all(isinstance(item, str) for item in array.tolist()):
        return array.astype(np.str_)
    return array


def _refuse_empty(rows: NDArray[np.int64], column: str, where: str, error: Wrong) -> None:
    """Raise the error if there are rows without a value."""
    if len(rows):
        msg = f"{where}, column {column!r}: expected a value in each row, found none {at_rows(rows)}"
        raise error(msg)


def features(table: Any, columns: Sequence[str], dtype: str, where: str) -> NDArray[Any]:
    """The columns side by side, shape ``(n, values)``; a column of lists adds as many values as a list has.

    Raises:
        ConfigError: A column is missing or does not hold numbers.
    """
    parts = []
    for column in columns:
        refuse_absent((column,), table.column_names, where)
        try:
            array = _numpy(table[column], where).astype(dtype)
        except (ValueError, TypeError) as error:
            found = f"found {table[column].type}: {message_of(error)}"
            msg = f"{where}, column {column!r}: expected numbers ({dtype}), {found}"
            raise ConfigError(msg) from cause_of(error)
        parts.append(array.reshape(len(array), -1))
    if not parts:
        msg = f"{where}: expected at least one column of features, found none"
        raise ConfigError(msg)
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def _numpy(column: Any, where: str) -> NDArray[Any]:
    # `to_numpy` would make an array of arrays from lists, such as several classes for one sample.
    return array_of(column.to_pylist(), where) if "list" in str(column.type) else np.asarray(column.to_numpy())


def read_arrays(path: Path, where: str, error: Wrong = ConfigError) -> Any:
    """A ``.npy`` file as an array, memory-mapped if it is large; a ``.npz`` file as a dict of arrays.

    Raises:
        ConfigError, LabelsError: It is missing, not readable, not what its name says, or holds Python objects.
    """
    existing(path, where, "a .npy or .npz file", error)
    suffix = path.suffix.lower()
    expected = f"{where}: expected a .npy or .npz file without Python objects, found in {path}:"
    try:
        mapped = suffix != ".npz" and is_mapped(path)
        # Opened here, because NumPy leaves a zip file open that it cannot read.
        with path.open("rb") as stream:
            loaded = np.load(path if mapped else stream, mmap_mode="r" if mapped else None, allow_pickle=False)
            loaded = loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except Exception as caught:
        # NumPy passes on the errors of its readers of zip files and headers, which are of many classes.
        msg = f"{expected} {message_of(caught)}"
        raise error(msg) from caught
    # The callers know by the name whether to expect an array or a dict.
    if isinstance(loaded, dict) and suffix == ".npy":
        msg = f"{expected} an archive of several arrays; rename it to .npz"
        raise error(msg)
    if isinstance(loaded, np.ndarray):
        if suffix == ".npz":
            msg = f"{expected} one array and no archive; rename it to .npy"
            raise error(msg)
        return loaded
    # NumPy returns the members of a zip file that are no arrays as bytes.
    others = [name for name, array in loaded.items() if not isinstance(array, np.ndarray)]
    if others or not loaded:
        found = f"{others[0]!r}, which is no array" if others else "no array"
        msg = f"{expected} {found}; save it with numpy.savez"
        raise error(msg)
    return loaded


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


def array_of(source: Any, name: str) -> NDArray[Any]:
    """Labels as an array, shape ``(n, ...)``.

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
        if any(isinstance(item, np.ndarray) for item in array.ravel().tolist()):
            msg = f"{name}: expected one label per sample, found an object array of arrays; pass np.stack(labels)"
            raise LabelsError(msg)
        missing = np.array([is_null(item) for item in array.ravel().tolist()], dtype=bool)
        null = np.flatnonzero(missing.reshape(len(array), -1).any(axis=1)) if array.size else ()
        if len(null):
            msg = f"{name}: expected a label for each sample, found none {at_rows(null)}"
            raise LabelsError(msg)
    return array
