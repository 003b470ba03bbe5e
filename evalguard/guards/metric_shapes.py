"""Labels and predictions in the form that a named metric takes: converted where there is one way, else an error.

A metric of arrays that do not belong together often is a number all the same,
by broadcasting or by a threshold. So what a name of Keras or scikit-learn gets is
checked row by row, whatever the order of the rows, and what was converted is
said in the report. A callable of the user's gets what the guard has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.own_errors import not_ours
from evalguard.errors import ConfigError

# Takes labels and predictions, returns both as the metric takes them, and what was converted.
Fit = Callable[[Any, Any], tuple[Any, Any, str]]
Fitted = tuple[NDArray[Any], NDArray[Any], str]

# Metrics of Keras that compare a column for each class with a column for each class.
CATEGORICAL = ("categorical_", "top_k_categorical", "f1_score", "fbeta_score", "f1score", "fbetascore")
# Those that compare classes; and those of scikit-learn that take a score for each class.
BINARY = ("binary_accuracy", "accuracy")
SCORES = ("roc_auc", "log_loss", "average_precision", "brier", "top_k", "hinge", "ndcg", "dcg", "d2_log", "d2_brier")
# Metrics of scikit-learn whose labels are amounts and not classes.
AMOUNTS = ("error", "r2", "explained_variance", "deviance", "d2_", "pinball")
HALF = 0.5


def for_keras(name: str) -> Fit:
    """The form that a metric of Keras takes, by its name."""
    word = name.lower()

    def fit(labels: Any, predictions: Any) -> Fitted:
        y, p = _arrays(labels, predictions, name)
        columns = _columns(p)
        if "top_k" in word and p.dtype.kind == "f":
            # TensorFlow has no other type for it (tensorflow 2.21, `in_top_k`).
            p = p.astype(np.float32)
        if word.startswith("sparse_"):
            if columns < 2:
                raise _unfit(name, y, p, "accuracy or binary_accuracy")
            return _numbers(y, p, name)
        if word.startswith(CATEGORICAL) and columns > 1:
            return _one_hot(y, p, name)
        if word == "accuracy" and columns > 1 and not _same_rows(y, p):
            return (*_numbers(y, p, name)[:2], "")
        if word in BINARY and columns < 2:
            _refuse_classes(y, p, name)
        if not _same_rows(y, p):
            raise _unfit(name, y, p, "sparse_categorical_accuracy, sparse_categorical_crossentropy, roc_auc_ovr")
        # With equal numbers of axes: functions of tf_keras broadcast a column with a row (tf_keras 2.21, losses.py).
        return y.reshape(len(y), *p.shape[1:]), p, ""

    return fit


def for_sklearn(name: str) -> Fit:
    """The form that a metric of scikit-learn takes, by its name."""

    def fit(labels: Any, predictions: Any) -> Fitted:
        y, p = _arrays(labels, predictions, name)
        columns = _columns(p)
        p = p.reshape(len(p)) if columns == 1 else p
        if any(word in name for word in SCORES):
            return _scores(y, p, name)
        if any(word in name for word in AMOUNTS) and (columns < 2 or (y.dtype.kind == "f" and _same_rows(y, p))):
            y = y.reshape(len(y)) if _columns(y) == 1 else y
            if not _same_rows(y, p):
                raise _unfit(name, y, p, "a metric of classes")
            return y, p, ""
        return _classes(y, p, name)

    return fit


def _classes(y: NDArray[Any], p: NDArray[Any], name: str) -> Fitted:
    """Classes on both sides: of columns the largest, of one column whether it is above a half."""
    y = y.reshape(len(y)) if _columns(y) == 1 else y
    if p.dtype.kind != "f":
        return y, p, ""
    if _columns(p) < 2:
        _refuse_classes(y, p, name)
        # The threshold of `BinaryAccuracy` (keras 3.15, metrics/accuracy_metrics.py).
        return y, (p > HALF).astype(np.int64), ""
    if _same_rows(y, p) and not _is_one_hot(y):
        if not np.isin(y, (0, 1)).all():
            raise _unfit(name, y, p, "sklearn:mean_squared_error")
        return y.astype(np.int64), (p > HALF).astype(np.int64), "several classes per row: predicted where above 0.5"
    y, p, said = _numbers(y, p, name)
    return y, p.argmax(axis=-1), said


def _scores(y: NDArray[Any], p: NDArray[Any], name: str) -> Fitted:
    """A score for each class, or that of the second one where there are two."""
    if p.ndim == 1:
        _refuse_classes(y, p, name)
        return y.reshape(len(y)) if _columns(y) == 1 else y, p, ""
    if _same_rows(y, p) and not _is_one_hot(y):
        return y, p, ""
    y, p, said = _numbers(y, p, name)
    by_second = ("roc_auc", "average_precision", "brier", "hinge")
    if p.shape[-1] == 2 and any(word in name for word in by_second) and "_ov" not in name:
        return y, p[:, 1], "; ".join(filter(None, (said, "by the scores of class 1")))
    if "roc_auc" in name and "_ov" not in name:
        raise _unfit(name, y, p, "roc_auc_ovr, roc_auc_ovo")
    return y, p, said


def _numbers(y: NDArray[Any], p: NDArray[Any], name: str) -> Fitted:
    """Class numbers beside a column for each class."""
    said = ""
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if _same_rows(y, p) and _is_one_hot(y):
        y, said = y.argmax(axis=-1), "one-hot labels converted to class numbers"
    if y.shape[1:] != p.shape[1:-1]:
        raise _unfit(name, y, p, "categorical_accuracy")
    return _as_numbers(y, p, name), p, said


def _one_hot(y: NDArray[Any], p: NDArray[Any], name: str) -> Fitted:
    """A column for each class on both sides."""
    if _same_rows(y, p):
        return y, p, ""
    numbers, p, _ = _numbers(y, p, name)
    return np.eye(p.shape[-1], dtype=np.float32)[numbers], p, "class numbers converted to one-hot labels"


def _as_numbers(y: NDArray[Any], p: NDArray[Any], name: str) -> NDArray[np.int64]:
    columns = p.shape[-1]
    if not np.isfinite(y).all() or (y % 1 != 0).any() or (len(y) and (y.min() < 0 or y.max() >= columns)):
        found = f"{y.min():g} to {y.max():g}" if len(y) else "none"
        msg = f"{name}: expected class numbers from 0 to {columns - 1} for {columns} output columns, found {found}"
        raise ConfigError(msg)
    return y.astype(np.int64)


def _refuse_classes(y: NDArray[Any], p: NDArray[Any], name: str) -> None:
    """One score for each row is that of class 1 of two: other labels would be compared with a threshold.

    Raises:
        ConfigError: There are other labels.
    """
    if p.dtype.kind == "f" and len(y) and not (y.min() >= 0 and y.max() <= 1):
        msg = (
            f"{name}: expected labels 0 and 1 for one output column, found {y.min():g} to {y.max():g}; "
            "for amounts: mse, mae, r2"
        )
        raise ConfigError(msg)


def _arrays(labels: Any, predictions: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with not_ours():  # whatever the labels are and the model returned
        y, p = np.asarray(labels), np.asarray(predictions)
    if p.dtype.kind in "biuf" and y.dtype.kind not in "biuf":
        msg = f"{name}: expected labels as numbers, like the predictions, found text; pass classes=[...]"
        raise ConfigError(msg)
    return y, p


def _columns(array: NDArray[Any]) -> int:
    """Columns of the last axis; 1 where there is a number for each row."""
    return int(array.shape[-1]) if array.ndim > 1 else 1


def _same_rows(y: NDArray[Any], p: NDArray[Any]) -> bool:
    """Whether the rows have one shape; a last axis of length one does not matter, and Keras drops it."""
    ours, theirs = (
        array.shape[1:-1] if array.ndim > 1 and array.shape[-1] == 1 else array.shape[1:] for array in (y, p)
    )
    return ours == theirs


def _is_one_hot(y: NDArray[Any]) -> bool:
    return bool(np.isin(y, (0, 1)).all() and (y.sum(axis=-1) == 1).all())


def _unfit(name: str, y: NDArray[Any], p: NDArray[Any], fitting: str) -> ConfigError:
    shapes = f"labels of {_rows(y)} and predictions of {_rows(p)}"
    return ConfigError(f"{name}: expected labels that fit the predictions, found {shapes}; these fit: {fitting}")


def _rows(array: NDArray[Any]) -> str:
    shape = array.shape[1:]
    return f"{array.dtype.name} rows of shape {shape}" if shape else f"one {array.dtype.name} per row"
