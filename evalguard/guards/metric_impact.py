"""What a misalignment did to the metrics: the value as it would have been reported, and the correct one.

Nothing is guessed. Where rows are missing, a mean over rows that lies between 0
and 1 has bounds; for any other metric the report says that no bound is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalguard.core import arrivals
from evalguard.core.findings import MetricImpact
from evalguard.core.judge import Judgement
from evalguard.core.label_table import LabelTable
from evalguard.core.own_errors import not_ours, swallow
from evalguard.core.plural import plural
from evalguard.core.policy import listed
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.data import tree
from evalguard.errors import ConfigError
from evalguard.guards.metrics import Metric
from evalguard.guards.predictions import take

# Keras sums metrics in float32 (keras 3.15, metrics/reduction_metrics.py): two values that differ by less are the
# same sum in another order.
ROUNDING = 1e-6
# Characters of an error that a report keeps.
MAX_ERROR = 300


@dataclass(frozen=True, slots=True)
class _FirstRows:
    """The first row of each sample, ``UNKNOWN`` without one, and the rows that repeat a sample."""

    row_of: NDArray[np.int64]
    again: NDArray[np.int64]

    @classmethod
    def of(cls, samples: NDArray[np.int64], n_labels: int) -> Self:
        """Of the sample of each row."""
        is_first = arrivals.arrivals(samples, n_labels)
        rows = np.flatnonzero(is_first)
        row_of = np.full(n_labels, UNKNOWN)
        row_of[samples[rows]] = rows
        return cls(row_of, np.flatnonzero(arrivals.known(samples, n_labels) & ~is_first))


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
    weights: Any = None
    joined: bool = False
    first: _FirstRows | None = None


def impact(
    metrics: Sequence[Metric], judgement: Judgement, labels: LabelTable, predictions: Any, trace: Trace
) -> dict[str, MetricImpact] | None:
    """The values of each metric.

    Args:
        metrics: What to compute; none gives None.
        judgement: What each row is.
        labels: In label order, with values.
        predictions: What the model returned: an array or a tree of them, one
            row for each row delivered.
        trace: Holds the stream's own targets.

    Returns:
        The impact by name of the metric. A metric that raises has an
        ``error`` and no value.
    """
    if not metrics:
        return None
    try:
        return _impact(metrics, judgement, labels, predictions, trace)
    except Exception as error:  # noqa: BLE001 - unusual outputs must cost neither predictions nor verdict
        failed = _failed(error)
        return {metric.name: failed for metric in metrics}


def _impact(
    metrics: Sequence[Metric], judgement: Judgement, labels: LabelTable, predictions: Any, trace: Trace
) -> dict[str, MetricImpact]:
    outputs = list(labelled_outputs(labels.values, predictions))
    if not outputs:
        why = "the labels have no values" if labels.values is None else "labels and outputs do not pair up"
        return {metric.name: MetricImpact(error=why) for metric in metrics}
    found = {}
    names, samples = {output for output, _, _ in outputs}, judgement.samples_array
    # Rows that are right stay where they are.
    first = _FirstRows.of(samples, len(labels)) if samples is not None and judgement.report.findings else None
    for metric in metrics:
        # The names of a mapping are those of outputs, as in `compile`, or of the metrics themselves.
        of_output = metric.key in names
        own = metric.own if of_output else metric.name
        if metric.of_output and not of_output:
            known = listed(sorted(names - {""}), metric.key) or "the only one has no name"
            why = f"metrics: expected the name of an output ({known}), found {metric.key!r}"
            found[metric.name] = MetricImpact(error=why)
            continue
        for output, values, predicted in outputs:
            if of_output and output != metric.key:
                continue
            name = f"{own}, {output}" if output else own
            rows = _Rows(
                values,
                predicted,
                len(labels),
                len(predicted) - judgement.padding,
                samples,
                trace.targets if not output else None,
                judgement.report.counts["misaligned"] or 0,
                labels.weights.get(output) if isinstance(labels.weights, Mapping) else labels.weights,
                joined=trace.joined,
                first=first,
            )
            found[name] = _metric_impact(metric, rows, judgement)
    return found


def labelled_outputs(values: Any, predictions: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, labels and predictions of each output that has labels; no name where there is one."""
    if values is None:
        return
    if not isinstance(values, Mapping):
        leaves = tree.leaves(predictions)
        # One set of labels for several outputs: which output they belong to would be a guess.
        if len(leaves) == 1:
            yield "", values, leaves[0]
    elif isinstance(predictions, Mapping):
        yield from ((name, values[name], predictions[name]) for name in values if name in predictions)
    elif isinstance(predictions, (list, tuple)) and len(predictions) == len(values):
        yield from ((name, values[name], part) for name, part in zip(values, predictions, strict=True))


