"""Compare two tables: find the label row of each row of predictions.

Small files are read completely. Large files are streamed: memory holds only the
64-bit digest of each key, eight bytes per row. If the digests are in order, the
keys are then compared as text, so a PASS never depends on digests alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import equal
from evalguard.core.columns.run_length import RunLengthColumn
from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy, Require
from evalguard.core.report import Report
from evalguard.core.trace import FOREIGN, UNKNOWN, Trace
from evalguard.data.tables import column_of, existing, features, read_arrays, read_table, shown_rows
from evalguard.errors import ConfigError, LabelsError
from evalguard.guards.check import check
from evalguard.labels.labels import Labels
from evalguard.labels.streamed_digest import CHUNK, batches, labels_digest

# If both files together are larger, the rows are streamed.
STREAM_BYTES = 256 << 20
# Number of hash seeds to try until no two keys have the same digest.
SEEDS = 4
UInt64 = NDArray[np.uint64]


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
        prediction: Columns of the predictions, for ``metrics``.
        metrics: As for ``evalguard.guard``.
        name: Name of the evaluation in the report.
    """

    predictions: Path
    labels: Path
    key: str | None = None
    labels_key: str | None = None
    index: str | None = None
    label: str | None = None
    require: Require = "declared"
    padding: Any = "forbid"
    prediction: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    name: str = "check"


def compare(table_check: TableCheck) -> Report:
    """Judge two tables.

    Raises:
        ConfigError: The file of predictions, or an option, cannot be used.
        LabelsError: The labels cannot be used.
    """
    q = table_check
    array = q.predictions.suffix.lower() == ".npy"
    if (q.key is None) == (q.index is None) and not (array and q.index is None):
        msg = "check: expected one of `--key` and `--index`"
        raise ConfigError(msg)
    if q.labels_key is not None and q.key is None:
        msg = "check: expected `--key` with `--labels-key`, found no `--key`"
        raise ConfigError(msg)
    existing(q.predictions, "PREDICTIONS", "a CSV, Parquet, JSONL, Arrow or .npy file")
    if not q.labels.is_file():
        msg = f"LABELS: expected a CSV, Parquet, JSONL, Arrow or .npy file at {q.labels}, found none there"
        raise LabelsError(msg)
    size = q.predictions.stat().st_size + q.labels.stat().st_size
    if bool(q.metrics) != bool(q.prediction) or (q.metrics and array):
        msg = "check: expected `--metric` and `--prediction COLUMN` together, for a table of predictions"
        raise ConfigError(msg)
    # A metric needs the predictions themselves, so the table is read completely.
    if q.key is not None and not array and not q.metrics and size > STREAM_BYTES:
        return _check_streamed(q)
    rows = read_arrays(q.predictions, "PREDICTIONS") if array else _column(q)
    table = Labels.read(q.labels, label=q.label, key=q.labels_key or q.key)
    if table.keys is None and rows.dtype.kind not in "iu":
        msg = f"PREDICTIONS: expected row numbers of the labels in {q.index or q.predictions}, found {rows.dtype}"
        raise ConfigError(msg)
    predictions = _predictions(q) if q.metrics else None
    rows_as: Any = {"indices": rows} if table.keys is None else {"keys": rows}
    options: Any = {"require": q.require, "padding": q.padding, "name": q.name}
    return check(**rows_as, labels=table, predictions=predictions, metrics=q.metrics or None, **options)


def _predictions(q: TableCheck) -> NDArray[Any]:
    """One column unchanged; several as the columns of one array."""
    table = read_table(q.predictions, "PREDICTIONS", (q.key,))
    if len(q.prediction) == 1:
        return column_of(table, q.prediction[0], "PREDICTIONS")
    return features(table, q.prediction, "float32", "PREDICTIONS")


def _column(q: TableCheck) -> NDArray[Any]:
    table = read_table(q.predictions, "PREDICTIONS", (q.key,))
    return column_of(table, q.key or q.index or "", "PREDICTIONS")


# -- streams -----------------------------------------------------------------------


class _Collision(Exception):  # noqa: N818 - not an error: the next seed is tried
    """Two different keys have the same digest."""


def _check_streamed(q: TableCheck) -> Report:
    for seed in range(SEEDS):
        with contextlib.suppress(_Collision):
            return _check_by_digests(q, seed)
    msg = f"check: expected keys with different 64-bit digests, found two equal ones under each of {SEEDS} seeds"
    raise ConfigError(msg)


def _check_by_digests(q: TableCheck, seed: int) -> Report:
    key, labels_key = str(q.key), q.labels_key or str(q.key)
    labelled, predicted = _unique_digests(q.labels, labels_key, seed), _digests(q.predictions, key, "PREDICTIONS", seed)
    n_rows, n_labels = len(predicted), len(labelled)
    aligned = equal(predicted, labelled)
    if aligned and not _same_text(q, key, labels_key):
        raise _Collision
    index: Any = RunLengthColumn.of(range(n_labels)) if aligned else _samples(predicted, labelled)
    tags = RunLengthColumn(step=0)
    tags.extend_run(UNKNOWN, n_rows)
    trace = Trace(n_rows, tags, index=index, method="check")
    digest = labels_digest(q.labels, q.label, labels_key)
    # From here on only row numbers are judged; the digests take 16 bytes per row.
    del predicted, labelled
    table = LabelTable(values=np.broadcast_to(np.int8(0), n_labels), name=q.labels.name)
    report = judge(trace, table, Policy(require=q.require, padding=q.padding), name=q.name).report
    return _with_keys(replace(report, labels={**report.labels, "digest": digest}), q, key, labels_key)


