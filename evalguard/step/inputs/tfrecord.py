"""Open TFRecord files as a stream."""

from __future__ import annotations

import glob
import os
from typing import Any

import numpy as np

from evalguard.data.tables import existing
from evalguard.errors import ConfigError
from evalguard.labels.labels import Labels
from evalguard.step.config.data_sections import Feature, TFRecord
from evalguard.step.inputs.images import pixels, scale
from evalguard.step.inputs.stream import InputContext, InputStream, key_entry, lookup, without_target

NO_LABEL = "(a key that no label has)"


def open_tfrecord(data: TFRecord, context: InputContext) -> InputStream:
    """A stream over the examples of TFRecord files."""
    import tensorflow as tf

    where = context.where
    unknown = [name for name in (*data.inputs, data.target) if name is not None and name not in data.features]
    if unknown:
        msg = f"{where}: expected {unknown[0]!r} among features, found {', '.join(data.features) or 'none'}"
        raise ConfigError(msg)
    paths = _record_files(data, context)
    key = key_entry(data.key, [], context)
    wanted = [*data.inputs, *([data.target] if data.target is not None else [])]
    spec = {name: _feature(data.features[name]) for name in wanted}
    number = None
    if key is not None and context.labels is not None:
        number = _numbering(context.labels)
        text = data.features[key].dtype == "string" if key in data.features else True
        spec[key] = tf.io.FixedLenFeature([], tf.string if text else tf.int64)

    def parse(record: Any) -> Any:
        found = tf.io.parse_single_example(record, spec)
        inputs = {name: _value(found[name], data.features[name]) for name in data.inputs}
        x = inputs if len(inputs) > 1 else inputs[data.inputs[0]]
        y = None if data.target is None else _value(found[data.target], data.features[data.target])
        if number is None:
            return x if y is None else (x, y)
        name = found[key]
        row = number.lookup(name if name.dtype == tf.string else tf.strings.as_string(name))
        return (x, row) if y is None else (x, y, row)

    # As bytes, because TensorFlow refuses text with the parts of a file name that are not UTF-8.
    records = tf.data.TFRecordDataset([os.fsencode(path) for path in paths], compression_type=data.compression)
    dataset = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(context.batch_size)
    if number is None or context.labels is None or context.labels.keys is None:
        return InputStream(dataset.prefetch(tf.data.AUTOTUNE))
    if data.target is None:
        dataset = dataset.map(without_target)
    keys = np.concatenate([context.labels.keys.astype(np.str_), [NO_LABEL]])  # row -1 is a key that no label has
    return InputStream(dataset.prefetch(tf.data.AUTOTUNE), lookup(keys))


def _record_files(data: TFRecord, context: InputContext) -> list[str]:
    """The files that are named, and those that match a pattern, in reading order.

    Raises:
        ConfigError: A name or pattern gives no file, or a pattern also matches a folder.
    """
    patterns = [data.tfrecord] if isinstance(data.tfrecord, str) else data.tfrecord
    where, what = f"{context.where}.tfrecord", "TFRecord files"
    paths: list[str] = []
    for pattern in patterns:
        path = context.base / pattern
        # The name of a file may contain the characters of a pattern, and so may the folder of the step file.
        if path.is_file():
            paths.append(str(path))
            continue
        found = [context.base / name for name in sorted(glob.glob(pattern, root_dir=context.base))]
        # With no match, this names the pattern.
        paths += [str(existing(each, where, what)) for each in found or [path]]
    return paths


def _numbering(labels: Labels) -> Any:
    """A TensorFlow table from key to label row; -1 for a key that no label has."""
    import tensorflow as tf

    names = np.asarray(labels.keys).astype(np.str_)
    rows = tf.lookup.KeyValueTensorInitializer(tf.constant(names.tolist()), tf.range(len(names), dtype=tf.int64))
    return tf.lookup.StaticHashTable(rows, default_value=-1)


def _feature(spec: Feature) -> Any:
    import tensorflow as tf

    if spec.encoding != "values" or spec.dtype == "string":
        return tf.io.FixedLenFeature([] if spec.encoding != "values" else spec.shape, tf.string)
    return tf.io.FixedLenFeature(spec.shape, tf.float32 if spec.dtype.startswith("float") else tf.int64)


def _value(found: Any, spec: Feature) -> Any:
    import tensorflow as tf

    if spec.encoding == "image":
        return pixels(found, spec)
    if spec.encoding == "raw":
        found = tf.reshape(tf.io.decode_raw(found, tf.as_dtype(spec.dtype)), spec.shape)
    value = found if spec.dtype == "string" else tf.cast(found, tf.as_dtype(spec.dtype))
    return value if spec.rescale is None else value * scale(spec.rescale)