def _metric_impact(metric: Metric, rows: _Rows, judgement: Judgement) -> MetricImpact:
    try:
        return MetricImpact(**_metric_values(metric, rows, judgement))
    except Exception as error:  # noqa: BLE001 - the user's own metric must cost neither predictions nor verdict
        return _failed(error)


def _failed(error: Exception) -> MetricImpact:
    kind, _, said = swallow(error).partition(": ")
    return MetricImpact(error=f"{kind}: {said[:MAX_ERROR]}")


def _metric_values(metric: Metric, rows: _Rows, judgement: Judgement) -> dict[str, Any]:
    targets, given = rows.targets, rows.predictions
    notes = []
    if metric.fit is not None:
        labels, predictions, converted = metric.fit(rows.labels, rows.predictions)
        rows = replace(rows, labels=labels, predictions=predictions)
        notes += [converted] * bool(converted)
    if rows.weights is not None:
        without = "without the sample weights, which the metric does not accept"
        notes.append("weighted by the sample weights" if metric.weighs else without)
        rows = replace(rows, weights=_usable(rows.weights) if metric.weighs else None)
    values: dict[str, Any] = {"as_scored": _as_scored(metric, rows, notes)}
    if not judgement.report.findings:
        return values | ({"note": "; ".join(notes)} if notes else {})
    values |= _after_realignment(metric, rows, values["as_scored"], notes)
    if judgement.report.counts["label_disagreements"] and isinstance(targets, np.ndarray):
        pair: Any = (targets, given) if metric.fit is None else metric.fit(targets, given)[:2]
        weights = _of_rows(rows)
        if rows.weights is None or weights is not None:
            values["with_own_targets"] = _value(metric, pair[0][: rows.n_rows], pair[1][: rows.n_rows], weights)
    return values | ({"note": "; ".join(notes)} if notes else {})


def _as_scored(metric: Metric, rows: _Rows, notes: list[str]) -> float:
    """The value without a guard: rows and labels are paired by position, as far as both reach, or were joined."""
    if rows.joined and rows.samples is not None:
        partners = np.flatnonzero(arrivals.known(rows.samples, rows.n_labels))
        if len(partners) != rows.n_labels or len(partners) != rows.n_rows:
            notes.append(f"as scored on the {plural(len(partners), 'row')} whose sample has a label")
        return _score(metric, rows, partners, rows.samples[partners])
    common = min(rows.n_labels, rows.n_rows)
    if rows.n_rows != rows.n_labels:
        notes.append(f"as scored on the first {common:,} rows: there are {rows.n_rows:,} for {rows.n_labels:,} labels")
    # A slice copies nothing, but no tensor takes one.
    sliced = isinstance(rows.predictions, np.ndarray)
    return _score(metric, rows, slice(0, common) if sliced else np.arange(common))


