"""Labels and fingerprints in one pass over a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import n_distinct
from evalguard.core.label_table import LabelTable, Values, normal_keys
from evalguard.data import tree
from evalguard.data.fingerprint import row_fingerprints
from evalguard.data.row_layout import LeafSpec
from evalguard.errors import LabelsError
from evalguard.labels.reference import batches_of, with_rows


def collected(
    source: Any, *, key: str | None, fingerprint: Callable[[Any], Any] | None, pad_value: Any, name: str
) -> LabelTable:
    """Labels, keys and fingerprints of a dataset in one pass; the arguments are those of ``Labels.collect``."""
    rows, whole = _CollectedRows(pad_value), _CollectedRows(pad_value)
    targets: list[Any] = []
    weights: list[Any] = []
    keys: list[NDArray[Any]] = []
    for batch in batches_of(source):
        x, y, sample_weight = tree.unpack(batch)
        if key is not None:
            keys.append(normal_keys(np.array(x[key])))
            x = {part: leaf for part, leaf in x.items() if part != key} if len(x) > 1 else x
        if fingerprint is not None:
            whole.add(with_rows(x))
            x = fingerprint(tree.map_leaves(np.asarray, x))
        rows.add(x)
        if y is not None:
            # A copy, as of the keys: the source may overwrite its arrays for the next batch.
            targets.append(tree.map_leaves(np.array, y))
        if sample_weight is not None and _are_numbers(sample_weight):
            weights.append(tree.map_leaves(np.array, sample_weight))
    if not rows.parts:
        msg = f"{name}: expected at least one batch, found none"
        raise LabelsError(msg)
    values = _stacked(targets, f"{name}: targets") if targets else None
    found, precise = rows.found(), rows.in_float64()
    # In either precision: which one the model computes in is not known here.
    ambiguous = bool(whole.parts) and (
        n_distinct(whole.found()) > n_distinct(found) or n_distinct(whole.in_float64()) > n_distinct(precise)
    )
    return LabelTable(
        values=values,
        keys=np.concatenate(keys) if keys else None,
        fingerprints=found,
        spec=tuple(map(str, rows.spec)),
        name=name,
        ambiguous=ambiguous,
        float64_fingerprints=None if np.array_equal(found, precise) else precise,
        weights=_stacked(weights, f"{name}: sample weights") if weights else None,
    )


class _CollectedRows:
    """Fingerprints of all rows, for models of either precision."""

    def __init__(self, pad_value: Any) -> None:
        self._pad_value = pad_value
        self.parts: list[NDArray[np.uint64]] = []
        self._precise: list[NDArray[np.uint64]] = []
        self.spec: tuple[LeafSpec, ...] = ()

    def add(self, x: Any) -> None:
        """The rows of one batch; in two precisions where there is float64."""
        rows, self.spec = row_fingerprints(x, pad_value=self._pad_value, float64=True)
        self._precise.append(rows)
        if any(leaf.dtype == "float64" for leaf in self.spec):
            rows, self.spec = row_fingerprints(x, pad_value=self._pad_value)
        self.parts.append(rows)

    def found(self) -> NDArray[np.uint64]:
        """For a model that casts float64 to float32, as most do."""
        return np.concatenate(self.parts)

    def in_float64(self) -> NDArray[np.uint64]:
        """For a model that computes in float64."""
        return np.concatenate(self._precise)


def _are_numbers(sample_weight: Any) -> bool:
    """False for names of samples, which some put into that place because ``predict`` ignores it."""
    return all(tree.as_array(leaf).dtype.kind in "biuf" for leaf in tree.leaves(sample_weight))


def _stacked(batches: list[Any], name: str) -> Values:
    """Targets or weights of all batches: an array, or one for each output that has any."""
    first = batches[0]
    try:
        if isinstance(first, (Mapping, tuple, list)):
            outputs = first if isinstance(first, Mapping) else range(len(first))
            return {
                str(output): np.concatenate([batch[output] for batch in batches])
                for output in outputs
                if first[output] is not None
            }
        return np.concatenate(batches)
    except ValueError as error:
        msg = f"{name} of different batches have different shapes: {error}"
        raise LabelsError(msg) from error
