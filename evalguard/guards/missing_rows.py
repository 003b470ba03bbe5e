"""Samples that were never predicted: predicted now, and matched like any others before they count as repaired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evalguard.core.judge import Judgement
from evalguard.core.label_table import LabelTable
from evalguard.core.trace import ALTERED, Int64, Trace
from evalguard.guards import predictions
from evalguard.guards.calls import GuardedCall


def predict_missing(
    call: GuardedCall, trace: Trace, judgement: Judgement, labels: LabelTable
) -> Callable[[Int64], Any] | None:
    """Predicts the rows of these samples in the array that was passed; None for other sources.

    The function returns None where the array does not hold these samples.
    """
    if call.predict_again is None or not position_is_sample(trace, judgement):
        return None
    predict_again = call.predict_again
    used = {item["identity"] for item in judgement.report.identities if item.get("used")}

    def predict(samples: Int64) -> Any:
        found = predict_again(samples)
        if found is None:
            return None
        inputs, again = found
        at, fed = np.searchsorted(inputs, samples), again.trace
        if fed.unobserved or fed.rows_tagged(ALTERED).size:
            return None
        known = {"content": (fed.fingerprints, labels.fingerprints), "key": (fed.keys, labels.keys)}
        if not all(_are_equal(*known[identity], at, samples) for identity in used & known.keys()):
            return None
        # What came back are the rows that were computed.
        return None if fed.outputs is not None or fed.not_returned else predictions.take(again.predictions, at)

    return predict


def _are_equal(fed: Any, expected: Any, at: Int64, samples: Int64) -> bool:
    return fed is not None and np.array_equal(np.asarray(fed)[at], np.asarray(expected)[samples])


def position_is_sample(trace: Trace, judgement: Judgement) -> bool:
    """Whether row ``i`` of the array passed to ``predict`` is sample ``i``, as far as it was seen."""
    # The position alone is no proof: where a reference contradicts it, the array is not in label order.
    samples = judgement.samples_array
    if trace.index is None or trace.index_source != "position" or samples is None:
        return False
    return np.array_equal(np.asarray(trace.index)[: len(samples)], samples)
