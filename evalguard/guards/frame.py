"""One guarded call as a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from evalguard.data import tree


def columns(predictions: Any, index: Any, keys: Any, y_true: Any, sample_weight: Any = None) -> dict[str, Any]:
    """Columns row, sample, key, y_true, sample_weight and one per value predicted; all of one length.

    Predictions of one value per row are ``prediction``; of several,
    ``prediction_0``, …; of several outputs, ``prediction.<output>…``.
    """
    total = tree.n_rows(predictions) or 0
    table: dict[str, Any] = {"row": np.arange(total)}
    for name, values in (("sample", index), ("key", keys)):
        if values is not None:
            table[name] = np.asarray(values)[:total]
    for part, structure in (("y_true", y_true), ("sample_weight", sample_weight), ("prediction", predictions)):
        for name, values in _named(part, structure):
            table.update(_flat(name, values, total))
    return table


def frame(predictions: Any, index: Any, keys: Any, y_true: Any, sample_weight: Any = None) -> Any:
    """The columns as a ``pandas.DataFrame``."""
    # pandas is not a dependency: only `to_frame` needs it.
    import pandas as pd

    return pd.DataFrame(columns(predictions, index, keys, y_true, sample_weight))


def _named(name: str, structure: Any) -> list[tuple[str, Any]]:
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [item for part in structure for item in _named(f"{name}.{part}", structure[part])]
    if isinstance(structure, (list, tuple)):
        return [item for number, part in enumerate(structure) for item in _named(f"{name}.{number}", part)]
    return [(name, structure)]


def _flat(name: str, values: Any, total: int) -> dict[str, Any]:
    # Ragged tensors have rows of different lengths, which make no rectangular columns.
    if not isinstance(values, np.ndarray):
        return {name: [np.asarray(row).tolist() for row in values[:total]]}
    values = values[:total]
    if values.ndim == 1:
        return {name: values}
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == 1:
        return {name: flat[:, 0]}
    return {f"{name}_{number}": flat[:, number] for number in range(flat.shape[1])}
