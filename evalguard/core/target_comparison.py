"""The stream's own targets, compared with the labels.

Longer than 300 lines because both sides have many forms: classes, outputs, shifts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.arrivals import known
from evalguard.core.columns.chunks import chunks
from evalguard.core.shifts import shift_between
from evalguard.core.trace import Int64

OTHER_QUANTITY = "the stream's targets are another quantity than the labels, or another encoding of them"
OTHER_COUNTS = (
    "the stream's targets are the classes of the labels, but not each as often: other samples, another version of the "
    "labels, or another quantity"
)
# Class numbers are few, and each stands at several rows.
MAX_CLASSES, ROWS_PER_CLASS = 1000, 2


@dataclass(frozen=True, slots=True, eq=False)
class LabelComparison:
    """The stream's own targets, compared with the external labels.

    Attributes:
        comparable: Both could be brought into one form.
        rows: Rows at which they differ.
        why_not: Why they could not be compared; empty if they were.
        mapping: Class number in the stream → the label that it stands for, where the two differ; also of another
            encoding, which is not compared.
        version: Most rows are equal and the others no rearrangement: another version of the labels, which
            contradicts nothing.
        shift: ``k``, where the target of row ``i`` is label ``i + k``; 0 where they are not shifted.
    """

    comparable: bool
    rows: Int64
    why_not: str = ""
    mapping: Mapping[Any, Any] = field(default_factory=dict)
    version: bool = False
    shift: int = 0


def compare_labels(targets: Any, values: Any, samples: Int64 | None = None) -> LabelComparison:
    """Compare the stream's ``y`` with the label that each row will be scored against.

    One-hot targets are compared with class numbers by their argmax, floats
    after rounding to the coarser type, NaN equals NaN.

    Args:
        targets: ``y`` at each delivered row: array, mapping or sequence of arrays.
        values: Label values, in the same form.
        samples: Compare row ``i`` with label ``samples[i]`` rather than with
            label ``i``. Rows of unknown or foreign samples are left out.
    """
    none = np.zeros(0, dtype=np.int64)
    if targets is None or values is None:
        return LabelComparison(False, none, "the stream carries no targets" if targets is None else "no label values")
    pairs = _paired(targets, values)
    if pairs is None:
        return LabelComparison(False, none, "the targets in the stream and the labels are structured differently")
    wrong: list[Int64] = []
    for target, value in pairs:
        both = _comparable_sides(target, value)
        if both is None:
            why = (
                f"targets of {target.dtype} {target.shape[1:]} in the stream cannot be compared "
                f"with labels of {value.dtype} {value.shape[1:]}"
            )
            return LabelComparison(False, none, why)
        wrong.append(_unequal_rows(*both, samples))
    # In order for each output. `np.unique` is slow on many rows (NumPy 2.3).
    rows = wrong[0] if len(wrong) == 1 else np.flatnonzero(np.bincount(np.concatenate([none, *wrong])))
    return LabelComparison(True, rows)


def in_form_of(values: Any, targets: Any, outputs: tuple[str, ...]) -> Any:
    """The targets, by name or in order as the labels are.

    Args:
        values: Label values. Several outputs that were given in order are
            named ``"0"``, ``"1"``.
        targets: As for ``compare_labels``.
        outputs: Names of the model's outputs, in order; empty where they are not known.
    """
    if targets is None or not isinstance(values, Mapping):
        return targets
    if isinstance(targets, Mapping):
        # The order of a mapping is not that of the outputs.
        in_order = list(values) == [str(number) for number in range(len(outputs))]
        return tuple(targets[name] for name in outputs) if in_order and targets.keys() == set(outputs) else targets
    if values.keys() == set(outputs) and len(_outputs(targets)) == len(outputs):
        return dict(zip(outputs, _outputs(targets), strict=True))
    return targets


def _paired(targets: Any, values: Any) -> list[tuple[NDArray[Any], NDArray[Any]]] | None:
    """Target and label of each output: by name where both have names, else by order."""
    if isinstance(targets, Mapping) and isinstance(values, Mapping):
        return [(targets[k], values[k]) for k in values] if targets.keys() == values.keys() else None
    outputs, columns = _outputs(targets), _outputs(values)
    return list(zip(outputs, columns, strict=True)) if len(outputs) == len(columns) else None


def _outputs(structure: Any) -> list[NDArray[Any]]:
    if isinstance(structure, Mapping):
        return list(structure.values())
    return list(structure) if isinstance(structure, (tuple, list)) else [structure]


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Targets or labels, brought into the form of the other side some rows at a time: they may be mapped from a file.

    Attributes:
        array: The targets or labels.
        one_hot: They are compared as class numbers.
        dtype: They are compared as this type; None: as they are.
    """

    array: NDArray[Any]
    one_hot: bool
    dtype: np.dtype[Any] | None = None

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return () if self.one_hot else self.array.shape[1:]

    def rows(self, which: slice | Int64) -> NDArray[Any]:
        part = self.array[which]
        if self.one_hot:
            part = part.argmax(axis=1)
        return part if self.dtype is None else part.astype(self.dtype, copy=False)


