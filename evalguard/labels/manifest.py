"""Manifests: labels with their keys, weights and fingerprints as a Parquet or Arrow file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.files import whole_file
from evalguard.core.label_table import LabelTable, Values
from evalguard.core.shown_keys import cause_of, error_text, message_of
from evalguard.data.arrow import array_of_column, column_of, is_arrow, write_arrow
from evalguard.data.fingerprint import ALGORITHM
from evalguard.data.tables import TableFile
from evalguard.errors import LabelsError

MANIFEST_VERSION = 1
# Key of a manifest among the metadata of a Parquet or Arrow file.
METADATA = b"evalguard"
WEIGHT = "sample_weight"
FINGERPRINTS = frozenset({"fingerprint", "fingerprint_float64"})
AGAIN = "Write it again with Labels.collect(...).save(...)"


def write(labels: LabelTable, path: Path) -> None:
    """Write key, label, fingerprint and weight of each sample; see ``Labels.save``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    mappable = is_arrow(path)
    labelled, weighted = _named(labels.values, "label"), _named(labels.weights, WEIGHT)
    arrays = {} if labels.keys is None else {"key": labels.keys}
    columns: dict[str, Any] = {}
    for name, array in {**arrays, **labelled, **weighted}.items():
        try:
            columns[name] = column_of(array, mappable=mappable)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            found = f"found {array.dtype}: {message_of(error)}"
            msg = f"{labels.name}, column {name!r}: expected values that a table can hold, {found}. Convert them first"
            raise LabelsError(msg) from cause_of(error)
    if labels.fingerprints is not None:
        columns["fingerprint"] = pa.array(labels.fingerprints, type=pa.uint64())
    if labels.float64_fingerprints is not None:
        columns["fingerprint_float64"] = pa.array(labels.float64_fingerprints, type=pa.uint64())
    about = {
        "manifest_version": MANIFEST_VERSION,
        "algorithm": ALGORITHM,
        "spec": list(labels.spec),
        "name": labels.name,
        "ambiguous": labels.ambiguous,
        **_forms(labelled),
        # Stored apart, so that an older version does not take the weights for labels.
        **({"weights": _forms(weighted)} if weighted else {}),
    }
    table = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about, sort_keys=True).encode()})
    if mappable:
        write_arrow(table, path)
    else:
        with whole_file(path) as stream:
            pq.write_table(table, stream)


def _named(values: Values | None, column: str) -> dict[str, NDArray[Any]]:
    """Arrays by the name of their column: ``column`` for one array, ``column.part`` for each part of a mapping."""
    if isinstance(values, Mapping):
        return {f"{column}.{part}": array for part, array in values.items()}
    return {} if values is None else {column: values}


def _forms(arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {
        "shapes": {name: [int(size) for size in array.shape[1:]] for name, array in arrays.items()},
        "dtypes": {name: str(array.dtype) for name, array in arrays.items()},
    }


def _arrays(table: Any, forms: dict[str, Any], column: str) -> Values | None:
    """The array or mapping from which ``_named`` made columns."""
    found = {
        name.removeprefix(column).removeprefix("."): array_of_column(table[name], forms["dtypes"][name], tuple(shape))
        for name, shape in forms["shapes"].items()
    }
    # One unnamed column is an array, named ones are a mapping.
    return found.get("", found) if found else None


def read(path: Path) -> LabelTable:
    """Read the labels that ``write`` wrote; see ``Labels.load``."""
    file = TableFile(path, path.name, error=LabelsError) if path.is_file() else None
    if file is None or not is_manifest(file.schema):
        msg = f"manifest {path}: expected a file written by Labels.save, found {'another' if file else 'none there'}"
        raise LabelsError(msg)
    return from_arrow(file.read(), path)


def is_manifest(schema: Any) -> bool:
    """Whether the table with this Arrow schema was written as a manifest."""
    return METADATA in (schema.metadata or {})


def from_arrow(table: Any, path: Path) -> LabelTable:
    """The labels in a manifest's table.

    Raises:
        LabelsError: The manifest was made by another algorithm or schema, or is damaged.
    """
    try:
        about = json.loads(table.schema.metadata[METADATA])
        expected = {"manifest_version": MANIFEST_VERSION, "algorithm": ALGORITHM}
        found = {name: about.get(name) for name in expected}
        if found == expected:
            return _labels(table, about)
    except Exception as error:  # noqa: BLE001 - each entry may be missing, of another type, or contradict the columns
        damage = f"damaged metadata or columns ({error_text(error)})"
        msg = f"manifest {path}: expected what Labels.save wrote, found {damage}. {AGAIN}"
        raise LabelsError(msg) from cause_of(error)
    msg = f"manifest {path}: expected {expected}, found {found}. {AGAIN}"
    raise LabelsError(msg)


def _labels(table: Any, about: dict[str, Any]) -> LabelTable:
    weights = about.get("weights", {"shapes": {}})
    formed = about["shapes"].keys() | weights["shapes"].keys()
    others = {name: array_of_column(table[name]) for name in table.column_names if name not in formed}
    for name in FINGERPRINTS & others.keys():
        if others[name].dtype != np.uint64:
            msg = f"a column {name} of {others[name].dtype}"
            raise TypeError(msg)
    spec, name, ambiguous = about["spec"], about["name"], about["ambiguous"]
    if not (isinstance(name, str) and isinstance(ambiguous, bool) and all(isinstance(part, str) for part in spec)):
        msg = f"spec {spec!r}, name {name!r}, ambiguous {ambiguous!r}"
        raise TypeError(msg)
    return LabelTable(
        values=_arrays(table, about, "label"),
        keys=others.get("key"),
        fingerprints=others.get("fingerprint"),
        spec=tuple(spec),
        name=name,
        ambiguous=ambiguous,
        float64_fingerprints=others.get("fingerprint_float64"),
        weights=_arrays(table, weights, WEIGHT),
    )
