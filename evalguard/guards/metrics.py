"""Metrics by name: of Keras, of scikit-learn, or the caller's own."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.policy import check_choice
from evalguard.errors import ConfigError
from evalguard.guards.metric_shapes import Fit, for_keras, for_sklearn

MetricFunction = Callable[..., Any]
SKLEARN = "sklearn:"
AVERAGES = ("macro", "micro", "weighted")
AVERAGED_METRICS = ("f1", "precision", "recall", "jaccard")
# Names of scikit-learn's metrics and scorers that Keras has no metric for; `sklearn:` need not be written.
SCORERS = frozenset(
    {
        "average_precision",
        "balanced_accuracy",
        "f1",
        "jaccard",
        "matthews_corrcoef",
        "max_error",
        "r2",
        "top_k_accuracy",
    }
)


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
        function: Takes ``(y_true, y_pred)``, gives a number; with ``weighs`` also ``sample_weight``.
        row_mean: It is a mean over rows of something between 0 and 1.
        by_name: Of Keras or scikit-learn: it takes class numbers, not names.
        weighs: It takes sample weights.
        fit: Brings labels and predictions into the form that it takes; None: they are passed as they are.
        key: Its name in the caller's mapping, which may be that of the output that it is for; empty: no mapping.
        own: Its name without that mapping.
        of_output: The name in the mapping can only be that of an output: there are several metrics for it.
    """

    name: str
    function: MetricFunction
    row_mean: bool = False
    by_name: bool = False
    weighs: bool = False
    fit: Fit | None = None
    key: str = ""
    own: str = ""
    of_output: bool = False


