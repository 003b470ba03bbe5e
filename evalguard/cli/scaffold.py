"""``evalguard init``: write a first step file for the files at the given paths."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from evalguard.cli.scan import ScannedFiles, example, input_shape, scan_paths
from evalguard.core.files import write_whole
from evalguard.data.tables import IMAGE_SUFFIXES, read_arrays, read_table
from evalguard.errors import ConfigError
from evalguard.labels.labels import LABEL_COLUMNS
from evalguard.step.config.read import read_all

KEY_COLUMNS = ("id", "key", "file", "filename", "path", "name", "sample", "image")
# Words in a file name that mark the file to evaluate.
TEST_WORDS = ("test", "eval", "valid", "val", "holdout")


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a step file.

    Attributes:
        data: The ``data`` section: each key with its value as YAML.
        labels: The ``labels`` section.
        notes: Choices among several files, written as comments.
    """

    data: dict[str, str]
    labels: dict[str, str]
    notes: list[str] = field(default_factory=list)


def write_step(paths: Sequence[Path], output: Path, *, force: bool = False) -> str:
    """Write a step file for the files that are found; return the next step as text.

    Raises:
        ConfigError: A model, data or labels are missing, or ``output`` already exists.
    """
    if output.exists() and not force:
        msg = f"init: {output} already exists; give another --output, or --force"
        raise ConfigError(msg)
    found = scan_paths(paths)
    base = output.resolve().parent
    model, notes = _chosen(found["models"], "model")
    if model is None:
        msg = "init: expected a model (.keras, .h5 or the folder of a SavedModel) at the paths given, found none"
        raise ConfigError(msg)
    draft = _draft(found, base, input_shape(model), notes)
    text = _text(draft, base, model)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output, text)
    read_all(output)
    return f"wrote {output}\nnext: evalguard run {output} --dry-run"


def _chosen(paths: list[Path], what: str) -> tuple[Path | None, list[str]]:
    """The file whose name is that of a test set, else the first file; and a note that names the others."""
    if not paths:
        return None, []
    ordered = sorted(paths, key=lambda path: _rank(path.stem.lower()))
    others = ", ".join(path.name for path in ordered[1:])
    return ordered[0], [f"{what}: {ordered[0].name} was chosen; also found: {others}"] if others else []


def _rank(stem: str) -> int:
    return next((number for number, word in enumerate(TEST_WORDS) if word in stem), len(TEST_WORDS))


def _draft(found: ScannedFiles, base: Path, shape: tuple[int | None, ...] | None, notes: list[str]) -> Draft:
    tables = {path: read_table(path, "init") for path in found["tables"]}
    for folder in found["images"]:
        listing = _listing(tables, folder)
        if listing is not None:
            return _of_list(listing, tables, base, shape, notes)
    if found["images"]:
        return _of_folders(found["images"][0], base, shape, notes)
    if found["records"]:
        return _of_records(found["records"], tables, base, notes)
    if found["arrays"]:
        return _of_arrays(found["arrays"], tables, base, notes)
    if tables:
        return _of_tables(tables, base, notes)
    msg = "init: expected data (images, a table, .npy, .npz or TFRecord files) at the paths given, found none"
    raise ConfigError(msg)


def _relative(path: Path, base: Path) -> str:
    return json.dumps(Path(os.path.relpath(path.resolve(), base)).as_posix(), ensure_ascii=False)


# -- images ------------------------------------------------------------------------


