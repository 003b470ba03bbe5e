"""Whether predictions fit labels far better with the classes numbered otherwise.

The assignment of columns to classes is chosen on one half of the rows and tested
on the other one, so that the choice itself cannot make it look good. A random or
poor classifier, one that predicts few classes, or one that confuses two classes
does not reach it: each class that changes its number must be predicted under the
new one in most of its rows, and under the old one in few. tests/guards/test_other_numbers.py
counts what it finds in such classifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.class_names import MAX_CLASSES
from evalguard.core.columns.chunks import chunks
from evalguard.core.trace import Int64

# How often more a class must be predicted as the other number than as its own, and in what share of its rows.
TIMES, SHARE = 3, 0.5
# How often, if a number is that of a class that no label has.
TIMES_OUTSIDE = 10
# Agreement beyond what the frequencies give (Cohen's kappa), and the chance of it, and of being so much better.
KAPPA, CHANCE = 0.4, 1e-4
# Rows of a class in the half that is tested, for at least two classes.
FEW_ROWS, FEW_CLASSES = 3, 2
MANY_CLASSES = 5
# Classes that a test set may lack; rows by which outputs are known as probabilities.
ABSENT, SOME_ROWS = 2, 1000
HALF = 0.5
# Columns of an output without a row of numbers for each sample.
UNKNOWN = 0
# Rows by which the sizes of the same classes may differ, as where the labels are shifted.
FEW_APART = 0.02


@dataclass(frozen=True, slots=True)
class OtherNumbers:
    """Another assignment of classes, that explains the labels far better.

    Attributes:
        class_of: The number that the model gives → the class that it stands for, where the two differ.
        accuracy: With the numbers as they are, over the rows that were not used to choose.
        better: With the other ones.
    """

    class_of: Mapping[int, int]
    accuracy: float
    better: float

    @property
    def offset(self) -> int:
        """Label minus the model's number, if it is the same for all classes that differ; else 0."""
        offsets = {label - number for number, label in self.class_of.items()}
        return offsets.pop() if len(offsets) == 1 else 0


def predicted_numbers(output: Any, n_classes: int) -> NDArray[np.integer[Any]] | None:
    """The class number of each row of an output; None where it gives none.

    Args:
        output: Scores, shape ``(n, k)``; or one number for each row, shape
            ``(n,)`` or ``(n, 1)``: a class number, or the score of class 1 of two.
        n_classes: Number of classes among the labels.
    """
    if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiub" or output.ndim == 0:
        return None
    if output.ndim == 2 and output.shape[1] > 1:
        if output.shape[1] > MAX_CLASSES or not _are_scores(output, n_classes):
            return None
        found = np.empty(len(output), np.int32)
        for rows in chunks(len(output)):
            found[rows] = output[rows].argmax(axis=1)
        return found
    if output.size != len(output) or not output.size:
        return None
    values = output.reshape(-1)
    if not np.isfinite(values).all():
        return None
    if values.min() >= 0 and values.max() < MAX_CLASSES and (values == np.rint(values)).all():
        return values.astype(np.int32)
    if n_classes > FEW_CLASSES:
        return None
    # Scores that leave 0 to 1 are logits.
    return (values > (HALF if values.min() >= 0 and values.max() <= 1 else 0)).astype(np.int32)


def _are_scores(output: NDArray[Any], n_classes: int) -> bool:
    """Whether columns are scores of classes: probabilities, or as many as there are classes, and more than two.

    Two columns may be a mean and its deviation, and many the place in an embedding.
    """
    some = np.asarray(output[:SOME_ROWS], dtype=np.float64)
    probable = bool(((some >= 0) & (some <= 1)).all() and np.allclose(some.sum(axis=1), 1, atol=1e-2))
    return probable or FEW_CLASSES < output.shape[1] <= n_classes + ABSENT


def columns_of(output: Any) -> int:
    """Columns of an output with one row for each sample, 1 where it has one number for each; ``UNKNOWN`` for others."""
    # Tensors, too: `model(x)` returns them.
    shape = tuple(size or 0 for size in getattr(output, "shape", ()))
    return shape[1] if len(shape) == 2 else 1 if len(shape) == 1 else UNKNOWN


