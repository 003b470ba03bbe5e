"""What a file at hand holds, compared with an attestation: the whole file, or each array in it under its name.

The name of an array is that of its entry in a ``.npz`` file, or that of its columns in
a table. An array that stands under the name of another one is not what was judged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.data.digests import columns_sha256, npy_sha256, path_sha256
from evalguard.data.tables import TableFile, read_arrays
from evalguard.errors import ConfigError

# Other names of an array, in files of users and in those of `Guard.to_frame`, to the name of its subject.
ROLES = {
    "predictions": "predictions",
    "prediction": "predictions",
    "y_pred": "predictions",
    "labels": "labels",
    "label": "labels",
    "y_true": "labels",
}
# Columns that count the rows: that of `Guard.to_frame`, and that of pandas for an index it does not leave out.
COUNTING = ("row", "__index_level_0__")
# Arrays of `Guard.to_frame` that may have several columns, `y_true_0` and so on.
WIDE = ("prediction", "y_true", "sample_weight")
CHANGED = "or was changed since"


@dataclass(frozen=True, slots=True)
class Attested:
    """What an attestation names.

    Attributes:
        subjects: Name of each file or array → SHA-256.
        columns: Name of each array in a table of the rows → SHA-256 of its columns.
        row_shapes: Name of each array there whose rows have several axes → shape of a row.
    """

    subjects: Mapping[str, str]
    columns: Mapping[str, str]
    row_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or one array in it.

    Attributes:
        place: Where it is, for messages.
        subjects: What it may be, by digest and by name; the likeliest first.
        wrong: Why it is not what was judged; empty if it is.
    """

    place: str
    subjects: tuple[str, ...] = ()
    wrong: str = ""


def parts_of(path: Path, attested: Attested) -> list[FilePart]:
    """What a file or folder holds.

    Raises:
        ConfigError: It cannot be read, or is not what its name says.
    """
    equal = _with_digest(attested, [path_sha256(path)])
    if equal:
        return [_by_file_name(str(path), path.name, equal, attested)]
    try:
        found = list(_arrays(path, attested))
    except ConfigError:
        raise
    except Exception as error:
        # Arrow passes on errors of many classes from columns that are no arrays.
        msg = f"file {path}: expected columns that are arrays, found: {error}. Save it with Guard.to_frame"
        raise ConfigError(msg) from error
    # Another file altogether gets one reason, and not one for each array in it.
    if len(found) == 1 or not all(part.wrong.endswith(CHANGED) for part in found):
        return found
    hint = "; a table of the rows is compared by its columns if it is saved as Parquet" if _is_table(path) else ""
    return [FilePart(str(path), wrong=f"matches none of the files that were judged, {CHANGED}{hint}")]


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in {".csv", ".jsonl", ".ndjson", ".arrow", ".feather"}


def _arrays(path: Path, attested: Attested) -> Iterator[FilePart]:
    suffix, where = path.suffix.lower(), f"file {path.name}"
    if suffix == ".npy":
        equal = _with_digest(attested, [npy_sha256([read_arrays(path, where)])])
        if equal:
            yield _by_file_name(str(path), path.name, equal, attested)
    elif suffix == ".npz":
        entries = read_arrays(path, where)
        for name, array in entries.items():
            yield _entry(path, name, array, attested, alone=len(entries) == 1)
    elif suffix == ".parquet":
        yield from _columns(path, TableFile(path, where).read(), attested)


def _entry(path: Path, name: str, array: NDArray[Any], attested: Attested, *, alone: bool) -> FilePart:
    """One array of a ``.npz`` file."""
    place = f"{path}, entry {name!r}"
    if not re.fullmatch(r"arr_\d+", name):
        return _array(place, name, {name: array}, [npy_sha256([array])], attested)
    # The name that NumPy itself gives says nothing.
    equal = _with_digest(attested, [npy_sha256([array])])
    if not equal:
        return FilePart(place, wrong=f"none of the arrays that were judged, {CHANGED}")
    return _by_file_name(place, f"{path.stem}.npy" if alone else "", equal, attested)


def _by_file_name(place: str, name: str, equal: Sequence[str], attested: Attested) -> FilePart:
    """What has no inner name: a subject of its digest, but not one where the file has the name of another."""
    named = [subject for subject in attested.subjects if PurePosixPath(subject).name == name]
    both = [subject for subject in equal if subject in named]
    if named and not both:
        return FilePart(place, wrong=f"has the name of {named[0]!r} and the content of {equal[0]!r}")
    return FilePart(place, tuple(both or equal))


def _array(
    place: str, name: str, columns: Mapping[str, Any], digests: Sequence[str | None], attested: Attested
) -> FilePart:
    """An array under a name: the subject of this name, or an array of ``Guard.to_frame``."""
    equal = _with_digest(attested, digests)
    right = tuple(subject for subject in equal if _is_name_of(name, subject))
    of_frame = _of_frame(name, columns, attested)
    if right or of_frame:
        return FilePart(place, right or _labels_in_order(of_frame, columns, attested))
    if equal:
        wrong = f"holds {equal[0]!r}, which its name does not say: name it {_array_name(equal[0])!r}"
        return FilePart(place, wrong=wrong)
    return FilePart(place, wrong=f"not what was judged under this name, {CHANGED}")