def _after_realignment(metric: Metric, rows: _Rows, as_scored: float, notes: list[str]) -> dict[str, Any]:
    """The value over each sample's own prediction, or its bounds."""
    if rows.first is None:
        notes.append("the sample of each row is not known")
        return {}
    row_of = rows.first.row_of
    if (row_of < 0).all():
        notes.append("no labelled sample was predicted")
        return {}
    # A sample with two different predictions has no right one, so it counts as missing.
    ambiguous = _ambiguous_samples(rows, rows.first)
    if ambiguous.size:
        row_of = row_of.copy()
        row_of[ambiguous] = UNKNOWN
    missing = int(np.count_nonzero(row_of < 0))
    if missing == rows.n_labels:
        notes.append("no sample has exactly one prediction")
        return {}
    own = np.flatnonzero(row_of >= 0) if missing else slice(None)
    known = _score(metric, rows, row_of[own], own)
    if not missing:
        difference = as_scored - known
        # The same sum in another order is no difference.
        difference = difference if abs(difference) > ROUNDING * max(1.0, abs(known)) else 0.0
        if not difference and rows.wrong:
            notes.append(f"unchanged in spite of {plural(rows.wrong, 'wrong row')}")
        return {"realigned": known, "difference": difference}
    if ambiguous.size:
        several = plural(ambiguous.size, "sample")
        notes.append(f"{several} predicted more than once, with different values")
    if not metric.row_mean or np.ndim(rows.weights) > 1:
        notes.append(f"{plural(missing, 'sample')} without a prediction: no bound of this metric is known")
        return {"of_those_predicted": known}
    # Each missing row adds a value between 0 and 1 to the sum.
    share = (
        (rows.n_labels - missing) / rows.n_labels
        if rows.weights is None
        else rows.weights[own].sum() / rows.weights.sum()
    )
    return {"of_those_predicted": known, "at_least": known * share, "at_most": known * share + 1 - share}


def _ambiguous_samples(rows: _Rows, first: _FirstRows) -> NDArray[np.int64]:
    """Samples that were predicted more than once with different values, so that the right one is not known."""
    again, samples = first.again, rows.samples
    if samples is None or not again.size:
        return np.zeros(0, dtype=np.int64)
    ours, theirs = (np.asarray(take(rows.predictions, at)) for at in (again, first.row_of[samples[again]]))
    differ = (ours != theirs) & ~((ours != ours) & (theirs != theirs))  # NaN equals NaN
    return np.unique(samples[again[differ.any(axis=tuple(range(1, differ.ndim)))]])


def _usable(weights: Any) -> Any:
    """The weights, one for each row where that is what they are.

    Raises:
        ConfigError: They are all 0, for which Keras would give 0 as the value.
    """
    if not np.sum(weights) > 0:
        msg = f"sample_weight: expected weights with a sum above 0, found {np.sum(weights):g}"
        raise ConfigError(msg)
    return weights.reshape(len(weights)) if np.size(weights) == len(weights) else weights


def _of_rows(rows: _Rows) -> Any:
    """The weight of each row, by its sample; None if there are no weights, or a row is not a labelled sample."""
    samples = None if rows.samples is None else rows.samples[: rows.n_rows]
    if rows.weights is None or samples is None or not arrivals.known(samples, rows.n_labels).all():
        return None
    return rows.weights[samples]


def _score(metric: Metric, rows: _Rows, at: Any, samples: Any = None) -> float:
    """The value of these rows, each scored against the label of its sample, or of its row."""
    labelled = at if samples is None else samples
    weights = None if rows.weights is None else rows.weights[labelled]
    return _value(metric, np.asarray(rows.labels)[labelled], take(rows.predictions, at), weights)


def _value(metric: Metric, labels: Any, predictions: Any, weights: Any = None) -> float:
    with not_ours():  # the user's function, and what it returned
        given = {} if weights is None else {"sample_weight": weights}
        number = float(np.mean(np.asarray(metric.function(labels, predictions, **given))))
        if math.isnan(number):
            msg = "expected a number from the metric, found NaN"
            raise ValueError(msg)
    return number
