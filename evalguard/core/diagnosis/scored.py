"""Rows that are scored elsewhere than they were returned, and labels that are not those that were checked."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

from evalguard.core.diagnosis.catalogue import cause
from evalguard.core.diagnosis.view import View, listed
from evalguard.core.findings import Cause
from evalguard.core.plural import plural

# At most one pair of parts in so many may have ended in the other order.
MOST_OVERTAKEN = 4


def other_labels(view: View) -> Cause:
    """The labels or weights that are scored are not those of the guard."""
    evidence = "the rows are those of their labels; what they are scored against was compared row by row"
    return cause(view, "other_labels_scored", certain=True, evidence=evidence)


def order_not_inverse(view: View) -> Cause | None:
    """The rows were put back with the order itself: ``predict(x[order])[order]``."""
    source, samples = view.trace.scored_from, view.samples
    if source is None or samples is None or not np.array_equal(np.sort(source), np.arange(len(samples))):
        return None
    order = np.empty_like(source)
    order[source] = samples
    if not np.array_equal(source, order) or np.array_equal(source, np.arange(len(source))):
        return None
    evidence = "row i was returned as row order[i] of the sorted input, and scored as if it were row i of the labels"
    return cause(view, "order_not_inverse", certain=True, evidence=evidence)


def joined_parts(view: View) -> Cause | None:
    """Whole parts, one after the other, in an order that is not that of the labels."""
    trace = view.trace
    if trace.scored_from is None or len(trace.parts) < 2:
        return None
    part = np.searchsorted(np.cumsum(trace.parts), trace.scored_from, side="right")
    begins = np.flatnonzero(np.diff(part, prepend=-1))
    order = part[begins].tolist()
    if len(order) == 1 and len(part) == trace.parts[order[0]]:
        evidence = f"what is scored are the rows of call {order[0]:,}, as it returned them"
        return cause(view, "call_in_another_order", certain=False, evidence=evidence)
    whole = len(set(order)) == len(order) and (np.diff(trace.scored_from)[np.diff(part) == 0] == 1).all()
    if not whole:
        return None
    rising = all(one < other for one, other in pairwise(order))
    first = listed(part[begins], 8)
    evidence = f"{plural(len(order), 'part')} stand whole one after the other, in the order of calls {first}"
    ended = [trace.ended[number] for number in order] if len(trace.ended) == len(trace.parts) else []
    if trace.in_threads and ended and _nearly_rising(ended):
        return cause(view, "parts_as_completed", certain=True, evidence=evidence)
    if not rising or trace.in_threads:
        return cause(view, "parts_in_another_order", certain=True, evidence=evidence)
    steps = np.diff(np.arange(len(part)) if view.samples is None else view.samples)[np.diff(part) == 0]
    if view.is_loop and (steps < 0).any():
        # The rows of a fold ascend.
        evidence += ", and the rows inside a part have no order"
        return cause(view, "shuffled", certain=False, evidence=evidence)
    if view.samples is not None and steps.size and (steps == 1).all():
        # Parts of consecutive samples are no folds: the calls themselves had another order.
        evidence += f", which begin with samples {listed(view.samples[begins], 8)}"
        return cause(
            view, "parts_in_another_order", certain=False, evidence=evidence, fixes=("calls_in_another_order",)
        )
    # Only a caller that names the rows of each part shows that it had to put them back.
    named = trace.index_source == "part" and trace.index is not None and bool((np.asarray(trace.index) >= 0).all())
    return cause(view, "parts_not_put_back", certain=named, evidence=evidence)


def _nearly_rising(ended: list[float]) -> bool:
    """Whether nearly all parts are in the order in which they ended: a thread may overtake another after its call."""
    # The first parts are enough: ten thousand parts have fifty million pairs.
    pairs = list(combinations(ended[:200], 2))
    return sum(one > other for one, other in pairs) * MOST_OVERTAKEN <= len(pairs)


def missing_parts(view: View) -> Cause | None:
    """Labels that no call of ``scope="parts"`` answers."""
    trace = view.trace
    if not trace.ended or trace.confirmed or view.n_rows >= view.n:
        return None
    evidence = f"{plural(len(trace.ended), 'call')} returned rows of {view.n_rows:,} of the {view.n:,} samples"
    return cause(view, "parts_missing", certain=True, evidence=evidence)


def moved(view: View) -> Cause | None:
    """Rows were moved between ``predict`` and the score."""
    rows = plural(view.trace.rearranged, "row")
    evidence = f"{rows} of what is scored stand elsewhere than guarded calls returned them"
    return cause(view, "moved_before_the_score", certain=True, evidence=evidence)
