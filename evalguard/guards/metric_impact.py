"""What a misalignment did to the metrics: the figure as it would have been reported, and the one that is true.

Nothing is guessed. Where rows are missing, a mean over rows that lies between 0
and 1 has bounds; of any other metric it is said that none is known.
"""

from __future__ import annotations

import functools
import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core import checks
from evalguard.core.judge import Judgement
from evalguard.core.label_table import Labels
from evalguard.core.policy import check_word
from evalguard.core.trace import Trace
from evalguard.data import tree
from evalguard.errors import ConfigError
from evalguard.guards.predictions import take

Function = Callable[[Any, Any], Any]

SKLEARN = "sklearn:"
AVERAGES = ("macro", "micro", "weighted")
AVERAGED = ("f1", "precision", "recall", "jaccard")
# Metrics that score predictions as they are; the others of scikit-learn take classes.
OF_SCORES = ("roc_auc", "log_loss", "average_precision", "brier", "top_k", "hinge", "ndcg", "dcg", "d2_")
# Means over rows of something between 0 and 1.
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
# Figures of 32-bit sums that differ by less are the same sum in another order.
ROUNDING = 1e-6
SHORT = {"acc": "accuracy"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of labels and predictions.

    Attributes:
        name: For the report.
        function: Takes ``(y_true, y_pred)``, gives a number.
        row_mean: It is a mean over rows of something between 0 and 1.
    """

    name: str
    function: Function
    row_mean: bool = False


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
        msg = (
            f"metrics: expected each name once, found {', '.join(names)}; a mapping of name to metric tells them apart"
        )
        raise ConfigError(msg)
    return metrics


def _metric(given: Any, name: str) -> Metric:
    if isinstance(given, str):
        word = SHORT.get(given.strip(), given.strip())
        function = _of_sklearn(word) if word.startswith(SKLEARN) else _of_keras(word)
        return Metric(name or given.strip(), function, word in ROW_MEANS)
    if callable(given):
        own = getattr(given, "__name__", None) or getattr(given, "name", None) or type(given).__name__
        return Metric(name or str(own), functools.partial(_called, given))
    msg = f"metrics: expected a name or a callable (y_true, y_pred) -> number, found {type(given).__name__}"
    raise ConfigError(msg)


def _called(function: Any, y_true: Any, y_pred: Any) -> Any:
    """A plain function, or an object of ``keras.metrics``: a copy, for its state is the caller's."""
    if hasattr(function, "update_state") and hasattr(function, "get_config"):
        function = type(function).from_config(function.get_config())
        function.update_state(y_true, y_pred)
        return function.result()
    return function(y_true, y_pred)


# -- Keras -----------------------------------------------------------------------------------------------------------


def _of_keras(name: str) -> Function:
    if "keras" in sys.modules or "tf_keras" in sys.modules:
        _keras_metric(name)
    return functools.partial(_by_keras, name)


def _by_keras(name: str, y_true: Any, y_pred: Any) -> Any:
    if name == "accuracy":
        name = _kind_of_accuracy(np.asarray(y_true), np.asarray(y_pred))
    return _called(_keras_metric(name), y_true, y_pred)


def _keras_metric(name: str) -> Any:
    # That of the models at hand; without any, as in check(), Keras 3. Both give the same figures.
    kit = importlib.import_module("tf_keras" if "keras" not in sys.modules and "tf_keras" in sys.modules else "keras")
    try:
        found = kit.metrics.get(name)
    except ValueError:
        found = None
    if found is None:
        known = tuple(one for one in dir(kit.metrics) if one[:1].islower() and callable(getattr(kit.metrics, one)))
        check_word("metrics", name, (*known, "accuracy"))
        msg = f"metrics: {name!r} is no metric of {kit.__name__}.metrics"
        raise ConfigError(msg)
    return found


def _kind_of_accuracy(y_true: NDArray[Any], y_pred: NDArray[Any]) -> str:
    """As ``compile(metrics=["accuracy"])`` chooses (keras 3.15, compile_utils.py)."""
    if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
        return "binary_accuracy"
    one_hot = y_true.ndim == y_pred.ndim and y_true.shape[-1] == y_pred.shape[-1]
    return "categorical_accuracy" if one_hot else "sparse_categorical_accuracy"


# -- scikit-learn ----------------------------------------------------------------------------------------------------


def _of_sklearn(word: str) -> Function:
    name = word.removeprefix(SKLEARN)
    try:
        module = importlib.import_module("sklearn.metrics")
    except ImportError as error:
        msg = f"metrics: expected scikit-learn for {word!r}, found it not installed: pip install scikit-learn"
        raise ConfigError(msg) from error
    base, _, average = name.rpartition("_")
    if base in AVERAGED and average in AVERAGES:
        function: Function = functools.partial(getattr(module, f"{base}_score"), average=average)
    else:
        known = {found for found in dir(module) if callable(getattr(module, found)) and not found.startswith("_")}
        found = name if name in known else f"{name}_score"
        if found not in known:
            check_word("metrics", word, tuple(f"{SKLEARN}{one}" for one in sorted(known)))
        function = getattr(module, found)
    scores = any(part in name for part in OF_SCORES)
    return lambda y_true, y_pred: function(y_true, y_pred if scores else _classes(y_true, y_pred))


def _classes(y_true: Any, y_pred: Any) -> Any:
    """Class numbers of probabilities or logits where the labels are class numbers; figures as they are."""
    truth, predicted = np.asarray(y_true), np.asarray(y_pred)
    if truth.dtype.kind not in "iubSUO" or predicted.dtype.kind != "f":
        return predicted
    if predicted.ndim > 1 and predicted.shape[-1] > 1:
        if truth.dtype.kind in "SUO":
            msg = "the labels are words and the predictions numbers: a callable knows which class is which"
            raise TypeError(msg)
        return predicted.argmax(axis=-1)
    return (predicted.reshape(len(predicted)) > 0.5).astype(np.int64)


# -- the figures -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """Labels and predictions, as they would have been scored and as they belong together."""

    labels: Any
    predictions: Any
    n_labels: int
    n_rows: int
    samples: NDArray[np.int64] | None
    targets: Any
    wrong: int


def impact(
    metrics: Sequence[Metric], judgement: Judgement, labels: Labels, predictions: Any, trace: Trace
) -> dict[str, dict[str, Any]] | None:
    """Figures of each metric.

    Args:
        metrics: What to compute; none gives None.
        judgement: What each row is.
        labels: In label order, with values.
        predictions: What the model returned: an array or a nest of them, one
            row for each row delivered.
        trace: Holds the stream's own targets.

    Returns:
        By name of the metric: ``as_scored``, the figure of row i against
        label i; ``realigned``, that of each sample's own prediction;
        ``difference``; or ``at_least`` and ``at_most`` where samples are
        missing; ``note`` in words. A metric that raises has an ``error``.
    """
    if not metrics:
        return None
    try:
        return _impact(metrics, judgement, labels, predictions, trace)
    except Exception as error:  # noqa: BLE001 - outputs of an unusual kind must cost neither predictions nor verdict
        return {metric.name: {"error": f"{type(error).__name__}: {str(error)[:200]}"} for metric in metrics}


def _impact(
    metrics: Sequence[Metric], judgement: Judgement, labels: Labels, predictions: Any, trace: Trace
) -> dict[str, dict[str, Any]]:
    outputs = [] if labels.values is None else list(_outputs(labels.values, predictions))
    if not outputs:
        why = "the labels have no values" if labels.values is None else "labels and outputs do not pair up"
        return {metric.name: {"error": why} for metric in metrics}
    found = {}
    for metric in metrics:
        for output, values, predicted in outputs:
            name = f"{metric.name}, {output}" if output else metric.name
            samples = judgement.plain
            rows = _Rows(
                values,
                predicted,
                len(labels),
                len(predicted) - judgement.padding,
                samples,
                trace.targets if not output else None,
                judgement.report.counts["misaligned"],
            )
            found[name] = _told(metric, rows, judgement)
    return found


def _outputs(values: Any, predictions: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, labels and predictions of each output; no name where there is one."""
    if not isinstance(values, Mapping):
        leaves = tree.leaves(predictions)
        if len(leaves) == 1:
            yield "", values, leaves[0]
    elif isinstance(predictions, Mapping):
        yield from ((name, values[name], predictions[name]) for name in values if name in predictions)
    elif isinstance(predictions, (list, tuple)) and len(predictions) == len(values):
        yield from ((name, values[name], part) for name, part in zip(values, predictions, strict=True))


def _told(metric: Metric, rows: _Rows, judgement: Judgement) -> dict[str, Any]:
    try:
        return _figures(metric, rows, judgement)
    except Exception as error:  # noqa: BLE001 - the user's own metric must cost neither predictions nor verdict
        return {"error": f"{type(error).__name__}: {str(error)[:200]}"}


def _figures(metric: Metric, rows: _Rows, judgement: Judgement) -> dict[str, Any]:
    common = min(rows.n_labels, rows.n_rows)
    told: dict[str, Any] = {"as_scored": _score(metric, rows.labels, rows.predictions, np.arange(common))}
    notes = []
    if rows.n_rows != rows.n_labels:
        notes.append(f"as scored on the first {common:,} rows: there are {rows.n_rows:,} for {rows.n_labels:,} labels")
    if not judgement.report.findings:
        return told
    told |= _realigned(metric, rows, told["as_scored"], notes)
    if judgement.report.counts["label_disagreements"] and isinstance(rows.targets, np.ndarray):
        told["with_own_targets"] = _number(
            metric.function(rows.targets[: rows.n_rows], rows.predictions[: rows.n_rows])
        )
    return told | ({"note": "; ".join(notes)} if notes else {})


def _realigned(metric: Metric, rows: _Rows, as_scored: float, notes: list[str]) -> dict[str, Any]:
    """The figure of each sample's own prediction, or bounds."""
    if rows.samples is None:
        notes.append("which sample each row is, is not known")
        return {}
    arrived = checks.first_arrivals(rows.samples, rows.n_labels)
    own = rows.samples[arrived]
    if not len(own):
        notes.append("no labelled sample was predicted")
        return {}
    sure = ~np.isin(own, _differing(rows, arrived))
    arrived, own = arrived[sure], own[sure]
    missing = rows.n_labels - len(own)
    if not len(own):
        notes.append("no sample has one prediction of its own")
        return {}
    order = np.argsort(own)
    known = _score(metric, rows.labels, rows.predictions, arrived[order], own[order])
    if not missing:
        difference = as_scored - known
        # The same sum in another order is no difference.
        difference = difference if abs(difference) > ROUNDING * max(1.0, abs(known)) else 0.0
        if not difference and rows.wrong:
            notes.append(f"unchanged although {rows.wrong:,} rows are wrong")
        return {"realigned": known, "difference": difference}
    if not sure.all():
        notes.append(f"{np.count_nonzero(~sure):,} samples were predicted more than once, and not alike")
    if not metric.row_mean:
        notes.append(f"{missing:,} samples have no prediction of their own: no bound of this metric is known")
        return {"of_those_predicted": known}
    lowest = known * len(own) / rows.n_labels
    return {"of_those_predicted": known, "at_least": lowest, "at_most": lowest + missing / rows.n_labels}


def _differing(rows: _Rows, arrived: NDArray[np.int64]) -> NDArray[np.int64]:
    """Samples that were predicted more than once, and not alike: which prediction is theirs is not known."""
    samples = rows.samples
    if samples is None:
        return np.zeros(0, dtype=np.int64)
    again = checks.duplicate_rows(samples, rows.n_labels)
    first = np.zeros(rows.n_labels, dtype=np.int64)
    first[samples[arrived]] = arrived
    ours, theirs = (np.asarray(take(rows.predictions, at)) for at in (again, first[samples[again]]))
    differ = (ours != theirs) & ~((ours != ours) & (theirs != theirs))  # NaN equals NaN
    return np.unique(samples[again[differ.any(axis=tuple(range(1, differ.ndim)))]])


def _score(metric: Metric, labels: Any, predictions: Any, rows: Any, samples: Any = None) -> float:
    return _number(metric.function(np.asarray(labels)[rows if samples is None else samples], take(predictions, rows)))


def _number(value: Any) -> float:
    number = float(np.mean(np.asarray(value)))
    if math.isnan(number):
        msg = "the metric gave no number"
        raise ValueError(msg)
    return number
