"""The reference: inputs in label order, with which the content of each delivered row is compared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import n_distinct
from evalguard.core.label_changes import ArrayWatch
from evalguard.core.label_table import LabelTable, for_inputs
from evalguard.core.stages import stage
from evalguard.data import kinds, tree
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.pandas_index import index_of
from evalguard.data.row_layout import LeafSpec
from evalguard.data.row_lengths import lengths_of
from evalguard.errors import LabelsError, UnsupportedSourceError

CHUNK = 1024
UInt64 = NDArray[np.uint64]


class Reference:
    """Inputs in label order, fingerprinted as the model receives them.

    Args:
        source: Arrays, tensors or trees of them; a callable from a sample
            index to one sample; a callable without arguments that returns a
            new generator of batches; a PyDataset or ``tf.data.Dataset`` that
            is read once in order.
        n_labels: Number of labels; None if it is not known. A callable by
            index needs it.
        part: Callable that takes ``x`` and returns what identifies a row.
        pad_value: See ``fingerprint.row_fingerprints``.
        drop: Entry of a dict ``x`` that is not content (the key).
        watch: Checks whether the arrays were changed in place after the caller passed them; None for no check.

    Attributes:
        row_names: The pandas index of the inputs; None if they have none.

    Raises:
        LabelsError: Arrays have no rows, or another number of rows than others.
        UnsupportedSourceError: The source has no end.
    """

    def __init__(
        self,
        source: Any,
        n_labels: int | None,
        *,
        part: Callable[[Any], Any] | None = None,
        pad_value: Any = None,
        drop: str | None = None,
        watch: ArrayWatch | None = None,
    ) -> None:
        refuse_endless(source)
        self._watch = watch
        self.source = source
        self.n_labels = n_labels
        self._part, self._pad_value, self._drop = part, pad_value, drop
        self.row_names = index_of(source)
        if not (source is None or part or is_stream(source) or callable(source)):
            try:
                tree.same_rows(as_rows(self._without_key(source)))
            except (tree.RowsError, TypeError) as error:
                other = f"expected arrays, a dataset or a function, found {type(source).__qualname__}"
                msg = f"reference: {str(error).removeprefix('x: ') if isinstance(error, tree.RowsError) else other}"
                raise LabelsError(msg) from error

    def fingerprints(self, like: Sequence[LeafSpec] = ()) -> tuple[UInt64, tuple[LeafSpec, ...]]:
        """Fingerprints in label order, uint64, shape ``(n,)``, and dtype and row shape of each input.

        Args:
            like: Dtypes and row shapes that the model received; the inputs are
                cast to them.

        Raises:
            LabelsError: There are no inputs, or more inputs than labels.
        """
        parts: list[UInt64] = []
        specs: tuple[LeafSpec, ...] = ()
        with stage("fingerprinting the reference", self.n_labels) as done:
            for x in self.chunks():
                rows, specs = row_fingerprints(x, like=like, pad_value=self._pad_value)
                parts.append(rows)
                done.rows += len(rows)
                # Checked inside the loop, because the source may never end.
                if self.n_labels is not None and done.rows > self.n_labels:
                    msg = f"reference: expected one row for each of the {self.n_labels:,} labels, found more"
                    raise LabelsError(msg)
        if not parts:
            msg = "reference: expected inputs in label order, found none"
            raise LabelsError(msg)
        if self._watch is not None:
            self._watch.check()
        return np.concatenate(parts), specs

    @property
    def changed(self) -> bool:
        """Whether the arrays had been changed in place before their fingerprints were taken."""
        return self._watch is not None and self._watch.changed

    def is_ambiguous(self, rows: UInt64, *, float64: bool = False) -> bool:
        """Whether different inputs have the same fingerprint, because ``part`` leaves out where they differ.

        Args:
            rows: The fingerprints that ``fingerprints`` returned.
            float64: The model computes in float64.
        """
        if self._part is None or (n_parts := n_distinct(rows)) == len(rows):
            return False
        options: dict[str, Any] = {"pad_value": self._pad_value, "float64": float64}
        whole = [row_fingerprints(with_rows(self._without_key(x)), **options)[0] for x in self._inputs()]
        return n_distinct(np.concatenate(whole)) > n_parts

    def row_lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Lengths of some rows without their padding, in steps, int64; None if the inputs are not arrays of steps.

        Args:
            rows: Row numbers in label order, int64.
        """
        if self.source is None or is_stream(self.source) or callable(self.source):
            return None
        for leaf in tree.leaves(as_rows(self._without_key(self.source))):
            lengths = lengths_of(leaf, rows, 0 if self._pad_value is None else self._pad_value)
            if lengths is not None:
                return lengths
        return None

    def chunks(self) -> Iterator[Any]:
        """Yield the identifying part of the inputs, some rows at a time."""
        for x in map(self._without_key, self._inputs()):
            yield x if self._part is None else self._part(x)

    def _without_key(self, x: Any) -> Any:
        if isinstance(x, dict) and self._drop in x and len(x) > 1:
            return {name: leaf for name, leaf in x.items() if name != self._drop}
        return x

    def _inputs(self) -> Iterator[Any]:
        source = self.source
        if is_stream(source):
            yield from (tree.unpack(batch)[0] for batch in batches_of(source))
        elif not callable(source):
            yield from _slices(source)
        elif _takes_index(source):
            yield from self._samples()
        else:
            yield from (tree.unpack(batch)[0] for batch in kinds.returned_by(source))

    def _samples(self) -> Iterator[Any]:
        if self.n_labels is None:
            msg = "reference: expected labels with a function by sample index, found none; pass labels= or an array"
            raise LabelsError(msg)
        total = self.n_labels
        for start in range(0, total, CHUNK):
            yield _stacked([_owned(self.source(index)) for index in range(start, min(start + CHUNK, total))])


