"""The data that a step file names, as Keras is fed it, each row with its name where it has one.

A name rides in the third place of a batch, that of the sample weight, which
``predict`` leaves alone: as a number that stands for it, because XLA, which
compiles most models, takes no text.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.data.tables import column_of, existing, features, image_files, names_of, read_arrays, read_table, shown
from evalguard.errors import ConfigError
from evalguard.labels.labels import Labels
from evalguard.step.config.step_file import Arrays, Call, Data, Feature, ImageDirectory, Images, Table, TFRecord
from evalguard.step.imports import called

# Model.predict's own default (keras 3.15, trainer.py).
BATCH_SIZE = 32
CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
NO_LABEL = "(a key that no label has)"


@dataclass(frozen=True, slots=True)
class Stream:
    """What ``predict`` is given.

    Attributes:
        source: The data.
        key: Gives the names of a batch's rows, or None where they have none.
        ours: Made here, in batches of the size asked for; not by the user's function.
        n_rows: Number of rows, where that is known.
    """

    source: Any
    key: Callable[[Any], Any] | None = None
    ours: bool = True
    n_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream is described, and for what.

    Attributes:
        base: Folder that paths are relative to.
        where: Key path of the section, for messages.
        batch_size: Rows in a batch.
        labels: The labels that rows are to be found in; None where names are
            of no use.
        label_key: Column of the labels that names each sample.
        label_columns: Columns with the labels; where data and labels are one
            table, they are no features.
    """

    base: Path
    where: str = "data"
    batch_size: int = BATCH_SIZE
    labels: Labels | None = None
    label_key: str | None = None
    label_columns: tuple[str, ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether the labels can be told apart by name."""
        return self.labels is not None and self.labels.keys is not None


def open_data(data: Data, place: Place) -> Stream:
    """The stream that a ``data`` section describes.

    Raises:
        ConfigError: It cannot be made.
    """
    if isinstance(data, Call):
        return Stream(called(data, place.where), ours=False)
    makers: Mapping[type, Callable[[Any, Place], Stream]] = {
        Arrays: _arrays,
        Table: _table,
        Images: _images,
        ImageDirectory: _image_directory,
        TFRecord: _tfrecord,
    }
    return makers[type(data)](data, place)


# -- arrays and tables ---------------------------------------------------------


def _arrays(data: Arrays, place: Place) -> Stream:
    path = place.base / data.arrays
    loaded = read_arrays(path, f"{place.where}.arrays")
    if isinstance(loaded, np.ndarray):
        _refuse_options(data, place, path)
        return _in_memory(loaded, None, None, place)
    used = [data.inputs] if data.inputs else [[name for name in loaded if name not in {data.key, data.target}]]
    if data.inputs is None and "x" in loaded:
        used = [["x"]]
    names = [name for name in (*used[0], data.key, data.target) if name is not None]
    absent = [name for name in names if name not in loaded]
    if absent:
        known = ", ".join(map(repr, loaded))
        msg = f"{place.where}: expected an array {absent[0]!r} in {path}, found {known}"
        raise ConfigError(msg)
    _refuse_lengths({name: loaded[name] for name in names}, place, path)
    inputs = {name: loaded[name] for name in used[0]}
    if len(inputs) > 1 and data.inputs is None:
        msg = f"{place.where}.inputs: {path} holds {', '.join(map(repr, inputs))}; name those the model is fed"
        raise ConfigError(msg)
    x = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    key = _key(data.key, list(loaded), place)
    names_ = None if key is None else _distinct(np.asarray(loaded[key]), key, place)
    return _in_memory(x, None if data.target is None else loaded[data.target], names_, place)


def _refuse_options(data: Arrays, place: Place, path: Path) -> None:
    for option in ("inputs", "key", "target"):
        if getattr(data, option) is not None:
            msg = f"{place.where}.{option}: expected a .npz file with named arrays for it, found {path}"
            raise ConfigError(msg)
    _key(None, [], place)


def _refuse_lengths(arrays: Mapping[str, NDArray[Any]], place: Place, path: Path) -> None:
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        msg = f"{place.where}: expected as many rows in each array of {path}, found {lengths}"
        raise ConfigError(msg)


def _distinct(names: NDArray[Any], key: str, place: Place) -> NDArray[Any]:
    import pyarrow as pa

    return names_of(pa.table({key: pa.array(names.tolist())}), key, f"{place.where}.key")


def _table(data: Table, place: Place) -> Stream:
    path = place.base / data.table
    where = f"{place.where}.table"
    table = read_table(path, where, (data.key, place.label_key))
    key = _key(data.key, table.column_names, place)
    names = None if key is None else names_of(table, key, where)
    same = {key, data.key, data.target, place.label_key, *place.label_columns}
    groups = data.columns if data.columns is not None else [name for name in table.column_names if name not in same]
    if isinstance(groups, dict):
        x: Any = {name: features(table, columns, data.dtype, where) for name, columns in groups.items()}
    else:
        x = features(table, groups, data.dtype, where)
    target = None if data.target is None else column_of(table, data.target, where)
    return _in_memory(x, target, names, place)


def _key(given: str | None, known: list[str], place: Place) -> str | None:
    """Where the name of each row stands.

    Raises:
        ConfigError: The labels have names and the data has none, or the
            other way round: then rows would be compared by their place, which
            is not what was asked for.
    """
    key = given if given is not None else (place.label_key if place.label_key in known else None)
    if place.labels is None:
        return None
    if key is None and place.keyed:
        named = f"the labels are named by {place.label_key!r}" if place.label_key else "the labels are named"
        msg = f"{place.where}.key: {named}, the data is not; say what names it, or leave out labels.key"
        raise ConfigError(msg)
    if key is not None and not place.keyed:
        msg = f"{place.where}.key: the rows are named by {key!r}, the labels are not; give labels.key"
        raise ConfigError(msg)
    return key


def _in_memory(x: Any, y: Any, names: NDArray[Any] | None, place: Place) -> Stream:
    parts = x if isinstance(x, dict) else {"": x}
    n_rows = len(next(iter(parts.values())))
    if y is None and names is None:
        return Stream(x, n_rows=n_rows)
    import tensorflow as tf

    rows = np.arange(n_rows, dtype=np.int64)
    if y is None:
        dataset = tf.data.Dataset.from_tensor_slices((x, rows)).batch(place.batch_size).map(_without_target)
    elif names is None:
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(place.batch_size)
    else:
        dataset = tf.data.Dataset.from_tensor_slices((x, y, rows)).batch(place.batch_size)
    return Stream(dataset, _lookup(names), n_rows=n_rows)


def _without_target(x: Any, rows: Any) -> Any:
    return x, None, rows


def _lookup(names: NDArray[Any] | None) -> Callable[[Any], Any] | None:
    return None if names is None else lambda batch: names[batch[2]]


# -- images ----------------------------------------------------------------------


def _images(data: Images, place: Place) -> Stream:
    path = place.base / data.images
    where = f"{place.where}.images"
    table = read_table(path, where, (data.column, data.key))
    files = column_of(table, data.column, where).astype(np.str_)
    root = place.base / data.root if data.root is not None else path.parent
    missing = [row for row, name in enumerate(files) if not (root / name).is_file()]
    if missing:
        first = root / str(files[missing[0]])
        msg = (
            f"{where}: rows {shown(missing)} name files that are not there ({len(missing)} in all), the first: {first}"
        )
        raise ConfigError(msg)
    target = None if data.target is None else column_of(table, data.target, where)
    names = names_of(table, data.key or data.column, where) if place.keyed else None
    return _decoded([str(root / name) for name in files], target, names, data, place)


def _image_directory(data: ImageDirectory, place: Place) -> Stream:
    folder = place.base / data.image_directory
    files = image_files(folder, f"{place.where}.image_directory")
    names = np.array(files) if place.keyed else None
    return _decoded([str(folder / name) for name in files], None, names, data, place)


def _decoded(
    paths: list[str], y: Any, names: NDArray[Any] | None, spec: Images | ImageDirectory, place: Place
) -> Stream:
    import tensorflow as tf

    rows = np.arange(len(paths), dtype=np.int64)
    columns = (paths, rows) if y is None else (paths, y, rows)

    def load(path: Any, *rest: Any) -> Any:
        image = pixels(tf.io.read_file(path), spec)
        if names is None:
            return (image, *rest[:-1]) if y is not None else image
        return (image, *rest)

    dataset = tf.data.Dataset.from_tensor_slices(columns).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(place.batch_size)
    if names is not None and y is None:
        dataset = dataset.map(_without_target)
    return Stream(dataset.prefetch(tf.data.AUTOTUNE), _lookup(names), n_rows=len(paths))


def pixels(encoded: Any, spec: Images | ImageDirectory | Feature) -> Any:
    """An image, float32, as ``keras.utils.image_dataset_from_directory`` decodes and resizes it, then rescaled."""
    import tensorflow as tf

    channels = CHANNELS[spec.color_mode]
    image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
    image.set_shape((None, None, channels))
    if spec.size is not None:
        image = tf.image.resize(image, spec.size, method=getattr(spec, "interpolation", "bilinear"))
    image = tf.cast(image, tf.float32)
    if spec.rescale is not None:
        image = image * scale(spec.rescale)
    offset = getattr(spec, "offset", 0.0)
    return image + offset if offset else image


def scale(given: float | str) -> float:
    """``1/255`` as a number."""
    if isinstance(given, str):
        over, _, under = given.partition("/")
        return float(over) / float(under)
    return given


# -- TFRecord ----------------------------------------------------------------------


def _tfrecord(data: TFRecord, place: Place) -> Stream:
    import tensorflow as tf

    where = place.where
    unknown = [name for name in (*data.inputs, data.target) if name is not None and name not in data.features]
    if unknown:
        msg = f"{where}: expected {unknown[0]!r} among features, found {', '.join(data.features) or 'none'}"
        raise ConfigError(msg)
    paths = _record_files(data, place)
    key = _key(data.key, [], place)
    wanted = [*data.inputs, *([data.target] if data.target is not None else [])]
    spec = {name: _feature(data.features[name]) for name in wanted}
    number = None
    if key is not None and place.labels is not None:
        number = _numbering(place.labels)
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

    records = tf.data.TFRecordDataset(paths, compression_type=data.compression)
    dataset = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(place.batch_size)
    if number is None or place.labels is None or place.labels.keys is None:
        return Stream(dataset.prefetch(tf.data.AUTOTUNE))
    if data.target is None:
        dataset = dataset.map(_without_target)
    keys = np.concatenate([place.labels.keys.astype(np.str_), [NO_LABEL]])  # -1: none of them
    return Stream(dataset.prefetch(tf.data.AUTOTUNE), _lookup(keys))


def _record_files(data: TFRecord, place: Place) -> list[str]:
    patterns = [data.tfrecord] if isinstance(data.tfrecord, str) else data.tfrecord
    paths: list[str] = []
    for pattern in patterns:
        found = sorted(glob.glob(str(place.base / pattern)))
        if not found:
            existing(place.base / pattern, f"{place.where}.tfrecord", "TFRecord files")
        paths += found
    return paths


def _numbering(labels: Labels) -> Any:
    """Label row of each name; -1 for a name that no label has."""
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