def _columns(path: Path, table: Any, attested: Attested) -> Iterator[FilePart]:
    """The arrays of a table; columns ``prediction_0``, ``prediction_1``, … are one."""
    for name, names in _grouped(table.column_names, attested):
        columns = {column: table[column].to_numpy() for column in names}
        place = f"{path}, " + (f"column {name!r}" if names == [name] else f"columns {names[0]!r} to {names[-1]!r}")
        if name in COUNTING:
            if not np.array_equal(columns[name], np.arange(table.num_rows)):
                yield FilePart(place, wrong="does not count the rows from 0: they were selected or moved")
        elif _is_prediction(name) and attested.columns.get(name) not in {
            None,
            columns_sha256(columns, names_only=True),
        }:
            yield FilePart(place, wrong="not named as the classes that were judged, in their order")
        else:
            arrays = list(columns.values())
            shape = attested.row_shapes.get(name, (len(arrays),))
            shape = shape if math.prod(shape) == len(arrays) else (len(arrays),)
            stacked = npy_sha256([np.stack(arrays, axis=1).reshape(-1, *shape)])
            # The array of a single column had shape (n,) or (n, 1).
            digests = [stacked] if len(arrays) > 1 else [npy_sha256(arrays), stacked]
            part = _array(place, name, columns, digests, attested)
            # The number of each row's sample is nothing that was judged, as is the number of the row.
            if part.wrong or name != "sample":
                yield part


def _grouped(names: Sequence[str], attested: Attested) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each array in a table, and its columns."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in names:
        # A column `prediction` is not one of `prediction_0`, `prediction_1`.
        groups.setdefault(_group(name, names, attested), []).append(name)
    for (name, several), columns in groups.items():
        numbered = [f"{name}_{number}" for number in range(len(columns))]
        if not several or name in attested.columns:
            yield name, columns
        elif set(columns) == set(numbered):
            yield name, numbered
        else:
            yield from ((column, [column]) for column in columns)


def _group(name: str, names: Sequence[str], attested: Attested) -> tuple[str, bool]:
    """Name of the array that a column is of, and whether it is one of several columns."""
    subjects = {_canonical(_array_name(subject)) for subject in attested.subjects}
    # An output `dense_1` has a column of that name, or columns `dense_1_0` and so on.
    if name in attested.columns or (_canonical(name) in subjects and f"{name}_0" not in names):
        return name, False
    stems = [one for one in attested.columns if one.partition(".")[0] in WIDE and name.startswith(f"{one}_")]
    stem, _, number = name.rpartition("_")
    if stems:
        return max(stems, key=len), True
    return (stem, True) if stem and number.isdecimal() else (name, False)


def _of_frame(name: str, columns: Mapping[str, Any], attested: Attested) -> str:
    """Name of the array of ``Guard.to_frame`` that these columns are, beside the predictions; empty for another."""
    same = [one for one in attested.columns if _canonical(one) == _canonical(name) and not _is_prediction(one)]
    for one in sorted(same, key=lambda one: one != name):
        renamed = {f"{one}{column.removeprefix(name)}": array for column, array in columns.items()}
        if columns_sha256(renamed) == attested.columns[one]:
            return one
    return ""


def _labels_in_order(name: str, columns: Mapping[str, Any], attested: Attested) -> tuple[str, ...]:
    """The subject that labels of the rows are, whose digest cannot be computed: a text has no width in a table.

    Only if the rows were judged in label order, each with its sample.
    """
    arrays = list(columns.values())
    in_order = columns_sha256({"sample": np.arange(len(arrays[0]))}) == attested.columns.get("sample")
    if name.partition(".")[0] != "y_true" or not in_order or any(array.dtype.kind in "biuf" for array in arrays):
        return ()
    return tuple(subject for subject in attested.subjects if _canonical(_array_name(subject)) == _canonical(name))


def _is_prediction(name: str) -> bool:
    return name.partition(".")[0] == "prediction"


def _is_name_of(name: str, subject: str) -> bool:
    given, array = _canonical(name), _canonical(_array_name(subject))
    # An output may go by its own name, unless that is the name of something else.
    output = array.partition("/")[2] if given.partition("/")[0] not in ROLES.values() else ""
    return given in {array, output}


def _array_name(subject: str) -> str:
    return subject.removesuffix(".npy")


def _canonical(name: str) -> str:
    """``predictions/a`` for ``prediction.a``."""
    first, slash, rest = name.replace(".", "/").partition("/")
    return f"{ROLES.get(first, first)}{slash}{rest}"


def _with_digest(attested: Attested, digests: Sequence[str | None]) -> list[str]:
    return [subject for subject, digest in attested.subjects.items() if digest in digests]
