"""Read the labels that a step file names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evalguard.core.class_names import ClassNames, names_by_output
from evalguard.core.label_origin import LabelOrigin
from evalguard.core.shown_keys import shown_key
from evalguard.data.tables import image_files
from evalguard.errors import LabelsError
from evalguard.labels.labels import Labels
from evalguard.step.config.data_sections import Images, Table
from evalguard.step.config.sections import LabelFile, LabelFolders, LabelStream
from evalguard.step.config.unions import Data, LabelSource


def read_labels(source: LabelSource, data: Data, base: Path, classes: Any = None) -> Labels | None:
    """The labels; None if they are those of the stream.

    Args:
        source: The section `labels`.
        data: The section `data`.
        base: Folder of the step file.
        classes: The option `checks.classes`. It numbers the class folders if
            `labels.class_names` does not.

    Raises:
        LabelsError: The labels cannot be used.
    """
    if isinstance(source, LabelStream):
        return None
    return _read(source, data, base, classes)


def _read(source: LabelFile | LabelFolders, data: Data, base: Path, classes: Any) -> Labels:
    if isinstance(source, LabelFolders):
        by_output = names_by_output(classes)
        # Folders are classes of a single output, so names for several outputs are not used.
        named = next(iter(by_output.values())) if len(by_output) == 1 else None
        return _of_folders(source, base, None if named is None else list(named.names))
    key = label_key(source, data, base)
    labels = Labels.read(base / source.path, label=source.label, key=key, sample_weight=source.sample_weight)
    # The path as the file names it, because the absolute path may contain a user's name.
    return replace(labels, origin=replace(labels.origin, path=source.path))


def label_key(source: LabelSource, data: Data, base: Path) -> str | None:
    """Column of the labels with the key of each sample; None without one.

    If data and labels are the same file, both use the key column of the data.
    """
    if not isinstance(source, LabelFile):
        return None
    if source.key is not None:
        return source.key
    if isinstance(data, Images) and (base / data.images).resolve() == (base / source.path).resolve():
        return data.key or data.column
    if isinstance(data, Table) and (base / data.table).resolve() == (base / source.path).resolve():
        return data.key
    return None


def _of_folders(source: LabelFolders, base: Path, given: list[str] | None) -> Labels:
    folder = base / source.image_directory
    files = image_files(folder, "labels.image_directory")
    classes = [name.partition("/")[0] if "/" in name else "" for name in files]
    if "" in classes:
        name = shown_key(files[classes.index("")])
        msg = f"labels.image_directory: expected a folder for each class below {folder}, found the image {name!r}"
        raise LabelsError(msg)
    names = source.class_names or given or sorted(set(classes))
    unknown = [name for name in classes if name not in names]
    if unknown:
        msg = f"labels.class_names: expected a name for each folder below {folder}, found none for {unknown[0]!r}"
        raise LabelsError(msg)
    values: Any = np.array([names.index(name) for name in classes], dtype=np.int64)
    named = ClassNames(tuple(names), "the folders" if source.class_names is None else "labels.class_names")
    origin = LabelOrigin(path=source.image_directory)
    return Labels(values=values, keys=np.array(files), name=source.image_directory, classes=named, origin=origin)
