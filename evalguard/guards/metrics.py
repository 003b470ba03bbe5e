"""Metrics by name: of Keras, of scikit-learn, or the caller's own."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.policy import check_choice
from evalguard.errors import ConfigError

MetricFunction = Callable[[Any, Any], Any]
SKLEARN = "sklearn:"
AVERAGES = ("macro", "micro", "weighted")
AVERAGED_METRICS = ("f1", "precision", "recall", "jaccard")
# These metrics of scikit-learn take scores or probabilities; its other metrics take classes.
SCORE_METRICS = ("roc_auc", "log_loss", "average_precision", "brier", "top_k", "hinge", "ndcg", "dcg", "d2_")


# Means over rows of a value between 0 and 1: only for these can missing rows be bounded.
ROW_MEANS = (
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "sklearn:accuracy",
    "sklearn:accuracy_score",
)


ALIASES = {"acc": "accuracy"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of labels and predictions.

    Attributes:
        name: For the report.
        function: Takes ``(y_true, y_pred)``, gives a number.
        row_mean: It is a mean over rows of something between 0 and 1.
        by_name: Of Keras or scikit-learn: it takes class numbers, not names.
    """

    name: str
    function: MetricFunction
    row_mean: bool = False
    by_name: bool = False


def metrics_of(given: Any) -> tuple[Metric, ...]:
    """Metrics from what the option ``metrics`` takes.

    Args:
        given: A name or a callable ``(y_true, y_pred) -> number``, a sequence
            of them, or a mapping of name to one of them. Names are those of
            ``keras.metrics`` (``accuracy``, ``auc``, ``mse``, …; ``accuracy``
            fits the labels as in ``compile``) or of scikit-learn
            (``sklearn:f1_macro``, ``sklearn:balanced_accuracy``,
            ``sklearn:accuracy_score``).

    Raises:
        ConfigError: It is none of these, or no such metric exists.
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return tuple(_metric(metric, str(name)) for name, metric in given.items())
    several = given if isinstance(given, (list, tuple)) else (given,)
    metrics = tuple(_metric(metric, "") for metric in several)
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        found = ", ".join(names)
        msg = f"metrics: expected each name once, found {found}; use a mapping of name to metric to give each a name"
        raise ConfigError(msg)
    return metrics


def _metric(given: Any, name: str) -> Metric:
    if isinstance(given, str):
        word = ALIASES.get(given.strip(), given.strip())
        function = _sklearn_function(word) if word.startswith(SKLEARN) else _keras_function(word)
        return Metric(name or given.strip(), function, word in ROW_MEANS, by_name=True)
    if callable(given):
        own = getattr(given, "__name__", None) or getattr(given, "name", None) or type(given).__name__
        return Metric(name or str(own), functools.partial(_call_metric, given))
    msg = f"metrics: expected a name or a callable (y_true, y_pred) -> number, found {type(given).__name__}"
    raise ConfigError(msg)


def _call_metric(function: Any, y_true: Any, y_pred: Any) -> Any:
    """Call a plain function, or a copy of an object of ``keras.metrics``, whose state belongs to the caller."""
    # A Keras metric accumulates over calls (keras 3.15, metrics/metric.py, `update_state`).
    if hasattr(function, "update_state") and hasattr(function, "get_config"):
        function = type(function).from_config(function.get_config())
        function.update_state(y_true, y_pred)
        return function.result()
    return function(y_true, y_pred)


def _keras_function(name: str) -> MetricFunction:
    # A misspelt name is refused here, before anything is predicted, unless Keras would have to be imported for that.
    if "keras" in sys.modules or "tf_keras" in sys.modules:
        _keras_metric(name)
    return functools.partial(_call_keras_metric, name)


def _call_keras_metric(name: str, y_true: Any, y_pred: Any) -> Any:
    if name == "accuracy":
        name = _kind_of_accuracy(np.asarray(y_true), np.asarray(y_pred))
    return _call_metric(_keras_metric(name), y_true, y_pred)


def _keras_metric(name: str) -> Any:
    # The metrics of the framework that made the models; without a model, as in check(), Keras 3. Both give the same
    # values.
    backend = importlib.import_module(
        "tf_keras" if "keras" not in sys.modules and "tf_keras" in sys.modules else "keras"
    )
    # For an unknown name `get` of Keras 3 raises (keras 3.15, metrics/__init__.py), and that of tf_keras returns the
    # name itself (tf_keras 2.21, metrics/__init__.py).
    try:
        found = backend.metrics.get(name)
    except ValueError:
        found = None
    if found is None or isinstance(found, str):
        known = tuple(
            one for one in dir(backend.metrics) if one[:1].islower() and callable(getattr(backend.metrics, one))
        )
        check_choice("metrics", name, (*known, "accuracy"))
        msg = f"metrics: {name!r} is no metric of {backend.__name__}.metrics"
        raise ConfigError(msg)
    return found


def _kind_of_accuracy(y_true: NDArray[Any], y_pred: NDArray[Any]) -> str:
    """The metric that ``compile(metrics=["accuracy"])`` chooses (keras 3.15, trainers/compile_utils.py)."""
    if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
        return "binary_accuracy"
    one_hot = y_true.ndim == y_pred.ndim and y_true.shape[-1] == y_pred.shape[-1]
    return "categorical_accuracy" if one_hot else "sparse_categorical_accuracy"


def _sklearn_function(word: str) -> MetricFunction:
    name = word.removeprefix(SKLEARN)
    try:
        module = importlib.import_module("sklearn.metrics")
    except ImportError as error:
        msg = f"metrics: expected scikit-learn for {word!r}, found it not installed: pip install scikit-learn"
        raise ConfigError(msg) from error
    # scikit-learn has `f1_score(average="macro")`, but its scorers are called `f1_macro`: both names are taken.
    base, _, average = name.rpartition("_")
    if base in AVERAGED_METRICS and average in AVERAGES:
        function: MetricFunction = functools.partial(getattr(module, f"{base}_score"), average=average)
    else:
        known = {found for found in dir(module) if callable(getattr(module, found)) and not found.startswith("_")}
        found = name if name in known else f"{name}_score"
        if found not in known:
            check_choice("metrics", word, tuple(f"{SKLEARN}{one}" for one in sorted(known)))
        function = getattr(module, found)
    scores = any(part in name for part in SCORE_METRICS)
    return lambda y_true, y_pred: function(y_true, y_pred if scores else _classes(y_true, y_pred))


def _classes(y_true: Any, y_pred: Any) -> Any:
    """Class numbers of probabilities or logits where the labels are class numbers; other predictions as they are."""
    expected, predicted = np.asarray(y_true), np.asarray(y_pred)
    if expected.dtype.kind not in "iubSUO" or predicted.dtype.kind != "f":
        return predicted
    if predicted.ndim > 1 and predicted.shape[-1] > 1:
        if expected.dtype.kind in "SUO":
            msg = "the labels are words and the predictions numbers: a callable knows which class is which"
            raise TypeError(msg)
        return predicted.argmax(axis=-1)
    # The threshold of `BinaryAccuracy` (keras 3.15, metrics/accuracy_metrics.py).
    return (predicted.reshape(len(predicted)) > 0.5).astype(np.int64)
