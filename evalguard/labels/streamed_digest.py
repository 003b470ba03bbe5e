"""One column of a table too large to be read whole, some rows at a time; and the digest of labels read so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.label_table import DigestPart, digest_of, normal_keys
from evalguard.data.arrow import is_arrow, open_arrow
from evalguard.data.tables import array_of, column_values
from evalguard.errors import ConfigError, LabelsError
from evalguard.labels.labels import Labels, label_column
from evalguard.labels.manifest import METADATA

CHUNK = 1 << 16
PARQUET, JSONL = frozenset({".parquet", ".pq"}), frozenset({".jsonl", ".ndjson"})


def batches(path: Path, key: str, where: str, rows: int = CHUNK) -> Iterator[Any]:
    """The column as Arrow arrays; a key of a CSV stays text.

    Raises:
        ConfigError: There is no such column, or the file is unreadable.
    """
    import pyarrow as pa
    from pyarrow import csv, dataset, parquet

    suffix = path.suffix.lower()
    try:
        if suffix in PARQUET:
            file = parquet.ParquetFile(path)
            _refuse_absent(key, file.schema_arrow.names, where)
            for batch in file.iter_batches(rows, columns=[key]):
                yield batch.column(0)
        elif suffix in JSONL:
            lines = dataset.dataset(path, format="json")
            _refuse_absent(key, lines.schema.names, where)
            for batch in lines.to_batches(columns=[key], batch_size=rows):
                yield batch.column(0)
        elif is_arrow(path):
            reader = open_arrow(path)
            _refuse_absent(key, reader.schema.names, where)
            for number in range(reader.num_record_batches):
                column = reader.get_batch(number).column(key)
                yield from (column.slice(start, rows) for start in range(0, len(column), rows))
        else:
            options = csv.ConvertOptions(column_types={key: pa.string()}, strings_can_be_null=True)
            with csv.open_csv(path, convert_options=options) as reader:
                _refuse_absent(key, reader.schema.names, where)
                for batch in reader:
                    yield batch.column(key)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"{where}: expected a CSV, Parquet, JSONL or Arrow table, found in {path}: {error}"
        raise ConfigError(msg) from error


def _refuse_absent(key: str, names: list[str], where: str) -> None:
    if key not in names:
        msg = f"{where}: expected a column {key!r}, found columns {', '.join(map(repr, names))}"
        raise ConfigError(msg)


def labels_digest(path: Path, label: str | None, key: str) -> str:
    """``Labels.read(path, label=label, key=key).digest``; of the table only the labels are in memory as a whole.

    Raises:
        LabelsError: No such column, several that could hold the labels, or a
            row without a label.
        ConfigError: The file is unreadable.
    """
    if _is_manifest(path):
        return Labels.read(path).digest
    name, column = _label_column(path, label, key)

    def labels(*, text: bool) -> Iterator[NDArray[Any]]:
        del text  # a column has one type
        for start in range(0, len(column), CHUNK):
            yield array_of(column_values(column.slice(start, CHUNK), path, name), path.name)

    def keys(*, text: bool) -> Iterator[NDArray[Any]]:
        for piece in batches(path, key, "LABELS"):
            found = normal_keys(column_values(_chunked(piece), path, key), path.name)
            yield np.asarray([str(item) for item in found.tolist()]) if text and found.dtype.kind == "i" else found

    return digest_of([_part("labels", labels), _part("keys", keys)])


def _part(name: str, read: Callable[..., Iterator[NDArray[Any]]]) -> DigestPart:
    """An array that is read twice: for its form, and for what stands in it."""
    forms = [(piece.dtype, piece.shape) for piece in read(text=False) if len(piece)]
    # Numbers above those of int64 make text of all: `normal_keys` has seen only some rows.
    text = len({dtype.kind for dtype, _ in forms}) > 1
    if text:
        forms = [(piece.dtype, piece.shape) for piece in read(text=True) if len(piece)]
    if len({shape[1:] for _, shape in forms}) > 1:
        msg = f"{name}: expected one label per sample, found rows of different lengths"
        raise LabelsError(msg)
    shape = (sum(shape[0] for _, shape in forms), *forms[0][1][1:])
    return DigestPart(name, reduce(np.promote_types, [dtype for dtype, _ in forms]), shape, read(text=text))


def _is_manifest(path: Path) -> bool:
    from pyarrow import parquet

    if is_arrow(path):
        return METADATA in (open_arrow(path).schema.metadata or {})
    return path.suffix.lower() in PARQUET and METADATA in (parquet.read_schema(path).metadata or {})


def _chunked(piece: Any) -> Any:
    import pyarrow as pa

    return pa.chunked_array([piece])


def _label_column(path: Path, label: str | None, key: str) -> tuple[str, Any]:
    """Name of the column with the labels, and the column, whole."""
    import pyarrow as pa
    from pyarrow import csv, dataset, json, parquet

    suffix = path.suffix.lower()
    if suffix in PARQUET:
        name = _named(parquet.read_schema(path).names, label, key, path)
        column = parquet.read_table(path, columns=[name])[name]
    elif suffix in JSONL:
        lines = dataset.dataset(path, format="json")
        name = _named(lines.schema.names, label, key, path)
        try:
            column = lines.to_table(columns=[name])[name]
        except pa.ArrowInvalid:  # its first rows look otherwise than later ones: only the whole tells the type
            column = json.read_json(path)[name]
    elif is_arrow(path):
        table = open_arrow(path).read_all()
        name = _named(table.column_names, label, key, path)
        column = table[name]
    else:
        with csv.open_csv(path) as reader:
            name = _named(reader.schema.names, label, key, path)
        column = csv.read_csv(
            path, convert_options=csv.ConvertOptions(include_columns=[name], strings_can_be_null=True)
        )[name]
    if column.null_count:
        column_values(column, path, name)  # says which rows
    return name, column


def _named(names: list[str], label: str | None, key: str, path: Path) -> str:
    name = label or label_column(names, key, path.name)
    if name not in names:
        msg = f"{path.name}: expected a column {name!r}, found columns {', '.join(map(repr, names))}"
        raise LabelsError(msg)
    return name
