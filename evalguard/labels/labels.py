"""External labels from arrays, data frames, files, or one pass over a dataset.

Longer than 300 lines because one class reads all of these, and the arguments of each method are documented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from evalguard.core.label_origin import LabelOrigin
from evalguard.core.label_table import LabelTable, Values
from evalguard.core.policy import listed
from evalguard.core.row_names import refuse_other_rows
from evalguard.data import kinds
from evalguard.data.kinds import class_names, is_image_iterator, is_untaggable
from evalguard.data.pandas_index import index_of
from evalguard.data.tables import TableFile, array_of, read_arrays, refuse_absent
from evalguard.errors import LabelsError
from evalguard.labels import manifest
from evalguard.labels.collect import BatchReader, collected
from evalguard.labels.iterators import labels_of_iterator

LABEL_COLUMNS = ("label", "labels", "target", "targets", "y", "y_true", "class")


class Labels(LabelTable):
    """External ground truth in label order: values, keys or fingerprints, at least one of these.

    A guard creates it from what you pass as ``labels=``. Use ``of`` to add
    keys, or ``collect`` to add keys and fingerprints.
    """

    @classmethod
    def _of_table(cls, table: LabelTable) -> Self:
        return cls(**{item.name: getattr(table, item.name) for item in fields(LabelTable) if item.init})

    @classmethod
    def of(
        cls,
        source: Any,
        *,
        label: str | Mapping[str, str] | None = None,
        key: str | None = None,
        sample_weight: Any = None,
        name: str = "labels",
    ) -> Self:
        """Labels from an array, list, mapping of arrays, pandas object, image iterator, or the path of a table.

        Args:
            source: Labels in label order, shape ``(n, ...)``; the rows of a file
                are the label order. For several outputs, a mapping from output
                name to array, or a list or tuple of arrays in the order of the
                outputs.
            label: Column with the labels. If omitted, the only column, or the
                only one named label, labels, target, targets, y, y_true or
                class. For several outputs, a mapping from output name to column.
            key: Column with the keys, one for each sample.
            sample_weight: Column with the sample weights, if the labels are a
                table; else an array with a weight for each label, in label
                order (for several outputs, in the form of the labels).
            name: Name of the labels in reports; for a file, its file name is used.

        Raises:
            LabelsError: There are no labels, a column is unknown, a label, key
                or weight is missing, a key is repeated, or the pandas index of
                the weights is not that of the labels.
        """
        if isinstance(sample_weight, str):
            return cls._of(source, label, key, sample_weight, name)
        labels = cls._of(source, label, key, None, name)
        if sample_weight is None:
            return labels
        refuse_other_rows(index_of(sample_weight), labels.row_names)
        outputs = _by_output(sample_weight, f"{name}: sample weights")
        return replace(labels, weights=sample_weight if outputs is None else outputs)

    @classmethod
    def _of(cls, source: Any, label: Any, key: str | None, weight: str | None, name: str) -> Self:
        if isinstance(source, (str, Path)):
            return cls.read(source, label=label, key=key, sample_weight=weight)
        if isinstance(source, TableFile):
            return cls._from_file(source, label, key, weight)
        # A pandas or polars DataFrame.
        if hasattr(source, "columns") and (hasattr(source, "iloc") or hasattr(source, "get_column")):
            columns = list(source.columns)
            found = cls._from_columns(columns, lambda part: source[part].to_numpy(), label, key, weight, name)
            return replace(found, row_names=index_of(source))
        _refuse_column(weight, name, f"found {type(source).__name__}")
        if isinstance(source, LabelTable):
            return source if isinstance(source, cls) else cls._of_table(source)
        if is_image_iterator(source):
            return cls.from_iterator(source)
        _refuse_stream(source, name)
        outputs = _by_output(source, name)
        values = array_of(source, name) if outputs is None else outputs
        return cls(values=values, name=name, row_names=index_of(source))

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        label: str | Mapping[str, str] | None = None,
        key: str | None = None,
        sample_weight: str | None = None,
    ) -> Self:
        """Labels from a CSV, Parquet, JSONL or Arrow file, a ``.npy`` array, or a manifest that ``save`` wrote.

        Args:
            path: The file; its rows are the label order. Numbers in a ``.npy``,
                or in an uncompressed ``.arrow`` or ``.feather`` file, of 64 MiB
                or more are memory-mapped: they need no memory, and the file
                must not change.
            label: Column with the labels, as for ``of``; a ``.npy`` file has none.
            key: Column with the keys, one for each sample.
            sample_weight: Column with the sample weights; not for a manifest,
                which contains them.

        Raises:
            LabelsError: The file is missing, empty or unreadable, a column is
                absent, a label, key or weight is null, or a key is repeated.
        """
        path = Path(path)
        if not path.is_file():
            msg = f"labels file {path}: expected a CSV, Parquet, JSONL, Arrow or .npy file, found none there"
            raise LabelsError(msg)
        if path.suffix.lower() != ".npy":
            return cls._from_file(TableFile(path, path.name, (key,), LabelsError), label, key, sample_weight)
        if label is not None or key is not None:
            msg = f"labels file {path}: expected neither label= nor key=, because a .npy file has no columns"
            raise LabelsError(msg)
        _refuse_column(sample_weight, f"labels file {path}", "a .npy file has no columns")
        values = array_of(read_arrays(path, path.name, LabelsError), path.name)
        return cls(values=values, name=path.name, origin=LabelOrigin(path=str(path)))

    @classmethod
    def _from_file(cls, file: TableFile, label: Any, key: str | None, weight: str | None) -> Self:
        if manifest.is_manifest(file.schema):
            _refuse_column(weight, file.where, "found a manifest, which has its own weights")
            found = manifest.from_arrow(file.read(), file.path)
            return cls._of_table(replace(found, origin=LabelOrigin(path=str(file.path))))
        found = cls._from_columns(file.schema.names, file.column, label, key, weight, file.where, file.keys)
        return replace(found, origin=replace(found.origin, path=str(file.path)))

    @classmethod
    def _from_columns(
        cls,
        columns: list[str],
        read: Callable[[str], NDArray[Any]],
        label: str | Mapping[str, str] | None,
        key: str | None,
        weight: str | None,
        name: str,
        read_keys: Callable[[str], NDArray[Any]] | None = None,
    ) -> Self:
        wanted = [*label.values()] if isinstance(label, Mapping) else [label]
        named = [column for column in (*wanted, key, weight) if column is not None]
        refuse_absent(named, columns, name, LabelsError)
        values: Values
        if isinstance(label, Mapping):
            values = {output: array_of(read(column), name) for output, column in label.items()}
        else:
            label = label or label_column(columns, {key, weight}, name)
            values = array_of(read(label), name)
        return cls(
            values=values,
            keys=None if key is None else (read_keys or read)(key),
            name=name,
            weights=None if weight is None else read(weight),
            origin=LabelOrigin(column=label, key_column=key or ""),
        )

    @classmethod
    def from_iterator(cls, iterator: Any, *, name: str = "") -> Self:
        """Labels of an image iterator: its ``labels``, in the order of its ``filenames``.

        An iterator of ``ImageDataGenerator.flow_from_directory``,
        ``flow_from_dataframe`` or ``flow`` shuffles by default and states which
        file each row is. A guarded call over it is compared with these labels
        file by file. No image is read, and the iterator does not advance.

        Args:
            iterator: The image iterator, of Keras 3 or of tf_keras.
            name: Name of the labels in reports; if omitted, the iterator's class name.

        Returns:
            Labels with the file names as keys, if there are files and none is
            listed twice; samples without labels have keys only.

        Raises:
            LabelsError: It is not an image iterator, or it has neither labels
                nor files (``flow`` without ``y``), or no sample.
        """
        return cls._of_table(labels_of_iterator(iterator, name))

    @classmethod
    def of_source(cls, source: Any) -> Self | None:
        """The labels that a source of predictions itself holds, in its order of samples; None if it holds none."""
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
        """Collect labels, sample weights and fingerprints of the inputs in one pass, in the order of that pass.

        Use it instead of ``np.concatenate([y for x, y in dataset])``. Label,
        weight and fingerprint of a sample stay together in any order of this
        pass, so a later guarded call is compared with the right rows. For
        several outputs, all targets and weights are collected.

        Args:
            source: A ``tf.data.Dataset``, a PyDataset, a torch or grain
                loader, or a function without arguments that returns a new
                generator of batches.
            key: Entry of a dict ``x`` that holds the keys.
            fingerprint: Callable that takes ``x`` and returns the part that
                identifies a row; the same as given to the guard.
            pad_value: Value that pads rows; the same as given to the guard.
            name: Name of the labels in reports.

        Raises:
            LabelsError: There is no batch, or one whose ``x`` and ``y``
                differ in their number of rows, or without an entry ``key``;
                or batches differ in their outputs, or only some have labels.
            UnsupportedSourceError: The source can be read only once.
        """
        table = collected(source, BatchReader(key, fingerprint, pad_value), name=name)
        return cls._of_table(replace(table, classes=class_names(source)))

    def save(self, path: str | Path) -> None:
        """Write a manifest with key, label, sample weight and fingerprint of each sample.

        Args:
            path: The file to write; an older one is replaced. A name ending in
                ``.arrow`` or ``.feather`` gives an Arrow file, which is
                memory-mapped when it is loaded if it has 64 MiB or more, so
                that 10^9 labels need no memory. Any other name, usually
                ``….parquet``, gives a Parquet file.

        Raises:
            LabelsError: The values cannot be written as a table.
        """
        manifest.write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The labels that ``save`` wrote.

        Args:
            path: The manifest.

        Raises:
            LabelsError: The file is not a manifest, or was made by another
                algorithm or schema.
        """
        return cls._of_table(replace(manifest.read(Path(path)), origin=LabelOrigin(path=str(path))))


