"""The sample weights with which ``evaluate`` scored, compared with those of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.checks import first_cases
from evalguard.core.findings import Finding, Reason
from evalguard.core.label_table import LabelTable
from evalguard.core.plural import plural
from evalguard.core.target_comparison import LabelComparison, compare_labels, same_in_groups
from evalguard.core.trace import FIT, Int64, Trace

NOT_SEEN = "the sample weights of these labels were not among what was scored, or their form is another one"
NOT_PLACED = "nothing shows which sample weight belongs to which row"
SCALED = "its sample weights are those of these labels times a constant"


def compare_weights(
    trace: Trace, labels: LabelTable, samples: Int64 | range | None, targets: LabelComparison
) -> tuple[Finding | None, str]:
    """A weight that is not that of the row's sample, and why the weights are declared; empty if they were compared.

    Args:
        trace: What was observed.
        labels: The external labels.
        samples: Sample of each row; None where that is not known.
        targets: The comparison of the stream's own targets with the labels.
    """
    ours, theirs = trace.weights, labels.weights
    evaluated = not trace.ordered or trace.scored is not None
    if theirs is None or not evaluated:
        return None, ""
    if ours is None or trace.method == FIT:
        return None, NOT_SEEN
    rows = np.arange(trace.n_rows) if trace.scored is None else trace.scored
    answered = rows if samples is None else np.asarray(samples)[rows[rows < len(samples)]]
    found = compare_labels(ours, theirs, answered)
    if not found.comparable:
        return None, NOT_SEEN
    if found.rows.size and in_another_scale(ours, theirs, answered):
        return None, SCALED
    if samples is None and (not targets.comparable or targets.rows.size):
        return None, NOT_PLACED
    wrong = found.rows[~_interchangeable(trace, labels, found.rows, answered, placed=samples is not None)]
    if not wrong.size:
        return None, NOT_PLACED if samples is None and found.rows.size else ""
    message = f"at {plural(wrong.size, 'row')} the model scored with another sample weight than that of the label"
    message += f" (first: row {int(rows[wrong[0]]):,})"
    return Finding(Reason.SCORED, int(wrong.size), message, first_cases(rows[wrong])), ""


def _interchangeable(
    trace: Trace, labels: LabelTable, wrong: Int64, answered: Int64, *, placed: bool
) -> NDArray[np.bool_]:
    """Whether each of these rows may have the weight of another row, because target and prediction are the same."""
    ours: Any = trace.weights
    theirs: Any = labels.weights
    part = slice(None) if trace.scored is None else trace.scored
    targets = trace.targets[part] if isinstance(trace.targets, np.ndarray) else trace.scored_targets
    if (
        isinstance(targets, np.ndarray)
        and isinstance(ours, np.ndarray)
        and compare_labels(targets, labels.values).comparable
    ):
        ours, theirs = (targets, ours), (labels.values, theirs)
    if not placed:
        everything = np.arange(min(len(answered), len(labels)))
        return same_in_groups(ours, theirs, everything, everything, np.zeros(len(everything), np.uint64))[wrong]
    if trace.fingerprints is None or labels.fingerprints is None or trace.keys is not None:
        return np.zeros(len(wrong), bool)
    digests = trace.fingerprints[part][wrong]
    same: NDArray[np.bool_] = digests == labels.fingerprints[answered[wrong]]
    same[same] = same_in_groups(ours, theirs, wrong[same], answered[wrong[same]], digests[same])
    return same


def in_another_scale(given: Any, values: Any, samples: Int64 | None = None) -> bool:
    """Whether the weights are those of the labels times one number, as where they are divided by their mean.

    Args:
        given: Weights, shape ``(n, ...)``.
        values: The weights of the labels, in the same form.
        samples: Compare row ``i`` with label ``samples[i]`` rather than with label ``i``.
    """
    if isinstance(given, (Mapping, tuple)) or isinstance(values, Mapping):
        return False
    ours, theirs = np.asarray(given, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if samples is not None:
        known = (samples >= 0) & (samples < len(theirs))
        ours, theirs = ours[: len(samples)][known], theirs[samples[known]]
    ours, theirs = ours.ravel(), theirs.ravel()
    if ours.shape != theirs.shape or not theirs.sum() > 0 or not ours.sum() > 0:
        return False
    return bool(np.allclose(ours / ours.sum(), theirs / theirs.sum(), rtol=1e-5, atol=0))
