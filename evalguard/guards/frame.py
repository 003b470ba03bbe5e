"""One guarded call as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evalguard.data import tree
from evalguard.guards.class_numbers import ClassNumbers
from evalguard.guards.predicted_classes import names_of_rows


def columns(
    predictions: Any,
    index: Any,
    keys: Any,
    y_true: Any,
    sample_weight: Any = None,
    classes: ClassNumbers | None = None,
) -> dict[str, Any]:
    """Columns row, sample, key, y_true, sample_weight and one per value predicted; all of one length.

    Predictions of one value per row are ``prediction``; of several,
    ``prediction_0``, …; of several outputs, ``prediction.<output>…``. Where
    the classes have names, ``label`` and ``predicted`` hold these, and the
    values predicted are ``prediction_<name>``.
    """
    every = arrays(predictions, index, keys, y_true, sample_weight, classes)
    return {name: values for _, columns_of_one in every for name, values in columns_of_one.items()}


def arrays(
    predictions: Any,
    index: Any,
    keys: Any,
    y_true: Any,
    sample_weight: Any = None,
    classes: ClassNumbers | None = None,
    most: int | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each array of that table, such as ``prediction.<output>``, and its columns.

    Arrays of more columns than ``most`` are left out.
    """
    total = tree.n_rows(predictions) or 0
    yield "row", {"row": np.arange(total)}
    for name, values in (("sample", index), ("key", keys)):
        if values is not None:
            yield name, {name: np.asarray(values)[:total]}
    for part, structure in (("y_true", y_true), ("sample_weight", sample_weight), ("prediction", predictions)):
        for name, values in _named(part, structure):
            if most is not None and math.prod(np.shape(values)[1:]) > most:
                continue
            names = None if classes is None or part != "prediction" else classes.of_columns.get(_output(name))
            yield name, _flat(name, values, total, () if names is None else names.names)
    if classes is not None:
        for name, values in _names_of(classes, predictions, y_true, total).items():
            yield name, {name: values}


def row_shapes(predictions: Any, y_true: Any) -> dict[str, list[int]]:
    """Name of each array of that table whose rows have several axes → shape of a row."""
    return {
        name: list(values.shape[1:])
        for part, structure in (("y_true", y_true), ("prediction", predictions))
        for name, values in _named(part, structure)
        if isinstance(values, np.ndarray) and values.ndim > 2
    }


def _named(name: str, structure: Any) -> list[tuple[str, Any]]:
    if structure is None:
        return []
    if isinstance(structure, dict):
        return [item for part in structure for item in _named(f"{name}.{part}", structure[part])]
    if isinstance(structure, (list, tuple)):
        return [item for number, part in enumerate(structure) for item in _named(f"{name}.{number}", part)]
    return [(name, structure)]


def _output(column: str) -> str:
    """The output that a column belongs to; empty if there is only one."""
    return column.partition(".")[2]


def _names_of(classes: ClassNumbers, predictions: Any, y_true: Any, total: int) -> dict[str, Any]:
    """The label and what was predicted, as names."""
    table: dict[str, Any] = {}
    for part, structure, named in (("label", y_true, classes.names), ("predicted", predictions, classes.of_columns)):
        for name, values in _named(part, structure):
            names = named.get(_output(name))
            found = None if names is None else names_of_rows(values, names)
            if found is not None:
                table[name] = found[:total]
    return table


def _flat(name: str, values: Any, total: int, names: Sequence[str] = ()) -> dict[str, Any]:
    # Ragged tensors have rows of different lengths, which make no rectangular columns.
    if not isinstance(values, np.ndarray):
        return {name: [np.asarray(row).tolist() for row in values[:total]]}
    values = values[:total]
    if values.ndim == 1:
        return {name: values}
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == 1:
        return {name: flat[:, 0]}
    every = names if len(names) == flat.shape[1] else range(flat.shape[1])
    return {f"{name}_{one}": flat[:, number] for number, one in enumerate(every)}