def _comparable_sides(target: NDArray[Any], value: NDArray[Any]) -> tuple[_Side, _Side] | None:
    """Both sides with one row shape and comparable types, or None."""
    target, value = _plain(target), _plain(value)
    sides = _Side(target, _one_hot(target, value)), _Side(value, _one_hot(value, target))
    if sides[0].shape != sides[1].shape:
        return None
    kinds = {_family(target), _family(value)}
    if len(kinds) > 1:
        return None
    if kinds == {"number"}:
        coarser = _coarser(*(np.dtype(np.int64) if side.one_hot else side.array.dtype for side in sides))
        return replace(sides[0], dtype=coarser), replace(sides[1], dtype=coarser)
    return sides


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array)
    while array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype.kind in "SO":
        text = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in array.ravel().tolist()]
        if all(isinstance(item, str) for item in text):
            return np.asarray(text, dtype=np.str_).reshape(array.shape)
    return array


def _one_hot(array: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether an array is one-hot, where the other side has class numbers."""
    if array.ndim != 2 or other.ndim != 1 or array.dtype.kind not in "fiub":
        return False
    parts = (array[rows] for rows in chunks(len(array)))
    return all(((part == 0) | (part == 1)).all() and (part.sum(axis=1) == 1).all() for part in parts)


def _family(array: NDArray[Any]) -> str:
    return "number" if array.dtype.kind in "fiub" else array.dtype.kind


def _coarser(*dtypes: np.dtype[Any]) -> np.dtype[Any] | None:
    """The float type with fewer digits: labels read as float64 meet targets cast to float32. None: all are integers."""
    # NumPy compares integers of any two types exactly.
    return min((dtype for dtype in dtypes if dtype.kind == "f"), key=lambda dtype: dtype.itemsize, default=None)


def _unequal_rows(target: _Side, value: _Side, samples: Int64 | None) -> Int64:
    wrong = [np.zeros(0, dtype=np.int64)]
    for rows in chunks(min(len(target), len(value) if samples is None else len(samples))):
        if samples is None:
            named = None
            ours, wanted = target.rows(rows), value.rows(rows)
        else:
            named = rows.start + np.flatnonzero(known(samples[rows], len(value)))
            ours, wanted = target.rows(named), value.rows(samples[named])
        differs = ours != wanted
        if ours.dtype.kind == "f":
            differs &= ~(np.isnan(ours) & np.isnan(wanted))
        found = np.flatnonzero(differs.any(axis=tuple(range(1, differs.ndim))))
        wrong.append(found + rows.start if named is None else named[found])
    return np.concatenate(wrong)


def as_one_quantity(comparison: LabelComparison, targets: Any, values: Any, samples: Int64 | None) -> LabelComparison:
    """The comparison, if targets and labels that differ are the same quantity; else one that contradicts nothing.

    They are the same quantity if the targets are the labels in another order, shifted by some rows, or class numbers
    of which one means another class.
    """
    if not comparison.rows.size:
        return comparison
    mapping: dict[Any, Any] = {}
    encoded, same_classes = False, True
    for target, value in _paired(targets, values) or ():
        both = _comparable_sides(target, value)
        if both is None or both[0].array.dtype == object:
            return comparison
        rows = np.arange(min(len(target), len(value) if samples is None else len(samples)))
        if samples is not None:
            rows = rows[known(samples[rows], len(value))]
        sides = both[0].rows(rows), both[1].rows(rows if samples is None else samples[rows])
        classes = _class_map(*sides) if not both[0].shape else {}
        changed = {one: other for one, other in classes.items() if one != other}
        # One side may have more rows.
        coded = _coded(*sides) if samples is not None else _coded(*(side.rows(slice(None)) for side in both))
        ours, theirs = (codes[: len(rows)] for codes in coded)
        shift = shift_between(*coded)
        rearranged = not np.array_equal(ours, theirs) and np.array_equal(np.sort(ours), np.sort(theirs))
        # Other numbers explain every row, a shift of blocks of one class all but the last ones.
        if (rearranged and (samples is None or not changed)) or (shift and not changed):
            # Of samples that have no order, rows are neither early nor late.
            return replace(comparison, shift=shift if samples is None else 0)
        encoded |= bool(changed)
        same_classes &= _same_classes(ours, theirs)
        # A number that only one side has is another name for a class; one that both have means two classes.
        if changed.keys() & set(classes.values()):
            mapping |= changed
    if mapping:
        return replace(comparison, mapping=mapping)
    if not encoded and comparison.rows.size < len(rows) / 2:
        return replace(comparison, version=True)
    why = OTHER_COUNTS if same_classes and not encoded else OTHER_QUANTITY
    return LabelComparison(False, np.zeros(0, np.int64), why, changed if encoded else {})


def shift(targets: Any, values: Any) -> int:
    """The ``k`` with target ``i`` equal to label ``i + k`` at every row that both have; 0 where there is none.

    Args:
        targets: As for ``compare_labels``.
        values: The same.
    """
    for target, value in _paired(targets, values) or ():
        both = _comparable_sides(target, value)
        if both is None or both[0].array.dtype == object:
            return 0
        if found := shift_between(*_coded(*(side.rows(slice(None)) for side in both))):
            return found
    return 0


def _coded(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each row of both, equal for equal rows."""
    both = np.concatenate([ours, theirs])
    # One column is sorted many times faster as it is than as rows of one number.
    flat = both.reshape(len(both), -1)
    codes = np.unique(flat, axis=0 if flat.shape[1] > 1 else None, return_inverse=True)[1].reshape(-1)
    return codes[: len(ours)], codes[len(ours) :]


def _class_map(ours: NDArray[Any], theirs: NDArray[Any]) -> dict[Any, Any]:
    """For which label each class number of the stream stands, if each stands for one; else empty."""
    pairs = np.unique(np.stack([ours, theirs], axis=1), axis=0).tolist()
    few = len(pairs) <= MAX_CLASSES and len(pairs) * ROWS_PER_CLASS <= len(ours)
    one_to_one = len({one for one, _ in pairs}) == len({other for _, other in pairs}) == len(pairs)
    return dict(pairs) if few and one_to_one else {}


def _same_classes(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> bool:
    """Whether both sides hold the same few values."""
    codes = 1 + max(ours.max(initial=0), theirs.max(initial=0))
    one, other = (np.bincount(side, minlength=codes) > 0 for side in (ours, theirs))
    return int(one.sum()) * ROWS_PER_CLASS <= len(ours) and np.array_equal(one, other)


def same_in_groups(
    targets: Any, values: Any, rows: Int64, samples: Int64, groups: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """For each row, whether its group has the labels of its samples, each as often, in any order.

    Args:
        targets: As for ``compare_labels``, with which they were found comparable.
        values: The same.
        rows: Rows of the targets.
        samples: The label of each row.
        groups: The group of each row.
    """
    half = len(rows)
    codes: list[Int64] = []
    for target, value in _paired(targets, values) or ():
        both = _comparable_sides(target, value)
        if both is None or both[0].array.dtype == object:
            return np.zeros(half, dtype=bool)
        flat = np.concatenate([both[0].rows(rows), both[1].rows(samples)]).reshape(2 * half, prod(both[0].shape))
        codes += [np.unique(column, return_inverse=True)[1] for column in flat.T]
    ours, theirs = (np.stack([code[part] for code in codes]) for part in (slice(half), slice(half, None)))
    by_group, by_label = np.lexsort((*ours, groups)), np.lexsort((*theirs, groups))
    unlike = (ours[:, by_group] != theirs[:, by_label]).any(axis=0)
    return ~np.isin(groups, groups[by_group][unlike])


def one_to_one(targets: Any, values: Any) -> bool:
    """Whether the targets of each class are beside labels of one class, in the order in which both stand."""
    pairs = _paired(targets, values)
    both = _comparable_sides(*pairs[0]) if pairs is not None and len(pairs) == 1 else None
    if both is None or both[0].shape or both[0].array.dtype == object or len(both[0]) != len(both[1]):
        return False
    return bool(_class_map(*(side.rows(slice(None)) for side in both)))


def same_multiset(targets: Any, values: Any) -> bool:
    """Whether one array of targets holds the labels, each as often, in any order."""
    pairs = _paired(targets, values)
    if pairs is None or len(pairs) != 1:
        return False
    both = _comparable_sides(*pairs[0])
    if both is None or both[0].shape or len(both[0]) != len(both[1]):
        return False
    ours, theirs = (np.sort(side.rows(slice(None))) for side in both)
    return bool(np.array_equal(ours, theirs))
