"""Find the models, data and labels at the paths given to ``evalguard init``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalguard.data import arrow
from evalguard.data.tables import IMAGE_SUFFIXES
from evalguard.errors import ConfigError
from evalguard.step.model import remedy

# Suffixes of the files of each kind. A model may also be the folder of a SavedModel; images are found by their folders.
SUFFIXES: dict[str, tuple[str, ...]] = {
    "models": (".keras", ".h5"),
    "tables": (".csv", ".parquet", ".pq", ".jsonl", ".ndjson", *arrow.SUFFIXES),
    "arrays": (".npy", ".npz"),
    "records": (".tfrecord", ".tfrecords"),
    "images": (),
}
ScannedFiles = dict[str, list[Path]]


def scan_paths(paths: Iterable[Path]) -> ScannedFiles:
    """The given files, and those directly in the given folders, by kind; for images, the topmost folders.

    Raises:
        ConfigError: A path does not exist.
    """
    found: ScannedFiles = {kind: [] for kind in SUFFIXES}
    for path in paths:
        if not path.exists():
            msg = f"init: expected a model, a data folder or a table at {path}, found none there"
            raise ConfigError(msg)
        inside = path.is_dir() and not (path / "saved_model.pb").is_file()
        here = [(kind, item) for item in (sorted(path.iterdir()) if inside else [path]) if (kind := _kind(item))]
        # A folder that contains only images, at any depth, is the image folder, and its subfolders are the classes.
        only_images = bool(here) and all(kind == "images" for kind, _ in here)
        if inside and (only_images or _contains_images(path, own=True)):
            here = [*((kind, item) for kind, item in here if kind != "images"), ("images", path)]
        for kind, item in here:
            found[kind].append(item)
    return found


def _kind(item: Path) -> str | None:
    """The kind of a file or folder; None if it is of no known kind."""
    if item.is_dir():
        is_model = (item / "saved_model.pb").is_file()
        return "models" if is_model else "images" if _contains_images(item, own=False) else None
    return next((kind for kind, suffixes in SUFFIXES.items() if item.suffix.lower() in suffixes), None)


def _contains_images(folder: Path, *, own: bool) -> bool:
    items = folder.iterdir() if own else folder.rglob("*")
    return any(item.suffix.lower() in IMAGE_SUFFIXES for item in items)


def input_shape(model: Path) -> tuple[int | None, ...] | None:
    """Shape of one sample, if the model has one input with a known shape."""
    if model.is_dir():
        return None
    import keras

    try:
        shape = keras.saving.load_model(model, compile=False).input_shape
    except Exception as error:
        if remedy(error):  # a class that Keras does not know: the user adds it to the step file, and the image size
            return None
        msg = f"init: {model} could not be loaded by Keras {keras.__version__}: {error}"
        raise ConfigError(msg) from error
    return tuple(shape[1:]) if isinstance(shape, tuple) else None


def example(path: Path) -> dict[str, str]:
    """Features of the first example in a TFRecord file, each with its entry in a step file.

    Raises:
        ConfigError: The file has no ``tf.train.Example``.
    """
    import tensorflow as tf

    try:
        record = next(tf.data.TFRecordDataset(str(path)).take(1).as_numpy_iterator())
        example = tf.train.Example.FromString(record)
    except Exception as error:
        msg = f"init: expected a TFRecord of tf.train.Example in {path}, found: {error}"
        raise ConfigError(msg) from error
    found: dict[str, str] = {}
    for name, value in sorted(example.features.feature.items()):
        kind = value.WhichOneof("kind")
        values = getattr(value, kind).value if kind else []
        if kind == "bytes_list":
            encoded = values[0][:4] in {b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"} if values else False
            found[name] = "{encoding: image}" if encoded else "{dtype: string}"
        else:
            dtype = "float32" if kind == "float_list" else "int64"
            found[name] = f"{{dtype: {dtype}, shape: [{'' if len(values) == 1 else len(values)}]}}"
    return found