def metrics_of(given: Any) -> tuple[Metric, ...]:
    """Metrics from what the option ``metrics`` takes.

    Args:
        given: A name or a callable ``(y_true, y_pred) -> number``, a sequence
            of them, or a mapping of name to one of them. Where the names are
            those of outputs, each is for its output, and there may be several
            for one, as in ``compile``. Names are those of
            ``keras.metrics`` (``accuracy``, ``auc``, ``mse``, …; ``accuracy``
            fits the labels as in ``compile``) or of scikit-learn
            (``sklearn:f1_macro``, ``sklearn:balanced_accuracy``,
            ``sklearn:accuracy_score``), its scorers included (``roc_auc_ovr``).

    Raises:
        ConfigError: It is none of these, or no such metric exists.
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return tuple(metric for key, part in given.items() for metric in _of_key(str(key), part))
    several = given if isinstance(given, (list, tuple)) else (given,)
    metrics = tuple(_metric(metric) for metric in several)
    names = [metric.name for metric in metrics]
    if len(set(names)) < len(names):
        found = ", ".join(names)
        msg = f"metrics: expected each name once, found {found}; use a mapping of name to metric to give each a name"
        raise ConfigError(msg)
    return metrics


def _of_key(key: str, given: Any) -> tuple[Metric, ...]:
    """The metric of a name, or those of an output."""
    if isinstance(given, (list, tuple)):
        named = ((metric, f"{metric.own}, {key}") for metric in metrics_of(given))
        return tuple(replace(metric, name=name, key=key, of_output=True) for metric, name in named)
    return (replace(_metric(given), name=key, key=key),)


def _metric(given: Any) -> Metric:
    if isinstance(given, str):
        word = _word(ALIASES.get(given.strip(), given.strip()))
        of_sklearn = word.startswith(SKLEARN)
        function = _one_number(word) if of_sklearn else functools.partial(_call_keras_metric, word)
        fit = for_sklearn(word) if of_sklearn else for_keras(word)
        own, weighs = given.strip(), not of_sklearn or _takes_weights(function)
        return Metric(own, function, word in ROW_MEANS, by_name=True, weighs=weighs, fit=fit, own=own)
    if callable(given):
        own = str(getattr(given, "__name__", None) or getattr(given, "name", None) or type(given).__name__)
        weighs = hasattr(given, "update_state") or _takes_weights(given)
        return Metric(own, functools.partial(_call_metric, given), weighs=weighs, own=own)
    msg = f"metrics: expected a name or a callable (y_true, y_pred) -> number, found {type(given).__name__}"
    raise ConfigError(msg)


def _takes_weights(function: Any) -> bool:
    try:
        return "sample_weight" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C
        return False


def _call_metric(function: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
    """Call a plain function, or a copy of an object of ``keras.metrics``, whose state belongs to the caller."""
    given = {} if sample_weight is None else {"sample_weight": sample_weight}
    # A Keras metric accumulates over calls (keras 3.15, metrics/metric.py, `update_state`).
    if hasattr(function, "update_state") and hasattr(function, "get_config"):
        function = type(function).from_config(function.get_config())
        function.update_state(y_true, y_pred, **given)
        return function.result()
    return function(y_true, y_pred, **given)


def _word(name: str) -> str:
    """The name of a metric of Keras, or with ``sklearn:`` that of scikit-learn where only that knows it."""
    if name.startswith(SKLEARN):
        return name
    base, _, average = name.rpartition("_")
    scorer = name.startswith(("roc_auc", "neg_")) or (base in AVERAGED_METRICS and average in AVERAGES)
    if scorer or name in SCORERS:
        return SKLEARN + name
    # A misspelt name is refused here, before anything is predicted, unless Keras would have to be imported for that.
    if "keras" in sys.modules or "tf_keras" in sys.modules:
        _keras_metric(name)
    return name


def _call_keras_metric(name: str, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
    if name == "accuracy" and np.asarray(y_pred).dtype.kind in "biu":
        # Classes, not scores: `binary_accuracy` would compare them with a half.
        return _mean(np.asarray(y_true) == np.asarray(y_pred), sample_weight)
    if name == "accuracy":
        name = _kind_of_accuracy(np.asarray(y_true), np.asarray(y_pred))
    found = _keras_metric(name)
    if hasattr(found, "update_state"):
        return _call_metric(found, y_true, y_pred, sample_weight)
    return _mean(found(y_true, y_pred), sample_weight)


def _mean(values: Any, weights: Any) -> Any:
    """The mean of what a function gives for each row."""
    if weights is None:
        return values
    array, weights = np.asarray(values, dtype=np.float64), np.asarray(weights)
    weights = weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))
    return np.average(array, weights=np.broadcast_to(weights, array.shape))


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
    except (TypeError, ValueError):  # or it needs arguments, such as the number of classes
        found = None
    if found is None or isinstance(found, str):
        known = tuple(
            one for one in dir(backend.metrics) if one[:1].islower() and callable(getattr(backend.metrics, one))
        )
        check_choice("metrics", name, (*known, "accuracy"))
        msg = f"metrics: expected the name of a metric in {backend.__name__}.metrics, found {name!r}; pass a function"
        raise ConfigError(msg)
    return found


def _kind_of_accuracy(y_true: NDArray[Any], y_pred: NDArray[Any]) -> str:
    """The metric that ``compile(metrics=["accuracy"])`` chooses (keras 3.15, trainers/compile_utils.py)."""
    if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
        return "binary_accuracy"
    one_hot = y_true.ndim == y_pred.ndim and y_true.shape[-1] == y_pred.shape[-1]
    return "categorical_accuracy" if one_hot else "sparse_categorical_accuracy"


def _one_number(word: str) -> MetricFunction:
    """The function of scikit-learn; the mean of a matrix or a curve would be no metric."""
    function = _sklearn_function(word)

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        found = function(*given, **named)
        if np.ndim(found):
            msg = f"{word}: expected a metric that is one number, found an array of shape {np.shape(found)}"
            raise ConfigError(msg)
        return found

    return checked


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
        averaged: MetricFunction = functools.partial(getattr(module, f"{base}_score"), average=average)
        return averaged
    known = {found for found in dir(module) if callable(getattr(module, found)) and not found.startswith("_")}
    found = name if name in known else f"{name}_score"
    scorers = module.get_scorer_names()
    if found not in known and name in scorers:
        return functools.partial(_call_scorer, module.get_scorer(name))
    if found not in known:
        check_choice("metrics", word, tuple(f"{SKLEARN}{one}" for one in sorted({*known, *scorers})))
    function: MetricFunction = getattr(module, found)
    if found not in {"log_loss", "top_k_accuracy_score"}:
        return function

    # The rows that are scored may lack a class.
    def of_all_classes(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        labels = {"labels": np.arange(np.shape(y_pred)[-1])} if np.ndim(y_pred) > 1 else {}
        return function(y_true, y_pred, sample_weight=sample_weight, **labels)

    return of_all_classes


def _call_scorer(scorer: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
    """Call a scorer of scikit-learn, which wants a fitted classifier, with predictions that there are already."""
    base: Any = importlib.import_module("sklearn.base")
    scores = y_pred if np.ndim(y_pred) > 1 else np.column_stack([1 - np.asarray(y_pred), y_pred])

    # It asks a method for its name.
    def predict(_self: Any, _rows: Any) -> Any:
        return y_pred

    def predict_proba(_self: Any, _rows: Any) -> Any:
        return scores

    fitted = {"classes_": np.arange(np.shape(scores)[-1]), "predict": predict, "predict_proba": predict_proba}
    estimator = type("Predicted", (base.ClassifierMixin, base.BaseEstimator), fitted)()
    return scorer(estimator, y_pred, y_true, **({} if sample_weight is None else {"sample_weight": sample_weight}))