class KnownReference(Reference):
    """The fingerprints in a manifest or in collected labels, used as a reference.

    Raises:
        LabelsError: The labels hold no fingerprints.
    """

    def __init__(self, table: LabelTable) -> None:
        if table.fingerprints is None:
            msg = f"reference: expected labels with fingerprints, found {table.name} without; use Labels.collect"
            raise LabelsError(msg)
        super().__init__(None, len(table))
        self._table = table

    def fingerprints(self, like: Sequence[LeafSpec] = ()) -> tuple[UInt64, tuple[LeafSpec, ...]]:
        """The stored fingerprints: those for float64 if ``like`` has float64 inputs. Their specs are not returned."""
        rows: Any = for_inputs(self._table, tuple(map(str, like))).fingerprints
        return rows, ()

    def is_ambiguous(self, rows: UInt64, *, float64: bool = False) -> bool:
        """What was found when the fingerprints were taken."""
        del rows, float64
        return self._table.ambiguous

    def chunks(self) -> Iterator[Any]:
        """Nothing: the inputs themselves are not stored."""
        return iter(())


def with_rows(x: Any) -> tuple[Any, ...]:
    """All inputs that have rows; if the caller chose a part of ``x``, the rest may contain scalars."""
    return tuple(leaf for leaf in tree.leaves(x) if len(getattr(leaf, "shape", (0,))))


def is_stream(source: Any) -> bool:
    """Whether a source is a dataset that can be read batch by batch, any number of times."""
    return kinds.is_tf_dataset(source) or kinds.is_pydataset(source) or kinds.is_untaggable(source)


def batches_of(source: Any) -> Iterable[Any]:
    """The batches of a dataset, in order, in one pass.

    Raises:
        UnsupportedSourceError: The source is a generator, which can be read
            only once, has no end, or has no batches.
    """
    if kinds.is_generator(source):
        msg = (
            f"expected a function without arguments, found the generator {source.__name__!r}, which can be read only "
            "once; pass the function that makes it"
        )
        raise UnsupportedSourceError(msg)
    refuse_endless(source)
    if kinds.is_pydataset(source):
        return (source[number] for number in range(source.num_batches))
    if is_stream(source):
        return source  # type: ignore[no-any-return]
    if callable(source):
        return kinds.returned_by(source)
    msg = f"expected a dataset or a function that returns a generator of batches, found {type(source).__qualname__}"
    raise UnsupportedSourceError(msg)


def refuse_endless(source: Any) -> None:
    """Refuse a dataset that is endless by its cardinality or length, because reading it would never end.

    Raises:
        UnsupportedSourceError: The dataset is endless.
    """
    # -1 is `tf.data.INFINITE_CARDINALITY`; a dataset of unknown length has -2.
    if kinds.is_tf_dataset(source) and int(source.cardinality()) == -1:
        what, end = "tf.data.Dataset", "pass it without repeat(), or the first pass over it: take(batches)"
    elif kinds.is_pydataset(source) and source.num_batches is None:
        what, end = "PyDataset", "give it a number of batches (num_batches, __len__)"
    else:
        return
    msg = f"expected a {what} that ends, found an endless one; {end}"
    raise UnsupportedSourceError(msg)


def _slices(source: Any) -> Iterator[Any]:
    source = as_rows(source)
    total = tree.n_rows(source)
    if total is None or any(not hasattr(leaf, "shape") or hasattr(leaf, "dense_shape") for leaf in tree.leaves(source)):
        yield source
        return
    for start in range(0, total, CHUNK):
        yield tree.map_leaves(functools.partial(_rows, start=start), source)


def _rows(leaf: Any, start: int) -> Any:
    cut = leaf.iloc if hasattr(leaf, "iloc") else leaf
    return cut[start : start + CHUNK]


def as_rows(source: Any) -> Any:
    """Turn a list of arrays of different lengths into one object array, whose rows they are."""
    if isinstance(source, (list, tuple)) and source and all(isinstance(row, np.ndarray) for row in source):
        shapes = {row.shape[:1] for row in source}
        if len(shapes) > 1:
            rows = np.empty(len(source), dtype=object)
            rows[:] = list(source)
            return rows
    return source


def _takes_index(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(
        item.default is item.empty and item.kind in {item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD}
        for item in parameters
    )


def _owned(sample: Any) -> Any:
    """Copy a sample, because the callable may overwrite one array for each sample."""
    if isinstance(sample, dict):
        return {name: _owned(part) for name, part in sample.items()}
    return tuple(map(_owned, sample)) if isinstance(sample, tuple) else np.array(sample)


def _stacked(samples: list[Any]) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {name: _stacked([sample[name] for sample in samples]) for name in first}
    if isinstance(first, tuple):
        return tuple(_stacked(list(parts)) for parts in zip(*samples, strict=True))
    arrays = [np.asarray(sample) for sample in samples]
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays)
    rows = np.empty(len(arrays), dtype=object)
    rows[:] = arrays
    return rows