def _is_one_array_per_output(source: Any) -> bool:
    """Whether a sequence holds the labels of each output, and not one label for each sample."""
    if not isinstance(source, (list, tuple)) or not all(getattr(part, "shape", ()) for part in source):
        return False
    # A list may also hold the label of each sample as an array. Then it is longer than each of its arrays.
    lengths = {len(part) for part in source}
    return bool(source) and (isinstance(source, tuple) or (len(lengths) == 1 and len(source) < lengths.pop()))


def _by_output(source: Any, name: str) -> dict[str, NDArray[Any]] | None:
    """The arrays of several outputs by name, or by number if they are a sequence; None for one output."""
    if isinstance(source, Mapping):
        parts: Any = source.items()
    elif _is_one_array_per_output(source):
        parts = enumerate(source)
    else:
        return None
    return {str(part): array_of(array, f"{name}, output {part!r}") for part, array in parts}


def _refuse_stream(source: Any, name: str) -> None:
    """Refuse batches as labels, because their inputs and their order would be lost.

    Raises:
        LabelsError: The source is a dataset, a loader or an iterator.
    """
    if kinds.is_generator(source) or kinds.is_iterator(source):
        msg = (
            f"{name}: expected labels, found {type(source).__name__}, which can be read only once; write "
            "labels=evalguard.Labels.collect(function that makes it), or for x, y in g.collecting(it)"
        )
        raise LabelsError(msg)
    # A grain dataset with `__getitem__` may be a sequence of labels.
    loader = is_untaggable(source) and not hasattr(source, "__getitem__")
    if kinds.is_tf_dataset(source) or kinds.is_pydataset(source) or kinds.is_sequence(source) or loader:
        msg = (
            f"{name}: expected labels, found {type(source).__name__.lstrip('_')}, which gives inputs and labels in "
            "batches; write labels=evalguard.Labels.collect(dataset), which keeps them together"
        )
        raise LabelsError(msg)


def _refuse_column(column: str | None, name: str, found: str) -> None:
    """Refuse the name of a column of weights if the labels have no columns.

    Raises:
        LabelsError: A column is named.
    """
    if column is not None:
        msg = f"{name}: expected a table with the column sample_weight={column!r}, {found}; give an array of weights"
        raise LabelsError(msg)


def label_column(columns: list[str], others: set[str | None], name: str) -> str:
    """The column with the labels, if the caller names none.

    Args:
        columns: Names of all columns.
        others: Columns with another meaning.
        name: Where the table came from, for the message.

    Raises:
        LabelsError: Several columns could hold the labels, or no column.
    """
    candidates = [column for column in columns if column not in others]
    if len(candidates) == 1:
        return candidates[0]
    named = [column for column in candidates if str(column).lower() in LABEL_COLUMNS]
    if len(named) == 1:
        return named[0]
    found = f"found {listed(candidates, 'label', repr)}; name it with label=, in check with label_column="
    msg = f"{name}: expected one column that could hold the labels, {found}"
    raise LabelsError(msg)