def _texts(column: Any, where: str, start: int) -> Any:
    """The keys as text; a missing key is an error."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        rows = start + np.flatnonzero(np.asarray(column.is_null()))
        msg = f"{where}: every row needs a key; rows {shown_rows(rows)} have none"
        raise LabelsError(msg) if where == "LABELS" else ConfigError(msg)
    texts = column.cast(pa.large_string())
    nameless = np.flatnonzero(np.asarray(pc.equal(texts, "")))
    if where == "LABELS" and len(nameless):
        msg = f"{where}: every row needs a key; rows {shown_rows(start + nameless)} have none"
        raise LabelsError(msg)
    return texts


def _digests(path: Path, key: str, where: str, seed: int) -> UInt64:
    import pyarrow as pa
    import xxhash

    found = bytearray()  # grows in place
    start = 0
    for column in batches(path, key, where, CHUNK):
        texts = _texts(column, where, start).cast(pa.large_binary()).to_pylist()
        start += len(texts)
        digests = (xxhash.xxh3_64_intdigest(text, seed) for text in texts)
        found += np.fromiter(digests, dtype=np.uint64, count=len(texts)).tobytes()
    return np.frombuffer(found, dtype=np.uint64)


def _unique_digests(path: Path, key: str, seed: int) -> UInt64:
    """Digests of the labels' keys.

    Raises:
        LabelsError: There is no label, or a key occurs twice.
    """
    found = _digests(path, key, "LABELS", seed)
    if not len(found):
        msg = f"LABELS: expected at least one label in {path}, found none. An empty label set proves nothing."
        raise LabelsError(msg)
    arranged = np.sort(found)
    twice = arranged[1:][arranged[1:] == arranged[:-1]]
    del arranged
    if not len(twice):
        return found
    rows = np.flatnonzero(found == twice[0])
    texts = _texts_at(path, key, rows)
    if len(set(texts.values())) == len(rows):
        raise _Collision
    msg = (
        f"LABELS: expected each key once in {path}; {len(np.unique(twice))} keys are repeated, the first is "
        f"{next(iter(texts.values()))[:80]!r} at rows {shown_rows(rows)}. Choose a column that names each sample."
    )
    raise LabelsError(msg)


def _samples(predicted: UInt64, labelled: UInt64) -> NDArray[np.int64]:
    """Label row of each prediction, computed in chunks."""
    order = np.argsort(labelled)
    samples = np.full(len(predicted), FOREIGN, dtype=np.int64)
    for start in range(0, len(predicted), CHUNK):
        part = predicted[start : start + CHUNK]
        at = np.searchsorted(labelled, part, sorter=order)
        found = order[np.minimum(at, len(labelled) - 1)]
        samples[start : start + CHUNK] = np.where(labelled[found] == part, found, FOREIGN)
    return samples


def _same_text(q: TableCheck, key: str, labels_key: str) -> bool:
    """Whether both files contain the same keys in the same order."""
    ours, theirs = _pieces(q.predictions, key, "PREDICTIONS"), _pieces(q.labels, labels_key, "LABELS")
    left, right = next(ours, None), next(theirs, None)
    while left is not None and right is not None:
        common = min(len(left), len(right))
        if not left.slice(0, common).equals(right.slice(0, common)):
            return False
        left = left.slice(common) if common < len(left) else next(ours, None)
        right = right.slice(common) if common < len(right) else next(theirs, None)
    return left is None and right is None


def _pieces(path: Path, key: str, where: str) -> Iterator[Any]:
    return (_texts(column, where, 0) for column in batches(path, key, where, CHUNK) if len(column))


def _texts_at(path: Path, key: str, rows: Any) -> dict[int, str]:
    """The keys of some rows."""
    labelled = np.unique(np.asarray(rows, dtype=np.int64))
    found: dict[int, str] = {}
    start = 0
    for column in batches(path, key, "LABELS", CHUNK):
        for row in labelled[(labelled >= start) & (labelled < start + len(column))].tolist():
            found[row] = str(column[row - start].as_py())
        start += len(column)
    return found


def _with_keys(report: Report, q: TableCheck, key: str, labels_key: str) -> Report:
    """The report with the proof `key` and the keys of the first wrong rows."""
    identities = tuple({**item, "identity": "key"} for item in report.identities)
    report = replace(report, identities=identities)
    if not report.wrong_rows:
        return report
    rows = [entry["row"] for entry in report.wrong_rows]
    labels = [entry["label"] for entry in report.wrong_rows if entry["label"] is not None]
    predicted, labelled = _texts_at(q.predictions, key, rows), _texts_at(q.labels, labels_key, labels)
    named = []
    for entry in report.wrong_rows:
        more = {"sample_key": predicted[entry["row"]]}
        if entry["label"] is not None:
            more["label_key"] = labelled[entry["label"]]
        named.append({**entry, **more})
    return replace(report, wrong_rows=tuple(named))
