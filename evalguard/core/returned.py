"""Rows that were returned elsewhere than they were computed: the trace in the order of what the caller got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalguard.core.columns.chunks import n_distinct
from evalguard.core.label_table import LabelTable
from evalguard.core.matching import all_matches, match_content, pair_equal
from evalguard.core.trace import UNKNOWN, Int64, Trace

CHANGED = "values differ from those that the model computed, so nothing shows which row each one is"
IN_PART = (
    "part: the model returned rows in another order than it was fed, and nothing shows which of the two orders is named"
)
# Values that a threshold or an argmax leaves are few, and may be outputs of other rows by chance.
MIN_DISTINCT = 3


def as_returned(trace: Trace, labels: LabelTable) -> Trace:
    """The trace, row by row as the caller got them."""
    if trace.outputs is None:
        return trace
    computed, returned = trace.outputs
    places = _place_of_each_sample(trace, labels)
    source = _source(computed, returned, np.arange(trace.n_rows) if places is None else places)
    if source is None:
        return replace(trace, outputs=None, not_returned=CHANGED)
    moved = int(np.count_nonzero(source != np.arange(trace.n_rows)))
    if moved and places is None and trace.index_source == "part":
        problem = "; ".join(filter(None, (trace.unobserved, IN_PART)))
        trace = replace(trace, index=np.full(trace.n_rows, UNKNOWN), unobserved=problem)
    return replace(taken(trace, source), outputs=None, moved=moved)


def _place_of_each_sample(trace: Trace, labels: LabelTable) -> Int64 | None:
    """Where the sample of each label was computed, row i where that is not known; None where nothing observed it."""
    for match in all_matches(trace, labels):
        if match.comparable and match.observed:
            places = np.arange(trace.n_rows)
            known = np.flatnonzero((match.samples >= 0) & (match.samples < trace.n_rows))
            places[match.samples[known]] = known
            return places
    return None


def _source(computed: NDArray[np.uint64], returned: NDArray[np.uint64], places: Int64) -> Int64 | None:
    """Which computed row each returned row is; None where values changed.

    Equal outputs are interchangeable: the row of the label's own sample comes first.
    """
    source = np.full(len(returned), UNKNOWN, dtype=np.int64)
    free = np.ones(len(computed), dtype=bool)
    for wanted in (places, np.arange(len(returned))):
        rows = np.flatnonzero((source == UNKNOWN) & (returned == computed[wanted]) & free[wanted])
        # Each computed row once, as far as that goes.
        first = np.full(len(computed), UNKNOWN, dtype=np.int64)
        first[wanted[rows[::-1]]] = rows[::-1]
        rows = rows[first[wanted[rows]] == rows]
        source[rows] = wanted[rows]
        free[wanted[rows]] = False
    other = np.flatnonzero(source == UNKNOWN)
    if other.size and not pair_equal(source, other, returned, np.flatnonzero(free), computed):
        found = match_content(returned[other], computed).samples
        if (found < 0).any():
            return None
        source[other] = found
    differing = returned[returned != computed]
    same_rows = np.array_equal(np.sort(computed), np.sort(returned))
    return source if same_rows or n_distinct(differing) >= MIN_DISTINCT else None


def taken(trace: Trace, source: Int64) -> Trace:
    """The trace of these rows, in this order."""
    columns: dict[str, Any] = {
        name: np.asarray(column)[source]
        for name in ("tags", "index", "keys", "fingerprints", "padding")
        if (column := getattr(trace, name)) is not None
    }
    calls = trace.calls if len(source) == trace.n_rows else (len(source),)
    # Weights are of the rows that `evaluate` scored; where others were predicted, too, nothing shows which is which.
    weights = None if trace.ordered else _take(trace.weights, source)
    targets = _take(trace.targets, source)
    return replace(trace, n_rows=len(source), calls=calls, **columns, targets=targets, weights=weights)


def _take(targets: Any, source: Int64) -> Any:
    if isinstance(targets, Mapping):
        return {name: _take(part, source) for name, part in targets.items()}
    if isinstance(targets, (tuple, list)):
        return tuple(_take(part, source) for part in targets)
    return None if targets is None else np.asarray(targets)[source]
