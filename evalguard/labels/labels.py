"""External labels from wherever people keep them: arrays, frames, files, or one pass over a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalguard.capture.probes.tagged_items import is_image_iterator
from evalguard.core import label_table as core
from evalguard.data import tree
from evalguard.data.arrow import array_of_column, column_of, is_arrow, is_mapped, open_arrow, write_arrow
from evalguard.data.fingerprint import ALGORITHM, LeafSpec, row_fingerprints
from evalguard.errors import LabelsError
from evalguard.labels.reference import batches_of

LABEL_COLUMNS = ("label", "labels", "target", "targets", "y", "y_true", "class")
MANIFEST_VERSION = 1
# Key of a manifest among the metadata of a Parquet or Arrow file.
METADATA = b"evalguard"


class Labels(core.Labels):
    """External ground truth in label order: values, keys and fingerprints, of which one will do.

    A guard makes it from whatever it is given as ``labels=``; ``collect``
    and ``of`` make it where keys or fingerprints are wanted too.
    """

    @classmethod
    def of(
        cls, source: Any, *, label: str | Mapping[str, str] | None = None, key: str | None = None, name: str = "labels"
    ) -> Self:
        """Labels from an array, list, mapping of arrays, pandas object, image iterator, or the path of a table.

        Args:
            source: Labels in label order; the rows of a file are the label order.
            label: Column with the labels; by default the only column, or one
                named label, target, y, y_true or class. A mapping of columns
                for a model with several outputs.
            key: Column with the keys, one for each sample.
            name: For reports; a file is called by its own name.

        Raises:
            LabelsError: No labels, an unknown column, a null label, a null or
                repeated key.
        """
        if isinstance(source, core.Labels):
            return cls(source.values, source.keys, source.fingerprints, source.spec, source.name)
        if isinstance(source, (str, Path)):
            return cls.read(source, label=label, key=key)
        if is_image_iterator(source):
            return cls.from_iterator(source)
        if hasattr(source, "columns") and hasattr(source, "iloc"):  # pandas.DataFrame
            return cls._from_columns(list(source.columns), lambda part: source[part].to_numpy(), label, key, name)
        if isinstance(source, Mapping):
            return cls(values={str(part): np.asarray(array) for part, array in source.items()}, name=name)
        if isinstance(source, tuple) and source and all(hasattr(part, "shape") for part in source):
            return cls(values={str(number): np.asarray(part) for number, part in enumerate(source)}, name=name)
        return cls(values=array_of(source, name), name=name)

    @classmethod
    def read(cls, path: str | Path, *, label: str | Mapping[str, str] | None = None, key: str | None = None) -> Self:
        """Labels from a CSV, Parquet, JSONL or Arrow file, a ``.npy`` array, or a manifest that ``save`` wrote.

        Args:
            path: The file; its rows are the label order. Numbers in a large
                ``.npy``, or in a large ``.arrow`` or ``.feather`` file that is
                not compressed, are mapped and not read: they need no memory,
                and the file must stay as it is.
            label: Column with the labels, as for ``of``; a ``.npy`` file has none.
            key: Column with the keys, one for each sample.

        Raises:
            LabelsError: The file is missing, empty or unreadable, a column is
                absent, a label or key is null, or a key is repeated.
        """
        path = Path(path)
        if not path.is_file():
            msg = f"labels file {path}: expected a CSV or Parquet file, found no file there"
            raise LabelsError(msg)
        if path.suffix.lower() == ".npy":
            return cls._from_npy(path, label, key)
        table = _read_table(path, key)
        if METADATA in (table.schema.metadata or {}):
            return cls._from_manifest(table, path)
        names = table.column_names
        return cls._from_columns(names, lambda name: column_values(table[name], path, name), label, key, path.name)

    @classmethod
    def _from_npy(cls, path: Path, label: Any, key: str | None) -> Self:
        if label is not None or key is not None:
            msg = f"labels file {path}: expected neither label= nor key=, a .npy file has no columns"
            raise LabelsError(msg)
        try:
            array = np.load(path, mmap_mode="r" if is_mapped(path) else None, allow_pickle=False)
            return cls(values=array_of(array, path.name), name=path.name)
        except (ValueError, OSError, EOFError) as error:
            if isinstance(error, LabelsError):
                raise
            msg = f"labels file {path}: expected an array without Python objects, found: {error}"
            raise LabelsError(msg) from error

    @classmethod
    def _from_columns(
        cls,
        columns: list[str],
        read: Callable[[str], NDArray[Any]],
        label: str | Mapping[str, str] | None,
        key: str | None,
        name: str,
    ) -> Self:
        wanted = list(label.values()) if isinstance(label, Mapping) else [label]
        for column in (*wanted, key):
            if column is not None and column not in columns:
                msg = f"{name}: expected a column {column!r}, found columns {', '.join(map(repr, columns))}"
                raise LabelsError(msg)
        values: core.Values
        if isinstance(label, Mapping):
            values = {output: array_of(read(column), name) for output, column in label.items()}
        else:
            values = array_of(read(label or label_column(columns, key, name)), name)
        return cls(values=values, keys=None if key is None else read(key), name=name)

    @classmethod
    def from_iterator(cls, iterator: Any, *, name: str = "") -> Self:
        """Labels of an image iterator, in its own order of files: what ``classes`` and ``filenames`` hold.

        An iterator of ``ImageDataGenerator.flow_from_directory``,
        ``flow_from_dataframe`` or ``flow`` shuffles by default and says which
        file each row is; a guarded call over it is compared with these labels
        file by file. Nothing is read from disk and the iterator is not moved.

        Args:
            iterator: The image iterator, of Keras 3 or of tf_keras.
            name: For reports; by default the iterator's class name.

        Returns:
            Labels with the file names as keys, where there are files and none
            of them is listed twice; samples without labels have keys only.

        Raises:
            LabelsError: It is no image iterator, or it holds neither labels
                nor files (``flow`` without ``y``), or no sample.
        """
        name = name or type(iterator).__name__
        if not is_image_iterator(iterator):
            msg = f"{name}: expected an image iterator of ImageDataGenerator.flow*, found {type(iterator).__qualname__}"
            raise LabelsError(msg)
        files = getattr(iterator, "filenames", None)
        keys = None if files is None or len(set(files)) < len(files) else np.asarray(files, dtype=np.str_)
        values = _image_labels(iterator)
        if values is None and keys is None:
            msg = f"{name}: expected labels or files, found neither: give flow(x, y), or labels of your own"
            raise LabelsError(msg)
        return cls(values=values, keys=keys, name=name)

    @classmethod
    def held_by(cls, source: Any) -> Self | None:
        """The labels that a source of predictions holds itself, in its order of samples; None where it holds none."""
        return cls.from_iterator(source) if is_image_iterator(source) else None

    @classmethod
    def collect(
        cls,
        source: Any,
        *,
        key: str | None = None,
        fingerprint: Callable[[Any], Any] | None = None,
        pad_value: Any = None,
        name: str = "collected",
    ) -> Self:
        """Labels and the fingerprints of their inputs, in one pass, in the order met.

        Takes the place of ``np.concatenate([y for x, y in dataset])``: labels
        and fingerprints belong together whatever the order of this pass, so a
        later guarded call is compared with the right rows.

        Args:
            source: A ``tf.data.Dataset``, a PyDataset, a torch or grain
                loader, or a function without arguments that gives a new
                generator of batches.
            key: Entry of a dict ``x`` that holds the keys.
            fingerprint: Callable that takes ``x`` and returns the part that
                identifies a row; the same as given to the guard.
            pad_value: Value that pads rows; the same as given to the guard.
            name: For reports.

        Raises:
            LabelsError: There is no batch.
            UnsupportedSourceError: The source can be read only once.
        """
        rows: list[NDArray[np.uint64]] = []
        targets: list[Any] = []
        keys: list[NDArray[Any]] = []
        spec: tuple[LeafSpec, ...] = ()
        for batch in batches_of(source):
            x, y, _ = tree.unpack(batch)
            if key is not None:
                keys.append(core.normal_keys(_numpy(x[key])))
                x = {part: leaf for part, leaf in x.items() if part != key} if len(x) > 1 else x
            if fingerprint is not None:
                x = fingerprint(tree.map_leaves(_numpy, x))
            found, spec = row_fingerprints(x, pad_value=pad_value)
            rows.append(found)
            if y is not None:
                targets.append(tree.map_leaves(_numpy, y))
        if not rows:
            msg = f"{name}: expected at least one batch, found none"
            raise LabelsError(msg)
        values = _stacked(targets, name) if targets else None
        return cls(
            values=values,
            keys=np.concatenate(keys) if keys else None,
            fingerprints=np.concatenate(rows),
            spec=tuple(map(str, spec)),
            name=name,
        )

    def save(self, path: str | Path) -> None:
        """Write a manifest with key, label and fingerprint of each sample.

        Args:
            path: The file to write; an older one is replaced. ``….arrow`` or
                ``….feather``: an Arrow file, whose numbers are mapped and not
                read when a large one is loaded, so that 10^9 labels need no
                memory. Any other name, by habit ``….parquet``: Parquet.

        Raises:
            LabelsError: The values cannot be written as a table.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        mappable = is_arrow(path)
        columns: dict[str, Any] = {}
        shapes: dict[str, list[int]] = {}
        if self.keys is not None:
            columns["key"] = column_of(self.keys, mappable=mappable)
        values = self.values if isinstance(self.values, Mapping) else {"": self.values}
        for part, array in values.items():
            if array is not None:
                column = f"label.{part}" if part else "label"
                shapes[column] = [int(size) for size in array.shape[1:]]
                columns[column] = column_of(array, mappable=mappable)
        if self.fingerprints is not None:
            columns["fingerprint"] = pa.array(self.fingerprints, type=pa.uint64())
        about = {
            "manifest_version": MANIFEST_VERSION,
            "algorithm": ALGORITHM,
            "spec": list(self.spec),
            "name": self.name,
            "shapes": shapes,
            "dtypes": {column: str(array.dtype) for column, array in _named(values).items()},
        }
        table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about, sort_keys=True).encode()})
        if mappable:
            write_arrow(table, path)
        else:
            pq.write_table(table, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The labels that ``save`` wrote.

        Args:
            path: The manifest.

        Raises:
            LabelsError: The file is no manifest, or was made by another
                algorithm or schema.
        """
        path = Path(path)
        table = _read_table(path, None) if path.is_file() else None
        if table is None or METADATA not in (table.schema.metadata or {}):
            msg = f"manifest {path}: expected a file written by Labels.save, found {'another' if table else 'none'}"
            raise LabelsError(msg)
        return cls._from_manifest(table, path)

    @classmethod
    def _from_manifest(cls, table: Any, path: Path) -> Self:
        about = json.loads(table.schema.metadata[METADATA])
        expected = {"manifest_version": MANIFEST_VERSION, "algorithm": ALGORITHM}
        found = {name: about.get(name) for name in expected}
        if found != expected:
            msg = (
                f"manifest {path}: expected {expected}, found {found}. Make it again with Labels.collect(...).save(...)"
            )
            raise LabelsError(msg)
        values: dict[str, NDArray[Any]] = {}
        for column, shape in about["shapes"].items():
            array = array_of_column(table[column], about["dtypes"][column], tuple(shape))
            values[column.removeprefix("label").removeprefix(".")] = array
        names = table.column_names
        return cls(
            values=_unnamed(values) if values else None,
            keys=array_of_column(table["key"]) if "key" in names else None,
            fingerprints=array_of_column(table["fingerprint"]) if "fingerprint" in names else None,
            spec=tuple(about["spec"]),
            name=about["name"],
        )


def _image_labels(iterator: Any) -> core.Values | None:
    """Labels by sample: ``labels`` where images are files, ``y`` where they are an array; None where there are none."""
    if not hasattr(iterator, "filenames"):
        y = getattr(iterator, "y", None)
        return None if y is None else np.asarray(y)
    if getattr(iterator, "classes", None) is None and iterator.class_mode not in {"raw", "multi_output"}:
        return None  # from a data frame, with class_mode None or "input"
    labels = iterator.labels
    if iterator.class_mode == "multi_output":
        return {str(number): np.asarray(column) for number, column in enumerate(labels)}
    return np.asarray(labels)


def _unnamed(values: dict[str, NDArray[Any]]) -> core.Values:
    """One unnamed column is an array, named ones are a mapping."""
    return values.get("", values)


def _named(values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {(f"label.{part}" if part else "label"): array for part, array in values.items() if array is not None}


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
            shown = ", ".join(map(str, null[: core.MAX_NAMED]))
            msg = f"{name}: expected a label for each sample; rows {shown} have none ({len(null)} in all)"
            raise LabelsError(msg)
    return array


def label_column(columns: list[str], key: str | None, name: str) -> str:
    """The column with the labels, where none is named.

    Raises:
        LabelsError: Several could hold them, or none.
    """
    candidates = [column for column in columns if column != key]
    if len(candidates) == 1:
        return candidates[0]
    named = [column for column in candidates if str(column).lower() in LABEL_COLUMNS]
    if len(named) == 1:
        return named[0]
    msg = f"{name}: several columns could hold the labels ({', '.join(map(repr, candidates))}); say which: label=..."
    raise LabelsError(msg)


def _read_table(path: Path, key: str | None) -> Any:
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
        shown = ", ".join(str(int(row)) for row in rows[: core.MAX_NAMED])
        msg = f"labels file {path}, column {name!r}: rows {shown} are empty ({len(rows)} in all)"
        raise LabelsError(msg)
    # Of lists, as of several classes to a sample, `to_numpy` makes an array of arrays.
    lists = "list" in str(column.type)
    array: NDArray[Any] = array_of(column.to_pylist(), path.name) if lists else np.asarray(column.to_numpy())
    if array.dtype == object and all(isinstance(item, str) for item in array.tolist()):
        return array.astype(np.str_)
    return array


def _numpy(leaf: Any) -> NDArray[Any]:
    return np.asarray(leaf)


def _stacked(targets: list[Any], name: str) -> core.Values:
    first = targets[0]
    if isinstance(first, Mapping):
        return {str(part): np.concatenate([target[part] for target in targets]) for part in first}
    if isinstance(first, (tuple, list)):
        return {str(number): np.concatenate(parts) for number, parts in enumerate(zip(*targets, strict=True))}
    try:
        return np.concatenate(targets)
    except ValueError as error:
        msg = f"{name}: targets of different batches have different shapes: {error}"
        raise LabelsError(msg) from error
