"""Open arrays and tables as a stream, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.shown_keys import cause_of, message_of
from evalguard.data.tables import column_of, features, names_of, read_arrays, read_table
from evalguard.errors import ConfigError
from evalguard.step.config.data_sections import Arrays, Table
from evalguard.step.inputs.stream import InputContext, InputStream, key_entry, lookup, without_target


def open_arrays(data: Arrays, context: InputContext) -> InputStream:
    """A stream over the arrays of a ``.npy`` or ``.npz`` file."""
    path = context.base / data.arrays
    loaded = read_arrays(path, f"{context.where}.arrays")
    if isinstance(loaded, np.ndarray):
        _refuse_options(data, context, path)
        _refuse_lengths({"": loaded}, context, path)
        return _in_memory(loaded, None, None, context)
    used = data.inputs or [name for name in loaded if name not in {data.key, data.target}]
    if not data.inputs and "x" in loaded:
        used = ["x"]
    names = [name for name in (*used, data.key, data.target) if name is not None]
    absent = [name for name in names if name not in loaded]
    if absent:
        known = ", ".join(map(repr, loaded))
        msg = f"{context.where}: expected an array {absent[0]!r} in {path}, found {known}"
        raise ConfigError(msg)
    _refuse_lengths({name: loaded[name] for name in names}, context, path)
    inputs = {name: loaded[name] for name in used}
    if len(inputs) > 1 and not data.inputs:
        msg = f"{context.where}.inputs: {path} holds {', '.join(map(repr, inputs))}; name the model's inputs"
        raise ConfigError(msg)
    x = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    key = key_entry(data.key, list(loaded), context)
    names_ = None if key is None else names_of(np.asarray(loaded[key]), key, f"{context.where}.key")
    return _in_memory(x, None if data.target is None else loaded[data.target], names_, context)


def _refuse_options(data: Arrays, context: InputContext, path: Path) -> None:
    for option in ("inputs", "key", "target"):
        if getattr(data, option) is not None:
            msg = f"{context.where}.{option}: expected a .npz file with named arrays for it, found {path}"
            raise ConfigError(msg)
    key_entry(None, [], context)


def _refuse_lengths(arrays: Mapping[str, NDArray[Any]], context: InputContext, path: Path) -> None:
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        found = f"found {lengths}" if len(lengths) > 1 else "found a scalar"
        msg = f"{context.where}: expected as many rows in each array of {path}, {found}"
        raise ConfigError(msg)
    if 0 in lengths.values():
        msg = f"{context.where}: expected at least one row in {path}, found none"
        raise ConfigError(msg)


def open_table(data: Table, context: InputContext) -> InputStream:
    """A stream over the columns of a table."""
    path = context.base / data.table
    where = f"{context.where}.table"
    table = read_table(path, where, (data.key, context.label_key))
    key = key_entry(data.key, table.column_names, context)
    names = None if key is None else names_of(column_of(table, key, where), key, where)
    same = {key, data.key, data.target, context.label_key, *context.label_columns}
    groups = data.columns if data.columns is not None else [name for name in table.column_names if name not in same]
    if isinstance(groups, dict):
        x: Any = {name: features(table, columns, data.dtype, where) for name, columns in groups.items()}
    else:
        x = features(table, groups, data.dtype, where)
    target = None if data.target is None else column_of(table, data.target, where)
    return _in_memory(x, target, names, context)


def _in_memory(x: Any, y: Any, names: NDArray[Any] | None, context: InputContext) -> InputStream:
    parts = x if isinstance(x, dict) else {"": x}
    n_rows = len(next(iter(parts.values())))
    if y is None and names is None:
        return InputStream(x, n_rows=n_rows)
    import tensorflow as tf

    columns = (x, *([] if y is None else [y]), *([] if names is None else [np.arange(n_rows, dtype=np.int64)]))
    try:
        dataset = tf.data.Dataset.from_tensor_slices(columns).batch(context.batch_size)
    except (TypeError, ValueError) as error:
        found = f"found: {message_of(error).rstrip('.')}"
        msg = f"{context.where}: expected numbers or text that TensorFlow can read, {found}. Convert inputs and target"
        raise ConfigError(msg) from cause_of(error)
    return InputStream(dataset if y is not None else dataset.map(without_target), lookup(names), n_rows=n_rows)
