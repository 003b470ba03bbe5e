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
from evalguard.labels.reference import batches_of, whole_rows


def collected(
    source: Any,
    *,
    key: str | None,
    fingerprint: Callable[[Any], Any] | None,
    pad_value: Any,
    name: str,
) -> LabelTable:
    """Labels, keys and fingerprints of a dataset in one pass; the arguments are those of ``Labels.collect``."""
    rows: list[NDArray[np.uint64]] = []
    whole: list[NDArray[np.uint64]] = []
    targets: list[Any] = []
    keys: list[NDArray[Any]] = []
    spec: tuple[LeafSpec, ...] = ()
    for batch in batches_of(source):
        x, y, _ = tree.unpack(batch)
        if key is not None:
            keys.append(normal_keys(np.array(x[key])))
            x = {part: leaf for part, leaf in x.items() if part != key} if len(x) > 1 else x
        if fingerprint is not None:
            whole.append(whole_rows(x, pad_value))
            x = fingerprint(tree.map_leaves(np.asarray, x))
        found, spec = row_fingerprints(x, pad_value=pad_value)
        rows.append(found)
        if y is not None:
            # A copy, as of the keys: the source may overwrite its arrays for the next batch.
            targets.append(tree.map_leaves(np.array, y))
    if not rows:
        msg = f"{name}: expected at least one batch, found none"
        raise LabelsError(msg)
    values = _stacked(targets, name) if targets else None
    ambiguous = bool(whole) and n_distinct(np.concatenate(whole)) > n_distinct(np.concatenate(rows))
    return LabelTable(
        values=values,
        keys=np.concatenate(keys) if keys else None,
        fingerprints=np.concatenate(rows),
        spec=tuple(map(str, spec)),
        name=name,
        ambiguous=ambiguous,
    )


def _stacked(targets: list[Any], name: str) -> Values:
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
