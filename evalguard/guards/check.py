"""Sample indices or keys, judged without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from evalguard.core.judge import judge
from evalguard.core.label_table import normal_keys
from evalguard.core.policy import Padding, Policy, Require
from evalguard.core.report import Report
from evalguard.core.trace import UNKNOWN, Trace
from evalguard.data import tree
from evalguard.errors import LabelsError
from evalguard.guards.messages import versions
from evalguard.guards.metric_impact import impact
from evalguard.guards.metrics import metrics_of
from evalguard.labels.labels import Labels


def check(
    delivered: Any,
    labels: Any,
    *,
    label: str | None = None,
    key: str | None = None,
    require: Require = "labels",
    padding: Padding = "forbid",
    predictions: Any = None,
    metrics: Any = None,
    name: str = "check",
) -> Report:
    """Judge sample indices or keys, without any model.

    Args:
        delivered: What each prediction row is: sample indices (int, shape
            ``(n,)``), or keys if ``labels`` has keys.
        labels: Labels as for ``evalguard.guard``, or their number.
        label: Column of the labels, where a table is given.
        key: Column of the keys; ``delivered`` then holds keys.
        require: As for ``evalguard.guard``.
        padding: As for ``evalguard.guard``.
        predictions: What each of these rows was predicted to be, shape
            ``(n, ...)``; for ``metrics``.
        metrics: As for ``evalguard.guard``.
        name: Name of the evaluation in the report.

    Returns:
        The report; nothing is raised for a FAIL.

    Raises:
        LabelsError: The labels, or what was delivered, cannot be used.
    """
    policy = Policy(require=require, padding=padding)
    if isinstance(labels, (int, np.integer)):
        labels = np.arange(int(labels))
    table = Labels.of(labels, label=label, key=key)
    rows = normal_keys(delivered, "delivered")
    n_rows = len(rows)
    if table.keys is not None:
        trace = Trace(n_rows, np.full(n_rows, UNKNOWN), keys=rows, method="check")
    elif rows.dtype.kind == "i":
        trace = Trace(n_rows, np.full(n_rows, UNKNOWN), index=rows, method="check")
    else:
        msg = "delivered: expected sample indices (integers), found keys; give the labels' keys as well: key='column'"
        raise LabelsError(msg)
    judgement = judge(trace, table, policy, name=name, versions=versions())
    if predictions is None:
        return judgement.report
    if tree.n_rows(predictions) != n_rows:
        msg = f"predictions: expected one for each of the {n_rows} rows delivered, found {tree.n_rows(predictions)}"
        raise LabelsError(msg)
    return replace(judgement.report, impact=impact(metrics_of(metrics), judgement, table, predictions, trace))
