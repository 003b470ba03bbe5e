"""Compare two tables: find the label row of each row of predictions.

One way for tables of every size: keys are read some rows at a time into DuckDB,
which joins them inside a memory limit.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.diagnosis.catalogue import reader
from evalguard.core.label_table import normal_keys
from evalguard.core.policy import Order, Require
from evalguard.core.report import Report
from evalguard.core.shown_keys import keys_shown
from evalguard.data.stored_keys import KeyedFile, StoredKeys, key_store
from evalguard.data.tables import TableFile, column_of, existing, features, read_arrays, read_table
from evalguard.errors import ConfigError, LabelsError
from evalguard.guards.check import check
from evalguard.labels.labels import Labels

# So many keys show whether they are numbers with zeros before them.
MANY_KEYS = 1000
FILES = "a CSV, Parquet, JSONL, Arrow or .npy file"


@dataclass(frozen=True, slots=True)
class TableCheck:
    """Two files to compare, and the options.

    Attributes:
        predictions: File of predictions.
        labels: File of labels.
        key: Column in both with the key of each sample.
        labels_key: Key column of the labels, if it has another name.
        index: Column of the predictions with the label row; None for a
            ``.npy`` file of row numbers.
        label: Column with the labels.
        require: As for ``evalguard.guard``.
        padding: As for ``evalguard.guard``.
        order: As for ``evalguard.check``.
        prediction: Columns of the predictions: what was predicted, for ``metrics``.
        metrics: As for ``evalguard.guard``.
        name: Name of the evaluation in the report.
        show_keys: As for ``evalguard.guard``.
    """

    predictions: Path
    labels: Path
    key: str | None = None
    labels_key: str | None = None
    index: str | None = None
    label: str | None = None
    require: Require = "declared"
    padding: Any = "forbid"
    order: Order = "same"
    prediction: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    name: str = "check"
    show_keys: bool = True


def compare(table_check: TableCheck) -> Report:
    """Judge two tables.

    Raises:
        ConfigError: The file of predictions, or an option, cannot be used.
        LabelsError: The labels cannot be used.
    """
    with keys_shown(table_check.show_keys):
        report = _compared(table_check)
    notes = report.not_proven
    if report.counts["label_disagreements"]:
        label = table_check.label
        notes += (
            f"column {label!r} of PREDICTIONS was compared with that of LABELS; if it is what was predicted, name it: "
            f"--prediction {label}",
        )
    advice = report.advice and report.advice.replace("order='any'", "--order any")
    source = {**report.source, "place": str(table_check.predictions)}
    return replace(report, source=source, not_proven=notes, advice=advice)


def _compared(q: TableCheck) -> Report:
    array = q.predictions.suffix.lower() == ".npy"
    if (q.key is None) == (q.index is None) and not (array and q.index is None):
        msg = "check: expected one of `--key` and `--index`"
        raise ConfigError(msg)
    if q.labels_key is not None and q.key is None:
        msg = "check: expected `--key` with `--labels-key`, found no `--key`"
        raise ConfigError(msg)
    existing(q.predictions, "PREDICTIONS", FILES)
    existing(q.labels, "LABELS", FILES, LabelsError)
    if q.metrics and (array or not q.prediction):
        msg = "check: expected `--prediction COLUMN` with `--metric`, for a table of predictions"
        raise ConfigError(msg)
    options: Any = {"require": q.require, "padding": q.padding, "name": q.name, "show_keys": q.show_keys}
    options |= {"order": q.order, "targets": None if array else _targets(q)}
    if q.metrics:
        options |= {"predictions": _predictions(q), "metrics": q.metrics}
    if q.key is not None:
        with key_store() as store:
            keys, labels = _keys(q, store), _labels(q, store)
            return check(keys=keys, labels=_in_terms(labels, q), **options)
    rows = read_arrays(q.predictions, "PREDICTIONS") if array else _column(q.predictions, str(q.index))
    labels = Labels.read(q.labels, label=q.label)
    if labels.keys is None and rows.dtype.kind not in "iu":
        msg = f"PREDICTIONS: expected row numbers of the labels in {q.index or q.predictions}, found {rows.dtype}"
        raise ConfigError(msg)
    rows_as: Any = {"indices": rows} if labels.keys is None else {"keys": rows}
    return check(**rows_as, labels=_in_terms(labels, q), **options)


def _in_terms(labels: Labels, q: TableCheck) -> Labels:
    """The labels, for fixes in the terms of the command."""
    text = _as_text(labels, q)
    given = {"--key": q.key, "--labels-key": q.labels_key, "--index": q.index, "--label": q.label}
    terms = {
        "in": "command",
        "predictions": shlex.quote(q.predictions.name),
        "predictions_key": q.key or q.index or "row",
        "read_predictions": reader(q.predictions.name, q.key or q.index or "row", text and str(q.key)),
        "read_labels": reader(q.labels.name, "label", text),
        "options": "".join(f" {option} {shlex.quote(value)}" for option, value in given.items() if value is not None),
    }
    return replace(labels, origin=replace(labels.origin, terms=terms))


def _as_text(labels: Labels, q: TableCheck) -> str:
    """The column of keys, if pandas would read them as other numbers: ``007`` as 7; else empty."""
    if q.key is None or labels.keys is None or labels.keys.dtype.kind != "U":
        return ""
    some = (str(key) for key in labels.keys[: min(len(labels.keys), MANY_KEYS)])
    return q.labels_key or q.key if any(key.isdecimal() and str(int(key)) != key for key in some) else ""


def _keys(q: TableCheck, store: Any) -> Any:
    """The key of each prediction."""
    where = "PREDICTIONS"
    if q.predictions.suffix.lower() == ".npy":
        return _stored(read_arrays(q.predictions, where), store, "predicted", where)
    keys = KeyedFile(store, "predicted", q.predictions, where, (q.key,)).keys(str(q.key))
    if not len(keys):
        msg = f"{where}: expected at least one row in {q.predictions}, found none"
        raise ConfigError(msg)
    return keys


def _labels(q: TableCheck, store: Any) -> Labels:
    """The labels, with their keys in the store."""
    key, name = q.labels_key or q.key, q.labels.name
    if q.labels.suffix.lower() == ".npy":
        return Labels.read(q.labels, label=q.label, key=key)
    labels = Labels.of(KeyedFile(store, "labelled", q.labels, name, (key,), LabelsError), label=q.label, key=key)
    if isinstance(labels.keys, np.ndarray):  # of a manifest
        labels = replace(labels, keys=_stored(labels.keys, store, "labelled", name))
    return labels


def _stored(keys: NDArray[Any], store: Any, table: str, where: str) -> Any:
    import pyarrow as pa

    return StoredKeys(store, table, [pa.array(normal_keys(keys, where).tolist())], where)


def _targets(q: TableCheck) -> NDArray[Any] | None:
    """The labels beside the predictions: a column with the name of the labels, that is not what was predicted."""
    if q.label is None or q.label in q.prediction:
        return None
    beside = TableFile(q.predictions, "PREDICTIONS", (q.key,))
    return _column(q.predictions, q.label) if q.label in beside.schema.names else None


def _predictions(q: TableCheck) -> NDArray[Any]:
    """One column unchanged; several as the columns of one array."""
    if len(q.prediction) == 1:
        return _column(q.predictions, q.prediction[0])
    return features(read_table(q.predictions, "PREDICTIONS", (), *q.prediction), q.prediction, "float32", "PREDICTIONS")


def _column(path: Path, name: str) -> NDArray[Any]:
    return column_of(read_table(path, "PREDICTIONS", (), name), name, "PREDICTIONS")
