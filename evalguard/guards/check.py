"""Sample indices or keys, judged without a model."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from evalguard.core.findings import Reason
from evalguard.core.judge import judge
from evalguard.core.label_table import normal_keys
from evalguard.core.plural import plural
from evalguard.core.policy import Order, Padding, Policy, Require, check_choice, nearest
from evalguard.core.report import Report
from evalguard.core.shown_keys import keys_shown
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.data import tree
from evalguard.data.tables import array_of
from evalguard.errors import ArgumentError, ConfigError, LabelsError
from evalguard.guards.about import in_words
from evalguard.guards.call_line import caller_place
from evalguard.guards.environment import versions
from evalguard.guards.metric_impact import impact
from evalguard.guards.metrics import metrics_of
from evalguard.labels.labels import Labels

# Accepted until 0.2: old name → new name.
OLD_NAMES = {"label": "label_column", "key": "labels_key"}
ARGUMENTS = (
    *("indices", "keys", "labels", "label_column", "labels_key", "order", "targets", "predictions", "metrics"),
    "show_keys",
)
# Class numbers passed as sample indices: both arrays repeat few values, each of them this often at least on average.
ROWS_PER_CLASS = 3
# Where a score of complete tables in another order is right.
JOINED = "if rows and labels are joined by key before they are scored"


def check(
    *positional: Any,
    indices: Any = None,
    keys: Any = None,
    labels: Any = None,
    label_column: str | None = None,
    labels_key: str | None = None,
    require: Require = "declared",
    padding: Padding = "forbid",
    order: Order = "same",
    targets: Any = None,
    predictions: Any = None,
    metrics: Any = None,
    name: str = "check",
    show_keys: bool = True,
    **old: Any,
) -> Report:
    """Judge sample indices or keys, without any model.

    Args:
        *positional: Not allowed; every argument needs its name.
        indices: What each prediction row is: row numbers of the labels, int,
            shape ``(n,)``.
        keys: Instead of ``indices``: the key of each prediction row, shape
            ``(n,)``. The labels need keys, too.
        labels: Labels as for ``evalguard.guard``, or their number.
        label_column: Column of the labels, where ``labels`` is a table.
        labels_key: Column of the keys, where ``labels`` is a table.
        require: As for ``evalguard.guard``.
        padding: As for ``evalguard.guard``.
        order: ``same``: row i is scored against label i. ``any``: each row is
            scored against the label of its key or index, as after a join; each
            label needs exactly one row. That rows and labels are joined is
            declared, not observed.
        targets: The labels that stand beside the predictions, shape
            ``(n, ...)``; compared with ``labels``.
        predictions: What was predicted for each of these rows, shape
            ``(n, ...)``; for ``metrics``.
        metrics: As for ``evalguard.guard``.
        name: Name of the evaluation in the report.
        show_keys: As for ``evalguard.guard``.
        **old: ``label`` and ``key``, the old names of ``label_column`` and
            ``labels_key``.

    Returns:
        The report; nothing is raised for a FAIL.

    Raises:
        ArgumentError: An argument is unknown or has no name, or neither
            ``indices`` nor ``keys`` is given, or both.
        ConfigError: An option has a value that is not allowed.
        LabelsError: The labels, the indices or the keys cannot be used, or
            class numbers were passed as sample indices.
    """
    if positional:
        raise _not_named(positional)
    label_column, labels_key = _old_names(old, label_column, labels_key)
    if (indices is None) == (keys is None) or labels is None:
        given = [
            word for word, value in (("indices", indices), ("keys", keys), ("labels", labels)) if value is not None
        ]
        found = " and ".join(given) or "none of them"
        msg = f"check: expected labels= and one of indices= and keys=, found {found}"
        raise ArgumentError(msg)
    policy = Policy(require=require, padding=padding, show_keys=show_keys)
    check_choice("order", order, get_args(Order))
    if order == "any" and padding == "trim":
        msg = "padding: expected 'forbid' with order='any', found 'trim': rows in any order have no end to be cut"
        raise ConfigError(msg)
    with keys_shown(show_keys):
        # A number stands for labels without values: only their count is compared.
        if isinstance(labels, (int, np.integer)):
            labels = np.arange(int(labels))
        table = Labels.of(labels, label=label_column, key=labels_key)
        trace = _keyed(keys, table) if indices is None else _indexed(indices, table)
        trace = replace(trace, ordered=order == "same", targets=_beside(targets, trace.n_rows))
        place = caller_place()
        judgement = judge(trace, table, policy, name=name, versions=versions(), caller={"line": place.line})
        report = replace(judgement.report, diagnosis=in_words(judgement.report, place, place))
        if order != "same":
            report = replace(report, options={**report.options, "order": order})
        elif {finding.reason for finding in report.findings} == {Reason.REORDERED}:
            report = replace(report, advice=f"order='any'  # {JOINED}")
        if predictions is None:
            return report
        _refuse_other_length("predictions", tree.n_rows(predictions), trace.n_rows)
        return replace(report, impact=impact(metrics_of(metrics), judgement, table, predictions, trace))


def _beside(targets: Any, n_rows: int) -> Any:
    """The labels that stand beside the predictions, as an array; None where there are none."""
    if targets is None:
        return None
    array = array_of(targets, "targets")
    _refuse_other_length("targets", len(array), n_rows)
    return array


def _refuse_other_length(what: str, found: int | None, n_rows: int) -> None:
    if found != n_rows:
        rows = "no rows" if found is None else f"{found:,}"
        msg = f"{what}: expected one for each of the {plural(n_rows, 'row')}, found {rows}"
        raise LabelsError(msg)


def _indexed(indices: Any, table: Labels) -> Trace:
    rows = normal_keys(indices, "indices")
    if rows.dtype.kind != "i":
        msg = (
            f"indices: expected sample indices (integers), found {rows.dtype.name}. For names of samples: "
            "check(keys=..., labels=..., labels_key='column')"
        )
        raise LabelsError(msg)
    if _is_class_numbers(rows, table.values):
        msg = (
            f"indices: expected the label row of each prediction, found {len(np.unique(rows)):,} class numbers for "
            f"{len(rows):,} rows. check() judges which sample each row is, not whether its class is right; with the "
            "predictions of a model use `with evalguard.guard(labels=y_true): model.predict(...)`"
        )
        raise LabelsError(msg)
    return Trace(len(rows), np.full(len(rows), UNKNOWN), index=rows, method="check")


def _keyed(keys: Any, table: Labels) -> Trace:
    if table.keys is None:
        msg = f"keys: expected labels with keys, found none in {table.name}; name their column: labels_key='column'"
        raise LabelsError(msg)
    rows = normal_keys(keys, "keys")
    return Trace(len(rows), np.full(len(rows), UNKNOWN), keys=rows, method="check")


def _is_class_numbers(rows: NDArray[Any], values: Any) -> bool:
    """Whether these are predicted classes: as many as labels, and few values, all of which are labels as well."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf" or values.shape != rows.shape:
        return False
    predicted, true = np.unique(rows), np.unique(values)
    # A false alarm is an error for a correct call, so only what is clearly no permutation counts as class numbers.
    few = max(len(predicted), len(true)) * ROWS_PER_CLASS <= len(rows)
    return few and bool(np.isin(predicted, true).all())


def _not_named(positional: tuple[Any, ...]) -> ArgumentError:
    msg = (
        f"check: expected named arguments, found {len(positional):,} without a name. For the label row of each "
        "prediction: check(indices=..., labels=...); for its key: check(keys=..., labels=..., labels_key='column'). "
        "Predicted classes are not sample indices: use `with evalguard.guard(labels=y_true): model.predict(...)`"
    )
    return ArgumentError(msg)


def _old_names(old: dict[str, Any], label_column: str | None, labels_key: str | None) -> tuple[str | None, str | None]:
    for name in old:
        if name not in OLD_NAMES:
            near = nearest(name, ARGUMENTS)
            msg = f"check: unknown argument {name!r}.{near}"
            raise ArgumentError(msg)
        message = f"check: the argument {name!r} is deprecated and goes away in 0.2: write {OLD_NAMES[name]}="
        warnings.warn(message, DeprecationWarning, stacklevel=3)
    return old.get("label", label_column), old.get("key", labels_key)
