"""Rows of what ``predict`` returned: an array, or a tree of them, one per output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evalguard.core import repair
from evalguard.core.judge import Judgement
from evalguard.core.plural import plural
from evalguard.core.trace import Int64
from evalguard.data import tree


@dataclass(frozen=True, slots=True, eq=False)
class Repaired:
    """Predictions in label order.

    Attributes:
        predictions: Same structure and types, one row for each label.
        rows: The row of the result that each label has got, int64; where a
            sample was predicted again, any.
        steps: How many rows were ``moved``, ``duplicates``, ``padding``,
            ``predicted_again``.
    """

    predictions: Any
    rows: Int64
    steps: dict[str, int]


def take(result: Any, rows: Int64) -> Any:
    """The given rows of every output.

    Raises:
        TypeError: An output is a sparse tensor.
    """
    return tree.map_leaves(lambda leaf: _rows(leaf, rows), result)


def join_results(results: list[Any]) -> Any:
    """Results of several calls as one, output by output; None if they cannot be joined."""
    if len(results) == 1:
        return results[0]
    # Rows of different shapes, as with padded sequences, cannot be one array; neither can ragged tensors.
    parts = [tree.leaves(result) for result in results]
    shapes = {
        tuple(np.shape(leaf)[1:] for leaf in part) for part in parts if not any(hasattr(x, "row_splits") for x in part)
    }
    if len(shapes) != 1:
        return None
    outputs = iter([np.concatenate([np.asarray(leaf) for leaf in leaves]) for leaves in zip(*parts, strict=True)])
    return tree.map_leaves(lambda _: next(outputs), results[0])


def _rows(leaf: Any, rows: Int64) -> Any:
    # Keras does not convert ragged outputs to NumPy (keras 3.15, backend/tensorflow/trainer.py,
    # `convert_to_np_if_not_ragged`).
    if hasattr(leaf, "row_splits"):
        return sys.modules["tensorflow"].gather(leaf, rows)
    if isinstance(leaf, np.ndarray):
        return leaf[rows]
    msg = f"expected arrays or ragged tensors as predictions, found {type(leaf).__qualname__}"
    raise TypeError(msg)


def equal_rows(result: Any, first: Int64, second: Int64) -> bool:
    """Whether two lists of rows hold equal predictions in every output, NaN equal to NaN."""
    for leaf in tree.leaves(result):
        if not isinstance(leaf, np.ndarray):
            return False
        # NumPy has no `equal_nan` for text and objects.
        equal_nan = leaf.dtype.kind in "fc"
        if not np.array_equal(leaf[first], leaf[second], equal_nan=equal_nan):
            return False
    return True


def repaired(
    result: Any, judgement: Judgement, n_labels: int, predict_again: Callable[[Int64], Any] | None
) -> Repaired | str:
    """Predictions in label order, or why that would be a guess."""
    plan = repair.plan(judgement.samples_array, n_labels)
    if plan.refused:
        return plan.refused
    # Dropout at prediction time, or a key used twice: which of the two rows is right is not known.
    if not equal_rows(result, plan.duplicates, plan.firsts):
        return f"{plural(plan.duplicates.size, 'repeated row')}, and not all with equal predictions of their sample"
    missing = plan.missing
    none = f"no prediction of {plural(missing.size, 'sample')}"
    if missing.size and predict_again is None:
        return f"{none}, and this kind of source cannot be read again by sample"
    if any(not isinstance(leaf, np.ndarray) and not hasattr(leaf, "row_splits") for leaf in tree.leaves(result)):
        return "rows of predictions of this type cannot be moved"
    # -1 marks a missing sample. Row 0 stands in for it until `_put` overwrites it.
    rows = np.where(plan.take < 0, 0, plan.take)
    ordered = take(result, rows)
    if missing.size and predict_again is not None:
        added = predict_again(missing)
        if added is None:
            return f"{none}, and the array that was passed does not contain them"
        _put(ordered, missing, added)
    steps = {
        "moved": plan.moved,
        "duplicates": int(plan.duplicates.size),
        "padding": judgement.padding,
        "predicted_again": int(missing.size),
    }
    return Repaired(ordered, rows, steps)


def _put(ordered: Any, rows: Int64, added: Any) -> None:
    for target, values in zip(tree.leaves(ordered), tree.leaves(added), strict=True):
        target[rows] = values