def confusion(predicted: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64] | None:
    """How often each class is predicted for each label, in two halves of the rows: shape ``(2, k, k)``.

    Rows with a label below 0 are left out; None where the numbers are too large for classes.
    """
    size = int(max(predicted.max(initial=0), labels.max(initial=0))) + 1
    if size > MAX_CLASSES or not len(labels):
        return None
    # Any split that does not follow the order of the rows; seeded, so that a report is the same each time.
    half = np.unpackbits(np.frombuffer(np.random.default_rng(0).bytes(-(-len(labels) // 8)), np.uint8))
    counts = np.zeros(2 * size * size, np.int64)
    for rows in chunks(len(labels)):
        part = labels[rows].astype(np.int64)
        codes = (half[rows].astype(np.int64) * size + predicted[rows]) * size + part
        counts += np.bincount(codes if part.min() >= 0 else codes[part >= 0], minlength=len(counts))
    return counts.reshape(2, size, size)


def other_numbers(counts: NDArray[np.int64]) -> OtherNumbers | None:
    """The assignment that explains the labels far better than the numbers do; None where there is none.

    Args:
        counts: What ``confusion`` gives.
    """
    learned, tested = counts
    whole = learned + tested
    present, classes = whole.sum(axis=0) > 0, np.arange(len(whole))
    if not (present & (whole.max(axis=0) >= TIMES * np.maximum(whole.diagonal(), 1))).any():
        return None
    # Slow to import, and almost never needed.
    from scipy.optimize import linear_sum_assignment

    # Of equally good assignments, take the one that keeps most numbers: all that are kept count less than one row.
    weights = learned * (len(classes) + 1) + np.eye(len(classes), dtype=np.int64)
    number_of = np.empty_like(classes)
    numbers, assigned = linear_sum_assignment(weights, maximize=True)
    number_of[assigned] = numbers
    times = TIMES
    if _are_those_present(number_of, present):
        times = TIMES_OUTSIDE
    else:
        number_of = np.where(_in_cycles(number_of, present), number_of, classes)
    changed = np.flatnonzero(present & (number_of != classes))
    if not _far_better(whole, tested, number_of, changed, times):
        return None
    class_of = {int(number_of[label]): int(label) for label in changed}
    rows = tested.sum()
    better = tested[number_of, classes].sum() / rows
    return OtherNumbers(class_of, float(tested.diagonal().sum() / rows), float(better))


def one_to_one(names: NDArray[np.integer[Any]], numbers: NDArray[np.integer[Any]]) -> NDArray[np.int32] | None:
    """The number of each name, int32, by code; None where a name has several numbers, or a number several names."""
    if not len(names):
        return None
    number_of = np.zeros(int(names.max()) + 1, np.int32)
    number_of[names] = numbers
    present = np.unique(names)
    alike = bool((number_of[names] == numbers).all()) and len(np.unique(number_of[present])) == len(present)
    return number_of if alike else None


def contradict(names: NDArray[np.integer[Any]], numbers: NDArray[np.integer[Any]]) -> bool:
    """Whether both seem to be the same classes, and no assignment of numbers to names makes them equal.

    Args:
        names: Codes of names, from 0 on, shape ``(n,)``.
        numbers: Class numbers beside them.
    """
    if not len(names):
        return False
    codes = np.unique(numbers, return_inverse=True)[1]
    size = int(max(names.max(), codes.max())) + 1
    if size > MAX_CLASSES:
        return False
    counts = np.bincount(names * size + codes, minlength=size * size).reshape(size, size)
    filled = counts > 0
    # One number for several names, or several for one, is no contradiction.
    if (filled.sum(axis=0) <= 1).all() or (filled.sum(axis=1) <= 1).all():
        return False
    from scipy.optimize import linear_sum_assignment

    best = counts[linear_sum_assignment(counts, maximize=True)].sum()
    apart = np.abs(np.sort(counts.sum(axis=0)) - np.sort(counts.sum(axis=1))).sum()
    return bool(best >= HALF * len(names) or apart <= max(2, FEW_APART * len(names)))


def _are_those_present(number_of: Int64, present: NDArray[np.bool_]) -> bool:
    """Whether some numbers are of classes that are not among the labels, and the labels may number those that are.

    They do if they count from 0 or 1 on, in the order of the model's numbers, as an encoder does for a test set that
    lacks a class; or if many classes have other numbers and none keeps its number. Otherwise a poor model may have
    taken two classes for others that no label has.
    """
    labels = np.flatnonzero(present)
    in_row = labels[0] <= 1 and labels[-1] - labels[0] == len(labels) - 1
    numbers = number_of[labels]
    if present[numbers].all():
        return False
    return bool(
        (in_row and (numbers[1:] > numbers[:-1]).all()) or (len(labels) >= MANY_CLASSES and (numbers != labels).all())
    )


def _in_cycles(number_of: Int64, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The classes whose numbers form closed cycles: each number is that of another class among the labels."""
    closed = present.copy()
    # A class is outside every cycle if its number is that of a class outside.
    while (opened := closed & ~closed[number_of]).any():
        closed &= ~opened
    return closed


def _far_better(
    whole: NDArray[np.int64], tested: NDArray[np.int64], number_of: Int64, changed: NDArray[np.int64], times: int
) -> bool:
    """Whether each class that changes its number is found under the new one only, beyond any chance."""
    if np.count_nonzero(tested.sum(axis=0)[changed] >= FEW_ROWS) < FEW_CLASSES:
        return False
    for counts in (whole, tested):
        found, own, total = counts[number_of[changed], changed], counts[changed, changed], counts.sum(axis=0)[changed]
        rare = total < FEW_ROWS
        # Classes with few rows are counted together.
        found, own, total = (np.append(some[~rare], some[rare].sum()) for some in (found, own, total))
        if not ((found >= SHARE * total) & (found >= times * own)).all():
            return False
    from scipy.special import bdtrc

    rows = tested[:, changed]
    total, right, wrong = rows.sum(), tested[number_of[changed], changed].sum(), tested[changed, changed].sum()
    expected = (rows.sum(axis=1)[number_of[changed]] * rows.sum(axis=0)).sum() / total**2
    if expected >= 1 or (right / total - expected) / (1 - expected) < KAPPA:
        return False
    by_chance, no_better = bdtrc(right - 1, total, expected), bdtrc(right - 1, right + wrong, HALF)
    return bool(max(by_chance, no_better) < CHANCE)
