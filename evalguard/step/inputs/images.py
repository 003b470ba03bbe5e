"""Open image files as a stream of decoded images."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.plural import at_rows
from evalguard.core.shown_keys import hidden, shown_key
from evalguard.data.tables import column_of, image_files, names_of, read_table
from evalguard.errors import ConfigError
from evalguard.step.config.data_sections import Feature, ImageDirectory, Images
from evalguard.step.inputs.stream import InputContext, InputStream, lookup, without_target

CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}


def open_images(data: Images, context: InputContext) -> InputStream:
    """A stream over the image files that a table lists."""
    path = context.base / data.images
    where = f"{context.where}.images"
    table = read_table(path, where, (data.column, data.key))
    files = column_of(table, data.column, where).astype(np.str_)
    root = context.base / data.root if data.root is not None else path.parent
    missing = [row for row, name in enumerate(files) if not (root / name).is_file()]
    if missing:
        name = str(files[missing[0]])
        first = shown_key(name) if hidden() else root / name
        msg = f"{where}: expected the listed files, found no file {at_rows(missing)}; the first: {first}"
        raise ConfigError(msg)
    target = None if data.target is None else column_of(table, data.target, where)
    named = data.key or data.column
    names = names_of(column_of(table, named, where), named, where) if context.keyed else None
    return _decoded([str(root / name) for name in files], target, names, data, context)


def open_image_directory(data: ImageDirectory, context: InputContext) -> InputStream:
    """A stream over the image files below a folder."""
    folder = context.base / data.image_directory
    files = image_files(folder, f"{context.where}.image_directory")
    names = np.array(files) if context.keyed else None
    return _decoded([str(folder / name) for name in files], None, names, data, context)


def _decoded(
    paths: list[str], y: Any, names: NDArray[Any] | None, spec: Images | ImageDirectory, context: InputContext
) -> InputStream:
    import tensorflow as tf

    rows = np.arange(len(paths), dtype=np.int64)
    # As bytes, because TensorFlow refuses text with the parts of a file name that are not UTF-8.
    encoded = [os.fsencode(path) for path in paths]
    columns = (encoded, *([] if y is None else [y]), *([] if names is None else [rows]))

    def load(path: Any, *rest: Any) -> Any:
        image = pixels(tf.io.read_file(path), spec)
        return (image, *rest) if rest else image

    dataset = tf.data.Dataset.from_tensor_slices(columns).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(context.batch_size)
    if names is not None and y is None:
        dataset = dataset.map(without_target)
    return InputStream(dataset.prefetch(tf.data.AUTOTUNE), lookup(names), n_rows=len(paths))


def pixels(encoded: Any, spec: Images | ImageDirectory | Feature) -> Any:
    """An image, float32, shape ``(height, width, channels)``: decoded, resized, then rescaled.

    It is decoded and resized as in ``keras.utils.image_dataset_from_directory``.
    """
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
    """A factor as a number; it may be a fraction such as ``1/255``."""
    if isinstance(given, str):
        over, _, under = given.partition("/")
        return float(over) / float(under)
    return given