def _listing(tables: dict[Path, Any], folder: Path) -> tuple[Path, str, Path] | None:
    """The table that lists the images, its column, and the folder to which the file names are relative."""
    hits = []
    for path, table in tables.items():
        for column in table.column_names:
            name = table[column][0].as_py()
            roots = (path.parent, folder) if isinstance(name, str) else ()
            root = next((root for root in roots if _is_image(root / name)), None)
            if root is not None:
                hits.append((path, column, root))
    return min(hits, key=lambda hit: _rank(hit[0].stem.lower()), default=None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()


def _of_list(
    listing: tuple[Path, str, Path], tables: dict[Path, Any], base: Path, shape: Any, notes: list[str]
) -> Draft:
    path, column, root = listing
    others = [other.name for other in tables if other != path]
    if others:
        notes = [*notes, f"labels: {path.name} was chosen; also found: {', '.join(others)}"]
    data = {"images": _relative(path, base), "column": json.dumps(column)}
    if root != path.parent:
        data["root"] = _relative(root, base)
    return Draft({**data, **_pixels(shape)}, _labels_of(path, tables, base, column), notes)


def _of_folders(folder: Path, base: Path, shape: Any, notes: list[str]) -> Draft:
    section = {"image_directory": _relative(folder, base)}
    return Draft({**section, **_pixels(shape)}, section, notes)


def _pixels(shape: tuple[int | None, ...] | None) -> dict[str, str]:
    """Size and colour mode of the model's inputs; the scale of pixels is a guess, as no file states it."""
    height, width, channels = shape if shape is not None and len(shape) == 3 else (None, None, 3)
    size = {"size": f"[{height}, {width}]"} if height and width else {"# size": "[224, 224]"}
    mode = {1: "grayscale", 4: "rgba"}.get(channels or 3, "rgb")
    return {**size, "color_mode": mode, "rescale": "1/255  # as in training; remove it if the model rescales"}


# -- tables and arrays ---------------------------------------------------------------


def _label_column(table: Any, other: set[str | None], path: Path) -> str:
    names = [name for name in table.column_names if name not in other]
    known = [name for name in names if name.lower() in LABEL_COLUMNS]
    if len(known) == 1:
        return str(known[0])
    if len(names) == 1:
        return str(names[0])
    msg = f"init: expected a column named label in {path}, found {', '.join(map(repr, names))}; rename the label column"
    raise ConfigError(msg)


def _labels_of(
    path: Path, tables: dict[Path, Any], base: Path, key: str | None, other: str | None = None
) -> dict[str, str]:
    """The ``labels`` section for a file: the column if it is a table, and the column with the keys if there is one."""
    section = {"path": _relative(path, base)}
    if path in tables:
        section["label"] = json.dumps(_label_column(tables[path], {key, other}, path))
    return section if key is None else {**section, "key": json.dumps(key)}


def _key_column(table: Any) -> str | None:
    return next((str(name) for name in table.column_names if name.lower() in KEY_COLUMNS), None)


def _of_tables(tables: dict[Path, Any], base: Path, notes: list[str]) -> Draft:
    """Features from the table with the most columns; labels from another table, or from the same one."""
    features = max(tables, key=lambda path: (len(tables[path].column_names), -_rank(path.stem.lower())))
    rest = [path for path in tables if path != features]
    chosen, more = _chosen(rest, "labels")
    labels = chosen if chosen is not None else features
    key = _key_column(tables[features])
    common = key if key is not None and key in tables[labels].column_names else None
    section = _labels_of(labels, tables, base, common)
    columns = [name for name in tables[features].column_names if name not in {key, json.loads(section["label"])}]
    data = {"table": _relative(features, base), "columns": json.dumps(columns)}
    return Draft(data if common is None else {**data, "key": json.dumps(common)}, section, [*notes, *more])


def _of_arrays(paths: list[Path], tables: dict[Path, Any], base: Path, notes: list[str]) -> Draft:
    """Inputs from an array; labels from a table, or from an array with one number for each row."""
    arrays = {path: read_arrays(path, "init") for path in paths}
    flat = [path for path, array in arrays.items() if isinstance(array, np.ndarray) and array.ndim == 1]
    inputs, more = _chosen([path for path in paths if path not in flat], "data")
    if inputs is None:
        msg = "init: expected an array of inputs (.npy or .npz) at the paths given, found labels only"
        raise ConfigError(msg)
    data = {"arrays": _relative(inputs, base)}
    named = arrays[inputs]
    if isinstance(named, dict):
        target = next((name for name in named if name.lower() in LABEL_COLUMNS), None)
        others = [name for name in named if name != target and named[name].ndim > 1]
        data["inputs"] = json.dumps(others[:1] or list(named)[:1])
        if target is not None and not flat and not tables:
            return Draft({**data, "target": json.dumps(target)}, {"from": "stream"}, [*notes, *more])
    labels, further = _chosen([*flat, *tables], "labels")
    if labels is None:
        msg = f"init: expected labels beside {inputs} (a table, or an array with one number per row), found none"
        raise ConfigError(msg)
    key = _key_column(tables[labels]) if labels in tables else None
    section = _labels_of(labels, tables, base, None, key)
    return Draft(data, section, [*notes, *more, *further])


def _of_records(paths: list[Path], tables: dict[Path, Any], base: Path, notes: list[str]) -> Draft:
    features = example(paths[0])
    target = next((name for name in features if name.lower() in LABEL_COLUMNS), None)
    key = next((name for name in features if name.lower() in KEY_COLUMNS), None)
    inputs = [name for name in features if name not in {target, key}]
    if not inputs:
        msg = f"init: expected a feature for the model in {paths[0]}, found {', '.join(features)}"
        raise ConfigError(msg)
    named = [name for name in (*inputs[:1], target) if name is not None]
    data = {
        "tfrecord": f"[{', '.join(_relative(path, base) for path in paths)}]",
        "features": f"{{{', '.join(f'{json.dumps(name)}: {features[name]}' for name in named)}}}",
        "inputs": json.dumps(inputs[:1]),
    }
    table, more = _chosen(list(tables), "labels")
    if table is None:
        if target is None:
            msg = (
                f"init: expected labels beside {paths[0]}, or a feature named label in it; found {', '.join(features)}"
            )
            raise ConfigError(msg)
        return Draft({**data, "target": json.dumps(target)}, {"from": "stream"}, notes)
    column = _key_column(tables[table])
    if column is not None and key is not None:
        return Draft({**data, "key": json.dumps(key)}, _labels_of(table, tables, base, column), [*notes, *more])
    return Draft(data, _labels_of(table, tables, base, None, column), [*notes, *more])


# -- the text ------------------------------------------------------------------------


def _text(draft: Draft, base: Path, model: Path) -> str:
    template = Template(Path(__file__).with_name("step.yaml.template").read_text(encoding="utf-8"))
    return template.substitute(
        notes="".join(f"# {note}\n" for note in draft.notes),
        name=json.dumps(base.name or "evaluation"),
        model=_relative(model, base),
        data="\n".join(f"  {name}: {value}" for name, value in draft.data.items()),
        labels="\n".join(f"  {name}: {value}" for name, value in draft.labels.items()),
        # With a key or a file name for each row, its identity can be observed.
        require="identity" if draft.data.keys() & {"key", "images", "image_directory"} else "declared",
    )
