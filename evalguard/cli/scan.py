"""Find the models, data and labels at the paths given to ``evalguard init``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from evalguard.data import arrow
from evalguard.data.tables import IMAGE_SUFFIXES
from evalguard.errors import ConfigError
from evalguard.step.model import remedy

TABLES = frozenset({".csv", ".parquet", ".pq", ".jsonl", ".ndjson", *arrow.SUFFIXES})
ARRAYS = frozenset({".npy", ".npz"})
RECORDS = frozenset({".tfrecord", ".tfrecords"})
MODELS = frozenset({".keras", ".h5"})


@dataclass(slots=True)
class ScannedFiles:
    """The files at the given paths, by kind.

    Attributes:
        models: `.keras` and `.h5` files, folders of a SavedModel.
        tables: CSV, Parquet and JSONL files.
        arrays: `.npy` and `.npz` files.
        records: TFRecord files.
        images: Topmost folders that contain images, at any depth.
    """

    models: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    arrays: list[Path] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)


def scan_paths(paths: Iterable[Path]) -> ScannedFiles:
    """Sort the given files, and those directly in the given folders, by kind.

    Raises:
        ConfigError: A path does not exist.
    """
    found = ScannedFiles()
    for path in paths:
        if not path.exists():
            msg = f"init: expected a model, a data folder or a table at {path}, found none there"
            raise ConfigError(msg)
        inside = path.is_dir() and not (path / "saved_model.pb").is_file()
        here = ScannedFiles()
        for item in sorted(path.iterdir()) if inside else [path]:
            _sort(item, here)
        # A folder that contains only images, at any depth, is the image folder, and its subfolders are the classes.
        only_images = here.images and not (here.models or here.tables or here.arrays or here.records)
        if inside and (only_images or _contains_images(path, own=True)):
            here.images = [path]
        for group in fields(ScannedFiles):
            getattr(found, group.name).extend(getattr(here, group.name))
    return found


def _sort(item: Path, found: ScannedFiles) -> None:
    suffix = item.suffix.lower()
    if item.is_dir():
        if (item / "saved_model.pb").is_file():
            found.models.append(item)
        elif _contains_images(item, own=False):
            found.images.append(item)
        return
    for suffixes, group in (
        (MODELS, found.models),
        (TABLES, found.tables),
        (ARRAYS, found.arrays),
        (RECORDS, found.records),
    ):
        if suffix in suffixes:
            group.append(item)


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
        if remedy(error):  # the step file may name the classes; the user then adds the image size too
            return None
        msg = f"init: {model} could not be loaded by Keras {keras.__version__}: {error}"
        raise ConfigError(msg) from error
    return tuple(shape[1:]) if isinstance(shape, tuple) else None


def example(path: Path) -> dict[str, str]:
    """Features of the first example, each with its entry in a step file."""
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
