"""Collect labels and fingerprints of the inputs in one pass over a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.class_names import ClassNames
from evalguard.core.columns.chunks import n_distinct
from evalguard.core.label_table import LabelTable, Values, normal_keys
from evalguard.core.plural import plural
from evalguard.core.policy import listed
from evalguard.core.shown_keys import cause_of, message_of
from evalguard.core.stages import stage
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.row_layout import LeafSpec
from evalguard.errors import LabelsError
from evalguard.labels.reference import batches_of, with_rows


def collected(source: Any, reader: BatchReader, *, name: str) -> LabelTable:
    """The labels, keys and fingerprints of a dataset, read in one pass; see ``Labels.collect``."""
    batches = []
    with stage("collecting labels") as done:
        for batch in batches_of(source):
            batches.append(reader.read(batch))
            done.rows += len(batches[-1].rows.found)
        return table_of(batches, name)


@dataclass(frozen=True, slots=True, eq=False)
class CollectedBatch:
    """What is kept of one batch. It shares no memory with the source, which may overwrite its arrays.

    Attributes:
        rows: Fingerprints of the rows.
        whole: Fingerprints of all inputs, if ``fingerprint=`` chose a part of them; else None.
        y: The targets; None if there are none.
        weights: Their sample weights; None if there are none.
        keys: One key for each row; None if there are none.
        classes: The source's class names of the numbers in its targets; None if it has none.
        at: When the batch was read, in seconds of ``time.perf_counter``.
    """

    rows: _RowDigests
    whole: _RowDigests | None
    y: Any
    weights: Any
    keys: NDArray[Any] | None
    classes: ClassNames | None = None
    at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True, eq=False)
class BatchReader:
    """Reads labels, keys and fingerprints from a batch; its attributes are arguments of ``Labels.collect``."""

    key: str | None = None
    fingerprint: Callable[[Any], Any] | None = None
    pad_value: Any = None

    def read(self, batch: Any) -> CollectedBatch:
        """Return what is kept of one batch.

        Raises:
            LabelsError: ``x`` has no entry ``key`` or no rows, or differs from
                the labels, weights or keys in its number of rows.
        """
        x, y, sample_weight = tree.unpack(batch)
        keys, whole = None, None
        if self.key is not None:
            keys = _keys(x, self.key)
            x = {part: leaf for part, leaf in x.items() if part != self.key} if len(x) > 1 else x
        if self.fingerprint is not None:
            whole = _rows(with_rows(x), self.pad_value)
            x = self.fingerprint(tree.map_leaves(np.asarray, x))
        rows = _rows(x, self.pad_value)
        y = _owned(y, "labels")
        weighted = sample_weight is not None and _are_numbers(sample_weight)
        weights = _owned(sample_weight, "sample weights") if weighted else None
        # Checked for each batch: over all batches the sums may be equal by chance.
        for part, what in ((y, "label"), (weights, "sample weight"), (keys, "key")):
            _refuse_sizes(part, what, len(rows.found))
        return CollectedBatch(rows, whole, y, weights, keys)


def table_of(batches: Sequence[CollectedBatch], name: str) -> LabelTable:
    """Concatenate the labels of batches, in their order.

    Raises:
        LabelsError: There is no batch, some have no labels or weights, or the
            outputs of some differ from those of others.
    """
    if not batches:
        msg = f"{name}: expected at least one batch, found none"
        raise LabelsError(msg)
    keys = [batch.keys for batch in batches if batch.keys is not None]
    named = {batch.classes for batch in batches}
    rows, whole = [batch.rows for batch in batches], [batch.whole for batch in batches if batch.whole is not None]
    found, precise = _found(rows), _precise(rows)
    # Checked in both precisions, because the precision of the model is not known here.
    ambiguous = bool(whole) and (
        n_distinct(_found(whole)) > n_distinct(found) or n_distinct(_precise(whole)) > n_distinct(precise)
    )
    return LabelTable(
        values=_stacked([batch.y for batch in batches], f"{name}: targets"),
        keys=np.concatenate(keys) if keys else None,
        fingerprints=found,
        spec=tuple(map(str, rows[-1].spec)),
        name=name,
        ambiguous=ambiguous,
        float64_fingerprints=None if np.array_equal(found, precise) else precise,
        weights=_stacked([batch.weights for batch in batches], f"{name}: sample weights"),
        classes=named.pop() if len(named) == 1 else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _RowDigests:
    """Fingerprints of rows, uint64, shape ``(n,)``.

    Attributes:
        found: For a model that casts float64 to float32, as most do.
        precise: For a model that computes in float64.
        spec: Dtype and row shape of each input.
    """

    found: NDArray[np.uint64]
    precise: NDArray[np.uint64]
    spec: tuple[LeafSpec, ...]


def _rows(x: Any, pad_value: Any) -> _RowDigests:
    try:
        precise, spec = row_fingerprints(x, pad_value=pad_value, float64=True)
        if not any(leaf.dtype == "float64" for leaf in spec):
            return _RowDigests(precise, precise, spec)
        found, spec = row_fingerprints(x, pad_value=pad_value)
    except (TypeError, ValueError) as error:
        msg = f"expected batches (x, y) whose x has one row for each sample in every input, found: {message_of(error)}"
        raise LabelsError(msg) from cause_of(error)
    return _RowDigests(found, precise, spec)


def _keys(x: Any, key: str) -> NDArray[Any]:
    if not isinstance(x, Mapping) or key not in x:
        found = f"the entries {listed(map(str, x), key, repr)}" if isinstance(x, Mapping) else type(x).__qualname__
        msg = f"key: expected x to be a dict with an entry {key!r}, found {found}. Name an entry of x, or omit key="
        raise LabelsError(msg)
    return normal_keys(_array(x[key], "keys"))


def _refuse_sizes(part: Any, what: str, n_rows: int) -> None:
    sizes = {len(leaf) if leaf.ndim else None for leaf in tree.leaves(part)}
    if sizes - {n_rows}:
        found = ", ".join("a scalar" if size is None else f"{size:,}" for size in sizes)
        msg = f"expected batches (x, y) with one {what} for each of the {n_rows:,} rows of x, found {found}"
        raise LabelsError(msg)


def _found(rows: Iterable[_RowDigests]) -> NDArray[np.uint64]:
    return np.concatenate([part.found for part in rows])


def _precise(rows: Iterable[_RowDigests]) -> NDArray[np.uint64]:
    return np.concatenate([part.precise for part in rows])


def _owned(y: Any, what: str) -> Any:
    """Copy the targets or weights; a list of numbers or names becomes one array."""
    if isinstance(y, Mapping):
        return {name: _owned(part, what) for name, part in y.items()}
    if isinstance(y, (list, tuple)):
        of_outputs = any(getattr(leaf, "shape", ()) for leaf in tree.leaves(y))
        return [_owned(part, what) for part in y] if of_outputs else _array(y, what)
    return tree.map_leaves(lambda leaf: _array(leaf, what), y)


def _array(leaf: Any, what: str) -> NDArray[Any]:
    try:
        return np.array(leaf)
    except (TypeError, ValueError) as error:
        msg = f"expected batches (x, y) whose {what} are arrays, found {type(leaf).__qualname__}: {message_of(error)}"
        raise LabelsError(msg) from cause_of(error)


def _are_numbers(sample_weight: Any) -> bool:
    """Whether sample weights are numbers; some pass the names of samples there, because ``predict`` ignores weights."""
    try:
        return all(tree.as_array(leaf).dtype.kind in "biuf" for leaf in tree.leaves(sample_weight))
    except ValueError:  # a list of rows of different lengths, such as the boxes in each image
        return False


def _stacked(batches: list[Any], name: str) -> Values | None:
    """Concatenate the targets or weights of all batches: one array, or one for each output that has any."""
    lacking = [number for number, batch in enumerate(batches) if batch is None]
    if len(lacking) == len(batches):
        return None
    if lacking:
        found = f"none in {len(lacking):,} of {plural(len(batches), 'batch')}, the first is batch {lacking[0]:,}"
        msg = f"{name}: expected them in every batch or in none, found {found}. Let the source yield them in all"
        raise LabelsError(msg)
    outputs = [_outputs(batch) for batch in batches]
    for number, other in enumerate(outputs):
        if other != outputs[0]:
            found = f"{_shown(outputs[0])} in batch 0 and {_shown(other)} in batch {number:,}"
            msg = f"{name}: expected the same outputs in every batch, found {found}. Let the source yield the same ones"
            raise LabelsError(msg)
    try:
        if outputs[0] is None:
            return np.concatenate(batches)
        return {str(output): np.concatenate([batch[output] for batch in batches]) for output in outputs[0]}
    except (TypeError, ValueError) as error:
        msg = f"{name}: expected arrays that can be joined over all batches, found: {error}"
        raise LabelsError(msg) from error


def _outputs(batch: Any) -> dict[Any, None] | None:
    """Names or numbers of the outputs that have any, as a dict, whose order does not matter; None for one array."""
    if not isinstance(batch, (Mapping, list, tuple)):
        return None
    parts = batch.items() if isinstance(batch, Mapping) else enumerate(batch)
    return {output: None for output, part in parts if part is not None}


def _shown(outputs: Iterable[Any] | None) -> str:
    return "one array" if outputs is None else listed(outputs, "", repr) or "no output"
